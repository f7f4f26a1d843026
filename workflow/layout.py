"""Where things are: the path of every stack, and the stack of every path."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from nrc.grid import AXES, Stack, notation, number

__all__ = ["ALL", "CELLS", "data_files", "experiment_of", "stack_files", "stack_of"]

# In a path every axis has a value, or this word where a stack extends along it.
ALL = "all"
CELLS = "/".join(f"{axis}~{{{axis}}}" for axis in AXES)


def stack_files(stage: str, name: str, experiment: Mapping[str, Any]) -> list[str]:
    """Paths of all stacks of an experiment, as its `stack` setting cuts them."""
    words = (
        [ALL] if axis in experiment["stack"] else [notation(value) for value in experiment["grid"][axis]]
        for axis in AXES
    )
    return [_path(stage, name, dict(zip(AXES, values, strict=True))) for values in product(*words)]


def experiment_of(wildcards: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the experiment that a path names.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    name, known = wildcards["experiment"], settings["experiments"]
    if name not in known:
        raise ValueError(f"there is no experiment {name!r}; the configuration has {', '.join(known)}")
    return known[name]


def stack_of(wildcards: Mapping[str, str], settings: Mapping[str, Any]) -> Stack:
    """The stack that a path names, on the configured grid or off it.

    Raises
    ------
    ValueError
        With the path to ask for, if a value is not a number in its one notation.
    """
    grid = experiment_of(wildcards, settings)["grid"]
    axes, words, mistakes = {}, {}, []
    for axis in AXES:
        text = wildcards[axis]
        try:
            axes[axis] = _axis_value(axis, text, grid[axis])
            words[axis] = text
        except ValueError as error:
            mistakes.append(str(error))
            words[axis] = _nearest_notation(axis, text, grid[axis])
    if mistakes:
        path = _path("train", wildcards["experiment"], words)
        raise ValueError(f"{'; '.join(mistakes)}; ask for {path}, or the same under measure")
    return Stack(axes)


def data_files(wildcards: Mapping[str, str], settings: Mapping[str, Any]) -> list[str]:
    """The mixture file of every seed of a stack."""
    seed = stack_of(wildcards, settings).axes["seed"]
    seeds = seed if isinstance(seed, list) else [seed]
    return [f"results/data/mixture/{wildcards['experiment']}/seed~{value}.nc" for value in seeds]


def _path(stage: str, name: str, words: Mapping[str, str]) -> str:
    return f"results/{name}/{stage}/{CELLS.format(**words)}.nc"


def _axis_value(axis: str, text: str, values: list) -> Any:
    if text != ALL:
        return number(axis, text)
    if not AXES[axis].stackable:
        raise ValueError(f"{axis} '{ALL}' cannot be: networks of different {axis} do not stack")
    return values


def _nearest_notation(axis: str, text: str, values: list) -> str:
    """The notation of the same number, or of the first value of the grid where there is none."""
    try:
        written = notation(float(text))
        number(axis, written)
    except (ValueError, OverflowError):
        return notation(values[0])
    return written
