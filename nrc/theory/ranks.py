"""Measures of rank as functions of the singular values.

The functions take singular values ``s`` of shape (..., n), in descending order. Relative measures are missing
(nan) for a zero matrix because they are 0/0. ||W|| is the Frobenius norm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "EXACT",
    "NEAR",
    "RANK_MEASURES",
    "RankMeasure",
    "distance",
    "effective_rank",
    "exact_rank",
    "mp_soft_rank",
    "numerical_rank",
    "rank_within",
    "relative_distance",
    "relative_tail",
    "stable_rank",
]

Array = NDArray[np.float64]

# Share of s_1 above which a singular value counts for the exact rank: five times the relative residual at
# which training ends. Singular values that are 0 at the stationary point end below it, and there is a gap in
# their histogram (docs/explanation/numbers.md). A network that stopped at a larger residual has no such gap.
EXACT = 5e-8
# A matrix within this relative distance of the matrices of a rank is near that rank.
NEAR = 0.1


def distance(s: ArrayLike, rank: int) -> Array:
    """Distance to the matrices of rank at most `rank`, sqrt(sum_{i>rank} s_i^2), shape (...).

    Examples
    --------
    >>> float(distance([6, 4, 3], 1))
    5.0
    """
    beyond: Array = np.linalg.norm(np.asarray(s, dtype=np.float64)[..., rank:], axis=-1)
    return beyond


def relative_tail(s: ArrayLike) -> Array:
    """tail(r) = sqrt(sum_{i>r} s_i^2) / ||W|| for r = 1..n, shape (..., n) (eq. 22).

    Examples
    --------
    >>> relative_tail([4, 3]).tolist()
    [0.6, 0.0]
    """
    s = _or_nan(s)
    tail = np.sqrt(np.cumsum(s[..., ::-1] ** 2, axis=-1))[..., ::-1]
    beyond = np.concatenate([tail[..., 1:], np.zeros_like(tail[..., :1])], axis=-1)
    return beyond / tail[..., :1]


def relative_distance(s: ArrayLike, rank: int) -> Array:
    """Distance to the matrices of rank at most `rank` over ||W||, shape (...).

    Examples
    --------
    >>> float(relative_distance([4, 3], 1))
    0.6
    """
    s = _or_nan(s)
    return distance(s, rank) / distance(s, 0)


def rank_within(tail: ArrayLike) -> Array:
    """The smallest r whose relative tail, or a bound on it, is at most `NEAR`, shape (...).

    Parameters
    ----------
    tail : (..., n) array
        For r = 1..n. Missing values count as too large.

    Returns
    -------
    array
        Missing where there is no such r.

    Examples
    --------
    >>> rank_within([[0.5, 0.1, 0.0], [0.5, np.nan, np.nan]]).tolist()
    [2.0, nan]
    """
    near = np.asarray(tail, dtype=np.float64) <= NEAR
    return np.where(near.any(-1), near.argmax(-1) + 1.0, np.nan)


def numerical_rank(s: ArrayLike, tolerance: float) -> Array:
    """Number of singular values above tolerance * s_1, shape (...).

    Examples
    --------
    >>> float(numerical_rank([1, 0.5, 0.01], tolerance=0.1))
    2.0

    It is missing for a zero matrix:

    >>> float(numerical_rank([0, 0], tolerance=0.1))
    nan
    """
    s = _or_nan(s)
    return np.where(np.isnan(s[..., 0]), np.nan, (s > tolerance * s[..., :1]).sum(-1))


def exact_rank(s: ArrayLike) -> Array:
    """Number of singular values that are not 0 up to the accuracy of training, shape (...).

    Examples
    --------
    >>> float(exact_rank([1, 1e-3, 1e-9]))
    2.0
    """
    return numerical_rank(s, EXACT)


def stable_rank(s: ArrayLike) -> Array:
    """||W||^2 / ||W||_2^2, shape (...).

    Examples
    --------
    >>> float(stable_rank([2, 1, 1]))
    1.5

    For a stack of matrices, with one row of singular values each:

    >>> stable_rank([[2, 1, 1], [1, 1, 1]]).tolist()
    [1.5, 3.0]
    """
    s = _or_nan(s)
    squares: Array = (s**2).sum(-1)
    return squares / s[..., 0] ** 2


def effective_rank(s: ArrayLike) -> Array:
    """exp(entropy of s_i / sum s), shape (...) (Roy & Vetterli 2007).

    Examples
    --------
    Equal singular values count fully, and zeros do not:

    >>> effective_rank([[1, 1, 1], [1, 1, 0]]).round(6).tolist()
    [3.0, 2.0]
    """
    s = _or_nan(s)
    p = s / s.sum(-1, keepdims=True)
    entropy = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(-1)
    return np.where(np.isnan(s[..., 0]), np.nan, np.exp(entropy))


def mp_soft_rank(s: ArrayLike, shape: tuple[int, int]) -> Array:
    """lambda_plus / lambda_max of W'W/n, shape (...) (Martin & Mahoney 2018).

    lambda_plus is the upper Marchenko-Pastur edge v (1 + sqrt(p/n))^2 of a random matrix with the
    mean squared entry v of W, for W of shape (n, p) or (p, n) with n >= p. With v from all entries
    this is the stable rank times (1 + sqrt(p/n))^2 / p; it is above 1 for pure noise.

    Examples
    --------
    The identity matrix of size 4, whose stable rank is 4:

    >>> float(mp_soft_rank([1, 1, 1, 1], (4, 4)))
    4.0
    """
    n, p = max(shape), min(shape)
    s = _or_nan(s)
    variance = (s**2).sum(-1) / (n * p)
    edge: Array = variance * (1 + np.sqrt(p / n)) ** 2
    return edge / (s[..., 0] ** 2 / n)


@dataclass(frozen=True)
class RankMeasure:
    """A measure of rank in files, figures and claims, described in words.

    Attributes
    ----------
    label : str
        On the axis of a figure.
    long_name : str
        In files, where {tolerance} is the tolerance of the numerical rank, and {clusters} the number of
        clusters K.
    reference : str, optional

    Examples
    --------
    >>> RANK_MEASURES["exact_rank"].label
    'exact rank'
    """

    label: str
    long_name: str
    reference: str | None = None


RANK_MEASURES = {
    "stable_rank": RankMeasure("stable rank", "stable rank ||W||^2 / ||W||_2^2"),
    "numerical_rank": RankMeasure(
        "numerical rank",
        "numerical rank, singular values above {tolerance:g} of the largest",
    ),
    "exact_rank": RankMeasure("exact rank", f"exact rank, singular values above {EXACT:g} of the largest"),
    "effective_rank": RankMeasure(
        "effective rank",
        "effective rank, exponential of the entropy of the spectrum",
        reference="Roy & Vetterli 2007",
    ),
    "rank_needed": RankMeasure(
        f"rank with a tail of at most {NEAR:g}",
        f"smallest rank with a relative tail of at most {NEAR:g} beyond it",
    ),
    "relative_distance": RankMeasure(
        "relative distance to rank K",
        "relative distance to rank {clusters}, the number of clusters",
    ),
    "mp_soft_rank": RankMeasure(
        "Marchenko-Pastur soft rank",
        "Marchenko-Pastur edge over the largest eigenvalue of W'W",
        reference="Martin & Mahoney 2018",
    ),
    "distinct_neurons": RankMeasure(
        "number of distinct neurons",
        "number of neurons that differ, at least the rank of the layer",
        reference="merged neurons (c)",
    ),
}


def _or_nan(s: ArrayLike) -> Array:
    s = np.asarray(s, dtype=np.float64)
    return np.where(s[..., :1] > 0, s, np.nan)
