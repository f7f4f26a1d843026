"""k-means, whose best partition bounds the total cluster variation from above.

TCV_K, the total cluster variation, is the smallest within-cluster sum of squares over all partitions into K
sets (eq. 7). It is a k-means optimum, which is NP-hard to find in general, so it is bracketed: k-means
bounds it from above, and `nrc.theory.moments.Spread` from below.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController

__all__ = ["kmeans", "nearest", "same_sets"]


def kmeans(points: ArrayLike, clusters: int, restarts: int, seed: int) -> KMeans:
    """The best of several runs of k-means++; the WCSS of its partition is an upper bound on TCV_K.

    If fewer than K points are distinct, some clusters are empty.

    Parameters
    ----------
    points : (N, p) array
    clusters : int
        K.
    restarts : int
        Number of runs.
    seed : int
        Seed of the initial centres.

    Returns
    -------
    KMeans
        The fitted estimator of scikit-learn.

    Raises
    ------
    ValueError
        If K is not in 1..N.

    Examples
    --------
    >>> found = kmeans([[0.0], [1.0], [9.0], [11.0]], 2, restarts=5, seed=0)
    >>> sorted(found.cluster_centers_.ravel().tolist())
    [0.5, 10.0]
    """
    count = len(np.asarray(points))
    if not 1 <= clusters <= count:
        raise ValueError(f"K is {clusters}, but must be in 1..{count}, the number of points")
    with _one_thread(), warnings.catch_warnings():
        # of fewer distinct points than clusters, which have a partition of WCSS 0
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(clusters, init="k-means++", n_init=restarts, random_state=seed).fit(points)


def nearest(fit: KMeans, points: ArrayLike) -> NDArray[np.int64]:
    """The cluster of the nearest centre for each of (N, p) points, (N,).

    Examples
    --------
    >>> found = kmeans([[0.0], [1.0], [9.0], [11.0]], 2, restarts=5, seed=0)
    >>> [len(set(nearest(found, pair).tolist())) for pair in ([[2.0], [3.0]], [[2.0], [8.0]])]
    [1, 2]
    """
    with _one_thread():
        return np.asarray(fit.predict(points), dtype=np.int64)


def same_sets(labels: NDArray[np.integer], others: NDArray[np.integer], clusters: int) -> NDArray[np.bool_]:
    """Whether two partitions have the same sets, whatever their numbers, for each row of (cells, points).

    Examples
    --------
    >>> same_sets(np.array([[0, 0, 1], [0, 0, 1]]), np.array([[1, 1, 0], [1, 0, 0]]), clusters=2)
    array([ True, False])
    """
    met = np.zeros((len(labels), clusters, clusters), dtype=bool)
    met[np.arange(len(labels))[:, None], labels, others] = True
    one_each: NDArray[np.bool_] = (met.sum(1) <= 1).all(1) & (met.sum(2) <= 1).all(1)
    return one_each


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit OpenMP, whose threads wait for each other much longer than they compute if the cores are busy."""
    with _libraries().limit(limits=1, user_api="openmp"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
