"""Partitions of the points in every source, in one pass over the data or in two."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from nrc.measured_network import Batch, MeasuredNetwork
from nrc.objectives.penalties import ridge
from nrc.options import Options as BaseOptions
from nrc.options import Requirement, at_least
from nrc.random_streams import Stream, generator, integer_seed
from nrc.theory.clusters import kmeans, nearest
from nrc.theory.collapse import between_directions, nc1
from nrc.theory.moments import Partition, Spread, of_points

__all__ = ["Options", "Spaces", "gather"]

# Up to WIDE coordinates the spread of points is exact. A wider space of points that exceed the memory is
# projected on the LEADING directions of the sample in memory, which keeps the lower bound on the TCV valid.
WIDE, LEADING = 1024, 256
# Permutations of the labels behind the control of the measured bound.
PERMUTATIONS = 5


class Options(BaseOptions):
    """Partitions into which k-means divides every space."""

    requires = (Requirement({"training.penalty": ridge}, when={"certified_ranks": at_least(1)}),)

    kmeans_restarts: int = Field(
        10, ge=1, description="runs of k-means++ for the upper end of the TCV bracket"
    )
    certified_ranks: int = Field(
        0,
        ge=0,
        description="largest rank K for which upper bounds on the tails of spectra beyond 1, 2, ..., K "
        "singular values are certified (Theorem 3.4, projected), with partitions of every space by k-means "
        "into as many clusters; 0 for none",
    )


Labels = NDArray[np.integer]
# Receives a batch.
Observer = Callable[[slice, Sequence[Tensor], Tensor], None]
# The clusters of a batch, (cells, points), from its rows, the number of the source, z and y.
Assign = Callable[[slice, int, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Spaces:
    """Partitions and spread of the points in every source.

    Attributes
    ----------
    classes : list of Partition, optional
        The known classes, for each source.
    best : list of Partition
        The classes or the sets of k-means, whichever have the lower WCSS.
    labels : list of Tensor
        The cluster of each point in `best`, (cells, points).
    permuted : list of Partition
        Sets by permuted labels.
    permutations : list of list of Partition
        Sets by `PERMUTATIONS` further permutations.
    more : list of list of Partition
        Sets of k-means for 1, 2, ... clusters.
    nc1 : Tensor, optional
        (cells, sources)
    spreads : list of Spread
        The spread of features and targets side by side.
    """

    classes: list[Partition] | None
    best: list[Partition]
    labels: list[Tensor]
    permuted: list[Partition]
    permutations: list[list[Partition]]
    more: list[list[Partition]]
    nc1: Tensor | None
    spreads: list[Spread]


def gather(
    network: MeasuredNetwork,
    labels: Labels | None,
    clusters: int,
    *,
    restarts: int,
    seeds: Sequence[int],
    ranks: int = 0,
) -> Spaces:
    """Partition the points in every source by their classes, by permuted labels and by k-means.

    If the points exceed the memory, k-means is fitted to a sample; each point then belongs to the nearest
    centre.

    Parameters
    ----------
    network : MeasuredNetwork
    labels : (cells, points) integer array or None
        Known class of each point, from 0.
    clusters : int
        K.
    restarts : int
        Runs of k-means++.
    seeds : sequence of int
        The seed of each cell.
    ranks : int
        k-means also partitions the points into 1, ..., this many sets.

    Raises
    ------
    ValueError
        If K or `ranks` is not in 1..N, or a class is empty.

    Examples
    --------
    The points (2, 1) and (2, -1), each its own target, in one set:

    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> stack = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> spaces = gather(stack, np.zeros((1, 2), dtype=int), 1, restarts=1, seeds=[0])
    >>> [partition.wcss.item() for partition in spaces.classes], spaces.labels[0].tolist()
    ([2.0], [[0, 0]])
    """
    cells, memory = len(seeds), _Memory(network, seeds[0])
    permuted, *permutations = (
        _Partitions(network, cells, clusters, _given(sets))
        for sets in _permuted(labels, network.points, clusters, seeds)
    )
    classes = None if labels is None else _Partitions(network, cells, clusters, _given(labels))
    _show(network.batches("features"), memory, permuted, *permutations, classes)
    if classes is not None:
        _check_no_empty_cluster(classes.partitions[0])
    spaces = memory.spaces()
    counts = clusters, *range(1, ranks + 1)
    found, *more = (_Partitions(network, cells, k, _nearest(spaces, k, restarts, seeds)) for k in counts)
    spreads = _Spreads([None if memory.complete else _basis(space) for space in spaces])
    collapse = None if classes is None else _Collapse(classes)
    batches = memory.batches if memory.complete else network.batches("clusters")
    _show(batches, found, *more, spreads, collapse)
    return Spaces(
        None if classes is None else classes.partitions,
        *_better(classes, found),
        permuted.partitions,
        [of.partitions for of in permutations],
        [of.partitions for of in more],
        None if collapse is None else collapse.nc1(),
        spreads.spreads,
    )


def _check_no_empty_cluster(classes: Partition) -> None:
    if (empty := (classes.features.sizes == 0).nonzero()).numel():
        cell, cluster = empty[0].tolist()
        raise ValueError(f"cluster {cluster} of cell {cell} is empty; every cluster needs a point")


def _better(classes: "_Partitions | None", found: "_Partitions") -> tuple[list[Partition], list[Tensor]]:
    """The partition of lower WCSS in each cell and source, with its labels."""
    if classes is None:
        return found.partitions, found.labels
    best, labels = [], []
    for known, other, of_known, of_other in zip(
        classes.partitions, found.partitions, classes.labels, found.labels, strict=True
    ):
        best.append(known.better(other))
        labels.append(torch.where((other.wcss < known.wcss)[:, None], of_other, of_known))
    return best, labels


def _show(batches: Iterable[Batch], *observers: Observer | None) -> None:
    for batch in batches:
        for observer in observers:
            if observer is not None:
                observer(*batch)


class _Memory:
    """The points whose features stay in memory: all of them, or a sample of the capacity, in order."""

    def __init__(self, network: MeasuredNetwork, seed: int) -> None:
        points, capacity = network.points, network.capacity
        self.complete, rng = points <= capacity, generator(seed, Stream.SAMPLE_IN_MEMORY)
        sample = np.arange(points) if self.complete else rng.choice(points, capacity, replace=False)
        self._rows, self.batches = np.sort(sample), list[Batch]()
        self._spaces: list[Tensor] | None = None

    def __call__(self, rows: slice, z: Sequence[Tensor], y: Tensor) -> None:
        if self.complete:
            self.batches.append((rows, list(z), y))
            return
        first, last = np.searchsorted(self._rows, [rows.start, rows.stop])
        here = self._rows[first:last] - rows.start
        self._write(slice(first, last), [features[:, here] for features in z], y[:, here])

    def spaces(self) -> list[Tensor]:
        """Features and targets side by side in each source, (cells, points, n_k + m)."""
        for batch in self.batches:
            self._write(*batch)
        assert self._spaces is not None, "the batches have been seen"
        return self._spaces

    def _write(self, rows: slice, z: Sequence[Tensor], y: Tensor) -> None:
        # into arrays of their final size: pieces between large batches would keep the memory of these
        if self._spaces is None:
            shapes = [(len(y), len(self._rows), features.shape[2] + y.shape[2]) for features in z]
            self._spaces = [torch.empty(shape, dtype=torch.float64) for shape in shapes]
        for space, features in zip(self._spaces, z, strict=True):
            n = features.shape[2]
            space[:, rows, :n], space[:, rows, n:] = features, y


class _Partitions:
    """A partition of each source, with the cluster of each point, (cells, points), in `labels`."""

    def __init__(self, network: MeasuredNetwork, cells: int, clusters: int, assign: Assign) -> None:
        self.partitions = [Partition.empty(cells, clusters, n, network.outputs) for n in network.sizes]
        # small pieces that stay between large batches would keep the memory of these from being used again
        self.labels = [torch.zeros(cells, network.points, dtype=torch.int64) for _ in network.sizes]
        self._assign = assign

    def __call__(self, rows: slice, z: Sequence[Tensor], y: Tensor) -> None:
        for k, (partition, features) in enumerate(zip(self.partitions, z, strict=True)):
            labels = self._assign(rows, k, features, y)
            partition.update(features, y, labels)
            self.labels[k][:, rows] = labels


class _Spreads:
    """The spread of features and targets in each source, along the columns of a basis if there is one."""

    def __init__(self, bases: Sequence[Tensor | None]) -> None:
        self._bases, self.spreads = bases, [Spread() for _ in bases]

    def __call__(self, rows: slice, z: Sequence[Tensor], y: Tensor) -> None:
        for spread, features, basis in zip(self.spreads, z, self._bases, strict=True):
            space = torch.cat([features, y], dim=2)
            spread.update(space if basis is None else space @ basis)


class _Collapse:
    """NC1 of the features with respect to the known classes."""

    def __init__(self, classes: _Partitions) -> None:
        self._classes, self._labels = classes.partitions, classes.labels[0]
        self._directions = [between_directions(partition) for partition in self._classes]
        self._squares = torch.zeros(len(self._labels), len(self._classes), dtype=torch.float64)

    def __call__(self, rows: slice, z: Sequence[Tensor], y: Tensor) -> None:
        for k, (features, directions) in enumerate(zip(z, self._directions, strict=True)):
            deviations = features - of_points(self._classes[k].features.means, self._labels[:, rows])
            self._squares[:, k] += (deviations @ directions).square().sum((1, 2))

    def nc1(self) -> Tensor:
        """(cells, sources)"""
        points = self._labels.shape[1]
        columns = zip(self._squares.T, self._directions, strict=True)
        return torch.stack([nc1(squares, q, points) for squares, q in columns], dim=1)


def _given(labels: Labels) -> Assign:
    """The given labels in every source."""
    return lambda rows, k, z, y: torch.from_numpy(labels[:, rows]).long()


def _nearest(spaces: Sequence[Tensor], clusters: int, restarts: int, seeds: Sequence[int]) -> Assign:
    """The nearest centre of k-means, which is fitted to the points in memory."""
    starts = [integer_seed(seed, Stream.KMEANS) for seed in seeds]
    fits = [
        [
            kmeans(points, clusters, restarts, start)
            for points, start in zip(space.numpy(), starts, strict=True)
        ]
        for space in spaces
    ]

    def assign(rows: slice, k: int, z: Tensor, y: Tensor) -> Tensor:
        points = torch.cat([z, y], dim=2).numpy()
        found = [nearest(fit, of_cell) for fit, of_cell in zip(fits[k], points, strict=True)]
        return torch.from_numpy(np.stack(found))

    return assign


def _permuted(labels: Labels | None, points: int, clusters: int, seeds: Sequence[int]) -> Iterator[Labels]:
    """Several permutations of the labels; without labels, of the labels of sets of equal sizes."""
    sets = [np.arange(points) % clusters] * len(seeds) if labels is None else labels
    for stream, count in ((Stream.PERMUTED_LABELS, 1), (Stream.PERMUTATIONS, PERMUTATIONS)):
        generators = [generator(seed, stream) for seed in seeds]
        for _ in range(count):
            yield np.stack([rng.permutation(of) for rng, of in zip(generators, sets, strict=True)])


def _basis(space: Tensor) -> Tensor | None:
    """Orthonormal columns, the leading directions of points (cells, points, p); None for all directions."""
    if space.shape[2] <= WIDE:
        return None
    centred = (space - space.mean(1, keepdim=True)).numpy()
    leading = [randomized_svd(points, LEADING, random_state=0)[2].T for points in centred]
    return torch.from_numpy(np.stack(leading))
