"""Closed forms for linear networks: minimisers and critical points, on data and on centroids (Section 5).

A linear network is its product W = W_L ... W_1 of shape (m, d). Points are rows: x is (..., N, d),
y is (..., N, m), and leading axes are a stack.

*Penalty on the product*: the objective is (1/2N) ||W X - Y||^2 + (lambda/2) ||W||^2 with X = x',
Y = y'; by Remark 5.2 it is least squares on [X, sqrt(N lambda) I] and [Y, 0].

*Penalty on the factors*, which is weight decay: the minimum of (lambda/2) sum_l ||W_l||^2 over all
factors of W is (lambda L/2) sum_j s_j(W)^{2/L}. An autoencoder with XX'/N = V diag(c) V' decouples
into a scalar problem for each direction, min_s (c/2) (s - 1)^2 + (lambda L/2) s^{2/L}, and each
layer has the singular values u_j = s_j^{1/L}.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import elementwise

__all__ = [
    "Autoencoder",
    "at_centroids",
    "centroid_shift_bounds",
    "critical_values",
    "minimiser",
    "rank_restriction_bound",
    "transition_weight_decay",
]

Array = NDArray[np.float64]


def minimiser(x: ArrayLike, y: ArrayLike, weight_decay: float, rank: int | None = None) -> Array:
    """The global minimiser on matrices of rank at most `rank`, (..., m, d) (Theorem 5.1, Remark 5.2).

    Without a rank it is the ridge solution W* = Y X' (X X' + N lambda I)^{-1}.

    Raises
    ------
    ValueError
        If the rank is not in 1..min(m, d), or X X' is singular and the weight decay 0.

    Examples
    --------
    Inputs with XX'/N = I, and targets that are 3 and 1 times a direction:

    >>> x = np.sqrt(2) * np.eye(2)
    >>> y = x * [3, 1]
    >>> minimiser(x, y, weight_decay=0.5).tolist()
    [[2.0, 0.0], [0.0, 0.666667]]
    >>> minimiser(x, y, weight_decay=0.5, rank=1).round(6).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    u, s, vt, inverse_root = _whitened(x, y, weight_decay)
    largest = s.shape[-1]
    if rank is not None and not 1 <= rank <= largest:
        raise ValueError(f"rank is {rank}, but must be in 1..{largest}")
    return (u[..., :rank] * s[..., None, :rank]) @ vt[..., :rank, :] @ inverse_root


