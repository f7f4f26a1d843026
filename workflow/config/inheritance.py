"""Experiments like others: what they inherit, and where it was written."""

from collections.abc import Collection, Mapping
from typing import Any

from workflow.config.schema import dotted, written
from workflow.config.yaml_files import ConfigurationError, merged

__all__ = ["Likes"]


class Likes:
    """The experiments as they are written.

    Parameters
    ----------
    experiments : mapping
        Their entries, by name.
    measures : object
        What the configuration says for every experiment.
    """

    def __init__(self, experiments: Mapping[str, Any], measures: Any) -> None:
        self.experiments, self.measures = experiments, measures

    def chain(self, name: str, dropped: Collection[str] = ()) -> list[str]:
        """The experiment, the one it is like, the one that is like, and so on; a dropped one ends it.

        Raises
        ------
        ConfigurationError
            If there is no such experiment, or the chain is a circle.
        """
        chain = [name]
        while chain[-1] not in dropped and "like" in self._entry(chain[-1]):
            key, like = f"configuration: experiments.{chain[-1]}.like", self._entry(chain[-1])["like"]
            if not isinstance(like, str) or like not in [*self.experiments, *dropped]:
                others = ", ".join(other for other in self.experiments if other != chain[-1])
                raise ConfigurationError(f"{key} is {written(like)}, but must be one of {others}")
            if like in chain:
                raise ConfigurationError(
                    f"{key} closes a circle, {' like '.join([*chain, like])}; one of them must stand alone"
                )
            chain.append(like)
        return chain

    def inherited(self, name: str) -> Any:
        """The entry with what it inherits, `like` itself left out."""
        if not isinstance(self.experiments[name], dict):
            return self.experiments[name]
        whole: dict[str, Any] = {}
        for model in reversed(self.chain(name)):
            whole = merged(whole, self.experiments[model])
        if isinstance(self.measures, dict):
            whole["measures"] = merged(self.measures, whole.get("measures", {}))
        return {key: value for key, value in whole.items() if key != "like"}

    def overrides(self, name: str, measure: str) -> bool:
        """Whether a choice in what is measured is the experiment's own, or of one it is like."""
        return any(_has(self._entry(model), ("measures", measure)) for model in self.chain(name))

    def key(self, name: str, path: tuple[str | int, ...]) -> str:
        """The key of an experiment, at the experiment that wrote it; a default is the experiment's own."""
        whole = self.inherited(name)
        keys = tuple(part for part in path if isinstance(part, str))
        if _has(whole, keys):
            for model in self.chain(name):
                if _has(self._entry(model), keys):
                    return f"experiments.{model}.{dotted(path)}"
        return f"experiments.{name}.{dotted(path)}"

    def _entry(self, name: str) -> Mapping[str, Any]:
        entry = self.experiments[name]
        return entry if isinstance(entry, dict) else {}


def _has(value: Any, keys: tuple[str, ...]) -> bool:
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True
