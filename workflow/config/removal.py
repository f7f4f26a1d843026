"""Entries that the configuration removes, and entries that are removed because they depend on these."""

from collections.abc import Mapping
from typing import Any

from workflow.config.compatibility import names_of
from workflow.config.inheritance import Inheritance
from workflow.config.overlays import Layers
from workflow.config.warm_starts import warm_start_of

__all__ = ["Removal"]

# Largest number of names of a section that are all written out.
LISTED = 12


class Removal:
    """Entries that are removed by `NAME: null`, and entries that depend on them.

    An experiment depends on its data, on the experiment whose settings it inherits and on the one from whose
    networks it starts; a figure and a claim depend on each of their experiments.

    Attributes
    ----------
    named, dependent : dict
        For each section the names that are removed, and the names of entries that depend on them.
    """

    def __init__(self, layers: Layers, inheritance: Inheritance) -> None:
        self.content, self.named = layers.content, layers.removed
        self.dependent: dict[str, list[str]] = {section: [] for section in self.named}
        while names := [name for name in inheritance.experiments if self._depends(name, inheritance)]:
            for name in names:
                self.add("experiments", name)
        for section in ("figures", "claims"):
            for name, entry in self._entries(section).items():
                if isinstance(entry, Mapping) and set(names_of(entry.get("of"))) & set(
                    self.all("experiments")
                ):
                    self.add(section, name)

    def all(self, section: str) -> list[str]:
        """All names of a section that are removed."""
        return self.named[section] + self.dependent[section]

    def add(self, section: str, name: str) -> None:
        """Remove an entry because it depends on another."""
        if name not in self.all(section):
            self.dependent[section].append(name)

    def kept(self) -> dict[str, Any]:
        """The content without the removed entries."""
        content = dict(self.content)
        for section in self.named:
            if isinstance(content.get(section), dict):
                entries, removed = self._entries(section), self.all(section)
                content[section] = {name: entry for name, entry in entries.items() if name not in removed}
        return content

    def line(self) -> str | None:
        """The sentence about all removed entries, None if there are none."""
        if not any(self.named.values()):
            return None
        single = sum(map(len, self.named.values())) == 1
        line = f"configuration: {_listed(self.named)} {'is' if single else 'are'} removed"
        if any(self.dependent.values()):
            depend = "depends" if sum(map(len, self.dependent.values())) == 1 else "depend"
            line += f", and with {'it' if single else 'them'} {_listed(self.dependent)}, which {depend} on "
            line += "it" if single else "them"
        return line

    def _entries(self, section: str) -> Mapping[str, Any]:
        entries = self.content.get(section)
        return entries if isinstance(entries, dict) else {}

    def _depends(self, name: str, inheritance: Inheritance) -> bool:
        """Whether an experiment that is not removed depends on a removed entry."""
        if name in self.all("experiments"):
            return False
        ancestors = inheritance.ancestors(name, self.named["experiments"])
        if ancestors[-1] in self.named["experiments"]:
            return True
        return any(
            entry.get("data") in self.named["data"] or warm_start_of(entry) in self.all("experiments")
            for entry in map(inheritance.inherited, ancestors)
            if isinstance(entry, Mapping)
        )


def _listed(names: Mapping[str, list[str]]) -> str:
    """Sections with their names; of many names the first ones and the number of the others."""
    return ", ".join(f"{section} {_some(of_section)}" for section, of_section in names.items() if of_section)


def _some(names: list[str]) -> str:
    if len(names) <= LISTED:
        return ", ".join(names)
    return f"{', '.join(names[: LISTED - 2])} and {len(names) - LISTED + 2} others"
