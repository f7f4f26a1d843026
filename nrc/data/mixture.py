"""Gaussian mixtures, drawn once for every noise level: a point is means[label] + sigma * noise."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrc.data import Size
from nrc.data.options import DataOptions
from nrc.random_streams import Stream, generator

if TYPE_CHECKING:
    from nrc.data.points import Points

__all__ = ["Options", "check", "cluster_sizes", "draw", "size"]

Array = NDArray[np.float64]


class Options(DataOptions):
    """A Gaussian mixture, drawn by the seed; the base of a point is the mean of its cluster."""

    default_sigma: ClassVar[None] = None

    clusters: int = Field(ge=1, description="number of clusters K")
    points: int = Field(ge=1, description="number of points N")
    dimension: int = Field(ge=1, description="number of features d")
    separation: float = Field(
        2.0, gt=0, description="smallest distance between two means; norm of the mean if there is one cluster"
    )
    covariance: Literal["isotropic", "full"] = Field(
        "isotropic",
        description="isotropic is the identity; full draws for each cluster exponentially distributed "
        "eigenvalues, scaled to mean 1, in random axes",
    )
    weights: list[Annotated[float, Field(gt=0)]] | None = Field(
        None, description="relative sizes of the clusters, or null for equal sizes"
    )


def check(options: Options) -> None:
    """Check the options before a mixture is drawn.

    Raises
    ------
    ValueError
        If there are not as many weights as clusters, or a cluster would be empty.

    Examples
    --------
    >>> check(Options(clusters=3, points=30, dimension=4, weights=[1.0, 2.0]))
    Traceback (most recent call last):
        ...
    ValueError: weights is [1.0, 2.0], but must have 3 numbers, one per cluster
    """
    clusters, weights = options.clusters, options.weights
    if weights is not None and len(weights) != clusters:
        raise ValueError(f"weights is {weights!r}, but must have {clusters} numbers, one per cluster")
    if not cluster_sizes(options).all():
        key = f"clusters is {clusters}" if weights is None else f"weights is {weights!r}"
        raise ValueError(
            f"{key}, but {options.points} points in {clusters} clusters leave a cluster empty; use more "
            "points or other weights"
        )


def size(options: Options) -> Size:
    """Points, features and clusters; there is no y.

    Examples
    --------
    >>> size(Options(points=30, dimension=4, clusters=3))
    Size(points=30, features=4, clusters=3, outputs=None)
    """
    return Size(options.points, options.dimension, options.clusters, None)


def draw(options: Options, seed: int, files: Sequence[str] = ()) -> "Points":
    """Draw means, noise and labels of a mixture.

    Raises
    ------
    ValueError
        As `check`.

    Examples
    --------
    >>> options = Options(clusters=2, points=10, dimension=3, covariance="full", weights=[4.0, 1.0])
    >>> points = draw(options, seed=0)
    >>> points.sizes.tolist()
    [8, 2]
    >>> float(np.linalg.norm(points.means[0] - points.means[1]))
    2.0
    """
    from nrc.data.points import Points

    check(options)
    rng = generator(seed, Stream.MIXTURE)
    clusters, dimension = options.clusters, options.dimension
    means = _separated_means(rng, clusters, dimension, options.separation)
    roots = np.stack([_covariance_root(rng, dimension, options.covariance) for _ in range(clusters)])
    labels = np.repeat(np.arange(clusters), cluster_sizes(options))
    noise = np.einsum("nij,nj->ni", roots[labels], rng.standard_normal((options.points, dimension)))
    covariances = roots @ roots.swapaxes(1, 2)
    return Points(seed, means[labels], labels, noise, means=means, covariances=covariances)


def cluster_sizes(options: Options) -> NDArray[np.int64]:
    """Number of points of each cluster, in proportion to the weights, by largest remainder.

    Examples
    --------
    >>> cluster_sizes(Options(points=10, clusters=3, dimension=1)).tolist()
    [4, 3, 3]
    >>> cluster_sizes(Options(points=10, clusters=2, dimension=1, weights=[4.0, 1.0])).tolist()
    [8, 2]
    """
    share = np.ones(options.clusters) if options.weights is None else np.array(options.weights)
    quota = options.points * share / share.sum()
    sizes: NDArray[np.int64] = np.floor(quota).astype(np.int64)
    by_remainder = np.argsort(sizes - quota, kind="stable")
    sizes[by_remainder[: options.points - sizes.sum()]] += 1
    return sizes


def _separated_means(rng: np.random.Generator, clusters: int, dimension: int, separation: float) -> Array:
    means: Array = rng.standard_normal((clusters, dimension))
    if clusters == 1:
        smallest = np.linalg.norm(means)
    else:
        distance = np.linalg.norm(means[:, None] - means[None], axis=2)
        smallest = distance[np.triu_indices(clusters, 1)].min()
    return separation * means / smallest


def _covariance_root(rng: np.random.Generator, dimension: int, covariance: str) -> Array:
    """A root A of the covariance S = A A'."""
    if covariance == "isotropic":
        return np.eye(dimension)
    eigenvalues = rng.exponential(size=dimension)
    root = np.diag(np.sqrt(eigenvalues / eigenvalues.mean()))
    axes, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
    return axes @ root
