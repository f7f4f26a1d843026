"""The report and the pages of the summary, as a reader opens them: in a browser, from the file system."""

import json
import re
import subprocess
from itertools import product

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts

from support.checkout import PROJECT, Checkout
from support.shared import made_once
from workflow.lib.commit import commit_of

pytestmark = pytest.mark.workflow

LINKS = "[...document.querySelectorAll('a[data-result]')].map((link) => link.dataset.result)"


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory) -> Checkout:
    """A finished checkout with its report. Do not change it."""

    def make(folder):
        finished.copy(folder).snakemake(options=["--report", "results/report.html"])

    return Checkout(made_once(tmp_path_factory, "reported", make))


@pytest.fixture
def page(reported, browser):
    """Opens a page; at the end the console holds no error and no address elsewhere was requested."""

    def go(name):
        browser.switch_to.default_content()
        browser.open(reported.folder / "results" / name)
        return browser

    browser.resize(1440, 900)
    browser.complaints(), browser.requested()
    yield go
    assert browser.complaints("SEVERE") == []
    assert browser.requested() == set()
    browser.switch_to.default_content()


def summary_in(report):
    """The report, with the frame of its start page chosen."""
    report.until(lambda: report.all("iframe.summary"))
    report.switch_to.frame(report.one("iframe.summary"))
    report.until(lambda: report.all("tbody td"))
    return report


def column(window, table: int, place: int) -> list[str]:
    """The texts in a column of a table."""
    rows = "[...document.querySelectorAll('table')[arguments[0]]?.tBodies[0].rows ?? []]"
    return window.value(f"{rows}.map((row) => row.cells[arguments[1]].textContent)", table, place)


def heading(window, table: int, place: int):
    return window.all("table")[table].find_elements("css selector", "thead button")[place]


def shows_its_content(report):
    """Wait for a figure, or for a table with rows."""
    if report.value("app.state.content") == "img":
        report.wait("document.querySelector('#app img:not(nav img)').naturalWidth > 100")
        return
    report.until(lambda: report.all("iframe.w-full"))
    report.switch_to.frame(report.one("iframe.w-full"))
    report.until(lambda: column(report, 0, 0))
    report.switch_to.default_content()


def test_the_report_starts_with_the_summary(reported, page):
    report = summary_in(page("report.html"))
    lead = report.one("p.lead").text
    names = [path.parent.name for path in reported.folder.glob("results/*/measures.nc")]
    statuses = [reported.load(f"results/{name}/measures.nc")["status"] for name in names]
    status = np.concatenate([status.values.ravel() for status in statuses])
    assert f"{status.size} networks in {len(names)} experiments" in lead
    assert f"{np.sum(status == 0)} converged, {np.sum(status == 1)} stopped" in lead
    claims = reported.load("results/claims.nc").sizes["claim"]
    assert f"{claims} claims: {claims} inconclusive" in lead
    audit = pd.read_csv(reported.folder / "results/audit.csv")
    assert f"{audit['checked'].sum():,} numbers checked against" in lead
    assert re.search(r"Made with nrc .*, python 3.*, torch .*, device \w+, precision float", lead)
    text = report.one("body").text
    files = (reported.folder / "results/data").rglob("seed~*.nc")
    for word in (*names, *(str(file.relative_to(reported.folder)) for file in files)):
        assert word in text
    # tables of the summary sort too
    titles = report.value("[...document.querySelectorAll('table')].map((table) => table.tHead.textContent)")
    networks = next(place for place, title in enumerate(titles) if "diverged" in title)
    before = column(report, networks, 1)
    report.click(heading(report, networks, 1))
    assert column(report, networks, 1) == sorted(before, key=int)
    links = report.value(LINKS)
    assert set(links) == set(report.value("Object.keys(parent.results)"))
    report.switch_to.default_content()
    assert report.one("p.commit").text == "This report is of commit unknown."
    assert not report.all("div#rulegraph")
    frame = report.one("iframe.summary").rect
    assert min(frame["width"] / 1440, frame["height"] / 900) > 0.6
    for path in (links[0], "results/figures/figure1.png", "results/figures/figure1.html"):
        link = "document.querySelector(`a[data-result='${arguments[0]}']`)"
        summary_in(page("report.html")).execute_script(f"{link}.click()", path)
        report.switch_to.default_content()
        assert report.value("app.state.resultPath") == path
        assert report.all("nav li.prose")
        shows_its_content(report)


