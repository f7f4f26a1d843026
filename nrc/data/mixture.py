"""Gaussian mixtures, drawn once for every noise level: a point is means[label] + sigma * noise."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrc.data import Size
from nrc.data.options import DataOptions

if TYPE_CHECKING:  # the Snakefile reads this module too, and should not wait for xarray
    from nrc.data.points import Points

__all__ = ["SEEDED", "Options", "blob_sizes", "check", "draw", "draw_mixture", "size"]

Array = NDArray[np.float64]

SEEDED = True


class Options(DataOptions):
    """A Gaussian mixture, drawn by the seed; the base of a point is the mean of its cluster."""

    default_sigma: ClassVar[None] = None

    clusters: int = Field(ge=1, description="number of clusters K")
    points: int = Field(ge=1, description="number of points N")
    dimension: int = Field(ge=1, description="number of features d")
    separation: float = Field(2.0, gt=0, description="smallest distance between two means")
    covariance: Literal["isotropic", "full"] = Field(
        "isotropic",
        description="isotropic is the identity, full draws a covariance of mean variance 1 for each cluster",
    )
    weights: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, description="relative sizes of the clusters, or null for equal sizes"
    )


def check(options: Mapping[str, Any]) -> None:
    """Check the options before anything is drawn.

    Raises
    ------
    ValueError
        If there are not as many weights as blobs, or a blob would be empty.

    Examples
    --------
    >>> check({"clusters": 3, "points": 30, "weights": [1.0, 2.0]})
    Traceback (most recent call last):
        ...
    ValueError: weights is [1.0, 2.0], but must have 3 numbers, one a cluster
    """
    clusters, points, weights = options["clusters"], options["points"], options["weights"]
    if weights is not None and len(weights) != clusters:
        raise ValueError(f"weights is {weights!r}, but must have {clusters} numbers, one a cluster")
    try:
        blob_sizes(points, clusters, weights)
    except ValueError as error:
        what = f"clusters is {clusters}" if weights is None else f"weights is {weights!r}"
        raise ValueError(f"{what}, but {error}") from None


def size(options: Mapping[str, Any]) -> Size:
    """Points, features and clusters; there is no y.

    Examples
    --------
    >>> size({"points": 30, "dimension": 4, "clusters": 3})
    Size(points=30, features=4, clusters=3, outputs=None)
    """
    return Size(options["points"], options["dimension"], options["clusters"], None)


def draw(options: Mapping[str, Any], seed: int, files: Sequence[str] = ()) -> "Points":
    """Draw a mixture with the options of `draw_mixture`.

    Examples
    --------
    >>> options = {"clusters": 2, "points": 10, "dimension": 3, "separation": 1.0}
    >>> draw({**options, "covariance": "isotropic", "weights": None}, seed=0).sizes.tolist()
    [5, 5]
    """
    return draw_mixture(**options, seed=seed)


def draw_mixture(
    *,
    clusters: int,
    points: int,
    dimension: int,
    separation: float,
    covariance: str,
    weights: Sequence[float] | None,
    seed: int,
) -> "Points":
    """Draw means, noise and labels of a Gaussian mixture.

    Parameters
    ----------
    clusters, points, dimension : int
        K, N and d.
    separation : float
        Smallest distance between two means (norm of the mean if there is one cluster).
    covariance : {"isotropic", "diagonal", "full"}
        Shape of each blob. Isotropic is the identity; diagonal and full have exponentially
        distributed eigenvalues scaled to mean 1, drawn for each blob, full in random axes.
    weights : sequence of float or None
        Relative blob sizes; None is balanced.
    seed : int

    Raises
    ------
    ValueError
        If there are more clusters than points, or a blob would be empty.

    Examples
    --------
    >>> points = draw_mixture(
    ...     clusters=2, points=10, dimension=3, separation=2.0, covariance="full", weights=[4, 1], seed=0
    ... )
    >>> points.sizes.tolist()
    [8, 2]
    >>> float(np.linalg.norm(points.means[0] - points.means[1]).round(6))
    2.0
    """
    from nrc.data.points import Points

    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    means = _separated_means(rng, clusters, dimension, separation)
    roots = np.stack([_covariance_root(rng, dimension, covariance) for _ in range(clusters)])
    labels = np.repeat(np.arange(clusters), blob_sizes(points, clusters, weights))
    noise = np.einsum("nij,nj->ni", roots[labels], rng.standard_normal((points, dimension)))
    covariances = roots @ roots.swapaxes(1, 2)
    return Points(seed, means[labels], labels, noise, means=means, covariances=covariances)


def blob_sizes(points: int, clusters: int, weights: Sequence[float] | None = None) -> NDArray[np.int64]:
    """Split points over blobs in proportion to weights, by largest remainder.

    Raises
    ------
    ValueError
        If a blob would be empty.

    Examples
    --------
    >>> blob_sizes(10, 3).tolist()
    [4, 3, 3]
    >>> blob_sizes(10, 2, [4, 1]).tolist()
    [8, 2]
    """
    share = np.ones(clusters) if weights is None else np.asarray(weights, dtype=float)
    quota = points * share / share.sum()
    sizes: NDArray[np.int64] = np.floor(quota).astype(np.int64)
    by_remainder = np.argsort(sizes - quota, kind="stable")
    sizes[by_remainder[: points - sizes.sum()]] += 1
    if (sizes == 0).any():
        raise ValueError(
            f"{points} points in {clusters} blobs leave a blob empty; use more points or other weights"
        )
    return sizes


def _separated_means(rng: np.random.Generator, clusters: int, dimension: int, separation: float) -> Array:
    means: Array = rng.standard_normal((clusters, dimension))
    if clusters == 1:
        least = np.linalg.norm(means)
    else:
        distance = np.linalg.norm(means[:, None] - means[None], axis=2)
        least = distance[np.triu_indices(clusters, 1)].min()
    return separation * means / least


def _covariance_root(rng: np.random.Generator, dimension: int, covariance: str) -> Array:
    """A root A of the covariance S = A A'."""
    if covariance == "isotropic":
        return np.eye(dimension)
    eigenvalues = rng.exponential(size=dimension)
    root = np.diag(np.sqrt(eigenvalues / eigenvalues.mean()))
    if covariance == "diagonal":
        return root
    if covariance == "full":
        axes, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
        return axes @ root
    raise ValueError(f"covariance {covariance!r} is not one of isotropic, diagonal, full")
