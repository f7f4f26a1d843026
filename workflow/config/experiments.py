"""Experiments of the configuration: what depends on their data, and choices that do not go together."""

from collections.abc import Mapping
from typing import Any

from nrc import kinds
from nrc.data import Size
from nrc.grid import AXES, spaced
from workflow.config.inheritance import Likes
from workflow.config.schema import dotted, kind_of, mistakes, schema, unmet, value_at, written
from workflow.config.yaml_files import ConfigurationError

__all__ = ["axes_as_lists", "check_data", "check_experiment", "complete", "leave_out_measures"]


def check_data(name: str, data: str, known: Mapping[str, Any], sizes: dict[str, Size], likes: Likes) -> None:
    """Check the data set of an experiment, once, and note its size.

    Raises
    ------
    ConfigurationError
    """
    if data not in known:
        raise ConfigurationError(
            f"configuration: {likes.key(name, ('data',))} is {written(data)}, "
            f"but must be one of {', '.join(known) or 'the entries of data, of which there is none'}"
        )
    if data in sizes:
        return
    module = kinds.module("data", known[data]["kind"])
    options = module.Options(**{key: value for key, value in known[data].items() if key != "kind"})
    try:
        module.check(options)
        sizes[data] = module.size(options)
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"configuration: data.{data}.{error}") from None


def complete(name: str, experiment: dict[str, Any], data: Mapping[str, Any], likes: Likes) -> None:
    """Fill in what depends on the data.

    Raises
    ------
    ConfigurationError
    """
    for mistake in mistakes(experiment["grid"], kind_of("data", data).get("grid", {})):
        raise ConfigurationError(
            f"configuration: experiments.{name}.grid.{dotted(mistake.path)} {mistake.text}, "
            f"for its data are of kind {data['kind']}"
        )
    axes_as_lists(name, experiment, likes)


def leave_out_measures(name: str, experiment: dict[str, Any], data: Mapping[str, Any], likes: Likes) -> None:
    """Leave out measures that other data or networks have, and refuse those that were asked for.

    Raises
    ------
    ConfigurationError
    """
    measures, whole = experiment["measures"], {**experiment, "data": data}
    for measure, about in schema()["$defs"]["measures"]["properties"].items():
        # what is not asked for needs nothing
        rows = [{"needs": about["needs"]}] if "needs" in about and measures[measure] else []
        for need in unmet(rows, {}, whole):
            if likes.overrides(name, measure):
                part, *path = need.key.split(".")
                at_data = dotted(("data", experiment["data"], *path))
                where = at_data if part == "data" else likes.key(name, (part, *path))
                raise ConfigurationError(
                    f"configuration: {likes.key(name, ('measures', measure))} has no use where {where} is "
                    f"{written(need.value)}, not {need.allowed}; leave it out"
                )
            measures.pop(measure, None)


def axes_as_lists(name: str, experiment: dict[str, Any], likes: Likes) -> dict[str, Any]:
    """Write every axis of the grid as a list of its values; return the experiment.

    Raises
    ------
    ConfigurationError
    """
    grid = experiment["grid"]
    experiment["grid"] = {axis: _values(likes.key(name, ("grid", axis)), axis, grid[axis]) for axis in AXES}
    return experiment


def _values(key: str, axis: str, values: list | dict[str, Any]) -> list[float | int]:
    number = int if AXES[axis].integer else float
    if isinstance(values, list):
        return [number(value) for value in values]
    start, stop, count, scale = (values[part] for part in ("from", "to", "count", "scale"))
    if start >= stop:
        raise ConfigurationError(
            f"configuration: {key}.from is {start!r}, but must be less than {key}.to, which is {stop!r}"
        )
    if scale == "log" and start == 0:
        raise ConfigurationError(f"configuration: {key}.from is 0, but must be greater than 0 on a log scale")
    inner = spaced(start, stop, count, scale)
    # whole numbers may coincide after rounding
    return list(dict.fromkeys(number(round(value) if number is int else value) for value in inner))


def check_experiment(
    name: str, experiment: Mapping[str, Any], data: Mapping[str, Any], size: Size, likes: Likes
) -> None:
    """Refuse choices that do not go together.

    Raises
    ------
    ConfigurationError
        With both keys, each where it was written.
    """
    whole = {**experiment, "data": {**data, "with_y": size.outputs is not None}}
    for need in unmet(schema()["$defs"]["experiment"]["pairs"], whole, whole):
        when, key = (likes.key(name, tuple(part.split("."))) for part in (need.when, need.key))
        needs = need.words or f"{need.key} to be {need.allowed}, but {key} is {written(need.value)}"
        raise ConfigurationError(
            f"configuration: {when} is {written(value_at(whole, need.when))}, which needs "
            + needs.replace("{data}", experiment["data"])
        )
    centroids = experiment["training"]["loss_on"] == "centroids"
    points, what = (size.clusters, "centroids") if centroids else (size.points, "points")
    plain, epochs = experiment["training"]["method"].get("plain_epochs", 0), experiment["training"]["epochs"]
    if plain >= epochs:
        key = likes.key(name, ("training", "method", "plain_epochs"))
        raise ConfigurationError(
            f"configuration: {key} is {plain}, but must be less than training.epochs, {epochs}: nothing "
            "would be projected"
        )
    batch = experiment["training"]["method"].get("batch")
    if None not in (batch, points) and batch > points:
        key = likes.key(name, ("training", "method", "batch"))
        raise ConfigurationError(
            f"configuration: {key} is {batch}, but must be at most {points}, the number of {what} of "
            f"{experiment['data']}"
        )
