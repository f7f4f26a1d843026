"""What figures and claims are of: experiments that they can draw or judge, and counterparts on centroids."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from nrc.grid import AXES, notation
from workflow.config.schema import Unmet, dotted, kind_of, schema, unmet, value_at, written
from workflow.config.yaml_files import ConfigurationError

__all__ = [
    "centroid_counterpart",
    "centroid_counterparts",
    "check_drawn",
    "cube_of",
    "cube_of_claim",
    "cube_of_figure",
    "names_of",
]

# What cells that stand together must share.
ALIKE = ("data", "task", "network", "loss", "training.penalty", "training.loss_on")

# What an experiment on centroids must share with the one on data.
TWINS = ("data", "task", "network", "loss", "grid", "training.penalty", "training.precision")


def cube_of_figure(figure: Mapping[str, Any]) -> str:
    """Which cube of its experiments a figure draws, "measures" or "shift"."""
    return cube_of("figure", figure)


def cube_of_claim(claim: Mapping[str, Any]) -> str:
    """Which cube of its experiments a claim is judged on, "measures" or "shift"."""
    return cube_of("claim", claim)


def cube_of(part: str, entry: Mapping[str, Any]) -> str:
    return kind_of(part, entry).get("cube", "measures")


def names_of(of: Any) -> list[str]:
    """The experiments that an `of` names, one, a list or the values of a map; other things name none."""
    of = list(of.values()) if isinstance(of, Mapping) else [of] if isinstance(of, str) else of
    return [name for name in of if isinstance(name, str)] if isinstance(of, list) else []


def check_drawn(part: str, key: str, entry: Mapping[str, Any], experiments: Mapping[str, Any]) -> None:
    """Check that a figure can draw its experiments, or a claim be judged on them.

    Parameters
    ----------
    part : {"figure", "claim"}
    key : str
        Where it stands, as in figures.figure1.
    entry : mapping
        Its settings.
    experiments : mapping
        All experiments, complete.

    Raises
    ------
    ConfigurationError
        With what an experiment has, and what is needed.
    """
    names, by = names_of(entry["of"]), schema()["$defs"][part]["by"]
    for name in names:
        if name not in experiments:
            raise ConfigurationError(
                f"configuration: {key}.of is {written(entry['of'])}, and there is no experiment {name}; "
                f"there are {', '.join(experiments)}"
            )
    cube, rows = cube_of(part, entry), kind_of(part, entry).get("draws", [])
    rows = [{"needs": schema()["$defs"]["cubes"][cube]}, *rows]
    cannot = f"configuration: {key} ({entry[by]}) cannot {'draw' if part == 'figure' else 'be judged on'}"
    for group in [[name] for name in names] if isinstance(entry["of"], Mapping) else [names]:
        grid = _joined_grid(key, entry["at"], {name: experiments[name] for name in group})
        for name in group:
            for need in unmet(rows, entry, {**experiments[name], "grid": grid}):
                of = " and ".join(group) if need.key.startswith("grid.") else name
                raise ConfigurationError(f"{cannot} {of}: {_lacks(need, key)}")
            if cube == "shift" and (fault := _twin_fault(name, experiments)):
                raise ConfigurationError(f"{cannot} {name}: {fault}")
    if isinstance(entry["of"], Mapping):
        titles = kind_of(part, entry)["properties"]["of"].get("properties", {})
        _check_titles(f"{key}.of", titles, entry["of"], experiments)


def _check_titles(
    key: str, titles: Mapping[str, Any], of: Mapping[str, str], experiments: Mapping[str, Any]
) -> None:
    """Check that experiments are what the titles need that a figure gives them."""
    for title, about in titles.items():
        for need in unmet([about], {}, experiments[of[title]]):
            raise ConfigurationError(
                f"configuration: {key}.{title} is {of[title]}, whose {need.key} is {written(need.value)}, "
                f"but must be an experiment whose {need.key} is {need.allowed}"
            )


def _lacks(need: Unmet, key: str) -> str:
    """What an experiment has and should not have."""
    hint = f"; give it one, or select one by {key}.at" if need.allowed == "one value" else ""
    return f"{dotted(need.path)} is {written(need.value)}, but must be {need.allowed}{hint}"


def _joined_grid(key: str, at: Mapping[str, Any], experiments: Mapping[str, Any]) -> dict[str, list]:
    """Values of every axis that joined experiments have, where `at` selects them.

    Raises
    ------
    ConfigurationError
        If they are not alike, have a cell in common, or have nothing where `at` selects.
    """
    for (one, first), (other, second) in combinations(experiments.items(), 2):
        for name in ALIKE:
            a, b = value_at(first, name), value_at(second, name)
            if a != b:
                raise ConfigurationError(
                    f"configuration: {key}.of joins {one} and {other}, but their {name} are {written(a)} and "
                    f"{written(b)}; only the same {', '.join(ALIKE)} stand together"
                )
    wanted = {axis: values if isinstance(values, list) else [values] for axis, values in at.items()}
    grids = [experiment["grid"] for experiment in experiments.values()]
    for axis, values in wanted.items():
        known = _union(grids, axis)
        for value in values:
            if value not in known:
                raise ConfigurationError(
                    f"configuration: {key}.at.{axis} is {notation(value)}, but must be of the values of "
                    f"{' and '.join(experiments)}: {_some(known)}"
                )
    selected = {
        name: {
            axis: [value for value in values if value in wanted.get(axis, values)]
            for axis, values in experiment["grid"].items()
        }
        for name, experiment in experiments.items()
    }
    for name, grid in selected.items():
        if not all(grid.values()):
            raise ConfigurationError(
                f"configuration: {key}.at is {written(at)}, which leaves nothing of {name}; take it out of "
                f"{key}.of, or select other values"
            )
    _refuse_overlaps(key, selected)
    return {axis: _union(list(selected.values()), axis) for axis in AXES}


def _some(values: Sequence[float]) -> str:
    """The values as people write them, cut if there are many."""
    return ", ".join(map(notation, values[:20])) + (", ..." if len(values) > 20 else "")


def _union(grids: Sequence[Mapping[str, list]], axis: str) -> list:
    return sorted({value for grid in grids for value in grid[axis]})


def _refuse_overlaps(key: str, grids: Mapping[str, Mapping[str, list]]) -> None:
    for (one, first), (other, second) in combinations(grids.items(), 2):
        common = {axis: [value for value in first[axis] if value in second[axis]] for axis in AXES}
        if all(common.values()):
            cell = ", ".join(f"{axis} {notation(values[0])}" for axis, values in common.items())
            raise ConfigurationError(
                f"configuration: {key}.of joins {one} and {other}, but both have the network {cell}; "
                "give it to one of them"
            )


def centroid_counterpart(name: str, experiments: Mapping[str, Any]) -> str:
    """The experiment that is the same but for training.loss_on: centroids.

    Method, tolerance and epochs may differ, and what changes no minimum.

    Parameters
    ----------
    name : str
    experiments : mapping
        All experiments, complete.

    Raises
    ------
    ConfigurationError
        If there is none, with what the nearest differs in, or if there are several.
    """
    if fault := _twin_fault(name, experiments):
        raise ConfigurationError(
            f"configuration: experiments.{name} cannot be compared with centroids: {fault}"
        )
    return centroid_counterparts(name, experiments)[0]


def centroid_counterparts(name: str, experiments: Mapping[str, Any]) -> list[str]:
    """All experiments that are the same but on centroids; one that is on centroids itself has none."""
    if experiments[name]["training"]["loss_on"] == "centroids":
        return []
    return [other for other in _on_centroids(name, experiments) if not _differences(name, other, experiments)]


def _twin_fault(name: str, experiments: Mapping[str, Any]) -> str | None:
    """Why there is no one experiment to compare with, in words."""
    if experiments[name]["training"]["loss_on"] == "centroids":
        return "it is on centroids itself, and only one on data is compared with them"
    found = centroid_counterparts(name, experiments)
    if len(found) == 1:
        return None
    if found:
        return f"{' and '.join(found)} are both the same but for training.loss_on: centroids; keep one"
    fault = "it needs an experiment that is the same but for training.loss_on: centroids, and there is none"
    near = {other: _differences(name, other, experiments) for other in _on_centroids(name, experiments)}
    nearest = min(near, key=lambda other: len(near[other]), default=None)
    if nearest and len(near[nearest]) <= 2:
        return f"{fault} ({nearest} has another {' and another '.join(near[nearest])})"
    return f"{fault}; add one {{like: {name}, training: {{loss_on: centroids}}}}"


def _on_centroids(name: str, experiments: Mapping[str, Any]) -> list[str]:
    return [
        other
        for other, experiment in experiments.items()
        if other != name and experiment["training"]["loss_on"] == "centroids"
    ]


def _differences(name: str, other: str, experiments: Mapping[str, Any]) -> list[str]:
    one, two = experiments[name], experiments[other]
    return [key for key in TWINS if value_at(one, key) != value_at(two, key)]
