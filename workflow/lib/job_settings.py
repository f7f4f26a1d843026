"""The settings on which each job depends, and the memory that it needs."""

from collections.abc import Mapping
from shlex import quote
from typing import Any

from nrc import kinds
from nrc.data import Size
from nrc.grid import Stack
from workflow.config.compatibility import names_of
from workflow.lib.code_digest import code_digest
from workflow.lib.paths import experiment_of, network_file

__all__ = [
    "audit_slice",
    "claims_slice",
    "data_slice",
    "explorer_slice",
    "fetch_slice",
    "figure_slice",
    "measure_slice",
    "memory",
    "summary_slice",
    "training_of_any",
    "training_slice",
    "whole_slice",
]

Settings = Mapping[str, Any]


def fetch_slice(name: str, settings: Settings) -> dict[str, Any]:
    """The kind of a data set, and its options that say where its bytes are."""
    entry = settings["data"][name]
    return {key: entry[key] for key in ("kind", *kinds.options("data", entry["kind"]).places)}


def data_slice(name: str, seed: int, settings: Settings) -> dict[str, Any]:
    """A data set and its seed."""
    return {"experiment": name, "data": _options(name, settings), "seed": seed}


def training_slice(name: str, stack: Stack, settings: Settings) -> dict[str, Any]:
    """Settings of the training of a stack, besides its data."""
    return {**training_of_any(name, settings), "stack": stack.axes}


def training_of_any(name: str, settings: Settings) -> dict[str, Any]:
    """Settings of the training of all stacks of an experiment, besides data and cells."""
    return {**_part(name, ("task", "network", "loss", "training"), settings), "device": settings["device"]}


def measure_slice(name: str, settings: Settings) -> dict[str, Any]:
    """Settings of the measures of an experiment, besides its networks."""
    experiment = experiment_of(name, settings)
    return {
        **_part(name, ("task", "network", "loss", "measures"), settings),
        "data": _options(experiment["data"], settings),
        "loss_on": experiment["training"]["loss_on"],
        "penalty": experiment["training"]["penalty"],
    }


def whole_slice(name: str, settings: Settings) -> dict[str, Any]:
    """All settings of an experiment."""
    experiment = experiment_of(name, settings)
    options = _options(experiment["data"], settings)
    return {"experiment": name, **experiment, "data": options, "device": settings["device"]}


def figure_slice(name: str, settings: Settings) -> dict[str, Any]:
    """A figure, and the experiments in it."""
    figure, known = settings["figures"][name], settings["experiments"]
    names = names_of(figure["of"])
    experiments = {e: {**known[e], "data_options": _options(known[e]["data"], settings)} for e in names}
    return {"figure": figure, "experiments": experiments}


def audit_slice(settings: Settings) -> dict[str, Any]:
    """The probability delta of each experiment; None if its statements do not use it."""
    return {"delta": {name: e["measures"].get("delta") for name, e in settings["experiments"].items()}}


def claims_slice(settings: Settings) -> dict[str, Any]:
    """All claims."""
    return {"experiment": "claims", "claims": settings["claims"]}


def summary_slice(settings: Settings) -> dict[str, Any]:
    """All settings that change results."""
    return {key: settings[key] for key in ("device", "data", "experiments", "figures", "claims")}


def explorer_slice(settings: Settings) -> dict[str, Any]:
    """For each experiment the commands that train and measure the network at the place CELLS of the grid."""
    stages = {"train it": "train", "train and measure it": "measure"}

    def command(name: str, stage: str) -> str:
        return f"snakemake {quote(network_file(stage, name, 'CELLS'))}"

    return {
        "commands": {
            name: {does: command(name, stage) for does, stage in stages.items()}
            for name in settings["experiments"]
        }
    }


def memory(experiment: Settings, stack: Stack, size: Size) -> int:
    """Megabytes of a job with a stack: torch, data, features, and the memory of the method.

    Parameters
    ----------
    experiment : mapping
        Settings of the experiment.
    stack : Stack
    size : nrc.data.Size
        Size of its data.
    """
    width, depth = stack.width, stack.depth
    widest, kind = max(width, size.features, size.outputs or 0), experiment["network"]["kind"]
    space: int = max(widest, kinds.options("networks", kind).largest_space(size.features, width))
    # torch modules are evaluated one after the other
    together = len(stack) if kind == "mlp" else 1
    features = together * size.points * space * (depth + 4)
    history: int = experiment["training"]["method"].get("history", 10)
    parameters = len(stack) * depth * width * widest * (2 * history + 10)
    return 1500 + (features + parameters) * 8 // 10**6


def _part(name: str, keys: tuple[str, ...], settings: Settings) -> dict[str, Any]:
    experiment = experiment_of(name, settings)
    part = {"experiment": name, **{key: experiment[key] for key in keys}}
    if "file" in experiment["network"]:  # of the user
        part["network_code"] = code_digest(experiment["network"]["file"])
    return part


def _options(name: str, settings: Settings) -> dict[str, Any]:
    """The options of a data set that change its points."""
    entry = settings["data"][name]
    places = kinds.options("data", entry["kind"]).places
    return {key: value for key, value in entry.items() if key not in places}
