"""What is written beside the code, held against it."""

import json
import re
import tomllib
from itertools import chain

import yaml
from packaging.requirements import Requirement

from bench.findings import PAGES, blocks
from bench.page import filled
from support.checkout import PROJECT
from support.faults import rows_of

LOCK = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
PIN = re.compile(r"^([a-z0-9][^ ]*==[^ ;]+(?: ; [^\\\n]*[^ \\\n])?)", re.MULTILINE)


def read(path: str) -> str:
    return (PROJECT / path).read_text(encoding="utf-8")


def test_conda_has_the_pins_of_the_lock_file():
    *_, last = yaml.safe_load(read("envs/nrc.yaml"))["dependencies"]
    assert last["pip"] == PIN.findall(LOCK), "run `make envs/nrc.yaml`"


def test_containers_install_the_lock_file_and_nothing_else():
    for path, copied in (("envs/Dockerfile", "COPY "), ("envs/nrc.def", "    ")):
        text = read(path)
        assert f"{copied}requirements.lock /opt/requirements.lock\n" in text
        (install,) = re.findall(r"pip install (.*)", text)
        assert install == "--no-cache-dir --require-hashes --requirement /opt/requirements.lock"
        assert "==" not in text


def test_conda_and_containers_have_one_python():
    versions = {
        re.search(pattern, read(path))[1]
        for path, pattern in (
            ("envs/nrc.yaml", r"python =([\d.]+)"),
            ("envs/Dockerfile", r"FROM python:([\d.]+)-slim"),
            ("envs/nrc.def", r"From: python:([\d.]+)-slim"),
        )
    }
    assert versions == {"3.12"}


def test_the_lock_file_meets_what_the_project_asks_for():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    asked = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    pins = [Requirement(pin) for pin in PIN.findall(LOCK)]
    for requirement in map(Requirement, asked):
        found = [pin for pin in pins if pin.name == requirement.name]
        assert found, requirement
        for pin in found:
            (exact,) = pin.specifier
            assert requirement.specifier.contains(exact.version), requirement


def test_the_numbers_of_the_manual_are_those_of_the_findings():
    """Written by `make findings`, and by hand nowhere."""
    for mark, block in blocks(json.loads(read("docs/findings.json"))).items():
        text = PAGES[mark].read_text(encoding="utf-8")
        assert f"<!-- {mark} -->\n{filled(block)}<!-- /{mark} -->" in text, "run `make findings`"


def test_the_table_of_faults_is_of_these_tests_and_without_loss():
    rows = rows_of(PROJECT / "docs/reliability.md")
    files = [*PROJECT.glob("tests/test_faults_*.py"), PROJECT / "tests/slurm/test_slurm.py"]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    faults = set(re.findall(r"survived\(\s*\"([^\"]+)\"", text))
    assert set(rows) == faults
    for tried, survived, lost, _ in rows.values():
        assert int(tried) == int(survived) > 0
        assert int(lost) == 0
