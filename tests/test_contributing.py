"""CONTRIBUTING.md held against the code, and the ways to run the tests against each other."""

import ast
import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.version import Version

import nrc
from support.checkout import PROJECT


def read(path: str) -> str:
    return (PROJECT / path).read_text(encoding="utf-8")


GUIDE = read("CONTRIBUTING.md")


def table(mark: str) -> list[list[str]]:
    """The rows of a marked table, without its head."""
    block = re.search(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", GUIDE, re.DOTALL)[1]
    return [re.split(r" \| ", line.strip("| \n")) for line in block.splitlines()[2:]]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def names_in(file: str) -> set[str]:
    """What a file defines: keys of a configuration, rules and functions of a rules' file, all of a module."""
    text = read(file)
    if file.endswith(".yaml"):
        return {
            name for entries in yaml.safe_load(text).values() if isinstance(entries, dict) for name in entries
        }
    if file.endswith(".smk"):
        return set(re.findall(r"^(?:rule|def) (\w+)", text, re.MULTILINE))
    defined = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
            defined |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return defined


def folders(*roots: str) -> set[str]:
    """Folders with tracked files."""
    said = subprocess.run(
        ["git", "ls-files", *roots], cwd=PROJECT, text=True, capture_output=True, check=True
    ).stdout
    parents = {parent for file in said.split() for parent in (PROJECT / file).relative_to(PROJECT).parents}
    return {f"{parent}/" for parent in parents if str(parent) != "."}


def test_all_that_the_map_names_is_there():
    for where, what in table("map"):
        (place,) = quoted(where)
        assert (PROJECT / place).is_dir() == place.endswith("/"), place
        assert (PROJECT / place).exists(), place
        for name in filter(re.compile(r"[a-z_]+(\.schema\.yaml)?").fullmatch, quoted(what)):
            around = PROJECT / place if place.endswith("/") else (PROJECT / place).parent
            assert list(around.glob(f"{name}*")), f"{name} of {place}"


@pytest.mark.parametrize("root", ["nrc", "workflow", "tests", "bench"])
def test_the_map_names_every_folder(root):
    if not (PROJECT / ".git").exists():
        pytest.skip("no repository")
    named = {place for where, _ in table("map") for place in quoted(where)}
    assert folders(root) <= named


def test_the_way_of_a_number_is_through_code_that_is_there():
    way = table("way")
    assert len(way) > 20
    for where, there, what in way:
        (file,) = quoted(where)
        assert set(quoted(there)) <= names_in(file), file
        for path in filter(re.compile(r"workflow/\S+\.\w+").fullmatch, quoted(what)):
            assert (PROJECT / path).is_file(), path


def test_every_file_and_target_that_is_named_is_there():
    """But those of the toys."""
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    toys = ("rings", "ball", "losses")
    for text in [GUIDE, *map(read, (".github/PULL_REQUEST_TEMPLATE.md", ".github/ISSUE_TEMPLATE/idea.yml"))]:
        for path in re.findall(r"(?<![\w/])[\w.]+(?:/[\w.-]+)+\.(?:py|smk|yaml|yml|md|rst)\b", text):
            assert (PROJECT / path).is_file() or any(toy in path for toy in toys), path
        assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets
    for name, file in (
        ("OWN", "support/made_up"),
        ("METHODS", "support/problems"),
        ("DRAWN", "test_can_be_drawn"),
    ):
        assert re.search(rf"^{name}\b.* = ", read(f"tests/{file}.py"), re.MULTILINE), name


def recipe(target: str) -> list[str]:
    """The commands of a target of the Makefile."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)[1]
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found.splitlines()]


def test_hooks_call_what_make_lint_calls():
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local", "nothing is fetched"
    assert [hook["entry"] for hook in repository["hooks"]] == recipe("lint")
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in repository["hooks"])


def test_hooks_are_a_configuration_of_pre_commit():
    from pre_commit.clientlib import load_config

    load_config(PROJECT / ".pre-commit-config.yaml")


def test_github_calls_what_ci_calls_with_the_oldest_and_a_newer_python():
    (stages,) = re.findall(r"^for stage in (.*); do$", read(".ci/run"), re.MULTILINE)
    text = read(".github/workflows/ci.yml")
    (job,) = yaml.safe_load(text)["jobs"].values()
    matrix = job["strategy"]["matrix"]
    # there the system's packages are a step of their own
    assert ["browser", *matrix["target"]] == sorted(
        stages.split(), key=["browser", "lint", "test", "test-slurm"].index
    )
    assert job["steps"][-1]["run"] == "make ${{ matrix.target }}"
    oldest = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"].removeprefix(">=")
    assert matrix["python"][0] == oldest
    assert Version(matrix["python"][-1]) > Version(oldest)
    for step in job["steps"]:
        assert re.fullmatch(r"actions/\w+@v\d+", step.get("uses", "actions/none@v1"))
    assert "://" not in text


def test_the_catalog_is_told_no_more_than_there_is():
    usage = yaml.safe_load(read(".snakemake-workflow-catalog.yml"))["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment"}
    deployment = usage["software-stack-deployment"]
    assert deployment["conda"] == (PROJECT / "envs/nrc.yaml").is_file()
    assert deployment["report"] == ("report:" in read("Makefile"))
    # what it asks of every workflow
    words = read("README.md").lower()
    assert "snakemake" in words
    assert "workflow" in words


def test_forms_ask_for_command_error_and_log():
    form = yaml.safe_load(read(".github/ISSUE_TEMPLATE/bug.yml"))
    assert [part["id"] for part in form["body"]][:3] == ["command", "error", "log"]
    assert {"name", "description", "body"} <= set(form)


def test_the_changelog_and_the_citation_know_the_release():
    text = read("CHANGELOG.md")
    headings = re.findall(r"^## \[(.*?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert headings[0][0] == "Unreleased"
    kinds = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= set(kinds)
    versions = [name for name, _ in headings[1:]]
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "authors", "message"} <= set(citation)
    if Version(nrc.__version__).is_devrelease:
        assert Version(nrc.__version__).base_version not in versions
        assert citation["version"] in versions
    else:
        assert versions[0] == citation["version"] == nrc.__version__
