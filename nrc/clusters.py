"""Within-class variability: the within-cluster sum of squares, and the bracket of the TCV.

TCV_K, the total cluster variation, is the least within-cluster sum of squares over all partitions
into K sets (eq. 7): a K-means optimum, NP-hard in general, so it is given as a bracket.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans

__all__ = ["best_partition", "tcv_lower", "wcss"]

Array = NDArray[np.float64]


def wcss(points: ArrayLike, labels: ArrayLike) -> Array:
    """(1/N) sum_i sum_{j in C_i} ||p_j - mean of C_i||^2, shape (...) (eq. 6).

    Parameters
    ----------
    points : (..., N, p) array
        Features, or features and targets side by side.
    labels : (N,) integer array
        Cluster of each point.
    """
    points, labels = np.asarray(points, dtype=np.float64), np.asarray(labels)
    total = np.zeros(points.shape[:-2])
    for cluster in np.unique(labels):
        members = points[..., labels == cluster, :]
        total += ((members - members.mean(-2, keepdims=True)) ** 2).sum((-2, -1))
    return total / points.shape[-2]


def tcv_lower(points: ArrayLike, clusters: int) -> Array:
    """Spectral lower bound on TCV_K, (1/N) sum_{i>K-1} s_i(P - mean)^2, shape (...).

    K centroids span an affine space of dimension K - 1, so no partition beats the best fit of
    that rank (Zha et al. 2001; Ding & He 2004).

    Parameters
    ----------
    points : (..., N, p) array
    clusters : int
        K.
    """
    points = np.asarray(points, dtype=np.float64)
    s = np.linalg.svd(points - points.mean(-2, keepdims=True), compute_uv=False)
    return (s[..., clusters - 1 :] ** 2).sum(-1) / points.shape[-2]


def best_partition(
    points: ArrayLike, clusters: int, *, labels: ArrayLike, restarts: int, seed: int
) -> NDArray[np.integer]:
    """The partition of least WCSS among a known one and k-means++ restarts, (N,).

    Its WCSS is an upper bound on TCV_K.

    Parameters
    ----------
    points : (N, p) array
    clusters : int
        K.
    labels : (N,) integer array
        The known partition: classes or blobs.
    restarts : int
        Runs of k-means.
    seed : int
    """
    kmeans = KMeans(clusters, init="k-means++", n_init=restarts, random_state=seed).fit(points)
    return min(np.asarray(labels), kmeans.labels_, key=lambda partition: wcss(points, partition))
