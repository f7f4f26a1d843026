"""The real pipeline, run once at the tiny scale in a copy of the project, for all tests that look at it."""

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults import Faults

PROJECT = Path(__file__).parent.parent
TINY = ("workflow/scales/tiny.yaml",)
TARGET_RULES = ("all", "data", "train", "measures", "figures")
PARTS = ("Snakefile", "config.yaml", "nrc", "workflow", "resources", "envs", "profiles")


FAULTS = Faults()


def pytest_addoption(parser):
    parser.addoption("--faults", type=Path, help="page in which to write the table of faults")


def pytest_sessionfinish(session, exitstatus):
    if (page := session.config.getoption("--faults")) and exitstatus == 0:
        FAULTS.write(page)


@pytest.fixture
def survived():
    """To be called with a fault that did no harm: it counts for the table."""
    return FAULTS


def digests(checkout) -> dict[str, str]:
    """SHA-256 of every result; logs and benchmarks hold times, hidden files are no results."""
    files = (checkout.folder / "results").rglob("[!.]*.*")
    kept = [file for file in files if file.is_file() and not {"logs", "benchmarks"} & set(file.parts)]
    return {
        str(file.relative_to(checkout.folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept
    }


@dataclass(frozen=True)
class Checkout:
    """A copy of the project in a folder of its own."""

    folder: Path

    @staticmethod
    def command(*targets: str, options=(), scale=TINY) -> list[str]:
        """The command that runs Snakemake on two cores."""
        snakemake = [sys.executable, "-m", "snakemake", "--cores", "2"]
        return [*snakemake, *options, "--configfile", *scale, "--", *targets]

    def snakemake(self, *targets: str, options=(), scale=TINY, fails: bool = False) -> str:
        """Run Snakemake and return what it prints."""
        done = subprocess.run(
            self.command(*targets, options=options, scale=scale),
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def commands(self, *targets: str, scale=TINY) -> dict[str, str]:
        """The shell command of every job that leads to some targets, by the files that it makes."""
        said = self.snakemake(
            *targets,
            options=["--dry-run", "--forceall", "--printshellcmds", "--quiet", "host"],
            scale=scale,
        )
        commands, outputs = {}, []
        for line in said.splitlines():
            word, _, rest = line.strip().partition(": ")
            if word == "output":
                outputs = rest.split(", ")
            elif word == "Shell command":
                commands |= dict.fromkeys(outputs, rest)
                outputs = []
        return commands

    def planned(self, *targets: str, scale=TINY) -> dict[str, int]:
        """Number of jobs of each rule that a dry run plans, without the target rules."""
        said = self.snakemake(*targets, options=["--dry-run", "--quiet", "rules"], scale=scale)
        table = said.partition("Job stats:")[2].partition("total")[0]
        counts = dict(re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE))
        return {rule: int(count) for rule, count in counts.items() if rule not in TARGET_RULES}

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


def copy_project(folder: Path) -> Checkout:
    for part in PARTS:
        source = PROJECT / part
        if source.is_symlink():
            (folder / part).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return Checkout(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A checkout whose tiny pipeline has run. Do not change it: take `checkout`."""
    checkout = copy_project(tmp_path_factory.mktemp("finished"))
    checkout.snakemake()
    return checkout


@pytest.fixture
def checkout(finished, tmp_path) -> Checkout:
    """A copy of the finished checkout, to change at will."""
    folder = tmp_path / "checkout"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Checkout(folder)


@pytest.fixture
def fresh(tmp_path) -> Checkout:
    """A checkout without results."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    return copy_project(folder)
