"""Which settings differ from those that results were made with."""

from collections.abc import Mapping
from typing import Any

from nrc.text import shortened, written

__all__ = ["changed_keys", "difference", "leaves"]

# Letters of a value in a line.
LONGEST = 40
UNSET, ENTRY = object(), object()

Key = str
Path = tuple[str, ...]
Differences = dict[Key, tuple[Any, Any]]


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
    """The key of the configuration for a path in the slice of settings of a job."""
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
    """The key of the configuration for a path in the settings of an experiment."""
    first, *rest = path or [""]
    if first in ("data", "data_options") and rest:
        return ".".join(("data", data_of.get(name, name), *rest))
    if first == "stack" and rest:  # the values of a stack
        first = "grid"
    if first in ("loss_on", "penalty"):
        first, rest = "training", path
    return ".".join(filter(None, ("experiments", name, first, *rest)))


def difference(old: Any, new: Any) -> str:
    """An old and a new value in words; of a list what is removed and what is added.

    Examples
    --------
    >>> difference(100, 200), difference([0.1, 0.2], [0.1, 0.3, 0.4])
    ('100 -> 200', 'without 0.2, with 0.3, 0.4')
    """
    if ENTRY in (old, new):
        return "added" if old is UNSET else "dropped" if new is UNSET else "another"
    if isinstance(old, list) and isinstance(new, list):
        lost = [value for value in old if value not in new]
        added = [value for value in new if value not in old]
        if lost or added:
            changes = (("without", lost), ("with", added))
            return ", ".join(f"{word} {_short(values)}" for word, values in changes if values)
    return f"{_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    if value is UNSET:
        return "nothing"
    text = ", ".join(map(_short, value)) if isinstance(value, list) and value else written(value)
    return shortened(text, LONGEST)
