"""Experiments that inherit the settings of another by `like`, and where each setting was written."""

from collections.abc import Collection, Mapping
from typing import Any

from workflow.config.overlays import merge
from workflow.config.words import NOTHING, dotted, value_at, written
from workflow.config.yaml_files import ConfigurationError

__all__ = ["Inheritance"]


class Inheritance:
    """Experiments as they are written in the configuration.

    Parameters
    ----------
    content : mapping
        The merged configuration, not checked yet.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        experiments = content.get("experiments")
        self.experiments: Mapping[str, Any] = experiments if isinstance(experiments, dict) else {}
        self.measures = content.get("measures")

    def ancestors(self, name: str, removed: Collection[str] = ()) -> list[str]:
        """The experiment, the one whose settings it inherits, and so on, up to the first removed one.

        Raises
        ------
        ConfigurationError
            If there is no such experiment, or an experiment inherits from itself.
        """
        names = [name]
        while names[-1] not in removed and "like" in self._entry(names[-1]):
            key, like = f"experiments.{names[-1]}.like", self._entry(names[-1])["like"]
            if not isinstance(like, str) or like not in [*self.experiments, *removed]:
                others = ", ".join(other for other in self.experiments if other != names[-1])
                raise ConfigurationError(f"{key} is {written(like)}, but must be one of {others}")
            if like in names:
                circle = " like ".join([*names, like])
                raise ConfigurationError(
                    f"{key} is {written(like)}, but no experiment may be like itself ({circle})"
                )
            names.append(like)
        return names

    def inherited(self, name: str) -> Any:
        """The entry of an experiment with everything that it inherits, without `like`."""
        if not isinstance(self.experiments[name], dict):
            return self.experiments[name]
        full: dict[str, Any] = {}
        for ancestor in reversed(self.ancestors(name)):
            full = merge(full, self.experiments[ancestor])
        if isinstance(self.measures, dict):
            full["measures"] = merge(self.measures, full.get("measures", {}))
        return {key: value for key, value in full.items() if key != "like"}

    def asks_for(self, name: str, measure: str) -> bool:
        """Whether an experiment, or one that it inherits from, has a choice among its own measures."""
        return any(_has(self._entry(ancestor), ("measures", measure)) for ancestor in self.ancestors(name))

    def key(self, name: str, path: tuple[str | int, ...]) -> str:
        """The key of a setting, in the experiment where it was written; a default is the experiment's own."""
        keys = tuple(part for part in path if isinstance(part, str))
        origin = name
        if _has(self.inherited(name), keys):
            origin = next((a for a in self.ancestors(name) if _has(self._entry(a), keys)), name)
        return f"experiments.{origin}.{dotted(path)}"

    def _entry(self, name: str) -> Mapping[str, Any]:
        entry = self.experiments[name]
        return entry if isinstance(entry, dict) else {}


def _has(entry: Any, keys: tuple[str, ...]) -> bool:
    return value_at(entry, keys) is not NOTHING
