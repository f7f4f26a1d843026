"""The spaces of features under partitions, gathered in one pass over the data, or two where they are many."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from nrc.measured_network import Batch, Seen
from nrc.options import Options as BaseOptions
from nrc.options import Requirement, at_least, equal
from nrc.theory.clusters import kmeans
from nrc.theory.collapse import between_directions, nc1
from nrc.theory.moments import Partition, Spread, of_points

__all__ = ["Options", "Spaces", "gather"]

# Coordinates in which the spread of points is exact. Where the points are too many to be kept, a wider
# space is projected on the leading ones of those kept, and the lower bound on the TCV stays one.
WIDE, LEADING = 1024, 256


class Options(BaseOptions):
    """Partitions into which k-means divides every space."""

    requires = (Requirement({"training.penalty": equal("factors")}, when={"certified_ranks": at_least(1)}),)

    kmeans_restarts: int = Field(
        10, ge=1, description="runs of k-means++ behind the upper end of the TCV bracket"
    )
    certified_ranks: int = Field(
        0,
        ge=0,
        description="largest rank K for which upper bounds on the tails of spectra beyond 1, 2, ..., K "
        "singular values are certified (Theorem 3.4, projected), with partitions of every space by k-means "
        "into as many clusters; 0 for none",
    )


Labels = NDArray[np.integer]
# Sees a batch.
Observer = Callable[[slice, Sequence[Tensor], Tensor], None]
# The clusters of a batch of points of a source, (cells, points), from its rows, its place, z and y.
Assign = Callable[[slice, int, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Spaces:
    """What is known of the points in every source.

    Attributes
    ----------
    classes : list of Partition, optional
        The known classes, for each source.
    best : list of Partition
        The one of lower WCSS of the classes and k-means into as many sets.
    labels : list of Tensor
        The cluster of each point in `best`, (cells, points).
    random : list of Partition
        Sets of the sizes of the classes, drawn at random.
    more : list of list of Partition
        k-means into 1, 2, ... sets.
    nc1 : Tensor, optional
        (cells, sources)
    spreads : list of Spread
        Of features and targets side by side.
    kept : list of Tensor
        Features and targets side by side, (cells, points, n_k + m), of all points or of a sample.
    """

    classes: list[Partition] | None
    best: list[Partition]
    labels: list[Tensor]
    random: list[Partition]
    more: list[list[Partition]]
    nc1: Tensor | None
    spreads: list[Spread]
    kept: list[Tensor]


def gather(
    seen: Seen,
    labels: Labels | None,
    clusters: int,
    *,
    restarts: int,
    seeds: Sequence[int],
    ranks: int = 0,
) -> Spaces:
    """Look at all points, and once more where they are too many to be kept.

    k-means sees the points that are kept; its centres then part all of them.

    Parameters
    ----------
    seen : Seen
    labels : (cells, points) integer array or None
        Known class of each point, from 0.
    clusters : int
        K.
    restarts : int
        k-means++ runs.
    seeds : sequence of int
        For each cell, of k-means and of what is drawn at random.
    ranks : int
        k-means also parts the points into 1, ..., this many sets.

    Raises
    ------
    ValueError
        If K or `ranks` is not in 1..N, or a class is empty.

    Examples
    --------
    The points (2, 1) and (2, -1), each its own target, in one set:

    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> seen = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> spaces = gather(seen, np.zeros((1, 2), dtype=int), 1, restarts=1, seeds=[0])
    >>> [of.wcss.item() for of in spaces.classes], spaces.labels[0].tolist()
    ([2.0], [[0, 0]])
    """
    cells, kept = len(seeds), _Kept(seen, seeds[0])
    random = _Parted(seen, cells, clusters, _known(_shuffled(labels, seen.points, clusters, seeds)))
    classes = None if labels is None else _Parted(seen, cells, clusters, _known(labels))
    _look(seen.batches("features"), kept, random, classes)
    _check(classes)
    spaces = kept.spaces()
    numbers = clusters, *range(1, ranks + 1)
    found, *more = (_Parted(seen, cells, r, _nearest(spaces, r, restarts, seeds)) for r in numbers)
    spreads = _Spreads([None if kept.all else _basis(space) for space in spaces])
    collapse = None if classes is None else _Collapse(classes)
    _look(kept.batches() if kept.all else seen.batches("clusters"), found, *more, spreads, collapse)
    return Spaces(
        None if classes is None else classes.partitions,
        *_better(classes, found),
        random.partitions,
        [of.partitions for of in more],
        None if collapse is None else collapse.nc1(),
        spreads.spreads,
        spaces,
    )


def _check(classes: "_Parted | None") -> None:
    if classes is not None and (empty := (classes.partitions[0].features.sizes == 0).nonzero()).numel():
        cell, cluster = empty[0].tolist()
        raise ValueError(f"cluster {cluster} of cell {cell} is empty; every cluster needs a point")


def _better(classes: "_Parted | None", found: "_Parted") -> tuple[list[Partition], list[Tensor]]:
    """In each cell and source the partition of lower WCSS, with its labels."""
    if classes is None:
        return found.partitions, found.labels
    best, labels = [], []
    for known, other, of_known, of_other in zip(
        classes.partitions, found.partitions, classes.labels, found.labels, strict=True
    ):
        best.append(known.better(other))
        labels.append(torch.where((other.wcss < known.wcss)[:, None], of_other, of_known))
    return best, labels


def _look(batches: Iterable[Batch], *observers: Observer | None) -> None:
    for batch in batches:
        for observe in observers:
            if observe is not None:
                observe(*batch)


class _Kept:
    """The points whose features stay in memory: all, or a sample of the capacity in order."""

    def __init__(self, seen: Seen, seed: int) -> None:
        self.all = seen.points <= seen.capacity
        rng = np.random.default_rng(seed)
        few = np.arange(seen.points) if self.all else rng.choice(seen.points, seen.capacity, replace=False)
        self.rows, self._parts = np.sort(few), list[Batch]()

    def __call__(self, rows: slice, z: Sequence[Tensor], y: Tensor) -> None:
        few = self.rows[slice(*np.searchsorted(self.rows, [rows.start, rows.stop]))] - rows.start
        here = slice(None) if self.all else few
        self._parts.append((rows, [of[:, here] for of in z], y[:, here]))

    def batches(self) -> Iterable[Batch]:
        return self._parts

    def spaces(self) -> list[Tensor]:
        """Features and targets side by side, of each source."""
        y = torch.cat([y for _, _, y in self._parts], dim=1)
        return [
            torch.cat([torch.cat(z, dim=1), y], dim=2)
            for z in zip(*(z for _, z, _ in self._parts), strict=True)
        ]


class _Parted:
    """Sums over the clusters of a partition of each source."""

    def __init__(self, seen: Seen, cells: int, clusters: int, assign: Assign) -> None:
        self.partitions = [Partition.empty(cells, clusters, n, seen.outputs) for n in seen.sizes]
        self._assign, self._labels = assign, [list[Tensor]() for _ in seen.sizes]

    def __call__(self, rows: slice, z: Sequence[Tensor], y: Tensor) -> None:
        for k, (partition, of_source) in enumerate(zip(self.partitions, z, strict=True)):
            labels = self._assign(rows, k, of_source, y)
            partition.update(of_source, y, labels)
            self._labels[k].append(labels)

    @property
    def labels(self) -> list[Tensor]:
        """The cluster of each point, (cells, points), of each source."""
        return [torch.cat(of, dim=1) for of in self._labels]


class _Spreads:
    """The spread of features and targets in each source, where given along the columns of a basis."""

    def __init__(self, bases: Sequence[Tensor | None]) -> None:
        self._bases, self.spreads = bases, [Spread() for _ in bases]

    def __call__(self, rows: slice, z: Sequence[Tensor], y: Tensor) -> None:
        for spread, of_source, basis in zip(self.spreads, z, self._bases, strict=True):
            space = torch.cat([of_source, y], dim=2)
            spread.update(space if basis is None else space @ basis)


class _Collapse:
    """NC1 of the features, of known classes."""

    def __init__(self, classes: _Parted) -> None:
        self._classes, self._labels = classes.partitions, classes.labels[0]
        self._directions = [between_directions(of) for of in self._classes]
        self._squares = torch.zeros(len(self._labels), len(self._classes), dtype=torch.float64)

    def __call__(self, rows: slice, z: Sequence[Tensor], y: Tensor) -> None:
        for k, (of_source, directions) in enumerate(zip(z, self._directions, strict=True)):
            deviations = of_source - of_points(self._classes[k].features.means, self._labels[:, rows])
            self._squares[:, k] += (deviations @ directions).square().sum((1, 2))

    def nc1(self) -> Tensor:
        """(cells, sources)"""
        points = self._labels.shape[1]
        columns = zip(self._squares.T, self._directions, strict=True)
        return torch.stack([nc1(squares, q, points) for squares, q in columns], dim=1)


def _known(labels: Labels) -> Assign:
    """The same clusters in every source."""
    return lambda rows, k, z, y: torch.from_numpy(labels[:, rows]).long()


def _nearest(spaces: Sequence[Tensor], clusters: int, restarts: int, seeds: Sequence[int]) -> Assign:
    """The nearest centre of k-means on the points that are kept."""
    fits = [
        [kmeans(points, clusters, restarts, seed) for points, seed in zip(space.numpy(), seeds, strict=True)]
        for space in spaces
    ]

    def assign(rows: slice, k: int, z: Tensor, y: Tensor) -> Tensor:
        points = torch.cat([z, y], dim=2).numpy()
        found = [fit.predict(of_cell) for fit, of_cell in zip(fits[k], points, strict=True)]
        return torch.from_numpy(np.stack(found)).long()

    return assign


def _shuffled(labels: Labels | None, points: int, clusters: int, seeds: Sequence[int]) -> Labels:
    """The labels shuffled among the points; without labels those of sets of equal sizes."""
    drawn = [np.arange(points) % clusters] * len(seeds) if labels is None else labels
    return np.stack([np.random.default_rng(s).permutation(of) for s, of in zip(seeds, drawn, strict=True)])


def _basis(space: Tensor) -> Tensor | None:
    """Orthonormal columns, the leading directions of points (cells, points, p); None for all directions."""
    if space.shape[2] <= WIDE:
        return None
    centred = (space - space.mean(1, keepdim=True)).numpy()
    leading = [randomized_svd(points, LEADING, random_state=0)[2].T for points in centred]
    return torch.from_numpy(np.stack(leading))
