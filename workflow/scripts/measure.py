"""Measure the rank of every layer and the within-class variability of every hidden space of a stack."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc import netcdf
from nrc.batching import (
    Sample,
    architecture_of,
    load_points,
    regularised_loss,
    sample,
    test_sample,
    unflatten,
)
from nrc.data.points import Points
from nrc.determinism import make_deterministic
from nrc.grid import Stack
from nrc.measured_network import MeasuredStack
from nrc.measures import linear
from nrc.measures.curvature import curvature
from nrc.measures.mixture import mixture_bounds
from nrc.measures.network import accuracy, measure, without
from nrc.metadata import provenance
from nrc.networks.mlp import Network
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.status import Status
from nrc.training.trained_file import course_of, diverged_cells, trained_network
from workflow.lib.program import Settings, run

# Settings of measures that are no choices of `measure`.
OTHER = ("delta", "curvature")


def main(
    settings: Annotated[Settings, "experiment, task, network, loss, loss_on, penalty and measures"],
    data: Annotated[list[str], "NetCDF files of data to read, one for each seed"],
    trained: Annotated[str, "NetCDF file to read: the trained stack"],
    output: Annotated[str, "NetCDF file to write: measures"],
) -> None:
    make_deterministic()
    stored = netcdf.load(trained)
    stack, lost = Stack.of(stored), diverged_cells(stored)
    points = load_points(stack, data)
    seen = sample(stack, points, settings["task"], centroids=settings["loss_on"] == "centroids")
    try:
        network = trained_network(stored, settings["network"]["activation"], settings["loss"])
        of_networks, of_data = measures_of(network, seen, stack, points, settings, stored)
    except ValueError as error:
        raise ValueError(f"{trained} on {', '.join(data)}: {error}") from error
    networks = [without(part, lost) for part in of_networks]
    measured = xr.merge([*networks, *of_data], join="exact", compat="equals")
    result = xr.merge(
        [course_of(stored), unflatten(stack, measured)],
        join="outer",
        compat="equals",
        combine_attrs="override",
    )
    versions = {name: stored.attrs[name] for name in ("torch", "device", "precision")}
    first = points[stack.seeds[0]]
    sizes = {"clusters": first.clusters, "points": len(first.base), "dimension": first.base.shape[1]}
    netcdf.save(result.assign_attrs(provenance(settings, **versions) | sizes), output)


def measures_of(
    network: Network,
    seen: Sample,
    stack: Stack,
    points: Mapping[int, Points],
    settings: Mapping,
    trained: xr.Dataset,
) -> tuple[list[xr.Dataset], list[xr.Dataset]]:
    """What is measured on the networks, and on the data alone."""
    task, penalty, on_data = settings["task"], settings["penalty"], settings["loss_on"] == "data"
    cells, clusters = list(stack.cells()), points[stack.seeds[0]].clusters
    weight_decay = np.array([cell["weight_decay"] for cell in cells])
    of_layers = np.repeat(weight_decay[:, None], len(network.weights), axis=1)
    choices = {name: value for name, value in settings["measures"].items() if name not in OTHER}
    collapsed = diverged_cells(trained) | (trained["status"].values.ravel() == Status.COLLAPSED_TO_ZERO)
    of_networks, of_data = [], []
    if settings["measures"].get("curvature"):
        of_networks.append(curvature(*end_points(network, seen, stack, settings, collapsed)))
    seen = seen.of_cells(len(stack))
    of_networks.append(
        measure(
            MeasuredStack(network, torch.from_numpy(seen.x), torch.from_numpy(seen.y)),
            labels=seen.labels,
            clusters=clusters,
            weight_decay=of_layers if penalty == "factors" else None,
            collapsed=collapsed,
            seeds=[cell["seed"] for cell in cells],
            **choices,
        )
    )
    if on_data and task != "regress" and points[stack.seeds[0]].covariances is not None:
        of_data.append(mixture_bounds(stack, points, task, settings["measures"]["delta"]))
    if task == "classify":
        of_networks += accuracies(network, seen, test_sample(stack, points), trained["W1"].dtype)
    if task == "autoencode" and not settings["network"]["bias"]:
        weights = [w.numpy() for w in network.weights]
        sizes = (seen.x.shape[2], *(w.shape[1] for w in weights))
        if on_data:
            of_data.append(linear.transition(seen.x, len(weights), clusters))
        if settings["network"]["activation"] == "linear":
            of_networks.append(linear.forecasts(weights, seen.x, weight_decay, penalty))
            if on_data:
                of_data.append(linear.centroid_shift(seen.x, seen.labels, weight_decay, sizes, penalty))
    return of_networks, of_data


def end_points(
    network: Network, seen: Sample, stack: Stack, settings: Mapping, collapsed: NDArray[np.bool_]
) -> tuple[RegularisedLoss, Tensor]:
    """The loss of the networks, and their parameters (cells, parameters), where they died the origin."""
    inputs, outputs = seen.x.shape[2], seen.y.shape[2]
    activation, bias = settings["network"]["activation"], settings["network"]["bias"]
    architecture = architecture_of(stack, inputs, outputs, activation, bias)
    loss = regularised_loss(stack, architecture, seen, torch.float64, loss=settings["loss"])
    theta = architecture.join(network.weights, network.biases or [])
    theta[torch.from_numpy(collapsed)] = 0
    return loss, theta


def accuracies(network: Network, seen: Sample, unseen: Sample | None, dtype: np.dtype) -> list[xr.Dataset]:
    """Shares of points classified right, in the precision of training."""
    precision = torch.from_numpy(np.zeros(0, dtype)).dtype
    trained = network.to(precision)
    return [
        accuracy(trained, torch.from_numpy(points.x).to(precision), points.labels, name)
        for name, points in (("train", seen), ("test", unseen))
        if points is not None
    ]


if __name__ == "__main__":
    run(main)
