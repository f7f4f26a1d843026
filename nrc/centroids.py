"""The centroid-based loss: the network after layer k, trained on one weighted point a cluster (eq. 8).

Its gradient has rank at most K in every layer, which is what makes Theorem 3.4 work.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from nrc.network import features, squared_error_gradient

__all__ = ["centroid_gap", "centroid_gradient", "centroids"]


def centroids(points: Tensor, labels: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """Means of the clusters, and their shares N_i / N of the points.

    Parameters
    ----------
    points : Tensor
        (cells, points, p)
    labels : Tensor
        Cluster of each point, integers from 0, (cells, points).
    clusters : int
        K.

    Returns
    -------
    means : Tensor
        (cells, clusters, p)
    shares : Tensor
        (cells, clusters)

    Raises
    ------
    ValueError
        If a cluster is empty.
    """
    members = one_hot(labels, clusters).to(points.dtype)
    sizes = members.sum(1)
    if (sizes == 0).any():
        cell, cluster = (sizes == 0).nonzero()[0].tolist()
        raise ValueError(f"cluster {cluster} of cell {cell} is empty; every cluster needs a point")
    return (members.mT @ points) / sizes[:, :, None], sizes / points.shape[1]


def centroid_gradient(
    weights: list[Tensor], z: Tensor, y: Tensor, labels: Tensor, clusters: int, activation: str
) -> list[Tensor]:
    """Gradient of the centroid-based loss at layer k in W_{k+1}, ..., W_L, for squared error.

    Parameters
    ----------
    weights : list of Tensor
        W_{k+1}, ..., W_L, each (cells, n_l, n_{l-1}).
    z : Tensor
        Features z^k, (cells, points, n_k). Their centroids are held fixed.
    y : Tensor
        Targets (cells, points, n_L).
    labels, clusters
        As in `centroids`.
    activation : str
    """
    (z_mean, shares), (y_mean, _) = centroids(z, labels, clusters), centroids(y, labels, clusters)
    _, gradient = squared_error_gradient(weights, z_mean, y_mean, activation, shares)
    return gradient


def centroid_gap(
    weights: list[Tensor], x: Tensor, y: Tensor, labels: list[Tensor], clusters: int, activation: str
) -> Tensor:
    """gap_{k,l} = ||grad_{W_l} loss - grad_{W_l} loss_C^k||, the left side of Lemma 3.3.

    Parameters
    ----------
    weights : list of Tensor
        W_1, ..., W_L, each (cells, n_l, n_{l-1}).
    x, y : Tensor
        Inputs (cells, points, n_0) and targets (cells, points, n_L).
    labels : list of Tensor
        A partition for each source k = 0..L-1, each (cells, points).
    clusters : int
        K.
    activation : str

    Returns
    -------
    Tensor
        (cells, layers, sources), missing where source k is not below layer l.
    """
    depth = len(weights)
    z = features(weights, x, activation)
    _, gradient = squared_error_gradient(weights, x, y, activation)
    gap = torch.full((len(x), depth, depth), torch.nan, dtype=x.dtype)
    for k in range(depth):
        at_centroids = centroid_gradient(weights[k:], z[k], y, labels[k], clusters, activation)
        for l, g in enumerate(at_centroids, start=k):  # weights[l] is W_{l+1}
            gap[:, l, k] = (gradient[l] - g).norm(dim=(1, 2))
    return gap
