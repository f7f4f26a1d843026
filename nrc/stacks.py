"""From a stack of cells to tensors, and from tensors to datasets with the stack's dimensions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc import store
from nrc.data.mixture import Mixture
from nrc.grid import Stack
from nrc.network import Architecture, RegularisedLoss

__all__ = [
    "autoencoder",
    "initial_parameters",
    "load_mixtures",
    "mixture_points",
    "regularised_loss",
    "trained_weights",
    "unflatten",
]


def load_mixtures(stack: Stack, paths: Sequence[str]) -> list[Mixture]:
    """The mixture of every cell, from a file for each seed."""
    of_seed = {
        seed: Mixture.from_dataset(store.load(path)) for seed, path in zip(stack.seeds, paths, strict=True)
    }
    return [of_seed[cell["seed"]] for cell in stack.cells()]


def mixture_points(stack: Stack, mixtures: Sequence[Mixture]) -> NDArray[np.float64]:
    """Points of every cell, (cells, points, features), from its mixture."""
    return np.stack(
        [mixture.points(cell["sigma"]) for mixture, cell in zip(mixtures, stack.cells(), strict=True)]
    )


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
    """W_1, ..., W_L of all cells of a trained dataset, each (cells, n_l, n_{l-1}).

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    layers = [dataset[f"W{l}"].values for l in range(1, int(dataset["depth"]) + 1)]
    for l, w in enumerate(layers, start=1):
        if not np.isfinite(w).all():
            raise ValueError(f"W{l} holds a weight that is not finite; train the stack again")
    return [w.reshape(-1, *w.shape[-2:]) for w in layers]


def unflatten(stack: Stack, dataset: xr.Dataset) -> xr.Dataset:
    """Replace the dimension `cell`, in the order of the stack's cells, by the stack's dimensions."""
    if not stack.dims:
        return dataset.isel(cell=0).assign_coords(stack.coords)
    cells = pd.MultiIndex.from_product([stack.axes[axis] for axis in stack.dims], names=stack.dims)
    labelled = dataset.assign_coords(xr.Coordinates.from_pandas_multiindex(cells, "cell"))
    return labelled.unstack("cell").assign_coords(stack.coords).transpose(*stack.dims, ...)
