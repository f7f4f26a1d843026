"""The report and the pages of the summary, as a reader opens them: in a browser, from the file system."""

import json
import re
import subprocess
from itertools import product

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts
from selenium.webdriver.common.keys import Keys

from support.checkout import PROJECT, Checkout
from support.headless import browser
from support.shared import made_once
from workflow.lib.commit import commit_of

pytestmark = pytest.mark.workflow

LOCAL = ("file:", "data:", "blob:", "about:", "chrome:")


@pytest.fixture(scope="module")
def reported(finished, tmp_path_factory) -> Checkout:
    """A finished checkout with its report. Do not change it."""

    def make(folder):
        finished.copy(folder).snakemake(options=["--report", "results/report.html"])

    return Checkout(made_once(tmp_path_factory, "reported", make))


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def page(reported, window):
    """Open a page; at the end nothing has gone wrong in it, and nothing came from elsewhere."""

    def go(name):
        window.switch_to.default_content()
        window.get((reported.folder / "results" / name).as_uri())
        window.until(lambda: window.execute_script("return document.readyState") == "complete")
        return window

    window.errors(), window.asked_for()
    yield go
    assert window.errors() == []
    assert [address for address in window.asked_for() if not address.startswith(LOCAL)] == []


def in_summary(report):
    """The frame of the start page."""
    report.until(lambda: report.all("iframe.summary"))
    report.switch_to.frame(report.one("iframe.summary"))
    report.until(lambda: report.one(".count").text)
    return report


def column(window, table: int, place: int) -> list[str]:
    """What a table shows in a column."""
    cells = "return [...document.querySelectorAll('table')[arguments[0]].tBodies[0].rows].map(r => r.cells[arguments[1]].textContent)"
    return window.execute_script(cells, table, place)


def head(window, table: int, place: int):
    return window.all("table")[table].find_elements("css selector", "thead button")[place]


def test_the_report_starts_with_what_was_found(reported, page):
    """Claims, audit, settings and provenance on one page, and no graph."""
    report = in_summary(page("report.html"))
    said = report.one("p.said").text
    names = [path.parent.name for path in reported.folder.glob("results/*/measures.nc")]
    statuses = [reported.load(f"results/{name}/measures.nc")["status"] for name in names]
    ended = np.concatenate([status.values.ravel() for status in statuses])
    assert f"{ended.size} networks in {len(names)} experiments" in said
    assert f"{np.sum(ended == 0)} converged, {np.sum(ended == 1)} stopped" in said
    assert "28 claims: 28 inconclusive" in said
    audit = pd.read_csv(reported.folder / "results/audit.csv")
    assert f"{audit['checked'].sum():,} numbers held against" in said
    assert re.search(r"Made with nrc .*, python 3.*, torch .*, device \w+, precision float", said)
    text = report.one("body").text
    for name in names:
        assert name in text
    for file in (reported.folder / "results/data").rglob("seed~*.nc"):
        assert str(file.relative_to(reported.folder)) in text
    report.switch_to.default_content()
    assert report.one("p.commit").text == "This report is of commit unknown."
    assert not report.all("div#rulegraph")
    frame = report.one("iframe.summary").rect
    assert frame["width"] > 0.6 * 1440
    assert frame["height"] > 0.6 * 900


def test_every_result_opens_with_its_caption(page):
    report = page("report.html")
    categories = report.execute_script("return categories")
    assert sorted(categories) == ["Figures", "Tables"]
    seen = set()
    for category in categories:
        report.press(report.link(category))
        switch = len(report.all("nav fieldset label")) or 1
        assert switch == (2 if category == "Figures" else 1)
        for side, row in product(range(switch), range(len(report.all("nav tbody tr")))):
            if switch > 1:
                report.press(report.all("nav fieldset label")[side])
            look, about = report.all("nav tbody tr")[row].find_elements("css selector", "a")
            report.press(look)
            seen.add(report.execute_script("return app.state.resultPath"))
            shows_its_content(report)
            report.press(about)
            caption = report.until(lambda: report.all("nav li.prose"))[0].text
            assert len(caption) > 100
            assert "job parameters" not in report.one("nav").text.lower()
            report.press(report.link(category))
        report.press(report.link("Results"))
    assert seen == set(report.execute_script("return Object.keys(results)"))


def shows_its_content(report):
    """A drawing that is there, or a table with rows."""
    if report.execute_script("return app.state.content") == "img":
        width = "return document.querySelector('#app img:not(nav img)').naturalWidth"
        report.until(lambda: report.execute_script(width) > 300)
        return
    report.until(lambda: report.all("iframe.w-full"))
    report.switch_to.frame(report.one("iframe.w-full"))
    report.until(lambda: all(column(report, table, 0) for table in range(len(report.all("table")))))
    assert report.all("table")
    report.switch_to.default_content()


def test_links_of_the_summary_open_the_results_in_the_report(page):
    report = in_summary(page("report.html"))
    links = report.execute_script(
        "return [...document.querySelectorAll('a[data-result]')].map(a => a.dataset.result)"
    )
    assert set(links) == set(report.execute_script("return Object.keys(parent.results)"))
    for path in (links[0], "results/figures/figure1.png", "results/figures/figure1.html"):
        click = "document.querySelector(`a[data-result='${arguments[0]}']`).click()"
        in_summary(page("report.html")).execute_script(click, path)
        report.switch_to.default_content()
        assert report.execute_script("return app.state.resultPath") == path
        assert report.all("nav li.prose")
        shows_its_content(report)


