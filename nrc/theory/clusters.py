"""The bracket of the total cluster variation: bounds below it, and k-means above.

TCV_K, the total cluster variation, is the least within-cluster sum of squares over all partitions
into K sets (eq. 7): a K-means optimum, NP-hard in general, so it is given as a bracket.
"""

import numpy as np
import scs
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.cluster import KMeans

from nrc.theory.moments import Spread

__all__ = ["kmeans", "tcv_lower", "tcv_lower_semidefinite"]

Array = NDArray[np.float64]


def tcv_lower(points: ArrayLike, clusters: int) -> Array:
    """Spectral lower bound on TCV_K, (1/N) sum_{i>K-1} s_i(P - mean)^2, shape (...).

    K centroids span an affine space of dimension K - 1, so no partition beats the best fit of
    that rank (Zha et al. 2001; Ding & He 2004).

    Parameters
    ----------
    points : (..., N, p) array
    clusters : int
        K.

    Raises
    ------
    ValueError
        If K is not in 1..N.

    Examples
    --------
    Four corners of a rectangle; the bound is attained by the pairs on its short sides:

    >>> corners = [[-2, -1], [-2, 1], [2, -1], [2, 1]]
    >>> round(float(tcv_lower(corners, 2)), 6)
    1.0
    """
    points = np.array(points, dtype=np.float64)
    _check_count(clusters, points.shape[-2])
    spread = Spread()
    spread.update(torch.from_numpy(points.reshape(-1, *points.shape[-2:])))
    bound: Array = spread.beyond(clusters - 1).numpy().reshape(points.shape[:-2])
    return bound


def tcv_lower_semidefinite(points: ArrayLike, clusters: int) -> float:
    """Lower bound on TCV_K from the semidefinite relaxation of Peng & Wei (2007).

    With G the Gram matrix of the centred points, N TCV_K is at least the minimum of tr G - <G, Z>
    over Z >= 0 entrywise, Z positive semidefinite, Z 1 = 1, tr Z = K. Such Z have eigenvalues in
    [0, 1], so by weak duality, for any vector u and any matrix B >= 0,

        N TCV_K >= tr G + sum(u) + (sum of the K smallest eigenvalues of -G - (u 1' + 1 u')/2 - B).

    The solver's multipliers give u and B: the bound holds however far the solver got. Time grows
    like N^3, with seconds for a few hundred points.

    Parameters
    ----------
    points : (N, p) array
    clusters : int
        K.

    Raises
    ------
    ValueError
        If K is not in 1..N.

    Examples
    --------
    Three clusters of the corners of a square join one pair, and the bound is attained, while the spectral
    one is void:

    >>> corners = [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    >>> round(tcv_lower_semidefinite(corners, 3), 3)
    0.5
    >>> float(tcv_lower(corners, 3))
    0.0
    """
    points = np.asarray(points, dtype=np.float64)
    _check_count(clusters, len(points))
    centred = points - points.mean(0)
    gram = centred @ centred.T
    scale = np.trace(gram) / len(gram)
    if scale == 0:
        return 0.0
    u, b = _peng_wei_multipliers(gram / scale, clusters)
    eigenvalues = np.linalg.eigvalsh(-gram / scale - (u[:, None] + u) / 2 - b)
    rounding = clusters * len(gram) * np.finfo(np.float64).eps * np.abs(eigenvalues).max()
    bottom = eigenvalues[:clusters].sum() - rounding
    return max(0.0, float(scale * (1 + (u.sum() + bottom) / len(gram))))


def _peng_wei_multipliers(gram: Array, clusters: int) -> tuple[Array, Array]:
    """Multipliers of Z 1 = 1 and of Z >= 0 in the minimum of -<G, Z>, up to the solver's accuracy."""
    n = len(gram)
    j, i = np.triu_indices(n)  # the lower triangle, column by column: the unknowns
    off, entries = i != j, len(i)
    row_sums = sparse.csc_array(
        (np.ones(n**2), (np.r_[i, j[off]], np.r_[np.arange(entries), np.flatnonzero(off)])), (n, entries)
    )
    trace = sparse.csc_array((~off).astype(float)[None])
    semidefinite = sparse.diags_array(np.where(off, np.sqrt(2), 1.0))
    problem = {
        "A": sparse.csc_matrix(
            sparse.vstack([row_sums, trace, -sparse.eye_array(entries), -semidefinite], format="csc")
        ),
        "b": np.concatenate([np.ones(n), [clusters], np.zeros(2 * entries)]),
        "c": -np.where(off, 2, 1) * gram[i, j],
    }
    cones = {"z": n + 1, "l": entries, "s": [n]}
    y = scs.SCS(problem, cones, eps_abs=1e-6, eps_rel=1e-6, max_iters=5000, verbose=False).solve()["y"]
    b = np.zeros((n, n))
    b[i, j] = b[j, i] = np.maximum(y[n + 1 : n + 1 + entries], 0) / np.where(off, 2, 1)
    return -y[:n], b


def kmeans(points: ArrayLike, clusters: int, restarts: int, seed: int) -> KMeans:
    """k-means++, the best of some restarts; the WCSS of its partition is an upper bound on TCV_K.

    Parameters
    ----------
    points : (N, p) array
    clusters : int
        K.
    restarts : int
    seed : int

    Returns
    -------
    KMeans
        Of scikit-learn, fitted.

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
    _check_count(clusters, len(np.asarray(points)))
    return KMeans(clusters, init="k-means++", n_init=restarts, random_state=seed).fit(points)


def _check_count(clusters: int, points: int) -> None:
    if not 1 <= clusters <= points:
        raise ValueError(f"K is {clusters}, but must be in 1..{points}, the number of points")
