"""Configuration files laid over each other, and the entries that they remove."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow.config.yaml_files import ConfigurationError, read_texts, read_yaml

__all__ = ["SECTIONS", "Layers", "merge", "merge_files"]

# An overlay removes an entry of these sections by `NAME: null`; the listed names are not entries.
SECTIONS = {"data": (), "experiments": (), "figures": ("style",), "claims": ("level",)}

# A mapping with another value of one of these keys is of another kind, and replaces the earlier mapping.
KINDS = ("kind", "name", "statistic")


class Layers:
    """Files laid over each other.

    Attributes
    ----------
    content : dict
        The merged files, with the removed entries as they were before.
    removed : dict
        For each section the names of the removed entries, in the order of their removal.
    """

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}
        self.removed: dict[str, list[str]] = {section: [] for section in SECTIONS}

    def add(self, layer: Mapping[str, Any], *, first: bool = False) -> None:
        """Lay a file over those before it.

        Raises
        ------
        ConfigurationError
            If the file, other than the first, removes an entry that does not exist.
        """
        layer = dict(layer)
        for section, reserved in SECTIONS.items():
            entries, known = layer.get(section), self.content.get(section)
            known = known if isinstance(known, dict) else {}
            if section in layer and entries is None:  # a section that is null removes its entries
                entries = dict.fromkeys(name for name in known if name not in reserved)
            if isinstance(entries, dict):
                layer[section] = self._without_removed(section, entries, known, first=first)
        self.content = merge(self.content, layer)

    def _without_removed(
        self, section: str, entries: Mapping[str, Any], known: dict[str, Any], *, first: bool
    ) -> dict[str, Any]:
        """The entries of a section of a file without the removed ones, which are noted."""
        removed, kept = self.removed[section], {}
        for name, entry in entries.items():
            if entry is not None or name in SECTIONS[section]:
                kept[name] = entry
                if name in removed:  # it is written anew
                    removed.remove(name)
                    known.pop(name, None)
            elif name not in removed:
                if name not in known and not first:
                    raise ConfigurationError(
                        f"{section}.{name} is null, which removes the entry, but no entry has this name; "
                        f"there are {', '.join(known) or 'no entries'}"
                    )
                removed.append(name)
        return kept


def merge_files(files: Sequence[str | Path], overrides: Mapping[str, Any]) -> Layers:
    """Merge files in their order, then the overrides of the command line.

    Raises
    ------
    ConfigurationError
        If a file cannot be read, or removes an entry that does not exist.
    """
    layers = Layers()
    for number, file in enumerate(files):
        layers.add(read_yaml(file), first=number == 0)
    layers.add(read_texts(overrides))
    return layers


def merge(base: Any, changes: Any) -> Any:
    """Merge changes into a base, key by key; the result shares no mapping and no list with them.

    A value that is not a mapping, or a mapping of another kind, replaces the value of the base.

    Examples
    --------
    >>> merge({"name": "gd", "step": 0.1}, {"step": 0.2})
    {'name': 'gd', 'step': 0.2}
    >>> merge({"name": "gd", "step": 0.1}, {"name": "lbfgs"})
    {'name': 'lbfgs'}
    """
    if isinstance(changes, list):
        return [merge(None, item) for item in changes]
    if not isinstance(changes, dict):
        return changes
    if not isinstance(base, dict) or _of_another_kind(base, changes):
        base = {}
    return {
        key: merge(base.get(key), changes[key]) if key in changes else merge(None, base[key])
        for key in [*base, *(key for key in changes if key not in base)]
    }


def _of_another_kind(base: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    # a network without a kind is of the kind mlp
    before = {"kind": "mlp", **base}
    return any(
        isinstance(before.get(key), str) and isinstance(changes.get(key), str) and before[key] != changes[key]
        for key in KINDS
    )
