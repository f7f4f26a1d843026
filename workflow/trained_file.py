"""The file of trained networks: the numbers of some cells, and what they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nrc import store
from nrc.grid import Ended, Stack, Status
from nrc.network import RegularisedLoss
from nrc.optimize.minimise import Minimum
from nrc.optimize.point import State

__all__ = ["About", "Arrays", "about_networks", "as_arrays", "joined", "network_arrays", "trained_dataset"]

# Numbers of some cells, each array (cells, ...), by the names that they have in the file.
Arrays = dict[str, NDArray]
# Dimensions behind the stack's, and attributes, by the same names.
About = Mapping[str, tuple[tuple[str, ...], dict[str, Any]]]


def network_arrays(loss: RegularisedLoss, end: Minimum) -> Arrays:
    """Trained weights W1..WL and how they were reached."""
    point, lost = end.point, end.ended == Ended.DIVERGED
    penalty, _ = loss.penalty_gradient(point.theta)
    weights = {f"W{l}": w for l, w in enumerate(loss.architecture.split(point.theta), start=1)}
    numbers = {
        "loss": point.value - penalty,
        "gradient_norm": point.gradient.norm(dim=1),
        "relative_residual": end.residual,
    }
    counts = {"iterations": end.iterations, "evaluations": end.evaluations, "ended": end.ended.char()}
    status = np.array([Ended(code).status for code in end.ended.tolist()], dtype=np.int8)
    return {
        **as_arrays(weights | counts),
        **{name: np.where(lost.cpu(), np.nan, values) for name, values in as_arrays(numbers).items()},
        "status": status,
    }


def about_networks(depth: int) -> About:
    """Dimensions and attributes of `network_arrays`."""
    weights = {
        f"W{l}": ((f"n{l}", f"n{l - 1}"), {"long_name": f"weight matrix of layer {l}"})
        for l in range(1, depth + 1)
    }
    course = {
        "loss": {"long_name": "loss without the penalty", "comment": "missing where the cell diverged"},
        "gradient_norm": {
            "long_name": "norm ||r|| of the residual of all layers",
            "reference": "eq. 4",
            "comment": "missing where the cell diverged",
        },
        "relative_residual": {
            "long_name": "relative residual ||r|| / ||gradient of the penalty||",
            "reference": "eq. 4",
            "comment": "missing where weight decay is 0, and where the cell diverged",
        },
        "iterations": {"long_name": "iterations of the method"},
        "evaluations": {"long_name": "evaluations of the loss with its gradient"},
        "status": {"long_name": "status of the cell", **store.flag_attributes(Status)},
        "ended": {"long_name": "reason why training ended", **store.flag_attributes(Ended)},
    }
    return weights | {name: ((), attributes) for name, attributes in course.items()}


def trained_dataset(
    stack: Stack, arrays: Arrays, about: About, coordinates: Mapping[str, tuple]
) -> xr.Dataset:
    """The arrays of all cells of a stack, with its dimensions and coordinates, and others."""
    return xr.Dataset(
        {
            name: (
                stack.dims + dims,
                arrays[name].reshape(stack.shape + arrays[name].shape[1:]),
                {"units": "1", **attributes},
            )
            for name, (dims, attributes) in about.items()
        },
        {**stack.coords, **coordinates},
    )


def as_arrays(tensors: State) -> Arrays:
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def joined(pieces: Sequence[tuple[NDArray[np.int64], Arrays]]) -> Arrays:
    """The arrays of all cells in order, from those of some."""
    order = np.argsort(np.concatenate([cells for cells, _ in pieces]))
    return {name: np.concatenate([arrays[name] for _, arrays in pieces])[order] for name in pieces[0][1]}
