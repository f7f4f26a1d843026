"""What a dry run prints: changed settings, the number of networks, and an estimate of the time."""

import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from snakemake_logger_plugin_nrc.progress import MEASURING, TRAINING, counted, duration
from workflow.lib.changed_settings import changed_keys, difference

__all__ = ["changes", "estimate", "lines"]

# Figures that are named in a line, and benchmark files that a mean is of.
MOST_FIGURES, MOST_FILES = 3, 200


def lines(jobs: list[Any], configuration: Mapping[str, Any]) -> list[str]:
    """Lines on the jobs of a dry run.

    Parameters
    ----------
    jobs : list of LogRecord
        Events that describe the jobs.
    configuration : mapping
        `settings`, `cores`, and the function `stack_of` (experiment, cells).
    """
    made = [job for job in jobs if job.output]
    if not made:
        return []
    words = [f"{counted(len(made), 'job')} to run"]
    for rule, verb in ((TRAINING, "train"), (MEASURING, "measure")):
        if count := sum(_networks(job, configuration) for job in made if job.rule_name == rule):
            words.append(f"{counted(count, 'network')} to {verb}")
    changed = changes(made, configuration["settings"])
    return [*changed, ", ".join(words), estimate(made, configuration["cores"])]


def changes(jobs: Iterable[Any], settings: Mapping[str, Any]) -> list[str]:
    """A line for each changed key of the configuration, with the jobs that it concerns.

    The old settings are in the first line of the log of the last run of a job, the new ones in its command.
    All jobs of a rule and an experiment, data set or figure share their settings: one of them is compared.
    """
    data_of = {name: experiment["data"] for name, experiment in settings["experiments"].items()}
    remade = {file for job in jobs for file in job.output}
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for job in jobs:
        if all(Path(file).exists() for file in job.output):
            groups[job.rule_name, job.wildcards.get("experiment") or job.wildcards.get("data") or ""].append(
                job
            )
    values: dict[str, tuple[Any, Any]] = {}
    rules: dict[str, Counter[str]] = defaultdict(Counter)
    unchanged = Counter[str]()
    for (rule, name), same in groups.items():
        old, new = _old_settings(same[0]), _new_settings(same[0])
        keys = changed_keys(rule, name, old, new, data_of) if old and new else {}
        values |= {key: both for key, both in keys.items() if key not in values}
        for key in keys:
            rules[key][rule] += len(same)
        if not keys:
            unchanged[rule] += sum(remade.isdisjoint(job.input) for job in same)
    found = [f"  {key}: {difference(*both)} ({_in_words(rules[key])})" for key, both in values.items()]
    if +unchanged:
        found.append(f"  no setting, but code, an input file or a forced run: {_in_words(+unchanged)}")
    return ["Changed since the results were made:", *found] if found else []


def estimate(jobs: Iterable[Any], cores: int | None) -> str:
    """A line on the time that the jobs take, by the benchmark files of earlier runs.

    A job without such a file counts as the mean of the files beside its own, if there are any.
    """
    total, longest, counts = 0.0, 0.0, Counter[str]()
    means: dict[Path, float | None] = {}
    for job in jobs:
        file, basis = Path(job.benchmark or ""), "as long as last time"
        if (seconds := _seconds(file)) is None:
            basis = "as similar ones"
            folder = (
                file.parents[job.wildcards["cells"].count("/")] if "cells" in job.wildcards else file.parent
            )
            if folder not in means:
                means[folder] = _mean(folder) if job.benchmark else None
            seconds = means[folder]
        if seconds is None:
            basis, seconds = "without times left out", 0.0
        counts[basis] += 1
        total, longest = total + seconds * job.threads, max(longest, seconds)
    if not total:
        return "No estimate of the time, because results/benchmarks has no times of such jobs."
    time = duration(max(total / (cores or 1), longest))
    where = f"on {counted(cores, 'core')}" if cores else "on one core"
    parts = ", ".join(f"{counted(count, 'job')} {basis}" for basis, count in counts.items())
    return f"About {time} {where}, by the times in results/benchmarks: {parts}."


def _networks(job: Any, configuration: Mapping[str, Any]) -> int:
    if job.rule_name not in (TRAINING, MEASURING):
        return 0
    return len(configuration["stack_of"](job.wildcards["experiment"], job.wildcards["cells"]))


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
