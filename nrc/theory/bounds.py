"""Bounds of the paper as functions of arrays."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

__all__ = ["distance_bound", "gaussian_wcss_bound", "gradient_rank_bound", "isotropic_wcss_quantile"]


def gradient_rank_bound(z: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Bound on the rank of the gradient in W_l, l > k: the number of distinct pairs (z_i^k, y_i) (Prop. 3.1).

    Each pair adds a matrix of rank 1 to the gradient, and equal pairs add the same matrix.

    Parameters
    ----------
    z : (cells, points, n_k) array
        Features z^k.
    y : (cells, points, n_L) array
        Targets.

    Returns
    -------
    (cells,) integer array

    Examples
    --------
    Three points, the first two of which are equal:

    >>> gradient_rank_bound([[[0], [0], [1]]], [[[5], [5], [5]]]).tolist()
    [2]
    """
    pairs = np.concatenate([z, y], axis=2)
    return np.array([len(np.unique(points, axis=0)) for points in pairs], dtype=int)


def gaussian_wcss_bound(covariances: ArrayLike, sizes: ArrayLike, delta: float) -> float:
    """Bound on the WCSS of the clusters of a Gaussian mixture (Proposition 4.1).

    With probability at least 1 - delta, and with s = log(K / delta),

        WCSS <= sum_i (N_i/N) (tr S_i + 2 ||S_i|| sqrt(s/N_i) + 2 ||S_i||_2 s/N_i),

    by the Laurent-Massart inequality for each cluster and a union bound. It also bounds TCV_K of the
    points. For pairs (x, x) it doubles.

    Parameters
    ----------
    covariances : (clusters, features, features) array
        S_i.
    sizes : (clusters,) array
        N_i.
    delta : float
        In (0, 1).

    Raises
    ------
    ValueError
        If there is not one square covariance per size, or delta is not in (0, 1).

    Examples
    --------
    One cluster of 4 points with unit covariance in 4 dimensions, s = 1: 4 + 2 * 2 * sqrt(1/4) + 2/4.

    >>> gaussian_wcss_bound([np.eye(4)], [4], delta=np.exp(-1))
    6.5
    """
    covariances, sizes = np.asarray(covariances, dtype=np.float64), np.asarray(sizes)
    if covariances.shape != (len(sizes), *2 * covariances.shape[-1:]):
        raise ValueError(
            f"covariances have shape {covariances.shape}, but {len(sizes)} square matrices are needed, "
            "one per size"
        )
    _check_probability(delta)
    s = np.log(len(sizes) / delta)
    trace = np.trace(covariances, axis1=1, axis2=2)
    frobenius = np.linalg.norm(covariances, axis=(1, 2))
    spectral = np.linalg.norm(covariances, ord=2, axis=(1, 2))
    per_cluster = trace + 2 * frobenius * np.sqrt(s / sizes) + 2 * spectral * s / sizes
    return float((sizes / sizes.sum() * per_cluster).sum())


def isotropic_wcss_quantile(
    sigma: ArrayLike, *, dimension: int, points: int, clusters: int, delta: float
) -> np.ndarray:
    """Exact (1 - delta) quantile of the WCSS of isotropic clusters: N WCSS / sigma^2 ~ chi^2_{d(N-K)}.

    Parameters
    ----------
    sigma : array
        Standard deviation of the noise, any shape.
    dimension, points, clusters : int
        d, N, K.
    delta : float
        In (0, 1).

    Raises
    ------
    ValueError
        If delta is not in (0, 1).

    Examples
    --------
    With two degrees of freedom the quantile of chi^2 is -2 log(delta), here 6:

    >>> float(isotropic_wcss_quantile(1, dimension=1, points=3, clusters=1, delta=np.exp(-3)))
    2.0
    """
    _check_probability(delta)
    quantile: float = chi2.ppf(1 - delta, dimension * (points - clusters))
    return np.square(sigma) * quantile / points


def distance_bound(residual: ArrayLike, gap: ArrayLike, weight_decay: ArrayLike) -> np.ndarray:
    """Bound on the distance of W_l to the matrices of rank K, (||r_l|| + gap_{k,l}) / lambda (Theorem 3.4).

    It holds at any weights, for any source k below layer l and any partition into K clusters.

    Parameters
    ----------
    residual, gap, weight_decay : arrays
        ||r_l||, gap_{k,l} and lambda, of shapes that broadcast.

    Returns
    -------
    array
        Missing where the weight decay is 0, because the theorem is void there.

    Examples
    --------
    >>> distance_bound(0.25, 0.75, [0.5, 0]).tolist()
    [2.0, nan]
    """
    residual, gap, weight_decay = (np.asarray(a, dtype=np.float64) for a in (residual, gap, weight_decay))
    return (residual + gap) / np.where(weight_decay > 0, weight_decay, np.nan)


def _check_probability(delta: float) -> None:
    if not 0 < delta < 1:
        raise ValueError(f"delta is {delta}, but must be between 0 and 1")
