"""Experiments whose networks start from trained networks, of another experiment or along an axis."""

from collections.abc import Mapping
from typing import Any

from nrc.grid import AXES, notation
from workflow.config.inheritance import Inheritance
from workflow.config.words import value_at, written
from workflow.config.yaml_files import ConfigurationError

__all__ = ["axis_of_warm_start", "check_warm_start", "warm_start_of"]

# What must be the same so that the parameters fit, and both parts of the training are on one problem.
SAME = ("data", "task", "network")


def warm_start_of(experiment: Any) -> str | None:
    """Name of the experiment from whose networks an experiment starts, None if there is none."""
    start = value_at(experiment, "training.warm_start")
    return start if isinstance(start, str) else None


def axis_of_warm_start(experiment: Any) -> str | None:
    """Axis along which each network of an experiment starts from the one before, None if there is none."""
    along = value_at(experiment, "training.warm_start.along")
    return along if isinstance(along, str) else None


def check_warm_start(name: str, experiments: Mapping[str, Any], inheritance: Inheritance) -> None:
    """Check that each network of an experiment exists in the experiment from which it starts.

    Parameters
    ----------
    name : str
    experiments : mapping
        All experiments, complete.
    inheritance : Inheritance

    Raises
    ------
    ConfigurationError
        With what differs.
    """
    start = warm_start_of(experiments[name])
    if start is None:
        return
    key = f"{inheritance.key(name, ('training', 'warm_start'))} is {written(start)}"
    if start not in experiments:
        others = ", ".join(other for other in experiments if other != name)
        raise ConfigurationError(f"{key}, but must be one of {others or 'other experiments'}, or null")
    _refuse_circle(name, experiments, inheritance)
    here, there = experiments[name], experiments[start]
    for part in SAME:
        if here[part] != there[part]:
            raise ConfigurationError(
                f"{key}, but the {part} of {start} is {written(there[part])} and the {part} of {name} is "
                f"{written(here[part])}; both must have the same {', '.join(SAME)}"
            )
    for axis in AXES:
        if missing := [value for value in here["grid"][axis] if value not in there["grid"][axis]]:
            raise ConfigurationError(
                f"{key}, which has no network with {axis} {notation(missing[0])}, but {name} has; give this "
                "value to both or to neither"
            )
    if set(here["stack"]) != set(there["stack"]):
        raise ConfigurationError(
            f"{key}, but the stack of {start} is {written(there['stack'])} and the stack of {name} is "
            f"{written(here['stack'])}; both must have the same axes"
        )


def _refuse_circle(name: str, experiments: Mapping[str, Any], inheritance: Inheritance) -> None:
    names = [name]
    while (start := warm_start_of(experiments.get(names[-1]))) is not None:
        if start in names:
            key = inheritance.key(names[-1], ("training", "warm_start"))
            raise ConfigurationError(
                f"{key} is {written(start)}, but no experiment may start from itself "
                f"({' from '.join([*names, start])}); one of them must start from initial weights"
            )
        names.append(start)
