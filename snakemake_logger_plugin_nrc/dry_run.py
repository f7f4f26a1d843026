"""What a dry run prints: changed settings, the number of networks, and an estimate of the time."""

import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sized
from itertools import islice
from pathlib import Path
from typing import Any

from snakemake_logger_plugin_nrc.progress import MEASURING, TRAINING, counted, duration
from workflow.lib.changed_settings import changed_keys, difference

__all__ = ["Plan"]

# Figures that are named in a line, and benchmark files that a mean is of.
MOST_FIGURES, MOST_FILES = 3, 200


class Plan:
    """The jobs of a dry run, which are added in an order in which they can run.

    The old settings of a job are in the first line of the log of its last run, the new ones in its command.
    All jobs of a rule and an experiment, data set or figure share their settings: one of them is compared.

    Parameters
    ----------
    settings : mapping
        The configuration.
    networks_of : callable
        Networks of a stack, by experiment and cells.
    cores : int, optional
        Cores of the run, if it is on one machine.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        networks_of: Callable[[str, str], Sized],
        cores: int | None = None,
    ) -> None:
        self._data_of = {name: experiment["data"] for name, experiment in settings["experiments"].items()}
        self._networks_of, self._cores = networks_of, cores
        self._jobs = 0
        self._networks = Counter[str]()
        self._outputs: set[str] = set()
        self._changed: dict[tuple[str, str], dict[str, tuple[Any, Any]]] = {}
        self._rerun = Counter[tuple[str, str]]()
        self._unchanged = Counter[str]()
        self._seconds, self._longest = 0.0, 0.0
        self._basis = Counter[str]()
        self._means: dict[Path, float | None] = {}

    def add(self, job: Any) -> None:
        """Add a job, by the event that describes it."""
        if not job.output:
            return
        self._jobs += 1
        if job.rule_name in (TRAINING, MEASURING):
            stack = self._networks_of(job.wildcards["experiment"], job.wildcards["cells"])
            self._networks[job.rule_name] += len(stack)
        if all(Path(file).exists() for file in job.output):
            self._compare(job)
        self._outputs.update(job.output)
        self._estimate(job)

    def _compare(self, job: Any) -> None:
        """Find out which settings of a job changed."""
        name = job.wildcards.get("experiment") or job.wildcards.get("data") or ""
        group = job.rule_name, name
        if group not in self._changed:
            old, new = _old_settings(job), _new_settings(job)
            keys = changed_keys(job.rule_name, name, old, new, self._data_of) if old and new else {}
            self._changed[group] = keys
        self._rerun[group] += 1
        if not self._changed[group] and self._outputs.isdisjoint(job.input):
            self._unchanged[job.rule_name] += 1

    def _estimate(self, job: Any) -> None:
        """Add the time of a job, by its benchmark file or by the mean of the files beside it."""
        file, basis, seconds = Path(job.benchmark or ""), "as long as last time", None
        if job.benchmark and (seconds := _seconds(file)) is None:
            basis = "as long as similar jobs"
            depth = job.wildcards["cells"].count("/") if "cells" in job.wildcards else 0
            if (folder := file.parents[depth]) not in self._means:
                self._means[folder] = _mean(folder)
            seconds = self._means[folder]
        self._basis[basis if seconds is not None else "without times left out"] += 1
        self._seconds += (seconds or 0) * job.threads
        self._longest = max(self._longest, seconds or 0)

    def lines(self) -> list[str]:
        """Lines on the changed settings, the jobs, the networks, and the time."""
        if not self._jobs:
            return []
        words = [f"{counted(self._jobs, 'job')} to run"]
        for rule, verb in ((TRAINING, "train"), (MEASURING, "measure")):
            if count := self._networks[rule]:
                words.append(f"{counted(count, 'network')} to {verb}")
        return [*self._changes(), ", ".join(words), self._time()]

    def _changes(self) -> list[str]:
        """A line for each changed key of the configuration, with the jobs that it concerns."""
        values: dict[str, tuple[Any, Any]] = {}
        rules: dict[str, Counter[str]] = defaultdict(Counter)
        for group, keys in self._changed.items():
            for key, both in keys.items():
                values.setdefault(key, both)
                rules[key][group[0]] += self._rerun[group]
        found = [f"  {key}: {difference(*both)} ({_in_words(rules[key])})" for key, both in values.items()]
        if self._unchanged:
            found.append(
                f"  no setting, but code, an input file or a forced run: {_in_words(self._unchanged)}"
            )
        return ["Changed since the results were made:", *found] if found else []

    def _time(self) -> str:
        if not self._seconds:
            return "No estimate of the time, because results/benchmarks has no times of such jobs."
        time = duration(max(self._seconds / (self._cores or 1), self._longest))
        where = f"on {counted(self._cores, 'core')}" if self._cores else "on one core"
        parts = ", ".join(f"{counted(count, 'job')} {basis}" for basis, count in self._basis.items())
        return f"About {time} {where}, by the times in results/benchmarks: {parts}."


def _old_settings(job: Any) -> dict[str, Any]:
    """The settings in the first line of the log of the last run, if there is one."""
    try:
        with Path(job.log[0]).open(encoding="utf-8", errors="replace") as file:
            word, _, text = file.readline().partition(" ")
        return json.loads(text) if word == "settings:" else {}
    except (OSError, IndexError, ValueError):
        return {}


def _new_settings(job: Any) -> dict[str, Any]:
    """The settings in the command of a job."""
    words = iter(shlex.split(job.shellcmd or ""))
    return json.loads(next(words)) if "--settings" in words else {}


def _seconds(file: Path) -> float | None:
    """The seconds that a job took, by its benchmark file."""
    try:
        _, noted, *_ = file.read_text(encoding="utf-8").splitlines()
        return float(noted.split("\t")[0])
    except (OSError, ValueError):
        return None


def _mean(folder: Path) -> float | None:
    """The mean of the seconds in some benchmark files of a folder."""
    found = [seconds for file in islice(folder.rglob("*.tsv"), MOST_FILES) if (seconds := _seconds(file))]
    return sum(found) / len(found) if found else None


def _in_words(rules: Mapping[str, int]) -> str:
    """Rules and the numbers of their jobs; many figures as their number."""
    plots = {rule for rule in rules if rule.startswith("plot_")}
    several = plots if len(plots) > MOST_FIGURES else set()
    words = [
        rule if count == 1 else f"{count} {rule}" for rule, count in rules.items() if rule not in several
    ]
    return ", ".join([*words, f"{len(several)} figures"] if several else words)
