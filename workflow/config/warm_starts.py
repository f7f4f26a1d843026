"""Experiments that go on from trained networks: of others, or of their own along an axis."""

from collections.abc import Mapping
from typing import Any

from nrc.grid import AXES, notation
from workflow.config.inheritance import Likes
from workflow.config.schema import value_at, written
from workflow.config.yaml_files import ConfigurationError

__all__ = ["along_of", "check_start", "start_of"]

# What must be the same for the parameters to fit, and for both parts of the way to be of one problem.
SAME = ("data", "task", "network")


def start_of(experiment: Any) -> Any:
    """Name of the experiment whose networks an experiment starts from, None if there is none."""
    start = value_at(experiment, "training.warm_start")
    return start if isinstance(start, str) else None


def along_of(experiment: Any) -> Any:
    """Axis along which each network of an experiment starts from the one before, None if there is none."""
    along = value_at(experiment, "training.warm_start.along")
    return along if isinstance(along, str) else None


def check_start(name: str, experiments: Mapping[str, Any], likes: Likes) -> None:
    """Check that an experiment finds each of its networks in the one that it starts from.

    Parameters
    ----------
    name : str
    experiments : mapping
        All experiments, complete.
    likes : Likes

    Raises
    ------
    ConfigurationError
        With what differs.
    """
    start = start_of(experiments[name])
    if start is None:
        return
    said = f"configuration: {likes.key(name, ('training', 'start'))} is {written(start)}"
    if start not in experiments:
        others = ", ".join(other for other in experiments if other != name)
        raise ConfigurationError(f"{said}, but must be one of {others or 'other experiments'}, or null")
    _refuse_circle(name, experiments, likes)
    here, there = experiments[name], experiments[start]
    for key in SAME:
        if here[key] != there[key]:
            raise ConfigurationError(
                f"{said}, but its {key} is {written(there[key])} and that of {name} {written(here[key])}; "
                f"networks go on with the same {', '.join(SAME)} alone"
            )
    for axis in AXES:
        if missing := [value for value in here["grid"][axis] if value not in there["grid"][axis]]:
            raise ConfigurationError(
                f"{said}, which has no network of {axis} {notation(missing[0])}, and {name} has; give both "
                "that value, or neither"
            )
    if set(here["stack"]) != set(there["stack"]):
        raise ConfigurationError(
            f"{said}, but its stack is {written(there['stack'])} and that of {name} "
            f"{written(here['stack'])}; a stack goes on from a stack along the same axes"
        )


def _refuse_circle(name: str, experiments: Mapping[str, Any], likes: Likes) -> None:
    chain = [name]
    while (start := start_of(experiments.get(chain[-1]))) is not None:
        if start in chain:
            key = likes.key(chain[-1], ("training", "warm_start"))
            raise ConfigurationError(
                f"configuration: {key} closes a circle, {' from '.join([*chain, start])}; one of them must "
                "start from initial weights"
            )
        chain.append(start)
