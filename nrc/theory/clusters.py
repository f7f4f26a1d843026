"""k-means, whose best partition bounds the total cluster variation from above.

TCV_K, the total cluster variation, is the smallest within-cluster sum of squares over all partitions into K
sets (eq. 7). It is a k-means optimum, which is NP-hard to find in general, so it is bracketed: k-means
bounds it from above, and `nrc.theory.moments.Spread` from below.
"""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans

__all__ = ["kmeans"]


def kmeans(points: ArrayLike, clusters: int, restarts: int, seed: int) -> KMeans:
    """The best of several runs of k-means++; the WCSS of its partition is an upper bound on TCV_K.

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
    return KMeans(clusters, init="k-means++", n_init=restarts, random_state=seed).fit(points)
