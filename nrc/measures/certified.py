"""Certified spectra: Theorem 3.4, sharpened, for every number of clusters."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.labels import describe
from nrc.measures.centroids import gradients_at_centroids, outside_gradients
from nrc.measures.coordinates import layers_of
from nrc.measures.variability import best_partitions
from nrc.network import Network

__all__ = ["certified_tails"]

Array = NDArray[np.float64]


def certified_tails(
    network: Network,
    z: Sequence[Tensor],
    y: Tensor,
    spaces: Sequence[Array],
    weight_decay: Array,
    *,
    ranks: int,
    restarts: int,
    seeds: Sequence[int],
) -> xr.Dataset:
    """What clusters certify of each layer's tail beyond r = 1, 2, ....

    The number of clusters in Theorem 3.4 is free: the best partition found into r sets bounds the tail
    beyond r, and every tail beyond more.

    Parameters
    ----------
    network : Network
    z : sequence of Tensor
        Features z^0, ..., z^{L-1}, (cells, points, n_k) each.
    y : Tensor
        Targets (cells, points, n_L).
    spaces : sequence of (cells, points, n_k + n_L) arrays
        Features z^k and targets side by side.
    weight_decay : (cells,) array
        The theorem is void where it is 0.
    ranks : int
        The largest r; less where no layer has so many singular values.
    restarts, seeds
        Of k-means, as in `best_partitions`.

    Returns
    -------
    Dataset
        `certified_tail` (cell, layer, index), the least over sources, relative to ||W_l||.
    """
    depth, longest = len(network.weights), max(min(w.shape[1:]) for w in network.weights)
    outside = np.full((len(y), depth, longest), np.nan)
    for r in range(1, min(ranks, longest) + 1):
        partitions = best_partitions(spaces, None, r, restarts, seeds)
        at_centroids = gradients_at_centroids(network, z, y, partitions, r)
        outside[:, :, r - 1] = np.nanmin(outside_gradients(network, at_centroids, r), axis=2)
    norms = np.stack([w.norm(dim=(1, 2)).numpy() for w in network.weights], axis=1)[:, :, None]
    alive = (norms > 0) & (weight_decay[:, None, None] > 0)
    # what is certified of a tail holds for those beyond more
    relative = np.fmin.accumulate(outside, axis=2) / np.where(alive, norms, np.nan)
    relative[:, :, min(ranks, longest) :] = np.nan
    dataset = xr.Dataset(
        {"certified_tail": (("cell", "layer", "index"), relative)},
        {"layer": layers_of(depth), "index": np.arange(1, longest + 1)},
    )
    about = {
        "long_name": "bound on relative_tail by partitions into at most index sets, least over sources",
        "reference": "Theorem 3.4, sharpened",
        "comment": "missing beyond the ranks asked for, where the cell is dead or weight decay is 0",
    }
    return describe(dataset, certified_tail=about)
