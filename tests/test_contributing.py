"""CONTRIBUTING.md agrees with the code, and hooks and CI run the same commands as the Makefile."""

import ast
import re
import subprocess
import tomllib

import pytest
import yaml

from support.checkout import PROJECT

# files and names of the examples in recipes
EXAMPLES = ("rings", "heavy_ball", "layers", "rank_spread")


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
    """Keys of a configuration file, rules and functions of a rules file, definitions of a module."""
    text = read(file)
    if file.endswith(".yaml"):
        return {name for part in yaml.safe_load(text).values() if isinstance(part, dict) for name in part}
    if file.endswith(".smk"):
        return set(re.findall(r"^(?:rule|def) (\w+)", text, re.MULTILINE))
    defined = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
            defined |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return defined


def test_the_map_names_files_that_exist():
    for where, what in table("map"):
        (place,) = quoted(where)
        assert (PROJECT / place).is_dir() == place.endswith("/"), place
        for name in filter(re.compile(r"[a-z_]+").fullmatch, quoted(what)):
            around = PROJECT / place if place.endswith("/") else (PROJECT / place).parent
            assert list(around.glob(f"{name}*")), f"{name} of {place}"


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="needs the repository")
def test_the_map_names_every_folder_of_code():
    command = ["git", "ls-files", "nrc", "workflow", "tests", "bench", "tools", "snakemake_logger_plugin_nrc"]
    files = subprocess.run(command, cwd=PROJECT, text=True, capture_output=True, check=True).stdout.split()
    folders = {f"{file.rpartition('/')[0]}/" for file in files}
    assert folders <= {place for where, _ in table("map") for place in quoted(where)}


def test_the_path_of_a_pixel_names_code_that_exists():
    rows = table("way")
    assert len(rows) > 20
    for where, names, _ in rows:
        (file,) = quoted(where)
        assert set(quoted(names)) <= names_in(file), file


def test_files_and_targets_that_are_named_exist():
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for text in map(read, ("CONTRIBUTING.md", ".github/PULL_REQUEST_TEMPLATE.md", "README.md")):
        for path in re.findall(r"(?<![\w/])[\w.]+(?:/[\w.-]+)+\.(?:py|smk|yaml|yml|md|rst)\b", text):
            assert (PROJECT / path).is_file() or any(name in path for name in EXAMPLES), path
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets


def test_hooks_run_the_commands_of_make_lint():
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    commands = re.search(r"^lint:.*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)[1]
    lines = [line.strip().replace("$(BIN)", ".venv/bin") for line in commands.splitlines()]
    assert [hook["entry"] for hook in repository["hooks"]] == lines


def test_github_runs_the_stages_of_ci_with_the_oldest_python_first():
    (stages,) = re.findall(r"^for stage in (.*); do$", read(".ci/run"), re.MULTILINE)
    (job,) = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"].values()
    matrix = job["strategy"]["matrix"]
    # there a separate step installs the browser
    assert {"browser", *matrix["target"]} == set(stages.split())
    oldest = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"].removeprefix(">=")
    assert matrix["python"][0] == oldest
