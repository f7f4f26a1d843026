"""Which settings differ from those that results were made with."""

import ast
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["Changed", "changed_keys", "in_lines", "leaves", "settings_among"]

# Letters of a value, and figures named, in a line.
LONGEST, MOST_NAMES = 40, 3
UNSET, ENTRY = object(), object()

Key = str
Path = tuple[str, ...]
Differences = dict[Key, tuple[Any, Any]]


class Changed(NamedTuple):
    """A job to run again because its parameters differ from the recorded ones.

    Attributes
    ----------
    rule : str
    keys : mapping
        Keys of the configuration, each with its old and its new value; none where the code differs.
    """

    rule: str
    keys: Differences


def settings_among(parameters: Iterable[str]) -> dict[str, Any]:
    """The settings among the parameters of a job, which Snakemake records by their repr.

    Examples
    --------
    >>> settings_among(["'9f86d0'", "'{\\"delta\\": 0.1}'"])
    {'delta': 0.1}
    """
    for parameter in parameters:
        value = ast.literal_eval(parameter)
        if isinstance(value, str) and value.startswith("{"):
            return json.loads(value)
    return {}


def changed_keys(
    rule: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any], data_of: Mapping[str, str]
) -> Differences:
    """The keys of the configuration in which the settings of a job differ.

    Parameters
    ----------
    rule, name : str
        Of the job, and the experiment or data set that it is of, if any.
    old, new : mapping
        Its settings.
    data_of : mapping
        The data of each experiment, by name.

    Examples
    --------
    >>> old, new = {"training": {"epochs": 100}}, {"training": {"epochs": 200}}
    >>> changed_keys("train_stack", "mixture", old, new, {"mixture": "blobs"})
    {'experiments.mixture.training.epochs': (100, 200)}
    """
    if not old or not new:
        return {}
    before, now = leaves(old), leaves(new)
    branches = {path[:length] for path in (before.keys() & now.keys()) for length in range(len(path))}
    before, now = _whole_entries(before, branches), _whole_entries(now, branches)
    return {
        _key(rule, name, path, data_of): (before.get(path, UNSET), now.get(path, UNSET))
        for path in (*before, *(path for path in now if path not in before))
        if before.get(path, UNSET) != now.get(path, UNSET)
    }


def _whole_entries(values: Mapping[Path, Any], branches: set[Path]) -> dict[Path, Any]:
    """Values by path, an entry as a whole where nothing of it is in the other settings."""
    found: dict[Path, Any] = {}
    for path, value in values.items():
        top = next((path[:length] for length in range(1, len(path)) if path[:length] not in branches), path)
        found[top] = value if top == path else ENTRY
    return found


def in_lines(jobs: Iterable[Changed]) -> list[str]:
    """What to tell of jobs that run again: a line for each key, with old and new value, and one for code."""
    keys: dict[Key, tuple[Any, Any]] = {}
    rules: dict[Key, dict[str, int]] = {}
    code: dict[str, int] = {}
    for job in jobs:
        keys |= {key: values for key, values in job.keys.items() if key not in keys}
        for counts in [rules.setdefault(key, {}) for key in job.keys] or [code]:
            counts[job.rule] = counts.get(job.rule, 0) + 1
    lines = [f"  {key}: {_difference(*values)} ({_counted(rules[key])})" for key, values in keys.items()]
    if code:
        lines.append(f"  code: {_counted(code)}")
    return ["Changed since the results were made:", *lines] if lines else []


def leaves(settings: Mapping[str, Any], above: Path = ()) -> dict[Path, Any]:
    """Values by their path of keys; an empty mapping is a value.

    Examples
    --------
    >>> leaves({"a": {"b": 1, "c": {}}, "d": 2})
    {('a', 'b'): 1, ('a', 'c'): {}, ('d',): 2}
    """
    found: dict[Path, Any] = {}
    for key, value in settings.items():
        path = (*above, key)
        found |= leaves(value, path) if isinstance(value, Mapping) and value else {path: value}
    return found


def _key(rule: str, name: str, path: Path, data_of: Mapping[str, str]) -> Key:
    """The key of the configuration that stands for a path in the slice of settings of a job."""
    first, *rest = path
    if first == "device":
        return first
    if first == "delta" and rest:
        return ".".join(("experiments", rest[0], "measures.delta"))
    if first == "figure":
        return ".".join(("figures", rule.removeprefix("plot_"), *rest))
    if first == "experiments" and rest:
        return _key_of_experiment(rest[0], rest[1:], data_of)
    if not name:  # of the whole configuration
        return ".".join(path)
    if name not in data_of:  # a data set
        return ".".join(("data", name, *(rest if first == "data" else path)))
    return _key_of_experiment(name, list(path), data_of)


def _key_of_experiment(name: str, path: list[str], data_of: Mapping[str, str]) -> Key:
    """The same for a path in the settings of an experiment."""
    first, *rest = path or [""]
    if first in ("data", "data_options") and rest:
        return ".".join(("data", data_of.get(name, name), *rest))
    if first == "stack" and rest:  # the values of a stack
        first = "grid"
    if first in ("loss_on", "penalty"):
        first, rest = "training", path
    return ".".join(filter(None, ("experiments", name, first, *rest)))


def _difference(old: Any, new: Any) -> str:
    if ENTRY in (old, new):
        return "added" if old is UNSET else "dropped" if new is UNSET else "another"
    if isinstance(old, list) and isinstance(new, list):
        lost = [value for value in old if value not in new]
        added = [value for value in new if value not in old]
        if lost or added:
            told = (("without", lost), ("with", added))
            return ", ".join(f"{word} {_short(values)}" for word, values in told if values)
    return f"{_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    if value is UNSET:
        return "nothing"
    text = (
        ", ".join(map(_short, value)) if isinstance(value, list) and value else json.dumps(value).strip('"')
    )
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _counted(rules: Mapping[str, int]) -> str:
    """Rules and the numbers of their jobs; of many figures their number."""
    plots = [rule for rule in rules if rule.startswith("plot_")]
    several = set(plots) if len(plots) > MOST_NAMES else set()
    told = [rule if count == 1 else f"{count} {rule}" for rule, count in rules.items() if rule not in several]
    return ", ".join([*told, f"{len(several)} figures"] if several else told)
