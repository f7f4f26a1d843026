"""The protocol of an objective: a function of each cell's parameters, evaluated at a stack of points."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc.networks.arrays import Array, fastest, inner, namespace, tensor

__all__ = ["Objective", "Point", "dot", "evaluated", "norm", "per_cell"]


# A tensor or an array of numpy.
Rows = TypeVar("Rows", Tensor, NDArray[Any])


def per_cell(a: Rows, cells: Any) -> Rows:
    """The rows of some cells, given by index or mask; a first axis of 1 is shared by all cells.

    Examples
    --------
    >>> per_cell(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 1])).tolist()
    [[2.0], [2.0]]
    >>> per_cell(torch.tensor([[1.0]]), torch.tensor([0, 2])).tolist()
    [[1.0]]
    """
    return a if len(a) == 1 else a[cells]


class Objective(Protocol):
    """Independent functions, one per cell, each a mean over points.

    Examples
    --------
    The functions (theta - c)^2 / 2 of one parameter:

    >>> @dataclass
    ... class Parabolas:
    ...     c: Tensor
    ...     variables, rounding = 1, 1e-7
    ...
    ...     def at(self, theta):
    ...         return Point(theta, (theta - self.c).square().sum(1) / 2, theta - self.c)
    ...
    ...     def relative_residual(self, theta, gradient):
    ...         return gradient.norm(dim=1)
    ...
    ...     def select(self, cells):
    ...         return Parabolas(self.c[cells])
    >>> c = torch.tensor([[1.0], [2.0]])
    >>> Parabolas(c).at(torch.zeros(2, 1)).value.tolist()
    [0.5, 2.0]
    """

    @property
    def variables(self) -> int:
        """The number of parameters, the first ones of each cell, that its function depends on."""

    @property
    def rounding(self) -> float:
        """Relative rounding of a value."""

    def at(self, theta: Tensor) -> "Point":
        """Values and gradients at theta (cells, parameters).

        An objective with fewer variables than parameters completes theta by the best other parameters.
        """

    def relative_residual(self, theta: Tensor, gradient: Tensor) -> Tensor:
        """Distance of each cell from stationary, (cells,): see `nrc.objectives.residual`."""

    def select(self, cells: Tensor) -> Self:
        """The functions of some cells."""


@dataclass
class Point:
    """theta (cells, parameters) with value (cells,) and gradient (cells, parameters).

    Examples
    --------
    >>> point = Point(torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, torch.nan]), torch.zeros(2, 1))
    >>> point.finite
    tensor([ True, False])
    >>> point[point.finite]
    Point(theta=tensor([[1.]]), value=tensor([3.]), gradient=tensor([[0.]]))
    """

    theta: Tensor
    value: Tensor
    gradient: Tensor

    def __getitem__(self, cells: Tensor) -> "Point":
        return Point(self.theta[cells], self.value[cells], self.gradient[cells])

    @classmethod
    def join(cls, points: "Iterable[Point]") -> "Point":
        """The cells of several points, one after the other."""
        return cls(*map(torch.cat, zip(*((p.theta, p.value, p.gradient) for p in points), strict=True)))

    def put(self, cells: Tensor, other: "Point") -> None:
        """Overwrite some cells."""
        self.theta[cells], self.value[cells], self.gradient[cells] = other.theta, other.value, other.gradient

    def clone(self) -> "Point":
        return Point(self.theta.clone(), self.value.clone(), self.gradient.clone())

    def to(self, dtype: torch.dtype) -> "Point":
        return Point(self.theta.to(dtype), self.value.to(dtype), self.gradient.to(dtype))

    @property
    def finite(self) -> Tensor:
        """Mask (cells,) of the cells with finite parameters, value and gradient."""
        # a sum is finite if all its terms are, and one test is several times as fast as many
        value, gradient, theta = (fastest(a) for a in (self.value, self.gradient, self.theta))
        xp = namespace(value)
        return tensor(xp.isfinite(value + xp.sum(gradient, 1) + xp.sum(theta, 1)))


class InBlocks(Protocol):
    """Functions that are evaluated for a block of cells at a time, because a block fits into the cache."""

    @property
    def blocks(self) -> "list[tuple[slice, Self]]":
        """The cells of each block, and their functions."""

    def write(self, theta: Array, value: Array, gradient: Array) -> None:
        """Write values and gradients at theta into arrays."""


def evaluated(objective: InBlocks, theta: Tensor) -> Point:
    """Values and gradients at theta, which an objective with fewer variables completes."""
    point = Point(theta, torch.empty_like(theta[:, 0]), torch.empty_like(theta))
    arrays = [fastest(a) for a in vars(point).values()]
    for cells, functions in objective.blocks:
        functions.write(*(a[cells] for a in arrays))
    return point


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product (cells,) of two (cells, parameters).

    Examples
    --------
    >>> dot(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([11.])
    """
    return tensor(inner(fastest(a), fastest(b)))


def norm(a: Tensor) -> Tensor:
    """Norm (cells,) of (cells, parameters).

    Examples
    --------
    >>> norm(torch.tensor([[3.0, 4.0]]))
    tensor([5.])
    """
    return dot(a, a).sqrt_()
