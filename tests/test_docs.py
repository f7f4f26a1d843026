"""The documentation builds without a warning, its reference is complete, and its recipes work."""

import json
import re
import subprocess
import sys

import pytest
import yaml

from nrc.theory.ranks import RANK_MEASURES
from support.checkout import PROJECT
from support.pages import done
from tools.variables import VARIABLES, found

pytestmark = pytest.mark.workflow


def test_the_pages_are_built_without_a_warning(tmp_path):
    """Links to missing pages and anchors, modules without a page, and docstrings with errors are warnings."""
    options = ["-b", "html", "-n", "-W", "--keep-going", "-q"]
    command = [sys.executable, "-m", "sphinx", *options, str(PROJECT / "docs"), str(tmp_path)]
    made = subprocess.run(command, cwd=PROJECT, text=True, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr


def test_links_of_pages_in_the_repository_lead_to_files():
    for page in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]:
        for link in re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert page.parent.joinpath(link).exists(), f"{page.name} links to {link}"


def test_the_reference_has_all_variables_of_a_run(finished):
    documented = json.loads(VARIABLES.read_text(encoding="utf-8"))
    for kind, variables in found([finished.folder / "results"]).items():
        assert variables
        for name, about in variables.items():
            assert documented[kind].get(name) == about, "run `python -m tools.variables` on a tiny run"


def test_the_reference_defines_all_measures_of_rank():
    page = (PROJECT / "docs/reference/files.md").read_text(encoding="utf-8")
    table = page.partition("## Measures of rank")[2].partition("## ")[0]
    assert set(RANK_MEASURES) <= set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_the_code_of_the_page_on_training_runs(capsys):
    page = (PROJECT / "docs/how-to/train.md").read_text(encoding="utf-8")
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), {})
    assert capsys.readouterr().out.startswith(re.search(r"```\n\n    (.*)", page)[1])


def test_the_recipes_of_the_how_to_pages_work(fresh):
    """Add a kind of data, a method, a measure, a kind of figure and a statistic as the pages do, and run them."""
    for page in ("data_kind", "method", "measure", "figure_kind", "statistic"):
        assert done(f"how-to/{page}.md", fresh) >= 2
    others = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))["claims"]
    others = fresh.overlay({"claims": dict.fromkeys(name for name in others if name != "level")}, "others")
    targets = (
        "results/rings/measures.nc",
        "results/heavy/measures.nc",
        "results/figures/layers.png",
        "results/claims.nc",
    )
    fresh.snakemake(*targets, overlays=("rings.yaml", "heavy.yaml", "layers.yaml", "spread.yaml", others[-1]))
    assert fresh.load("results/rings/measures.nc").attrs["clusters"] == 2
    cube = fresh.load("results/heavy/measures.nc")
    assert (cube["nuclear_rank"] >= cube["stable_rank"]).all()
    assert fresh.read("results/figures/layers.rst")
    assert fresh.load("results/claims.nc").sizes["part"] == 2
