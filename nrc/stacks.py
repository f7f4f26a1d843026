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
from nrc.grid import Ended, Stack
from nrc.network import Architecture, RegularisedLoss

__all__ = [
    "autoencoder",
    "diverged_cells",
    "equivalent_points",
    "initial_parameters",
    "load_mixtures",
    "mixture_points",
    "regularised_loss",
    "trained_weights",
    "training_points",
    "unflatten",
]


def load_mixtures(stack: Stack, paths: Sequence[str]) -> list[Mixture]:
    """The mixture of every cell, from a file for each seed."""
    of_seed = {
        seed: Mixture.from_dataset(store.load(path)) for seed, path in zip(stack.seeds, paths, strict=True)
    }
    return [of_seed[cell["seed"]] for cell in stack.cells()]


def mixture_points(
    stack: Stack, mixtures: Sequence[Mixture], *, centroids: bool = False
) -> NDArray[np.float64]:
    """Points of every cell, (cells, points, features), each moved to its blob's centroid if asked."""
    return np.stack(
        [
            mixture.centroids(cell["sigma"])[mixture.labels] if centroids else mixture.points(cell["sigma"])
            for mixture, cell in zip(mixtures, stack.cells(), strict=True)
        ]
    )


def training_points(
    stack: Stack, mixtures: Sequence[Mixture], *, centroids: bool, linear: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points that give the loss of every cell, and their weights in it.

    Parameters
    ----------
    stack : Stack
    mixtures : sequence of Mixture
        The mixture of each cell.
    centroids : bool
        Whether to train on the centroids of the blobs, N_i / N each, instead of on all points, 1/N
        each (eq. 8 with k = 0).
    linear : bool
        Whether the network is linear: then as few points as features, of the same second moments.

    Returns
    -------
    x : array
        (cells, points, features)
    shares : array
        (cells, points)
    """
    points = []
    for mixture, cell in zip(mixtures, stack.cells(), strict=True):
        x = mixture.centroids(cell["sigma"]) if centroids else mixture.points(cell["sigma"])
        shares = mixture.sizes / len(mixture.labels) if centroids else np.full(len(x), 1 / len(x))
        points.append(equivalent_points(x, shares) if linear else (x, shares))
    x, shares = zip(*points, strict=True)
    return np.stack(x), np.stack(shares)


def equivalent_points(
    x: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As few points as features, with the second moments of the points x.

    The squared error of a linear network depends on its points through sum_i p_i x_i x_i' alone
    (autoencoding), so these points give the same loss at a cost that does not grow with N. They
    are the rows of R in a QR decomposition of the weighted points, each of weight 1: unlike the
    moments they keep the accuracy of the points.

    Parameters
    ----------
    x : (points, features) array
    shares : (points,) array
        p_i.

    Returns
    -------
    x : (features, features) array
    shares : (features,) array
    """
    features = x.shape[1]
    root = np.zeros((features, features))
    r = np.linalg.qr(np.sqrt(shares)[:, None] * x, mode="r")
    root[: len(r)] = r
    return root, np.ones(features)


def autoencoder(stack: Stack, dimension: int, activation: str) -> Architecture:
    """The stack's architecture, from `dimension` features to as many, hidden layers of one width."""
    hidden = [stack.axes["width"]] * (stack.axes["depth"] - 1)
    return Architecture((dimension, *hidden, dimension), activation)


def regularised_loss(
    stack: Stack,
    architecture: Architecture,
    x: NDArray,
    shares: NDArray,
    dtype: torch.dtype,
    penalty: str = "factors",
) -> RegularisedLoss:
    """loss_lambda of every cell's autoencoder, for points (cells, points, n_0) and their weights."""
    weight_decay = [cell["weight_decay"] for cell in stack.cells()]
    x, weight_decay, shares = (torch.tensor(a, dtype=dtype) for a in (x, weight_decay, shares))
    return RegularisedLoss(architecture, x, x, weight_decay, shares, penalty)


def initial_parameters(stack: Stack, architecture: Architecture, gain: float = 1.0) -> Tensor:
    """Initial parameters of every cell, (cells, parameters), from its seed, times the gain."""
    return gain * torch.stack([architecture.initial(cell["seed"]) for cell in stack.cells()])


def trained_weights(dataset: xr.Dataset) -> list[NDArray]:
    """W_1, ..., W_L of all cells of a trained dataset, each (cells, n_l, n_{l-1}).

    Those of a cell that diverged, which may be too large to compute with, are 0.

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    layers = [dataset[f"W{l}"].values for l in range(1, int(dataset["depth"]) + 1)]
    for l, w in enumerate(layers, start=1):
        if not np.isfinite(w).all():
            raise ValueError(f"W{l} holds a weight that is not finite; train the stack again")
    lost = diverged_cells(dataset)[:, None, None]
    return [np.where(lost, 0, w.reshape(-1, *w.shape[-2:])) for w in layers]


def diverged_cells(dataset: xr.Dataset) -> NDArray[np.bool_]:
    """Mask (cells,) of the cells of a trained dataset that diverged."""
    return dataset["ended"].values.ravel() == Ended.DIVERGED


def unflatten(stack: Stack, dataset: xr.Dataset) -> xr.Dataset:
    """Replace the dimension `cell`, in the order of the stack's cells, by the stack's dimensions."""
    if not stack.dims:
        return dataset.isel(cell=0).assign_coords(stack.coords)
    cells = pd.MultiIndex.from_product([stack.axes[axis] for axis in stack.dims], names=stack.dims)
    labelled = dataset.assign_coords(xr.Coordinates.from_pandas_multiindex(cells, "cell"))
    return labelled.unstack("cell").assign_coords(stack.coords).transpose(*stack.dims, ...)