def centroid_shift_bounds(
    x: ArrayLike, y: ArrayLike, labels: ArrayLike, weight_decay: float
) -> tuple[Array, Array]:
    """Bounds on ||W* - Wbar*||, the shift of the minimiser from data to centroids (Theorem 5.3).

    With E and F the residuals of inputs and targets to their centroids, the first bound is
    (||F E'|| + ||Wbar*||_2 ||E E'||) / (N lambda), and the second, which is larger,
    (WCSS / lambda) (1/2 + ||Wbar*||_2). Because rank Wbar* <= K, both also bound dist(W*, M_K).

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

    Examples
    --------
    Two points in one cluster: Wbar* = 0.8, E E' = F E' = 2, and the WCSS of (x, x) is 2:

    >>> x = [[1], [3]]
    >>> [float(bound) for bound in centroid_shift_bounds(x, x, [0, 0], weight_decay=1)]
    [1.8, 2.6]
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
    """Bound sqrt(TCV_K(Y) / lambda) on ||W* - W_K||, with W_K the minimiser on rank at most K (Theorem 5.4).

    Parameters
    ----------
    tcv_of_targets : array
        TCV_K of the targets, or an upper bound on it.
    weight_decay : float
        lambda > 0.

    Examples
    --------
    >>> float(rank_restriction_bound(4, weight_decay=1))
    2.0
    """
    if not weight_decay > 0:
        raise ValueError(f"weight decay is {weight_decay}, but Theorem 5.4 needs it greater than 0")
    return np.sqrt(np.asarray(tcv_of_targets) / weight_decay)


def transition_weight_decay(c: ArrayLike, depth: int) -> Array:
    """The weight decay on the factors above which a direction is not learnt, of the shape of c.

    The minimum of the scalar problem is at s = 0 from lambda = c ((L-2)/(L-1))^{(L-2)/L} / (L-1) on, where
    its value equals the value of the local minimum at s = (L-2)/(L-1).

    Parameters
    ----------
    c : array
        Eigenvalues of XX'/N.
    depth : int
        L. One layer learns all directions at any weight decay: the result is infinite.

    Examples
    --------
    Two layers learn a direction up to a weight decay of its eigenvalue, and deeper networks up to less:

    >>> transition_weight_decay([3, 1], depth=2).tolist()
    [3.0, 1.0]
    >>> transition_weight_decay([3, 1], depth=4).round(3).tolist()
    [0.816, 0.272]
    """
    c = np.asarray(c, dtype=np.float64)
    if depth == 1:
        return np.where(c > 0, np.inf, 0.0)
    share: float = ((depth - 2) / (depth - 1)) ** ((depth - 2) / depth)
    return c * share / (depth - 1)


def critical_values(c: ArrayLike, weight_decay: ArrayLike, factors: int) -> tuple[Array, NDArray[np.bool_]]:
    """Singular value of the product in each direction if it is learnt, and whether the minimum learns it.

    For one factor, such as a penalised product, the value is c / (c + lambda). For more factors u = s^{1/L}
    is the larger root of c (1 - u^L) u^{L-2} = lambda, the local minimum of the scalar problem beside 0.

    Parameters
    ----------
    c : array
        Eigenvalues of XX'/N.
    weight_decay : array
        lambda >= 0, of a shape that broadcasts with c.
    factors : int
        L, the number of penalised factors: the depth for a penalty on the factors, 1 for one on the product.

    Returns
    -------
    s : array
        0 where there is no such value.
    learnt : boolean array
        Whether s is the global minimum.

    Examples
    --------
    Two layers have s = 1 - lambda / c if that is above 0:

    >>> s, learnt = critical_values([1, 0.2], 0.5, factors=2)
    >>> s.tolist(), learnt.tolist()
    ([0.5, 0.0], [True, False])
    >>> s, learnt = critical_values([1, 0.25], 0.25, factors=1)
    >>> s.tolist(), learnt.tolist()
    ([0.8, 0.5], [True, True])
    """
    c, weight_decay = np.broadcast_arrays(np.asarray(c, dtype=np.float64), weight_decay)
    # eigenvalues that are 0 up to rounding
    c = np.where(c > c.shape[-1] * np.finfo(np.float64).eps * c.max(-1, keepdims=True), c, 0)
    if factors == 1:
        s = np.divide(c, c + weight_decay, out=np.zeros_like(c), where=c > 0)
        return s, s > 0
    # c (1 - u^L) u^{L-2} rises up to this u and falls beyond
    top = ((factors - 2) / (2 * factors - 2)) ** (1 / factors)
    exists = (c > 0) & (weight_decay <= c * (1 - top**factors) * top ** (factors - 2))

    def excess(u: Array, c: Array, weight_decay: Array) -> Array:
        return c * (1 - u**factors) * u ** (factors - 2) - weight_decay

    interval = np.full_like(c, top), np.ones_like(c)
    tolerances = {"xatol": 0, "xrtol": 4 * np.finfo(np.float64).eps}
    root = elementwise.find_root(
        excess, interval, args=(np.where(exists, c, 1.0), np.where(exists, weight_decay, 0.0)),
        tolerances=tolerances,
    ).x  # fmt: skip
    return np.where(exists, root**factors, 0), exists & (weight_decay < transition_weight_decay(c, factors))


@dataclass(frozen=True)
class Autoencoder:
    """The possible end points of training a linear autoencoder, for a stack of cells.

    They are V diag(s_J) V', with the critical value s_j in the directions of a set J of at most min(n_0, ...,
    n_L) directions, and 0 elsewhere. With a penalty on the product they are the critical points of Theorem
    5.1 with Remark 5.2; with a penalty on the factors, the local minima of all scalar problems. The minimum
    learns the directions that reduce the loss, in the order of falling c.

    Attributes
    ----------
    directions : array
        V, (cells, d, d), in the order of falling c.
    c : array
        Eigenvalues of XX'/N, (cells, d), falling.
    values : array
        s, (cells, d).
    learnt : boolean array
        Whether the global minimum learns a direction, (cells, d).

    Examples
    --------
    Points with XX'/N = diag(1, 0.2): the first direction is learnt, with s = 1 - lambda.

    >>> x = np.diag(np.sqrt([2, 0.4]))[None]
    >>> cell = Autoencoder.of(x, [0.5], sizes=(2, 2, 2), factors=2)
    >>> cell.learnt.tolist()
    [[True, False]]
    >>> cell.minimum.round(6).tolist()
    [[[0.5, 0.0], [0.0, 0.0]]]
    """

    directions: Array
    c: Array
    values: Array
    learnt: NDArray[np.bool_]

    @classmethod
    def of(cls, x: ArrayLike, weight_decay: ArrayLike, sizes: tuple[int, ...], factors: int) -> "Autoencoder":
        """For points (cells, N, d), weight decay (cells,) and layers of sizes n_0, ..., n_L.

        `factors` is the number of penalised factors, as in `critical_values`.
        """
        x = np.asarray(x, dtype=np.float64)
        c, directions = np.linalg.eigh(x.swapaxes(-1, -2) @ x / x.shape[-2])
        c, directions = c[:, ::-1].clip(min=0), directions[:, :, ::-1]
        values, learnt = critical_values(c, np.asarray(weight_decay)[:, None], factors)
        return cls(directions, c, values, learnt & (np.arange(c.shape[1]) < min(sizes)))

    def product(self, learnt: NDArray[np.bool_]) -> Array:
        """The critical point of a set of directions, (cells, d, d)."""
        s = np.where(learnt, self.values, 0)
        return (self.directions * s[:, None, :]) @ self.directions.swapaxes(-1, -2)

    @property
    def minimum(self) -> Array:
        """The global minimiser, (cells, d, d)."""
        return self.product(self.learnt)

    def nearest(self, w: Array) -> NDArray[np.bool_]:
        """The learnt directions (cells, d) of the critical point nearest to products w (cells, d, d)."""
        coefficients: Array = np.einsum("cij,cik,ckj->cj", self.directions, w, self.directions)
        return (self.values > 0) & (coefficients > self.values / 2)


def at_centroids(points: Array, labels: ArrayLike) -> Array:
    """The points (..., N, p), each replaced by the centroid of its cluster.

    Examples
    --------
    >>> at_centroids(np.array([[0.0], [2.0], [5.0]]), [0, 0, 1]).tolist()
    [[1.0], [1.0], [5.0]]
    """
    members = np.asarray(labels)[:, None] == np.unique(labels)
    moved: Array = (members / members.sum(0)) @ (members.T.astype(points.dtype) @ points)
    return moved


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
