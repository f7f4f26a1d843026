"""The manual: it builds without a warning, leaves nothing out, and what it tells to do works."""

import importlib
import json
import pkgutil
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import nrc
from bench.variables import VARIABLES, found
from support.checkout import PROJECT
from support.pages import done
from support.shared import made_once
from workflow.config.schema import schema

pytestmark = pytest.mark.workflow

# Markdown that is read as it stands in the repository.
READ = ("README.md", *(str(page.relative_to(PROJECT)) for page in (PROJECT / "docs").glob("*/*.md")))


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
    """Where a page's links and pictures lead, and the places in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.leads, self.places = set(), set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.leads |= {given[key] for key in ("href", "src") if given.get(key) and tag in ("a", "img")}
        self.places |= {given[key] for key in ("id", "name") if given.get(key)}


def test_every_link_leads_to_a_place(manual):
    links = cache(Links)
    pages = list(manual.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        for lead in links(page).leads:
            if re.match(r"https?:|mailto:|data:", lead):
                continue
            path, place = urldefrag(lead)
            target = (page.parent / unquote(path)).resolve() if path else page
            assert target.exists(), f"{page.name} leads to {lead}"
            if place and target.suffix == ".html":
                assert unquote(place) in links(target).places, f"{page.name} leads to {lead}"


@pytest.mark.parametrize("page", READ)
def test_every_link_of_a_page_read_in_the_repository_leads_to_a_file(page):
    text = (PROJECT / page).read_text(encoding="utf-8")
    for lead in re.findall(r"\]\(([^)\s#]+)", text):
        if not lead.startswith("http"):
            assert (PROJECT / page).parent.joinpath(lead).exists(), f"{page} leads to {lead}"


def keys(part: Mapping) -> Iterator[str]:
    """Every key of a part of the schema, in mappings and kinds too."""
    for name, about in part.get("properties", {}).items():
        yield name
        yield from keys(about)
    for inner in {"then", "else", "common"} & set(part):
        yield from keys(part[inner])
    for name, kind in part.get("kinds", {}).items():
        yield name
        yield from keys(kind or {})


def test_the_reference_has_every_key_of_the_configuration(manual):
    page = (manual / "reference/configuration.html").read_text(encoding="utf-8")
    told = {key.split(".")[-1] for key in re.findall(r'<span class="pre">([\w .]+)</span></code>', page)}
    told |= set(re.findall(r"<h3>([\w]+)<a", page))
    # a key with a space is cut in two
    told |= {
        f"{first} {last}" for first, last in re.findall(r"([a-z]+)</span> <span class=\"pre\">(\w+)", page)
    }
    asked = set(keys(schema())) | {key for part in schema()["$defs"].values() for key in keys(part)}
    assert asked - told == set()


def test_the_reference_has_every_public_function_and_class(manual):
    data = (manual / "objects.inv").read_bytes()
    *_, compressed = data.split(b"\n", 4)
    inventory = {line.split()[0] for line in zlib.decompress(compressed).decode().splitlines()}
    assert {f"nrc.{name}" for name in nrc.__all__} <= inventory
    # of these the public names are in the face
    elsewhere = {"nrc.api", "nrc.recorder", "nrc.figures.own"}
    for about in pkgutil.walk_packages(nrc.__path__, "nrc."):
        module = importlib.import_module(about.name)
        for name in getattr(module, "__all__", []):
            of = getattr(module, name)
            # constants and names of types have comments, and no docstring
            if getattr(of, "__module__", None) == about.name and of.__doc__ and about.name not in elsewhere:
                assert f"{about.name}.{name}" in inventory


def test_the_reference_has_the_help_of_every_program(manual):
    page = re.sub(r"<[^>]+>", "", (manual / "reference/programs.html").read_text(encoding="utf-8"))
    for program in (PROJECT / "workflow/scripts").glob("*.py"):
        assert f"usage: {program.name}" in page


def test_the_reference_has_every_variable_as_a_run_writes_it(finished):
    told = json.loads(VARIABLES.read_text(encoding="utf-8"))
    for kind, variables in found([finished.folder / "results"]).items():
        assert variables
        for name, about in variables.items():
            assert told[kind].get(name) == about, "run `python -m bench.variables` on a tiny run"


def test_kinds_are_added_as_the_pages_say(fresh):
    """A kind of data, a method, a measure and a kind of figure."""
    for page in ("data_kind", "method", "measure", "figure_kind"):
        assert done(f"how-to/{page}.md", fresh) >= 3
    targets = "results/rings/measures.nc", "results/heavy/measures.nc", "results/figures/layers.png"
    fresh.snakemake(*targets, overlays=("rings.yaml", "heavy.yaml", "layers.yaml"))
    assert fresh.load("results/rings/measures.nc").attrs["clusters"] == 2
    cube = fresh.load("results/heavy/measures.nc")
    assert (cube["nuclear_rank"] >= cube["stable_rank"]).all()
    assert "The stable rank of every layer" in fresh.read("results/figures/layers.rst")
