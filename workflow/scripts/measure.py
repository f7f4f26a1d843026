"""Measure the rank of every layer and the within-class variability of every space of a stack."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

from workflow.lib.program import Settings, run

import numpy as np
import torch
import xarray as xr

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
from nrc.measures.modules import measure_modules, outputs_of
from nrc.measures.network import accuracy, measure, without
from nrc.metadata import provenance
from nrc.networks.mlp import Architecture, Network
from nrc.objectives.penalties import PENALTIES
from nrc.status import Status
from nrc.training.trained_file import (
    diverged_cells,
    parameter_names,
    require_parameters,
    trained_parameters,
    training_info,
)

# Settings in `measures` that are not arguments of `measure`.
OTHER = ("delta", "curvature")

# From points (cells or 1, points, features) to outputs of all cells.
Outputs = Callable[[torch.Tensor], torch.Tensor]


def main(
    settings: Annotated[Settings, "experiment, task, network, loss, loss_on, penalty and measures"],
    data: Annotated[list[str], "NetCDF files of data to read, one per seed"],
    trained: Annotated[str, "NetCDF file to read: the trained stack"],
    output: Annotated[str, "NetCDF file to write: measures"],
) -> None:
    make_deterministic()
    stored = netcdf.load(trained)
    stack, points = Stack.of(stored), load_points(Stack.of(stored), data)
    try:
        measured = measure_stack(stack, points, settings, stored)
    except ValueError as error:
        raise ValueError(f"{trained} on {', '.join(data)}: {error}") from error
    result = xr.merge(
        [training_info(stored), unflatten(stack, measured)],
        join="outer",
        compat="equals",
        combine_attrs="override",
    )
    versions = {name: stored.attrs[name] for name in ("torch", "device", "precision")}
    first = points[stack.seeds[0]]
    sizes = {"clusters": first.clusters, "points": len(first.base), "dimension": first.base.shape[1]}
    netcdf.save(result.assign_attrs(provenance(settings, **versions) | sizes), output)


def measure_stack(
    stack: Stack, points: Mapping[int, Points], settings: Mapping[str, Any], trained: xr.Dataset
) -> xr.Dataset:
    """All measures of the networks and of their data, with the dimension `cell`."""
    task, on_data, penalty = settings["task"], settings["loss_on"] == "data", PENALTIES[settings["penalty"]]
    shared = sample(stack, points, task, centroids=not on_data)
    inputs = shared.of_cells(len(stack))
    cells, first = list(stack.cells()), points[stack.seeds[0]]
    architecture = architecture_of(stack, first.input_shape, shared.y.shape[2], settings["network"])
    require_parameters(trained, architecture)
    theta, weight_decay = trained_parameters(trained), np.array([cell["weight_decay"] for cell in cells])
    diverged = diverged_cells(trained)
    collapsed = diverged | (trained["status"].values.ravel() == Status.COLLAPSED_TO_ZERO)
    choices = {name: value for name, value in settings["measures"].items() if name not in OTHER} | {
        "clusters": first.clusters,
        "collapsed": collapsed,
        "seeds": [cell["seed"] for cell in cells],
    }
    of_networks, of_data = list[xr.Dataset](), list[xr.Dataset]()
    if settings["measures"].get("curvature"):
        alive = torch.where(torch.from_numpy(collapsed)[:, None], 0, theta)
        loss = regularised_loss(stack, architecture, shared, torch.float64, loss=settings["loss"])
        of_networks.append(curvature(loss, alive))
    if not isinstance(architecture, Architecture):
        about = {"loss": settings["loss"], "weight_decay": weight_decay}
        of_networks.append(measure_modules(architecture, theta, inputs, **about, **choices))
        outputs: Outputs = partial(outputs_of, architecture, theta)
    else:
        network = architecture.network(theta, settings["loss"])
        outputs = partial(_outputs, network)
        of_layers = np.repeat(weight_decay[:, None], len(network.weights), axis=1)
        of_networks.append(
            measure(
                MeasuredStack(network, torch.from_numpy(inputs.x), torch.from_numpy(inputs.y)),
                labels=inputs.labels,
                weight_decay=of_layers if penalty.ridge else None,
                **choices,
            )
        )
        if task == "autoencode" and not architecture.bias:
            if on_data:
                of_data.append(linear.transition(inputs.x, len(network.weights), first.clusters))
            if architecture.linear and penalty.penalised_factors(len(network.weights)):
                weights = [w.numpy() for w in network.weights]
                of_networks.append(linear.forecasts(weights, inputs.x, weight_decay, penalty))
                if on_data:
                    sizes = architecture.sizes
                    of_data.append(
                        linear.centroid_shift(inputs.x, inputs.labels, weight_decay, sizes, penalty)
                    )
    if on_data and task != "regress" and first.covariances is not None:
        of_data.append(mixture_bounds(stack, points, task, settings["measures"]["delta"]))
    if task == "classify":
        precision = trained[parameter_names(trained)[0]].dtype
        of_networks += accuracies(outputs, inputs, test_sample(stack, points), precision)
    parts = [without(part, diverged) for part in of_networks]
    # the product of layers that are narrower than the inputs has more singular values than a layer
    return xr.merge([*parts, *of_data], join="outer", compat="equals")


def _outputs(network: Network, x: torch.Tensor) -> torch.Tensor:
    outputs: torch.Tensor = network.to(x.dtype).features(x)[-1]
    return outputs


def accuracies(
    outputs: Outputs, train: Sample, test: Sample | None, dtype: np.dtype[Any]
) -> list[xr.Dataset]:
    """The share of correctly classified points, in the precision of training."""
    precision = torch.from_numpy(np.zeros(0, dtype)).dtype
    return [
        accuracy(outputs(torch.from_numpy(points.x).to(precision)), points.labels, name)
        for name, points in (("train", train), ("test", test))
        if points is not None
    ]


if __name__ == "__main__":
    run(main)