@pytest.mark.parametrize("name", ["report.html", "summary.html"])
def test_the_table_of_contents_leads_to_the_headings(page, name):
    summary = in_summary(page(name)) if name == "report.html" else page(name)
    for link in summary.all("nav a"):
        link.click()
        place = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
        height = summary.execute_script("return innerHeight")
        assert -1 <= summary.execute_script(place, f"#{link.get_attribute('hash')[1:]}") < height, link.text
        summary.execute_script("scrollTo(0, 0)")


def test_links_of_the_summary_alone_lead_to_files(reported, page):
    alone = page("summary.html")
    links = alone.execute_script(
        "return [...document.querySelectorAll('a[data-result]')].map(a => a.getAttribute('href'))"
    )
    anchors = alone.execute_script("return [...document.querySelectorAll('nav a')].map(a => a.hash)")
    assert all((reported.folder / "results" / link).is_file() for link in links)
    assert all(alone.all(anchor) for anchor in anchors)
    alone.link("Every network").click()
    alone.until(lambda: alone.title == "Networks")


def test_tables_sort_by_a_click_and_filter_by_what_is_typed(reported, page):
    numbers = pd.read_csv(reported.folder / "results/figures/figure3_stationary.csv")
    place = list(numbers.columns).index("value")
    opened = page("figures/figure3_stationary.html")
    opened.until(lambda: column(opened, 0, 0))
    assert f"{len(numbers):,} rows" in opened.one(".count").text
    assert len(column(opened, 0, 0)) == 200
    head(opened, 0, place).click()
    least = numbers["value"].sort_values()
    np.testing.assert_allclose(
        [float(text) for text in column(opened, 0, place)], least.iloc[:200], rtol=1e-3
    )
    head(opened, 0, place).click()
    np.testing.assert_allclose(
        [float(text) for text in column(opened, 0, place)], least.iloc[::-1].iloc[:200], rtol=1e-3
    )
    assert opened.all("th")[place].get_attribute("aria-sort") == "descending"
    layer = opened.all("th input")[list(numbers.columns).index("layer")]
    layer.send_keys("2")
    assert f"{(numbers['layer'] == 2).sum():,} of {len(numbers):,} rows" in opened.one(".count").text
    layer.send_keys(Keys.BACKSPACE)
    layer.send_keys("> 2")
    assert f"{(numbers['layer'] > 2).sum():,} of {len(numbers):,} rows" in opened.one(".count").text
    layer.send_keys(Keys.BACKSPACE * 3)
    opened.one("button.more").click()
    assert len(column(opened, 0, 0)) == min(400, len(numbers))


def test_tables_of_the_start_page_sort_too(page):
    report = in_summary(page("report.html"))
    tables = report.execute_script(
        "return [...document.querySelectorAll('table')].map(t => t.tHead.textContent)"
    )
    networks = next(place for place, text in enumerate(tables) if "diverged" in text)
    before = column(report, networks, 1)
    head(report, networks, 1).click()
    assert column(report, networks, 1) == sorted(before, key=lambda text: int(text.replace(",", "")))
    head(report, 0, 0).click()
    assert column(report, 0, 0) == sorted(column(report, 0, 0), key=str.lower)


def test_tables_hold_the_numbers_with_all_their_digits(reported, page):
    audit = pd.read_csv(reported.folder / "results/audit.csv")
    opened = page("audit.html")
    exact = "return [...document.querySelector('tbody').rows].map(r => [...r.cells].map(c => c.dataset.value ?? c.textContent))"
    rows = opened.execute_script(exact)
    assert [row[1] for row in rows] == list(audit["statement"])
    place = list(audit.columns).index("largest_ratio")
    assert [float(row[place] or "nan") for row in rows] == pytest.approx(
        list(audit["largest_ratio"]), rel=0, nan_ok=True
    )
    settings = page("settings.html").one("body").text
    assert "experiments.mixture.training.tolerance" in settings
    assert "{" not in settings


def test_without_claims_there_are_none_in_the_summary(checkout):
    overlays = checkout.overlay({f"claims.{name}": None for name in asked_claims(checkout)})
    assert checkout.planned(overlays=overlays) == {"summarise": 1}
    checkout.snakemake(overlays=overlays)
    assert (
        "claim"
        not in checkout.read("results/summary.html").partition("<script>")[0].partition("<body>")[2].lower()
    )


def asked_claims(checkout) -> list[str]:
    return list(json.loads(checkout.load("results/claims.nc").attrs["settings"])["claims"])


def test_captions_are_sound(reported):
    """docutils has no remark on any."""
    captions = [*(reported.folder / "results/figures").glob("*.rst")]
    captions += [
        PROJECT / "workflow/report" / f"{name}.rst" for name in ("claims", "audit", "networks", "settings")
    ]
    for caption in captions:
        publish_parts(
            caption.read_text(encoding="utf-8"), writer="html5", settings_overrides={"halt_level": 1}
        )


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
    assert re.fullmatch(r"[0-9a-f]{40}, the tree clean", commit_of(tmp_path))
    (tmp_path / "file").write_text("two\n", encoding="utf-8")
    assert commit_of(tmp_path).endswith(", with changes that are not committed")
    inside = tmp_path / "copy"
    inside.mkdir()
    assert commit_of(inside) == "unknown"
