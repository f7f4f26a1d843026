"""Entries that the configuration drops, and what goes with them."""

from collections.abc import Mapping
from typing import Any

from workflow.config.compatibility import names_of
from workflow.config.inheritance import Likes
from workflow.config.warm_starts import start_of
from workflow.config.yaml_files import Written

__all__ = ["Drops"]


class Drops:
    """What is dropped by `NAME: null`, and what hangs on it.

    Experiments go with their data, with the one they are like and with the one they start from, figures
    and claims with any experiment they are of.

    Attributes
    ----------
    asked, followed : dict
        For each section the names that are dropped, and those that go with them.
    """

    def __init__(self, layers: Written, likes: Likes) -> None:
        self.asked = layers.dropped
        self.followed: dict[str, list[str]] = {section: [] for section in self.asked}
        while falling := [name for name in likes.experiments if self._falls(name, likes)]:
            for name in falling:
                self.follow("experiments", name)
        gone = self.gone("experiments")
        for section in ("figures", "claims"):
            entries = layers.content.get(section)
            for name, entry in entries.items() if isinstance(entries, dict) else ():
                if isinstance(entry, Mapping) and set(names_of(entry.get("of"))) & set(gone):
                    self.follow(section, name)

    def gone(self, section: str) -> list[str]:
        return self.asked[section] + self.followed[section]

    def follow(self, section: str, name: str) -> None:
        """Drop an entry because of another."""
        if name not in self.gone(section):
            self.followed[section].append(name)

    def line(self) -> str | None:
        """What is dropped, and with it what; None if nothing is."""
        if not any(self.asked.values()):
            return None
        one = sum(map(len, self.asked.values())) == 1
        line = f"configuration: {_listed(self.asked)} {'is' if one else 'are'} dropped"
        if any(self.followed.values()):
            line += f", and with {'it' if one else 'them'} {_listed(self.followed)}"
        return line

    def _falls(self, name: str, likes: Likes) -> bool:
        """Whether an experiment that is still there hangs on what is gone."""
        if name in self.gone("experiments"):
            return False
        chain = likes.chain(name, self.asked["experiments"])
        if chain[-1] in self.asked["experiments"]:
            return True
        wholes: list[Any] = [likes.inherited(model) for model in chain]
        return any(
            whole.get("data") in self.asked["data"] or start_of(whole) in self.gone("experiments")
            for whole in wholes
            if isinstance(whole, Mapping)
        )


def _listed(names: Mapping[str, list[str]]) -> str:
    return ", ".join(f"{section} {', '.join(some)}" for section, some in names.items() if some)
