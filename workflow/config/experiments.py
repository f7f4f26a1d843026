"""Experiments of the configuration: defaults that depend on other choices, and choices that need others."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from nrc import kinds
from nrc.data import Size
from workflow.config.inheritance import Inheritance
from workflow.config.requirements import CHOICES, Unmet, unmet
from workflow.config.words import NOTHING, value_at, written
from workflow.config.yaml_files import ConfigurationError

__all__ = ["check_data", "check_experiment", "complete", "leave_out_measures"]

# The default is the first method whose requirements an experiment meets; the last one has none.
METHODS = ("varpro", "lbfgs")


def check_data(data: Mapping[str, Any]) -> dict[str, Size]:
    """Check data sets, and return the size of each.

    Raises
    ------
    ConfigurationError
    """
    sizes = {}
    for name, entry in data.items():
        module = kinds.module("data", entry["kind"])
        options = module.Options(**{key: value for key, value in entry.items() if key != "kind"})
        try:
            module.check(options)
            sizes[name] = module.size(options)
        except (ValueError, OSError) as error:
            raise ConfigurationError(f"data.{name}.{error}") from None
    return sizes


def complete(
    name: str, experiment: dict[str, Any], data: Mapping[str, Any], inheritance: Inheritance
) -> None:
    """Fill in the defaults that depend on the data or on other choices.

    Raises
    ------
    ConfigurationError
        If the data do not exist, or the experiment must have a sigma.
    """
    key = inheritance.key(name, ("data",))
    if experiment["data"] not in data:
        known = f"one of {', '.join(data)}" if data else "an entry of data, which has none"
        raise ConfigurationError(f"{key} is {written(experiment['data'])}, but must be {known}")
    entry, grid, training = data[experiment["data"]], experiment["grid"], experiment["training"]
    if grid["sigma"] is None:
        sigma = kinds.options("data", entry["kind"]).default_sigma
        if sigma is None:
            raise ConfigurationError(
                f"experiments.{name}.grid.sigma is missing; it must be given, because the data "
                f"{experiment['data']} are of kind {entry['kind']}"
            )
        grid["sigma"] = list(sigma)
    if experiment["loss"] is None:
        experiment["loss"] = "cross_entropy" if experiment["task"] == "classify" else "squared_error"
    if training["method"] is None:
        options = {method: kinds.options("optimize", method) for method in METHODS}
        method = next(
            method for method in METHODS if not any(unmet(options[method].requires, {}, experiment))
        )
        training["method"] = {"name": method, **options[method]().model_dump()}


def check_experiment(
    name: str, experiment: Mapping[str, Any], data: Mapping[str, Any], size: Size, inheritance: Inheritance
) -> None:
    """Refuse choices that exclude each other.

    Raises
    ------
    ConfigurationError
        With both keys, each where it was written.
    """
    if experiment["task"] == "regress" and size.outputs is None:
        raise ConfigurationError(
            f"{inheritance.key(name, ('task',))} is 'regress', which needs data with y, but the data "
            f"{experiment['data']} have none"
        )
    full = {**experiment, "data": data}
    method = experiment["training"]["method"]
    _check_network(name, experiment, data, size, inheritance)
    for part, by, entry, requires in (
        ("", "task", experiment, CHOICES),
        ("data.", "kind", data, kinds.options("data", data["kind"]).requires),
        ("training.method.", "name", method, kinds.options("optimize", method["name"]).requires),
    ):
        for fault in unmet(requires, entry, full):
            choice = fault.choice or by
            choice = choice if value_at(entry, choice) is NOTHING else part + choice
            raise ConfigurationError(
                f"{_key(name, choice, experiment, inheritance)} is {written(value_at(full, choice))}, which "
                f"needs {_needed(name, fault, experiment, inheritance)}"
            )
    _check_method(name, experiment, size, inheritance)


def leave_out_measures(
    name: str, experiment: dict[str, Any], data: Mapping[str, Any], inheritance: Inheritance
) -> None:
    """Leave out choices in what is measured that other data or networks have.

    Raises
    ------
    ConfigurationError
        If the experiment makes such a choice.
    """
    measures, full = experiment["measures"], {**experiment, "data": data}
    for module in kinds.names("measures"):
        options = kinds.options("measures", module)
        for fault in unmet(options.requires, measures, full):
            for measure in [fault.choice] if fault.choice else list(options.model_fields):
                if inheritance.asks_for(name, measure):
                    key = inheritance.key(name, ("measures", measure))
                    raise ConfigurationError(
                        f"{key} is {written(measures[measure])}, which needs "
                        f"{_needed(name, fault, experiment, inheritance)}; leave it out"
                    )
                measures.pop(measure, None)


def _key(name: str, key: str, experiment: Mapping[str, Any], inheritance: Inheritance) -> str:
    """The key of a setting of an experiment, or of its data, where it was written."""
    if key.startswith("data."):
        return key.replace("data", f"data.{experiment['data']}", 1)
    return inheritance.key(name, tuple(key.split(".")))


def _needed(name: str, fault: Unmet, experiment: Mapping[str, Any], inheritance: Inheritance) -> str:
    """What an experiment needs, and what it has."""
    key = _key(name, fault.key, experiment, inheritance)
    return f"{fault.key} to be {fault.needed}, but {key} is {written(fault.value)}"


def _check_network(
    name: str, experiment: Mapping[str, Any], data: Mapping[str, Any], size: Size, inheritance: Inheritance
) -> None:
    """Check the options of the network against the data, and every width and depth."""
    options: Any = _options("networks", experiment["network"])
    input_shape = _options("data", data).input_shape or (size.features,)
    grid = experiment["grid"]
    for width, depth in product(grid["width"], grid["depth"]):
        try:
            options.check(input_shape, width, depth)
        except ValueError as error:
            key, _, rest = str(error).partition(" ")
            path = ("grid" if key in grid else "network", key)
            raise ConfigurationError(f"{inheritance.key(name, path)} {rest}") from None


def _options(package: str, entry: Mapping[str, Any]) -> Any:
    """The options of an entry of a kind."""
    options = {key: value for key, value in entry.items() if key != "kind"}
    return kinds.options(package, entry["kind"])(**options)


def _check_method(name: str, experiment: Mapping[str, Any], size: Size, inheritance: Inheritance) -> None:
    """Check the options of the method against the budget and the number of points."""
    training = experiment["training"]
    points = size.clusters if training["loss_on"] == "centroids" else size.points
    options = {key: value for key, value in training["method"].items() if key != "name"}
    try:
        method: Any = kinds.options("optimize", training["method"]["name"])(**options)
        method.check(training["epochs"], points)
    except ValueError as error:
        option, _, rest = str(error).partition(" ")
        key = inheritance.key(name, ("training", "method", option))
        raise ConfigurationError(f"{key} {rest}") from None
