"""The documentation: it builds without a warning, its reference is complete, and its code works."""

import importlib
import json
import pkgutil
import re
import subprocess
import sys
import zlib
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import nrc
from support.checkout import PROJECT
from support.pages import done
from support.shared import made_once
from tools.variables import VARIABLES, found

pytestmark = pytest.mark.workflow

# pages in Markdown that are also read in the repository
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").glob("**/*.md")]


@pytest.fixture(scope="session")
def manual(tmp_path_factory) -> Path:
    """The built pages."""
    return made_once(tmp_path_factory, "manual", build)


def build(folder: Path) -> None:
    options = ["-b", "html", "-n", "-W", "--keep-going", "-q"]
    command = [sys.executable, "-m", "sphinx", *options, str(PROJECT / "docs"), str(folder)]
    made = subprocess.run(command, cwd=PROJECT, text=True, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr


class Links(HTMLParser):
    """Targets of the links and pictures of a page, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets, self.anchors = set(), set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.targets |= {given[key] for key in ("href", "src") if given.get(key) and tag in ("a", "img")}
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}


def test_links_of_built_pages_lead_to_anchors_that_exist(manual):
    links = cache(Links)
    for page in manual.rglob("*.html"):
        for link in links(page).targets:
            if re.match(r"https?:|mailto:|data:", link):
                continue
            path, anchor = urldefrag(link)
            target = (page.parent / unquote(path)).resolve() if path else page
            assert target.exists(), f"{page.name} links to {link}"
            if anchor and target.suffix == ".html":
                assert unquote(anchor) in links(target).anchors, f"{page.name} links to {link}"


def test_links_of_pages_in_the_repository_lead_to_files():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert page.parent.joinpath(link).exists(), f"{page.name} links to {link}"


def test_the_reference_has_all_public_functions_and_classes(manual):
    data = (manual / "objects.inv").read_bytes()
    *_, compressed = data.split(b"\n", 4)
    inventory = {line.split()[0] for line in zlib.decompress(compressed).decode().splitlines()}
    assert {f"nrc.{name}" for name in nrc.__all__} <= inventory
    # the public names of these modules are documented as names of nrc
    elsewhere = {"nrc.api", "nrc.recorder", "nrc.figures.notebook"}
    for about in pkgutil.walk_packages(nrc.__path__, "nrc."):
        module = importlib.import_module(about.name)
        for name in getattr(module, "__all__", []):
            of = getattr(module, name)
            # constants and aliases of types have no docstring
            if getattr(of, "__module__", None) == about.name and of.__doc__ and about.name not in elsewhere:
                assert f"{about.name}.{name}" in inventory


def test_the_reference_has_all_variables_of_a_run(finished):
    documented = json.loads(VARIABLES.read_text(encoding="utf-8"))
    for kind, variables in found([finished.folder / "results"]).items():
        assert variables
        for name, about in variables.items():
            assert documented[kind].get(name) == about, "run `python -m tools.variables` on a tiny run"


def test_the_recipes_of_the_how_to_pages_work(fresh):
    """Add a kind of data, a method, a measure and a kind of figure as the pages do, and run them."""
    for page in ("data_kind", "method", "measure", "figure_kind"):
        assert done(f"how-to/{page}.md", fresh) >= 2
    targets = "results/rings/measures.nc", "results/heavy/measures.nc", "results/figures/layers.png"
    fresh.snakemake(*targets, overlays=("rings.yaml", "heavy.yaml", "layers.yaml"))
    assert fresh.load("results/rings/measures.nc").attrs["clusters"] == 2
    cube = fresh.load("results/heavy/measures.nc")
    assert (cube["nuclear_rank"] >= cube["stable_rank"]).all()
    assert fresh.read("results/figures/layers.rst")
