"""Gaussian mixtures, drawn once for every noise level: a point is means[label] + sigma * noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["Mixture", "blob_sizes", "draw_mixture"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """A draw of a Gaussian mixture, free of the noise level sigma.

    Attributes
    ----------
    means : (clusters, features) array
    covariances : (clusters, features, features) array
        Covariance S_i of the noise of each blob at sigma = 1; its trace is the number of features.
    noise : (points, features) array
        Noise at sigma = 1, covariance applied.
    labels : (points,) integer array
        Blob of each point, sorted.
    """

    means: Array
    covariances: Array
    noise: Array
    labels: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of points of each blob, (clusters,)."""
        return np.bincount(self.labels, minlength=len(self.means))

    def points(self, sigma: float) -> Array:
        """Points (points, features) at noise level sigma."""
        return self.means[self.labels] + sigma * self.noise

    def centroids(self, sigma: float) -> Array:
        """Mean of the points of each blob (clusters, features) at noise level sigma."""
        members = self.labels == np.arange(len(self.means))[:, None]
        return members @ self.points(sigma) / self.sizes[:, None]

    def to_dataset(self) -> xr.Dataset:
        """The mixture as a dataset with dimensions cluster, point, feature, other_feature."""
        return xr.Dataset(
            {
                "means": (("cluster", "feature"), self.means, _about("means of the blobs")),
                "covariances": (
                    ("cluster", "feature", "other_feature"),
                    self.covariances,
                    _about("covariances of the noise of the blobs at sigma = 1"),
                ),
                "noise": (("point", "feature"), self.noise, _about("noise at sigma = 1, covariance applied")),
                "labels": (("point",), self.labels, _about("blob of each point")),
            }
        )

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Self:
        return cls(*(dataset[name].values for name in ("means", "covariances", "noise", "labels")))


def _about(long_name: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "1"}


def draw_mixture(
    *,
    clusters: int,
    points: int,
    dimension: int,
    separation: float,
    covariance: str,
    weights: Sequence[float] | None,
    seed: int,
) -> Mixture:
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
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    means = _separated_means(rng, clusters, dimension, separation)
    roots = np.stack([_covariance_root(rng, dimension, covariance) for _ in range(clusters)])
    labels = np.repeat(np.arange(clusters), blob_sizes(points, clusters, weights))
    noise = np.einsum("nij,nj->ni", roots[labels], rng.standard_normal((points, dimension)))
    return Mixture(means, roots @ roots.swapaxes(1, 2), noise, labels)


def blob_sizes(points: int, clusters: int, weights: Sequence[float] | None = None) -> NDArray[np.int64]:
    """Split points over blobs in proportion to weights, by largest remainder.

    Raises
    ------
    ValueError
        If a blob would be empty.
    """
    share = np.ones(clusters) if weights is None else np.asarray(weights, dtype=float)
    quota = points * share / share.sum()
    sizes = np.floor(quota).astype(np.int64)
    by_remainder = np.argsort(sizes - quota, kind="stable")
    sizes[by_remainder[: points - sizes.sum()]] += 1
    if (sizes == 0).any():
        raise ValueError(
            f"{points} points in {clusters} blobs leave a blob empty; use more points or other weights"
        )
    return sizes


def _separated_means(rng: np.random.Generator, clusters: int, dimension: int, separation: float) -> Array:
    means = rng.standard_normal((clusters, dimension))
    if clusters == 1:
        return separation * means / np.linalg.norm(means)
    distance = np.linalg.norm(means[:, None] - means[None], axis=2)
    return separation * means / distance[np.triu_indices(clusters, 1)].min()


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
