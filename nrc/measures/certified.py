"""Certified spectra: Theorem 3.4, sharpened, for every number of clusters."""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.labels import describe
from nrc.measures.coordinates import layers_of
from nrc.measures.variability import best_partitions
from nrc.network import Network
from nrc.theory.centroids import centroid_gradient, outside_gradient

__all__ = ["certified_tails"]

Array = NDArray[np.float64]


def certified_tails(
    network: Network,
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
    y : Tensor
        Targets (cells, points, n_L).
    spaces : sequence of (cells, points, n_k + n_L) arrays
        Features z^k and targets side by side, k = 0, ..., L-1.
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
        for k, (space, partition) in enumerate(zip(spaces, partitions, strict=True)):
            z, labels = torch.from_numpy(space[:, :, : -y.shape[2]]), torch.from_numpy(partition).long()
            for l, g in enumerate(centroid_gradient(network.after(k), z, y, labels, r), start=k):
                found = outside_gradient(network.weights[l], g, r).numpy()
                outside[:, l, r - 1] = np.fmin(outside[:, l, r - 1], found)
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
