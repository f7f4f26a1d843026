"""Closed forms for linear networks whose weight decay acts on the product of their layers (Section 5).

A linear network is its product W of shape (m, d). Points are rows: x is (..., N, d), y is (..., N, m),
and leading axes are a stack. The objective is (1/2N) ||W X - Y||^2 + (lambda/2) ||W||^2 with X = x',
Y = y'; by Remark 5.2 it is least squares on [X, sqrt(N lambda) I] and [Y, 0].
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["centroid_shift_bounds", "critical_points", "minimiser", "objective", "rank_restriction_bound"]

Array = NDArray[np.float64]


def objective(w: ArrayLike, x: ArrayLike, y: ArrayLike, weight_decay: float) -> Array:
    """(1/2N) ||W X - Y||^2 + (lambda/2) ||W||^2, shape (...), for w of shape (..., m, d)."""
    w, x, y = map(np.asarray, (w, x, y))
    error = x @ w.swapaxes(-1, -2) - y
    return (error**2).sum((-2, -1)) / (2 * x.shape[-2]) + weight_decay * (w**2).sum((-2, -1)) / 2


def minimiser(x: ArrayLike, y: ArrayLike, weight_decay: float, rank: int | None = None) -> Array:
    """The global minimiser on matrices of rank at most `rank`, (..., m, d) (Theorem 5.1, Remark 5.2).

    Without a rank it is the ridge solution W* = Y X' (X X' + N lambda I)^{-1}.

    Raises
    ------
    ValueError
        If the rank is not in 1..min(m, d), or X X' is singular and the weight decay 0.
    """
    u, s, vt, inverse_root = _whitened(x, y, weight_decay)
    rank = s.shape[-1] if rank is None else _checked(rank, s.shape[-1])
    return (u[..., :rank] * s[..., None, :rank]) @ vt[..., :rank, :] @ inverse_root


def critical_points(
    x: ArrayLike, y: ArrayLike, weight_decay: float, rank: int
) -> Iterator[tuple[tuple[int, ...], Array, Array]]:
    """All critical points on matrices of rank `rank` (Theorem 5.1), the global minimiser first.

    Yields
    ------
    J : tuple of int
        The singular directions kept, from 0.
    W_J : array
        (..., m, d)
    value : array
        The objective at W_J, (...): that of 0 less sum_{j in J} s_j^2 / 2N.

    Raises
    ------
    ValueError
        As `minimiser`.
    """
    u, s, vt, inverse_root = _whitened(x, y, weight_decay)
    x, y = np.asarray(x), np.asarray(y)
    _checked(rank, s.shape[-1])
    for kept in combinations(range(s.shape[-1]), rank):
        j = list(kept)
        w = (u[..., j] * s[..., None, j]) @ vt[..., j, :] @ inverse_root
        value = ((y**2).sum((-2, -1)) - (s[..., j] ** 2).sum(-1)) / (2 * x.shape[-2])
        yield kept, w, value


def centroid_shift_bounds(
    x: ArrayLike, y: ArrayLike, labels: ArrayLike, weight_decay: float
) -> tuple[Array, Array]:
    """Bounds on ||W* - Wbar*||, the shift of the minimiser from data to centroids (Theorem 5.3).

    With E and F the residuals of inputs and targets to their centroids, the first bound is
    (||F E'|| + ||Wbar*||_2 ||E E'||) / (N lambda), and the second, which is larger,
    (WCSS / lambda) (1/2 + ||Wbar*||_2). As rank Wbar* <= K, both bound dist(W*, M_K) too.

    Parameters
    ----------
    x, y : (..., N, d) and (..., N, m) arrays
    labels : (N,) integer array
        Cluster of each point.
    weight_decay : float
        lambda > 0.

    Returns
    -------
    tuple of arrays
        Both bounds, each (...).

    Raises
    ------
    ValueError
        If the weight decay is not positive.
    """
    if not weight_decay > 0:
        raise ValueError(f"weight decay is {weight_decay}, but Theorem 5.3 needs it greater than 0")
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    x_mean, y_mean = at_centroids(x, labels), at_centroids(y, labels)
    e, f, points = x - x_mean, y - y_mean, x.shape[-2]
    norm = np.linalg.norm(minimiser(x_mean, y_mean, weight_decay), ord=2, axis=(-2, -1))
    cross, scatter = (np.linalg.norm(a.swapaxes(-1, -2) @ e, axis=(-2, -1)) for a in (f, e))
    variation = ((e**2).sum((-2, -1)) + (f**2).sum((-2, -1))) / points
    return (cross + norm * scatter) / (points * weight_decay), variation / weight_decay * (0.5 + norm)


def rank_restriction_bound(tcv_of_targets: ArrayLike, weight_decay: float) -> Array:
    """Bound on ||W* - W_K||, W_K the minimiser on rank at most K: sqrt(TCV_K(Y) / lambda) (Theorem 5.4).

    Parameters
    ----------
    tcv_of_targets : array
        TCV_K of the targets alone, or an upper bound on it.
    weight_decay : float
        lambda > 0.
    """
    if not weight_decay > 0:
        raise ValueError(f"weight decay is {weight_decay}, but Theorem 5.4 needs it greater than 0")
    return np.sqrt(np.asarray(tcv_of_targets) / weight_decay)


def at_centroids(points: Array, labels: ArrayLike) -> Array:
    """Every point (..., N, p) moved to the centroid of its cluster."""
    members = np.asarray(labels)[:, None] == np.unique(labels)
    return (members / members.sum(0)) @ (members.T.astype(points.dtype) @ points)


def _whitened(x: ArrayLike, y: ArrayLike, weight_decay: float) -> tuple[Array, Array, Array, Array]:
    """SVD u, s, v' of Z = Y X' (X X' + N lambda I)^{-1/2}, and that inverse root."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    points, dimension = x.shape[-2:]
    moments, axes = np.linalg.eigh(x.swapaxes(-1, -2) @ x + points * weight_decay * np.eye(dimension))
    if (moments[..., 0] <= dimension * np.finfo(np.float64).eps * moments[..., -1]).any():
        raise ValueError("X X' is singular, but Theorem 5.1 needs its inverse; use a weight decay above 0")
    inverse_root = (axes / np.sqrt(moments)[..., None, :]) @ axes.swapaxes(-1, -2)
    u, s, vt = np.linalg.svd(y.swapaxes(-1, -2) @ x @ inverse_root, full_matrices=False)
    return u, s, vt, inverse_root


def _checked(rank: int, largest: int) -> int:
    if not 1 <= rank <= largest:
        raise ValueError(f"rank is {rank}, but must be in 1..{largest}")
    return rank
