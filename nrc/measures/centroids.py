"""Gradients at the centroids of a partition of every space, and what of the layers is outside them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc.network import Network
from nrc.theory.centroids import centroid_gradient, outside_gradient

__all__ = ["gradients_at_centroids", "outside_gradients"]

Array = NDArray[np.float64]


def gradients_at_centroids(
    network: Network,
    z: Sequence[Tensor],
    y: Tensor,
    partitions: Sequence[NDArray[np.integer]],
    clusters: int,
) -> list[list[Tensor]]:
    """For each space z^k the gradient of the centroid-based loss in W_{k+1}, ..., W_L.

    Parameters
    ----------
    network : Network
    z : sequence of Tensor
        Features z^0, ..., z^{L-1}, (cells, points, n_k) each; more are left alone.
    y : Tensor
        Targets (cells, points, n_L).
    partitions : sequence of (cells, points) integer arrays
        A partition into `clusters` sets for each space.
    clusters : int
    """
    return [
        centroid_gradient(network.after(k), z[k], y, torch.from_numpy(partition).long(), clusters)
        for k, partition in enumerate(partitions)
    ]


def outside_gradients(network: Network, at_centroids: Sequence[Sequence[Tensor]], clusters: int) -> Array:
    """W_l outside the space of each of these gradients, (cells, layers, sources).

    Missing where the source is not below the layer.
    """
    depth, cells = len(network.weights), len(network.weights[0])
    found = np.full((cells, depth, len(at_centroids)), np.nan)
    for k, gradients in enumerate(at_centroids):
        for l, g in enumerate(gradients, start=k):
            found[:, l, k] = outside_gradient(network.weights[l], g, clusters)
    return found
