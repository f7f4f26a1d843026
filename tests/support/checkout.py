"""Copies of the project, in which the real pipeline runs."""

import hashlib
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from support.forked_snakemake import run_snakemake

__all__ = ["PARTS", "PROJECT", "TINY", "Checkout", "copy_project", "digests"]

PROJECT = Path(__file__).parents[2]
PARTS = (
    *("Snakefile", "config.yaml", "nrc", "snakemake_logger_plugin_nrc", "workflow", "resources", "envs"),
    "profiles",
)
TINY = "workflow/scales/tiny.yaml"
TARGET_RULES = ("all", "data", "train", "measures", "figures", "report")


@dataclass(frozen=True)
class Checkout:
    """A copy of the project in a folder of its own."""

    folder: Path

    @staticmethod
    def arguments(*targets: str, options: Sequence[str] = (), overlays: Sequence[str] = (TINY,)) -> list[str]:
        """Arguments of Snakemake, on two cores."""
        return ["--cores", "2", *options, *(["--configfile", *overlays] if overlays else []), "--", *targets]

    @classmethod
    def command(cls, *targets: str, **how: Sequence[str]) -> list[str]:
        """The command that runs Snakemake as `arguments` says."""
        return [sys.executable, "-m", "snakemake", *cls.arguments(*targets, **how)]

    def snakemake(self, *targets: str, fails: bool = False, **how: Sequence[str]) -> str:
        """Run Snakemake as `arguments` says, and return what it prints."""
        status, said = run_snakemake(self.arguments(*targets, **how), self.folder)
        assert (status != 0) == fails, said
        return said

    def refused(self, *targets: str, overlays: Sequence[str] = (TINY,)) -> str:
        """What Snakemake says before it plans anything: one line, beside those it says anyway."""
        said = self.snakemake(*targets, overlays=overlays, fails=True)
        assert "Traceback" not in said
        lines = [line for line in said.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, said
        assert "Job stats" not in said
        assert not (self.folder / "results").exists()
        return lines[0]

    def commands(self, *targets: str, overlays: Sequence[str] = (TINY,)) -> dict[str, str]:
        """The shell command of every job that leads to some targets, by the files that it makes."""
        options = ["--dry-run", "--forceall", "--printshellcmds", "--quiet", "host"]
        commands, outputs = {}, []
        for line in self.snakemake(*targets, options=options, overlays=overlays).splitlines():
            word, _, rest = line.strip().partition(": ")
            if word == "output":
                outputs = rest.split(", ")
            elif word == "Shell command":
                commands |= dict.fromkeys(outputs, rest)
                outputs = []
        return commands

    def planned(self, *targets: str, overlays: Sequence[str] = (TINY,)) -> dict[str, int]:
        """Number of jobs of each rule that a dry run plans, without the target rules."""
        said = self.snakemake(*targets, options=["--dry-run", "--quiet", "rules"], overlays=overlays)
        table = said.partition("Job stats:")[2].partition("total")[0]
        counts = dict(re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE))
        return {rule: int(count) for rule, count in counts.items() if rule not in TARGET_RULES}

    def overlay(self, changes: Mapping[str, Any], name: str = "changes") -> list[str]:
        """Overlays to run with: the tiny scale, and a file of changes, given by dotted keys."""
        content: dict[str, Any] = {}
        for key, value in changes.items():
            *path, last = key.split(".")
            part = content
            for step in path:
                part = part.setdefault(step, {})
            part[last] = value
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return [TINY, f"{name}.yaml"]

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        text = self.read(file)
        assert old in text, f"{file} has no {old!r}"
        (self.folder / file).write_text(text.replace(old, new), encoding="utf-8")

    def read(self, file: str) -> str:
        """The text of a file."""
        return (self.folder / file).read_text(encoding="utf-8")

    def log(self, output: str) -> str:
        """The text of the log of the job that makes a file."""
        return self.read(str(Path("results/logs", Path(output).relative_to("results")).with_suffix(".log")))

    def load(self, path: str) -> xr.Dataset:
        """A NetCDF file, opened as by any reader of NetCDF."""
        with xr.open_dataset(self.folder / path, engine="h5netcdf") as dataset:
            return dataset.load()

    def copy(self, folder: Path) -> "Checkout":
        """A copy with all results, to change at will."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Checkout(folder)


def copy_project(folder: Path) -> Checkout:
    """A checkout without results, in a folder that is there or not."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = PROJECT / part
        if source.is_symlink():
            (folder / part).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return Checkout(folder)


def digests(checkout: Checkout) -> dict[str, str]:
    """SHA-256 of every result; logs and benchmarks hold times, hidden files are no results."""
    files = (checkout.folder / "results").rglob("[!.]*.*")
    kept = [file for file in files if file.is_file() and not {"logs", "benchmarks"} & set(file.parts)]
    return {
        str(file.relative_to(checkout.folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept
    }