def test_every_result_opens_with_its_caption(page):
    report = page("report.html")
    categories = report.value("categories")
    assert sorted(categories) == ["Figures", "Tables"]
    seen = set()
    for category in categories:
        report.click(report.link(category))
        switch = len(report.all("nav fieldset label")) or 1
        assert switch == (2 if category == "Figures" else 1)
        for side, row in product(range(switch), range(len(report.all("nav tbody tr")))):
            if switch > 1:
                report.click(report.all("nav fieldset label")[side])
            look, about = report.all("nav tbody tr")[row].find_elements("css selector", "a")
            report.click(look)
            seen.add(report.value("app.state.resultPath"))
            shows_its_content(report)
            report.click(about)
            assert len(report.until(lambda: report.all("nav li.prose"))[0].text) > 100
            assert "job parameters" not in report.one("nav").text.lower()
            report.click(report.link(category))
        report.click(report.link("Results"))
    assert seen == set(report.value("Object.keys(results)"))


@pytest.mark.parametrize("name", ["report.html", "summary.html"])
def test_the_table_of_contents_leads_to_the_headings(page, name):
    summary = page(name)
    if name == "report.html":
        summary_in(summary)
    for link in summary.all("nav a"):
        link.click()
        top = "document.querySelector(arguments[0]).getBoundingClientRect().top"
        assert -1 <= summary.value(top, f"#{link.get_attribute('hash')[1:]}") < summary.value("innerHeight")
        summary.execute_script("scrollTo(0, 0)")


def test_tables_sort_and_filter(reported, page):
    numbers = pd.read_csv(reported.folder / "results/figures/figure3_stationary.csv")
    place = list(numbers.columns).index("value")
    opened = page("figures/figure3_stationary.html")
    opened.until(lambda: column(opened, 0, 0))
    assert f"{len(numbers):,} rows" in opened.one(".count").text
    assert len(column(opened, 0, 0)) == 200
    for direction, expected in (
        ("ascending", numbers["value"].sort_values()),
        ("descending", numbers["value"].sort_values(ascending=False)),
    ):
        opened.click(heading(opened, 0, place))
        assert opened.all("th")[place].get_attribute("aria-sort") == direction
        shown = [float(text) for text in column(opened, 0, place)]
        np.testing.assert_allclose(shown, expected.iloc[:200], rtol=1e-3)
    layer = opened.all("th input")[list(numbers.columns).index("layer")]
    for asked, kept in (("2", numbers["layer"] == 2), ("> 2", numbers["layer"] > 2)):
        layer.clear()
        layer.send_keys(asked)
        assert f"{kept.sum():,} of {len(numbers):,} rows" in opened.one(".count").text
    layer.clear()
    layer.send_keys(" ")
    opened.click("button.more")
    assert len(column(opened, 0, 0)) == min(400, len(numbers))


def test_tables_hold_the_numbers_with_all_their_digits(reported, page):
    audit = pd.read_csv(reported.folder / "results/audit.csv")
    opened = page("audit.html")
    opened.until(lambda: column(opened, 0, 0))
    cell = "(cell) => cell.title || cell.textContent"
    rows = opened.value(f"[...document.querySelector('tbody').rows].map((row) => [...row.cells].map({cell}))")
    assert [row[1] for row in rows] == list(audit["statement"][:200])
    place = list(audit.columns).index("largest_ratio")
    assert [float(row[place] or "nan") for row in rows] == pytest.approx(
        list(audit["largest_ratio"][:200]), rel=0, nan_ok=True
    )
    settings = page("settings.html")
    settings.until(lambda: column(settings, 1, 0))
    assert "experiments.mixture.training.tolerance" in column(settings, 1, 0)
    assert not any("{" in text for text in column(settings, 1, 1))


def test_without_claims_the_summary_does_not_mention_them(checkout):
    claims = json.loads(checkout.load("results/claims.nc").attrs["settings"])["claims"]
    overlays = checkout.overlay({f"claims.{name}": None for name in claims})
    checkout.snakemake("results/summary.html", overlays=overlays)
    body = checkout.read("results/summary.html").partition("<script>")[0].partition("<body>")[2]
    assert "claim" not in re.sub(r"data-\w+=\"[^\"]*\"", "", body).lower()


def test_captions_are_valid(reported):
    """docutils has no remark on any of them."""
    pages = [PROJECT / f"workflow/report/{name}.rst" for name in ("claims", "audit", "networks", "settings")]
    for caption in [*pages, *(reported.folder / "results/figures").glob("*.rst")]:
        text = caption.read_text(encoding="utf-8")
        publish_parts(text, writer="html5", settings_overrides={"halt_level": 1})


def test_the_commit_is_that_of_the_folder_itself(tmp_path):
    def git(*words):
        who = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    assert commit_of(tmp_path) == "unknown"
    git("init")
    assert commit_of(tmp_path) == "unknown"
    (tmp_path / "file").write_text("one\n", encoding="utf-8")
    git("add", "file")
    git("commit", "--message", "one")
    assert re.fullmatch(r"[0-9a-f]{40}, without uncommitted changes", commit_of(tmp_path))
    (tmp_path / "file").write_text("two\n", encoding="utf-8")
    assert commit_of(tmp_path).endswith(", with uncommitted changes")
    (tmp_path / "copy").mkdir()
    assert commit_of(tmp_path / "copy") == "unknown"
