"""Rank, variability and stationarity of the networks of a stack (dimensions cell, layer, index, source)."""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.labels import describe
from nrc.measures.certified import certified_tails
from nrc.measures.ranks import rank_measures
from nrc.measures.stationarity import stationarity_bounds
from nrc.measures.variability import best_partitions, variability
from nrc.network import Network

__all__ = ["accuracy", "measure", "without"]


def measure(
    network: Network,
    x: Tensor,
    y: Tensor,
    *,
    labels: NDArray[np.integer],
    clusters: int,
    weight_decay: NDArray[np.float64] | None,
    dead: NDArray[np.bool_],
    seeds: Sequence[int],
    kmeans_restarts: int = 10,
    tcv_lower: str = "spectral",
    numerical_rank_tolerance: float = 1e-3,
    certified_ranks: int = 0,
) -> xr.Dataset:
    """Rank of every layer, within-class variability of every space, and how far from stationary.

    Parameters
    ----------
    network : Network
        In float64.
    x, y : Tensor
        Inputs (cells, points, n_0) and targets (cells, points, n_L).
    labels : (cells, points) integer array
        Known class or blob of each point, from 0.
    clusters : int
        K.
    weight_decay : (cells,) array or None
        lambda, penalty on the factors; None leaves out residuals and the bounds that they give.
    dead : (cells,) mask
        Cells whose weights are 0: relative measures are missing.
    seeds : sequence of int
        Seed of k-means for each cell.
    kmeans_restarts : int
        k-means++ runs behind the upper end of the TCV bracket.
    tcv_lower : {"spectral", "semidefinite"}
        Lower end of the bracket.
    numerical_rank_tolerance : float
        The numerical rank counts singular values above this share of the largest.
    certified_ranks : int
        Tails are certified beyond 1, ..., this rank, by as many partitions of every space.

    Raises
    ------
    ValueError
        If the arrays do not fit each other, a value is not finite, or a cluster is empty.
    """
    network.check(x, y)
    features = network.features(x)[:-1]
    spaces = [torch.cat([z, y], dim=2).numpy() for z in features]
    best = best_partitions(spaces, labels, clusters, kmeans_restarts, seeds)
    parts = [
        rank_measures(network.weights, dead, clusters, numerical_rank_tolerance),
        variability(spaces, [z.numpy() for z in features], labels, best, clusters, tcv_lower),
    ]
    if weight_decay is not None:
        parts.append(
            stationarity_bounds(
                network, x, y, weight_decay, labels=labels, best=best, clusters=clusters, seeds=seeds
            )
        )
    if weight_decay is not None and certified_ranks:
        of_kmeans = {"restarts": kmeans_restarts, "seeds": seeds}
        tails = certified_tails(
            network, features, y, spaces, weight_decay, ranks=certified_ranks, **of_kmeans
        )
        parts.append(tails)
    return xr.merge(parts, join="exact", compat="equals")


def accuracy(network: Network, x: Tensor, labels: NDArray[np.integer], name: str) -> xr.Dataset:
    """Share of points (cells, points, n_0) whose largest output is their label, as `{name}_accuracy`."""
    right = network.features(x)[-1].argmax(-1) == torch.from_numpy(labels)
    dataset = xr.Dataset({f"{name}_accuracy": ("cell", right.double().mean(1).numpy())})
    about = {"long_name": f"share of the {name} points classified right"}
    return describe(dataset, **{f"{name}_accuracy": about})


def without(measured: xr.Dataset, cells: NDArray[np.bool_]) -> xr.Dataset:
    """The measures with those of some cells missing: networks that diverged have no end to measure.

    The space of the inputs, which no network made, keeps its numbers.
    """
    if not cells.any():
        return measured
    kept = xr.DataArray(~cells, dims="cell")
    result = measured.copy()
    for name, values in measured.data_vars.items():
        if "cell" in values.dims:
            of_inputs = "source" in values.dims and "layer" not in values.dims
            result[name] = values.where(kept | (values["source"] == 0) if of_inputs else kept)
            result[name].attrs = values.attrs
    return result
