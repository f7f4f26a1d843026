"""Points with their clusters, free of the noise level: at level sigma they are base + sigma * noise."""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nrc.metadata import describe
from nrc.random_streams import Stream, generator

__all__ = ["Points", "one_hot"]

Array = NDArray[np.float64]

ABOUT = {
    "base": (("point", "feature"), "points without noise"),
    "labels": (("point",), "cluster of each point"),
    "noise": (("point", "feature"), "noise at sigma = 1, covariance applied"),
    "y": (("point", "output"), "targets"),
    "means": (("cluster", "feature"), "means of the clusters"),
    "covariances": (
        ("cluster", "feature", "other_feature"),
        "covariances of the noise of the clusters at sigma = 1",
    ),
    "test_base": (("test_point", "feature"), "points to test on, without noise"),
    "test_labels": (("test_point",), "class of each point to test on"),
}


@dataclass(frozen=True)
class Points:
    """A data set as it is stored.

    Attributes
    ----------
    seed : int
        Seed of the noise, where `noise` is None.
    base : (points, features) array
    labels : (points,) integer array
        Cluster of each point, 0 to K-1, none of them empty.
    noise : (points, features) array, optional
        Noise at sigma = 1; standard normal by the seed if not given.
    y : (points, outputs) array, optional
        Targets of a regression.
    means, covariances : (clusters, features) and (clusters, features, features) arrays, optional
        Means and covariances of the clusters of a Gaussian mixture, at sigma = 1.
    test_base, test_labels : arrays, optional
        Points to test on.
    image_shape : tuple of int, optional
        (channels, height, width) of the images that the features of points are.

    Examples
    --------
    >>> points = Points(0, base=np.eye(3), labels=np.array([0, 0, 1]))
    >>> points.clusters, points.sizes.tolist()
    (2, [2, 1])
    """

    seed: int
    base: Array
    labels: NDArray[np.int64]
    noise: Array | None = None
    y: Array | None = None
    means: Array | None = None
    covariances: Array | None = None
    test_base: Array | None = None
    test_labels: NDArray[np.int64] | None = None
    image_shape: tuple[int, ...] | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of a point: that of an image, or (features,)."""
        return self.image_shape or self.base.shape[1:]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of points of each cluster, (clusters,)."""
        return np.bincount(self.labels)

    @property
    def clusters(self) -> int:
        """K."""
        return len(self.sizes)

    def x(self, sigma: float) -> Array:
        """Points (points, features) at noise level sigma.

        Examples
        --------
        >>> points = Points(0, np.eye(2), np.array([0, 1]), noise=np.ones((2, 2)))
        >>> points.x(0.5).tolist()
        [[1.5, 0.5], [0.5, 1.5]]
        """
        if self.noise is None:
            return _noisy(self.base, sigma, self.seed, Stream.NOISE)
        return self.base + sigma * self.noise

    def test_x(self, sigma: float) -> Array:
        """Points to test on, (test points, features), at noise level sigma.

        Raises
        ------
        ValueError
            If the data have no test points.

        Examples
        --------
        >>> points = Points(0, np.eye(2), np.array([0, 1]), test_base=np.ones((1, 2)))
        >>> points.test_x(0.0).tolist()
        [[1.0, 1.0]]
        """
        if self.test_base is None:
            raise ValueError("the data have no test points")
        return _noisy(self.test_base, sigma, self.seed, Stream.TEST_NOISE)

    def targets(self, task: str, x: Array) -> Array:
        """Targets of a network, (points, outputs).

        Parameters
        ----------
        task : {"autoencode", "classify", "regress"}
            The points x themselves, the classes one-hot, or y.
        x : (points, features) array

        Raises
        ------
        ValueError
            If there is no such task; if the task is to classify, and the data have a single class; or if the
            task is to regress, and the data have no y.

        Examples
        --------
        >>> points = Points(0, np.eye(3), np.array([0, 0, 1]))
        >>> points.targets("classify", points.x(0.0)).tolist()
        [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
        """
        if task == "autoencode":
            return x
        if task == "classify":
            if self.clusters == 1:
                raise ValueError(
                    "task is 'classify', but all points have the same class; it needs at least 2"
                )
            return one_hot(self.labels, self.clusters)
        if task != "regress":
            raise ValueError(f"task is {task!r}, but must be one of autoencode, classify, regress")
        if self.y is None:
            raise ValueError("task is 'regress', but the data have no y to regress on")
        return self.y

    def means_of(self, points: Array) -> Array:
        """Means of the clusters, (clusters, p), of points (points, p).

        Examples
        --------
        >>> points = Points(0, np.eye(3), np.array([0, 0, 1]))
        >>> points.means_of(points.base).tolist()
        [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
        """
        members = self.labels == np.arange(self.clusters)[:, None]
        means: Array = members @ points / self.sizes[:, None]
        return means

    def to_dataset(self) -> xr.Dataset:
        """The arrays that are not None, as a dataset with the attribute seed.

        Examples
        --------
        >>> dataset = Points(7, np.eye(3), np.array([0, 0, 1])).to_dataset()
        >>> list(dataset), dataset.attrs
        (['base', 'labels'], {'seed': 7})
        >>> Points.from_dataset(dataset).clusters
        2
        """
        arrays = {name: getattr(self, name) for name in ABOUT if getattr(self, name) is not None}
        attributes: dict[str, Any] = {"seed": self.seed}
        if self.image_shape is not None:
            attributes["image_shape"] = self.image_shape
        dataset = xr.Dataset(
            {name: (ABOUT[name][0], array) for name, array in arrays.items()}, attrs=attributes
        )
        return describe(dataset, **{name: {"long_name": ABOUT[name][1]} for name in arrays})

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Self:
        names = [field.name for field in fields(cls) if field.name in dataset]
        arrays = {name: dataset[name].values for name in names}
        shape = dataset.attrs.get("image_shape")
        image_shape = None if shape is None else tuple(map(int, shape))
        return cls(int(dataset.attrs["seed"]), **arrays, image_shape=image_shape)


def one_hot(labels: NDArray[np.integer], classes: int) -> Array:
    """One-hot encoding of labels, (points, classes).

    Examples
    --------
    >>> one_hot(np.array([1, 0]), 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    return np.asarray(labels[:, None] == np.arange(classes), dtype=np.float64)


def _noisy(base: Array, sigma: float, seed: int, stream: Stream) -> Array:
    """Points with standard normal noise; at sigma = 0 no noise is drawn."""
    if not sigma:
        return base + 0.0
    rng = generator(seed, stream)
    return base + sigma * rng.standard_normal(base.shape)
