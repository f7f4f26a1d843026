"""Means, sums of squares and singular values of points that arrive in batches.

Batches are merged by the difference of their means (Chan, Golub & LeVeque 1983), and means are stored as
offsets from an origin among the points. There is no cancellation: sums of squares are as accurate as those of
all points at once, and rounding errors are relative to the spread of the points and not to their mean.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import one_hot

__all__ = ["Moments", "Partition", "Spread", "of_points"]


class Moments:
    """Sizes, means and sums of squares of the clusters of a partition.

    Parameters
    ----------
    cells, clusters, size : int
        Numbers of partitions side by side, of clusters in each, and of coordinates of a point.

    Attributes
    ----------
    sizes : Tensor
        Number of points of each cluster, (cells, clusters).
    means : Tensor
        (cells, clusters, size); 0 for a cluster without points.
    squares : Tensor
        Sum of squared distances from the mean, (cells, clusters).

    Examples
    --------
    >>> moments = Moments(1, 2, 1)
    >>> for batch in ([[[0.0], [2.0], [5.0]]], [[[4.0], [7.0], [9.0]]]):
    ...     moments.update(torch.tensor(batch, dtype=torch.float64), torch.tensor([[0, 0, 1]]))
    >>> moments.means.flatten().tolist(), moments.squares.tolist()
    ([3.25, 7.0], [[26.75, 8.0]])
    """

    def __init__(self, cells: int, clusters: int, size: int) -> None:
        self.sizes = torch.zeros(cells, clusters, dtype=torch.float64)
        self.squares = torch.zeros(cells, clusters, dtype=torch.float64)
        self._origins = torch.zeros(cells, clusters, size, dtype=torch.float64)
        self._offsets = torch.zeros_like(self._origins)

    @property
    def means(self) -> Tensor:
        return self._origins.add(self._offsets)

    def update(self, points: Tensor, labels: Tensor) -> None:
        """Add points (cells, points, size) with labels (cells, points), integers from 0."""
        members = one_hot(labels, self.sizes.shape[1]).to(points.dtype)
        sizes = members.sum(1)
        averages = members.mT / sizes.clamp(min=1)[:, :, None]
        self._origins = torch.where((self.sizes > 0)[:, :, None], self._origins, averages @ points)
        deviations = points - of_points(self._origins, labels)
        offsets = averages @ deviations
        deviations -= of_points(offsets, labels)
        squares = torch.zeros_like(self.squares).scatter_add_(1, labels, deviations.square_().sum(2))
        total = self.sizes + sizes
        share, step = sizes / total.clamp(min=1), offsets - self._offsets
        self.squares += squares + step.square().sum(2) * self.sizes * share
        self._offsets += step * share[:, :, None]
        self.sizes = total


@dataclass
class Partition:
    """The moments of features and targets of one space.

    Attributes
    ----------
    features, targets : Moments

    Examples
    --------
    >>> partition = Partition.empty(cells=1, clusters=2, features=1, targets=1)
    >>> z, y = torch.tensor([[[0.0], [2.0], [7.0]]]).double(), torch.zeros(1, 3, 1).double()
    >>> partition.update(z, y, torch.tensor([[0, 0, 1]]))
    >>> partition.wcss.item(), partition.mean.item()
    (0.666667, 3.0)
    """

    features: Moments
    targets: Moments

    @classmethod
    def empty(cls, cells: int, clusters: int, features: int, targets: int) -> "Partition":
        """A partition without points, for these numbers of features and targets."""
        return cls(Moments(cells, clusters, features), Moments(cells, clusters, targets))

    def update(self, z: Tensor, y: Tensor, labels: Tensor) -> None:
        """Add features (cells, points, n_k) and targets (cells, points, m) with labels (cells, points)."""
        self.features.update(z, labels)
        self.targets.update(y, labels)

    @property
    def shares(self) -> Tensor:
        """N_i / N, (cells, clusters)."""
        return self.features.sizes / self.features.sizes.sum(1, keepdim=True)

    @property
    def wcss(self) -> Tensor:
        """The WCSS of features and targets side by side, (cells,) (eq. 6)."""
        squares = self.features.squares.sum(1) + self.targets.squares.sum(1)
        return squares / self.features.sizes.sum(1)

    @property
    def variance(self) -> Tensor:
        """The variance of the features, tr (Sigma_W + Sigma_B), (cells,)."""
        deviations = self.features.means - self.mean[:, None]
        between = (self.shares * deviations.square().sum(2)).sum(1)
        return self.features.squares.sum(1) / self.features.sizes.sum(1) + between

    @property
    def mean(self) -> Tensor:
        """The mean of all features, (cells, n_k)."""
        return (self.shares[:, :, None] * self.features.means).sum(1)

    def better(self, other: "Partition") -> "Partition":
        """The partition of lower WCSS in each cell; this partition if both are equal."""
        wins = other.wcss < self.wcss
        pairs = (other.features, self.features), (other.targets, self.targets)
        return Partition(*(_chosen(wins, *pair) for pair in pairs))


@dataclass
class Spread:
    """Singular values of centred points, from a triangular factor that each batch updates.

    They bound the total cluster variation from below: K centroids span an affine space of dimension K - 1, so
    TCV_K >= (1/N) sum_{i > K-1} s_i^2 (Zha et al. 2001; Ding & He 2004), which is ``beyond(K - 1)``.

    Attributes
    ----------
    rows : Tensor, optional
        A matrix with the same singular values, (cells, rows, size).

    Examples
    --------
    >>> spread = Spread()
    >>> for batch in ([[[1.0, 0.0], [-1.0, 0.0]]], [[[0.0, 3.0], [0.0, -3.0]]]):
    ...     spread.update(torch.tensor(batch, dtype=torch.float64))
    >>> spread.beyond(1).item()
    0.5
    """

    rows: Tensor | None = None
    _origin: Tensor | None = None
    _mean: Tensor = field(default_factory=lambda: torch.zeros(()))
    _points: int = 0

    def update(self, points: Tensor) -> None:
        """Add points (cells, points, size)."""
        if self._origin is None:
            self._origin = points.mean(1, keepdim=True)
        points = points - self._origin
        mean = points.mean(1, keepdim=True)
        rows, count = points - mean, points.shape[1]
        if self.rows is not None:
            total = self._points + count
            between = (self._points * count / total) ** 0.5 * (mean - self._mean)
            rows = torch.cat([_triangle(self.rows), rows, between], dim=1)
            mean = self._mean + (mean - self._mean) * (count / total)
        self.rows, self._mean, self._points = rows, mean, self._points + count

    def beyond(self, rank: int) -> Tensor:
        """(1/N) sum_{i > rank} s_i^2, the mean squared error of the best affine fit of a rank, (cells,)."""
        assert self.rows is not None, "no points"
        squares: Tensor = torch.linalg.svdvals(self.rows)[:, rank:].square().sum(1)
        return squares / self._points


def _triangle(rows: Tensor) -> Tensor:
    if rows.shape[1] <= rows.shape[2]:
        return rows
    triangle: Tensor = torch.linalg.qr(rows, mode="r")[1]
    return triangle


def of_points(means: Tensor, labels: Tensor) -> Tensor:
    """The mean (cells, clusters, size) of the cluster of each point (cells, points), (cells, points, size).

    Examples
    --------
    >>> of_points(torch.tensor([[[1.0], [7.0]]]), torch.tensor([[1, 0, 1]])).flatten().tolist()
    [7.0, 1.0, 7.0]
    """
    return means[torch.arange(len(means))[:, None], labels]


def _chosen(first: Tensor, of_first: Moments, of_second: Moments) -> Moments:
    chosen = Moments(*of_first.means.shape)
    for name in ("sizes", "squares", "_origins", "_offsets"):
        a, b = getattr(of_first, name), getattr(of_second, name)
        setattr(chosen, name, torch.where(first.view(-1, *[1] * (a.ndim - 1)), a, b))
    return chosen
