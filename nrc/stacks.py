"""From a stack of cells to tensors, and from tensors to datasets with the stack's dimensions."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.data.mixture import Mixture
from nrc.grid import Stack
from nrc.network import Architecture, RegularisedLoss

__all__ = [
    "autoencoder",
    "initial_parameters",
    "mixture_points",
    "regularised_loss",
    "trained_weights",
    "unflatten",
]


def mixture_points(stack: Stack, mixtures: Mapping[int, Mixture]) -> NDArray[np.float64]:
    """Points of every cell, (cells, points, features), from the mixture of its seed."""
    return np.stack([mixtures[cell["seed"]].points(cell["sigma"]) for cell in stack.cells()])


def autoencoder(stack: Stack, dimension: int, activation: str) -> Architecture:
    """The stack's architecture, from `dimension` features to as many, hidden layers of one width."""
    hidden = [stack.axes["width"]] * (stack.axes["depth"] - 1)
    return Architecture((dimension, *hidden, dimension), activation)


def regularised_loss(
    stack: Stack, architecture: Architecture, x: NDArray, y: NDArray, dtype: torch.dtype, device: torch.device
) -> RegularisedLoss:
    """loss_lambda of every cell, for inputs (cells, points, n_0) and targets (cells, points, n_L)."""
    weight_decay = [cell["weight_decay"] for cell in stack.cells()]
    return RegularisedLoss(
        architecture, *(torch.tensor(a, dtype=dtype, device=device) for a in (x, y, weight_decay))
    )


def initial_parameters(stack: Stack, architecture: Architecture) -> Tensor:
    """Initial parameters of every cell, (cells, parameters), from its seed."""
    return torch.stack([architecture.initial(cell["seed"]) for cell in stack.cells()])


def trained_weights(dataset: xr.Dataset) -> list[NDArray]:
    """W_1, ..., W_L of all cells of a trained dataset, each (cells, n_l, n_{l-1})."""
    layers = [dataset[f"W{l}"].values for l in range(1, int(dataset["depth"]) + 1)]
    return [w.reshape(-1, *w.shape[-2:]) for w in layers]


def unflatten(stack: Stack, dataset: xr.Dataset) -> xr.Dataset:
    """Replace the dimension `cell`, in the order of the stack's cells, by the stack's dimensions."""
    if not stack.dims:
        return dataset.isel(cell=0).assign_coords(stack.coords)
    cells = pd.MultiIndex.from_product([stack.axes[axis] for axis in stack.dims], names=stack.dims)
    labelled = dataset.assign_coords(xr.Coordinates.from_pandas_multiindex(cells, "cell"))
    return labelled.unstack("cell").assign_coords(stack.coords).transpose(*stack.dims, ...)
