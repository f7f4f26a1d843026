"""The inputs of a module: points of any structure, read batch by batch.

The points are rows of an array, of several arrays in a tuple or a dictionary, or the items of a dataset of
torch. A batch has the same structure, with tensors in place of arrays.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from nrc.modules.user_arrays import Rows, numbers_of, rows_of
from nrc.text import first_line

__all__ = [
    "Inputs",
    "Structure",
    "divided",
    "each",
    "first",
    "inputs_of",
    "joined",
    "kinds",
    "leaves",
    "other",
]

# A tensor, or tensors in tuples and dictionaries, with one row per point each.
Structure = Any
Indices = slice | NDArray[np.int64]
LABELS = ("labels", "label")


def each(function: Callable[[Any], Any], structure: Structure) -> Structure:
    """The structure with a function applied to each of its tensors.

    Examples
    --------
    >>> each(len, {"ids": torch.zeros(4, 3), "more": (torch.zeros(4), torch.zeros(4))})
    {'ids': 4, 'more': (4, 4)}
    """
    if isinstance(structure, Mapping):
        return {name: each(function, value) for name, value in structure.items()}
    if isinstance(structure, tuple | list):
        return tuple(each(function, value) for value in structure)
    return function(structure)


def leaves(structure: Structure) -> list[Any]:
    """The tensors in a structure."""
    found: list[Any] = []
    each(found.append, structure)
    return found


def first(structure: Structure) -> Structure:
    """The first point, repeated."""
    return each(lambda values: values[:1].expand_as(values), structure)


def other(structure: Structure) -> Structure:
    """Other points of the same structure."""
    return each(
        lambda values: values.flip(0) + 1 if values.is_floating_point() else values.flip(0), structure
    )


def joined(structure: Structure) -> Tensor:
    """All numbers of a point side by side; a single tensor stays as it is, and integers stay integers.

    Examples
    --------
    >>> joined((torch.zeros(5, 2), torch.zeros(5, 3, 4))).shape
    torch.Size([5, 14])
    """
    if isinstance(structure, Tensor):
        return structure
    parts = [values.reshape(len(values), -1) for values in leaves(structure)]
    real = all(part.is_floating_point() for part in parts)
    return torch.cat([part if real else part.long() for part in parts], dim=1)


def divided(z: Tensor, like: Structure) -> Structure:
    """The structure with other numbers, from points whose numbers are side by side."""
    if isinstance(like, Tensor):
        return z
    sizes = [values[0].numel() for values in leaves(like)]
    parts = iter(torch.split(z, sizes, dim=1))
    return each(lambda values: next(parts).reshape(-1, *values.shape[1:]), like)


def kinds(structure: Structure) -> str:
    """The shapes and types of a point in words."""
    return " and ".join(f"shape {tuple(of.shape[1:])} and {of.dtype}" for of in leaves(structure))


class _Reader(Protocol):
    """Reads points in the order of their numbers."""

    @property
    def targets(self) -> Any: ...
    def __len__(self) -> int: ...
    def read(self, rows: Indices) -> Structure: ...
    def batches(self, parts: Sequence[Indices]) -> Iterable[Structure]: ...


@dataclass(frozen=True)
class Inputs:
    """Points of any structure.

    Attributes
    ----------
    reader : object
        Where the points come from.
    chosen : integer array, optional
        The numbers of the points that count, by default all.

    Examples
    --------
    >>> points = inputs_of({"ids": [[1, 2], [3, 4], [5, 6]], "mask": torch.ones(3, 2)})
    >>> len(points), points.dimension
    (3, 4)
    >>> points.only(np.array([2])).read(slice(0, 1))["ids"].tolist()
    [[5, 6]]
    """

    reader: _Reader
    chosen: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.reader) if self.chosen is None else len(self.chosen)

    def only(self, rows: NDArray[np.int64]) -> "Inputs":
        """Some of the points."""
        return replace(self, chosen=rows if self.chosen is None else self.chosen[rows])

    def read(self, rows: Indices) -> Structure:
        """Some points, with real numbers in float64.

        Raises
        ------
        ValueError
            If a value is not finite.
        """
        part = self._rows(rows)
        return self._checked(self.reader.read(part), part)

    def batches(self, parts: Sequence[slice]) -> Iterator[Structure]:
        """Several batches, one after the other."""
        rows = [self._rows(part) for part in parts]
        for part, batch in zip(rows, self.reader.batches(rows), strict=True):
            yield self._checked(batch, part)

    @cached_property
    def several(self) -> bool:
        """Whether a point has several tensors."""
        return not isinstance(self.read(slice(0, 1)), Tensor)

    @property
    def targets(self) -> Any:
        """Targets that come with the points, or None."""
        found = self.reader.targets
        return found if found is None or self.chosen is None else found[self.chosen]

    @property
    def dimension(self) -> int:
        """Numbers per point."""
        return sum(leaf[0].numel() for leaf in leaves(self.read(slice(0, 1))))

    def _rows(self, rows: Indices) -> Indices:
        return rows if self.chosen is None else self.chosen[rows]

    def _checked(self, batch: Structure, rows: Indices) -> Structure:
        return each(lambda values: _real(values, rows), batch)


def _real(values: Tensor, rows: Indices) -> Tensor:
    if not values.is_floating_point():
        return values
    if not (finite := values.isfinite()).all():
        row = int((~finite).nonzero()[0, 0])
        point = rows.start + row if isinstance(rows, slice) else rows[row]
        raise ValueError(
            f"x has values that are not finite, the first at point {point}; every number must be"
        )
    return values.double()


def inputs_of(x: Any) -> Inputs:
    """Points from arrays, tensors, frames, lists, tuples or dictionaries of these, a dataset or a loader.

    A tuple of arrays or a dictionary has the several inputs of a model, a list is one array.

    Raises
    ------
    TypeError, ValueError

    Examples
    --------
    >>> inputs_of((torch.zeros(3, 2), torch.zeros(4, 2)))
    Traceback (most recent call last):
    ValueError: x: its parts have 3 and 4 rows, but must have one row per point each
    """
    if isinstance(x, DataLoader):
        return Inputs(_of_loader(x))
    if _is_dataset(x) or _is_list_of_items(x):
        return Inputs(_Items(_with_items(x), default_collate, 0))
    return Inputs(_Arrays(_arrays("x", x)))


@dataclass(frozen=True)
class _Arrays:
    """Rows of arrays."""

    structure: Structure
    targets: None = None

    def __post_init__(self) -> None:
        arrays = leaves(self.structure)
        if not arrays:
            raise ValueError("x is empty, but must have at least one array, one row per point")
        alone = not isinstance(self.structure, dict | tuple)
        for array in arrays:
            if array.ndim < (2 if alone else 1) or array.shape[0] == 0:
                shape = tuple(array.shape)
                raise ValueError(f"x has shape {shape}, but must be (points, ...), one row per point")
        counts = list(dict.fromkeys(array.shape[0] for array in arrays))
        if len(counts) > 1:
            raise ValueError(
                f"x: its parts have {counts[0]} and {counts[1]} rows, but must have one row per point each"
            )

    def __len__(self) -> int:
        return int(leaves(self.structure)[0].shape[0])

    def read(self, rows: Indices) -> Structure:
        return each(lambda array: rows_of(array, rows), self.structure)

    def batches(self, parts: Sequence[Indices]) -> Iterable[Structure]:
        return (self.read(part) for part in parts)


def _arrays(name: str, x: Any) -> Structure:
    """The structure with arrays of numbers."""
    if isinstance(x, Mapping):
        return {str(key): _arrays(f"{name}[{key!r}]", value) for key, value in x.items()}
    if (
        isinstance(x, tuple)
        and x
        and all(hasattr(value, "shape") or isinstance(value, Mapping) for value in x)
    ):
        return tuple(_arrays(f"{name}[{place}]", value) for place, value in enumerate(x))
    found: Rows = numbers_of(name, x)
    return found


class _Items:
    """Items of a dataset: points, or points with targets as the last of a tuple or under `labels`.

    A dataset that gives other points at another reading, by random transformations, has no gradients that
    belong together. A checksum of each point detects that.
    """

    def __init__(self, dataset: Any, collate: Callable[[list[Any]], Any], workers: int) -> None:
        self._dataset, self._collate, self._workers = dataset, collate, workers
        self._sums, self._seen = np.zeros((2, len(self)), dtype=np.uint32)
        self._targets: Any = None

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, rows: Indices) -> Structure:
        (found,) = self.batches([rows])
        return found

    def batches(self, parts: Sequence[Indices]) -> Iterator[Structure]:
        for numbers, batch in self._loaded(parts):
            points, _ = _split(batch)
            self._check(numbers, points)
            yield points

    @property
    def targets(self) -> Any:
        """The targets of all items, which are read once."""
        if self._targets is None:
            parts = [slice(first, first + 256) for first in range(0, len(self), 256)]
            found = [_split(batch)[1] for _, batch in self._loaded(parts)]
            if not all(isinstance(part, Tensor) for part in found if part is not None):
                raise TypeError(
                    f"y: the targets of the dataset are a {type(found[0]).__name__} in a batch, but must be "
                    "numbers; give classes the numbers of outputs"
                )
            if found[0] is not None:
                self._targets = torch.cat(found)
        return self._targets

    def _loaded(self, parts: Sequence[Indices]) -> Iterator[tuple[list[int], Any]]:
        numbers = [np.arange(len(self))[part].tolist() for part in parts]
        loader = DataLoader(
            self._dataset,
            batch_sampler=numbers,
            collate_fn=self._stacked,
            num_workers=self._workers if len(parts) > 1 else 0,
            generator=torch.Generator(),  # the caller's random numbers stay as they are
        )
        yield from zip(numbers, loader, strict=True)

    def _stacked(self, items: list[Any]) -> Any:
        try:
            return self._collate(items)
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"x: the items of its dataset cannot be stacked ({first_line(error)}); give all the same "
                "shape, and leave out what is no number"
            ) from error

    def _check(self, numbers: list[int], points: Structure) -> None:
        found = leaves(points)
        if not all(isinstance(leaf, Tensor) and leaf.shape[:1] == (len(numbers),) for leaf in found):
            raise ValueError(
                "x: its items must be tensors with one row per point, stacked by the collate function"
            )
        arrays = [leaf.detach().cpu().contiguous().numpy() for leaf in found]
        for row, number in enumerate(numbers):
            checksum = 0
            for array in arrays:
                checksum = zlib.crc32(array[row].tobytes(), checksum)
            if self._seen[number] and checksum != self._sums[number]:
                raise ValueError(
                    f"x: point {number} is another one at each reading; leave random transformations out, "
                    "and pad all points to one length"
                )
            self._sums[number], self._seen[number] = checksum, 1


def _of_loader(loader: "DataLoader[Any]") -> _Items:
    """The items of a loader in the order of its dataset, whether it shuffles or not."""
    dataset = _with_items(loader.dataset)
    plain = isinstance(loader.sampler, SequentialSampler | RandomSampler)
    batched = loader.batch_sampler is None or type(loader.batch_sampler) is BatchSampler
    repeated = isinstance(loader.sampler, RandomSampler) and loader.sampler.num_samples != len(dataset)
    if not (plain and batched) or repeated:
        sampler = loader.sampler if batched else loader.batch_sampler
        raise ValueError(
            f"x: its sampler {type(sampler).__name__} chooses points; pass the dataset of the points that "
            "count, as torch.utils.data.Subset(dataset, indices)"
        )
    collate = default_collate if loader.batch_size is None else loader.collate_fn
    return _Items(dataset, collate, loader.num_workers)


def _is_dataset(x: Any) -> bool:
    """Whether it is a dataset of torch, or of another package, with numbered items."""
    numbered = hasattr(x, "__getitem__") and hasattr(x, "__len__")
    array = hasattr(x, "__array__") or scipy.sparse.issparse(x) or isinstance(x, Sequence | Mapping)
    return isinstance(x, Dataset) or (numbered and not array)


def _is_list_of_items(x: Any) -> bool:
    """Whether it is a list of pairs or dictionaries, which torch also takes as a dataset."""
    item = x[0] if isinstance(x, list) and x else None
    return isinstance(item, Mapping) or (
        isinstance(item, tuple) and any(isinstance(value, Tensor | np.ndarray) for value in item)
    )


def _with_items(dataset: Any) -> Any:
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise ValueError(
            "x: a dataset without numbered items cannot be read several times; collect its points, as "
            "torch.cat([x for x, _ in loader])"
        )
    if len(dataset) == 0:
        raise ValueError("x: the dataset is empty, but must have at least one point")
    return dataset


def _split(batch: Any) -> tuple[Structure, Any]:
    """Points and targets, or points and None."""
    if isinstance(batch, Mapping):
        name = next((name for name in LABELS if name in batch), None)
        others = {own: value for own, value in batch.items() if own != name}
        return others, None if name is None else batch[name]
    if isinstance(batch, tuple | list):
        *points, last = batch
        if not points:
            return last, None
        return points[0] if len(points) == 1 else tuple(points), last
    return batch, None
