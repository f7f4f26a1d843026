"""Figures and claims against the experiments that they name: whether these can be drawn, or judged."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from nrc import kinds
from nrc.grid import AXES, notation
from nrc.options import Options
from nrc.text import counted
from workflow.config.counterparts import counterpart_fault
from workflow.config.requirements import unmet
from workflow.config.words import value_at, written
from workflow.config.yaml_files import ConfigurationError

__all__ = ["check_compatibility", "cube_of", "names_of"]

# For the entries of a section, the key that names the kind, and the package of the kinds.
KINDS = {"figures": ("kind", "figures"), "claims": ("statistic", "claims.statistics")}

# What joined experiments must share.
SHARED = ("data", "task", "network", "loss", "training.penalty", "training.loss_on")


def options_of(section: str, entry: Mapping[str, Any]) -> type[Options]:
    """The options of the kind of a figure or claim."""
    by, package = KINDS[section]
    return kinds.options(package, entry[by])


def cube_of(section: str, entry: Mapping[str, Any]) -> str:
    """Which file of its experiments a figure or claim takes, "measures" or "shift"."""
    cube: str = options_of(section, entry).cube  # type: ignore[attr-defined]
    return cube


def names_of(of: Any) -> list[str]:
    """The experiments of an `of`: a name, a list or the values of a mapping; other values name none."""
    names = [of] if isinstance(of, str) else list(of.values()) if isinstance(of, Mapping) else of
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def check_compatibility(
    section: str, name: str, entry: Mapping[str, Any], experiments: Mapping[str, Any]
) -> None:
    """Check that a figure can be drawn from its experiments, or a claim judged on them.

    Parameters
    ----------
    section : {"figures", "claims"}
    name : str
    entry : mapping
        The figure or claim.
    experiments : mapping
        All experiments, complete.

    Raises
    ------
    ConfigurationError
        The message gives the present and the required value.
    """
    key, options, of = f"{section}.{name}", options_of(section, entry), entry["of"]
    for experiment in names_of(of):
        if experiment not in experiments:
            raise ConfigurationError(
                f"{key}.of is {written(of)}, but there is no experiment {experiment}; there are "
                f"{', '.join(experiments)}"
            )
    does = {"figures": "be drawn from", "claims": "be judged on"}[section]
    cannot = f"{key} ({entry[KINDS[section][0]]}) cannot {does}"
    if isinstance(of, Mapping):
        _check_titles(f"{key}.of", options, of, experiments)
    for group in [[experiment] for experiment in of.values()] if isinstance(of, Mapping) else [of]:
        grid = _joined_grid(key, entry["at"], {experiment: experiments[experiment] for experiment in group})
        for experiment in group:
            for fault in unmet(options.requires, entry, {**experiments[experiment], "grid": grid}):
                which = " and ".join(group) if fault.key.startswith("grid.") else experiment
                hint = (
                    f"; give it one, or select one by {section}.{name}.at"
                    if fault.needed == "one value"
                    else ""
                )
                raise ConfigurationError(
                    f"{cannot} {which}: {fault.key} is {written(fault.value)}, but must be "
                    f"{fault.needed}{hint}"
                )
            _check_layers(key, entry, experiment, experiments[experiment]["network"], grid)
            if cube_of(section, entry) == "shift" and (reason := counterpart_fault(experiment, experiments)):
                raise ConfigurationError(f"{cannot} {experiment}: {reason}")


def _check_layers(
    key: str, entry: Mapping[str, Any], experiment: str, network: Mapping[str, Any], grid: Mapping[str, Any]
) -> None:
    """Check that networks of the kind mlp, whose depth is their number of layers, have the chosen layers."""
    depth = max(grid["depth"])
    for name in ("layer", "layers"):
        layers = entry.get(name)
        # claims also choose layers by words
        places = [k for k in (layers if isinstance(layers, list) else [layers]) if isinstance(k, int)]
        if network["kind"] == "mlp" and max(places, default=0) > depth:
            raise ConfigurationError(
                f"{key}.{name} is {written(layers)}, but the networks of {experiment} have "
                f"{counted(depth, 'layer')}; choose from these"
            )


def _check_titles(
    key: str, options: type[Options], of: Mapping[str, str], experiments: Mapping[str, Any]
) -> None:
    """Check the experiments of a figure with fixed titles."""
    for title, requirement in options.titles.items():  # type: ignore[attr-defined]
        for fault in unmet([requirement], {}, experiments[of[title]]):
            raise ConfigurationError(
                f"{key}.{title} is {of[title]}, whose {fault.key} is {written(fault.value)}, but must be an "
                f"experiment whose {fault.key} is {fault.needed}"
            )


def _joined_grid(
    key: str, at: Mapping[str, list[float]], experiments: Mapping[str, Any]
) -> dict[str, list[float]]:
    """The values of every axis that joined experiments have, where `at` selects them.

    Raises
    ------
    ConfigurationError
        If they differ in what they must share, have a cell in common, or have no cell where `at` selects.
    """
    for (one, first), (other, second) in combinations(experiments.items(), 2):
        for part in SHARED:
            a, b = value_at(first, part), value_at(second, part)
            if a != b:
                raise ConfigurationError(
                    f"{key}.of joins {one} and {other}, but their {part} are {written(a)} and {written(b)}; "
                    f"joined experiments must have the same {', '.join(SHARED)}"
                )
    grids = [experiment["grid"] for experiment in experiments.values()]
    for axis, values in at.items():
        known = _union(grids, axis)
        for value in values:
            if value not in known:
                raise ConfigurationError(
                    f"{key}.at.{axis} is {notation(value)}, but must be one of the values of "
                    f"{' and '.join(experiments)}: {_some(known)}"
                )
    selected = {
        name: {
            axis: [value for value in values if value in at.get(axis, values)]
            for axis, values in experiment["grid"].items()
        }
        for name, experiment in experiments.items()
    }
    for name, grid in selected.items():
        if not all(grid.values()):
            raise ConfigurationError(
                f"{key}.at is {written(at)}, which selects no network of {name}; select other values, or "
                f"take {name} out of the list"
            )
    _refuse_overlaps(key, selected)
    return {axis: _union(list(selected.values()), axis) for axis in AXES}


def _refuse_overlaps(key: str, grids: Mapping[str, Mapping[str, list[float]]]) -> None:
    for (one, first), (other, second) in combinations(grids.items(), 2):
        common = {axis: [value for value in first[axis] if value in second[axis]] for axis in AXES}
        if all(common.values()):
            cell = ", ".join(f"{axis} {notation(values[0])}" for axis, values in common.items())
            raise ConfigurationError(
                f"{key}.of joins {one} and {other}, but both have the network {cell}; remove it from one of "
                "them"
            )


def _union(grids: Sequence[Mapping[str, list[float]]], axis: str) -> list[float]:
    return sorted({value for grid in grids for value in grid[axis]})


def _some(values: Sequence[float]) -> str:
    """The first 20 values."""
    return ", ".join(map(notation, values[:20])) + (", ..." if len(values) > 20 else "")
