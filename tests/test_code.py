"""The `code` inputs of the rules, held against what the scripts really import."""

import ast
import re
from pathlib import Path

import pytest
from conftest import PROJECT

RULE = re.compile(r"^(?:rule|use rule \w+ as) (\w+)\b.*?(?=^rule |^use |\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"code=code\((.*?)\)", re.DOTALL)


def declared() -> dict[str, list[str]]:
    """The `code` input of every rule that has one, script first."""
    lists = {}
    for rules in sorted((PROJECT / "workflow/rules").glob("*.smk")):
        for rule in RULE.finditer(rules.read_text(encoding="utf-8")):
            if code := CODE.search(rule[0]):
                lists[rule[1]] = re.findall(r'"(.*?)"', code[1])
    return lists


def imported(file: Path) -> set[Path]:
    """Modules of this project that a file imports, with the packages they are in."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    parents = {".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2)}
    places = [PROJECT / name.replace(".", "/") for name in parents]
    candidates = {place / "__init__.py" for place in places} | {place.with_suffix(".py") for place in places}
    return {candidate for candidate in candidates if candidate.is_file()}


def closure(script: str) -> set[str]:
    found, open_files = set(), {PROJECT / script}
    while open_files:
        found |= open_files
        open_files = set().union(*map(imported, open_files)) - found
    return {str(file.relative_to(PROJECT)) for file in found}


def test_the_closure_sees_through_modules():
    files = closure("workflow/scripts/train.py")
    assert {"workflow/scripts/train.py", "nrc/__init__.py", "nrc/optimize/line_search.py"} <= files
    assert "nrc/spectra.py" not in files


@pytest.mark.parametrize("rule", declared())
def test_a_rule_declares_what_its_script_imports(rule):
    script, *modules = declared()[rule]
    assert script.startswith("workflow/scripts/")
    assert {script, *modules} == closure(script)
    assert modules == sorted(modules)


def test_every_script_belongs_to_a_rule():
    scripts = {f"workflow/scripts/{file.name}" for file in (PROJECT / "workflow/scripts").glob("*.py")}
    assert {code[0] for code in declared().values()} == scripts


@pytest.mark.parametrize(
    "file", sorted(PROJECT.glob("nrc/**/*.py")), ids=lambda file: str(file.relative_to(PROJECT))
)
def test_the_library_knows_nothing_of_the_workflow(file):
    text = file.read_text(encoding="utf-8").lower()
    for word in ("snakemake", "results/", "wildcard", "config["):
        assert word not in text
