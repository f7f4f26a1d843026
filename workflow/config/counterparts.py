"""Centroid counterparts: for an experiment on data the same experiment, but trained on centroids."""

from collections.abc import Mapping
from typing import Any

from workflow.config.words import value_at
from workflow.config.yaml_files import ConfigurationError

__all__ = ["centroid_counterpart", "centroid_counterparts", "counterpart_fault"]

# What a centroid counterpart shares with the experiment on data.
SHARED = ("data", "task", "network", "loss", "grid", "training.penalty", "training.precision")


def centroid_counterpart(name: str, experiments: Mapping[str, Any]) -> str:
    """The experiment that differs from another one by training.loss_on: centroids.

    Method, tolerance and epochs may differ, and so may all that changes no minimum.

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
    if fault := counterpart_fault(name, experiments):
        raise ConfigurationError(f"experiments.{name} cannot be compared with centroids: {fault}")
    return centroid_counterparts(name, experiments)[0]


def centroid_counterparts(name: str, experiments: Mapping[str, Any]) -> list[str]:
    """All centroid counterparts of an experiment; an experiment on centroids has none."""
    if experiments[name]["training"]["loss_on"] == "centroids":
        return []
    return [other for other in _on_centroids(name, experiments) if not _differences(name, other, experiments)]


def counterpart_fault(name: str, experiments: Mapping[str, Any]) -> str | None:
    """Why an experiment does not have a single centroid counterpart; None if it has."""
    if experiments[name]["training"]["loss_on"] == "centroids":
        return "it is on centroids itself, and only experiments on data are compared with centroids"
    found = centroid_counterparts(name, experiments)
    if len(found) == 1:
        return None
    if found:
        return f"{' and '.join(found)} both differ from it by training.loss_on: centroids alone; keep one"
    fault = (
        "it needs an experiment that differs from it by training.loss_on: centroids alone, and there is none"
    )
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
    return [key for key in SHARED if value_at(one, key) != value_at(two, key)]
