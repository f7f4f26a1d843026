"""The within-cluster sum of squares of a partition."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["wcss"]


def wcss(points: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """(1/N) sum_i sum_{j in C_i} ||p_j - mean of C_i||^2, shape (...) (eq. 6).

    Parameters
    ----------
    points : (..., N, p) array
        Features, or features and targets side by side.
    labels : (N,) integer array
        Cluster of each point.

    Examples
    --------
    Each point has distance 1 from the centroid of its cluster:

    >>> float(wcss([[0], [2], [5], [7]], [0, 0, 1, 1]))
    1.0
    """
    points, labels = np.asarray(points, dtype=np.float64), np.asarray(labels)
    total = np.zeros(points.shape[:-2])
    for cluster in np.unique(labels):
        members = points[..., labels == cluster, :]
        total += ((members - members.mean(-2, keepdims=True)) ** 2).sum((-2, -1))
    mean: NDArray[np.float64] = total / points.shape[-2]
    return mean
