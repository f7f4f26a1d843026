"""What the driver and the methods share: a stack of points, and the protocols of functions and methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

from torch import Tensor

__all__ = ["Course", "Method", "Objective", "Point", "State", "Step", "dot"]

# Where an iteration is: a tree of tensors and numbers, in dictionaries with text keys.
State = Mapping[str, Any]


class Objective(Protocol):
    """Independent functions, one per cell, each a mean over points."""

    def __call__(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Values (cells,) and gradients (cells, parameters) at theta (cells, parameters)."""

    def relative_residual(self, theta: Tensor, gradient: Tensor) -> Tensor:
        """How far each cell is from stationary, (cells,)."""

    def select(self, cells: Tensor) -> Self:
        """The functions of some cells."""


class Course(NamedTuple):
    """What a method may ask of the run: its budget of passes, and the seed of each cell."""

    passes: int
    seeds: Sequence[int]


@dataclass
class Point:
    """theta (cells, parameters) with value (cells,) and gradient (cells, parameters)."""

    theta: Tensor
    value: Tensor
    gradient: Tensor

    @classmethod
    def at(cls, objective: Objective, theta: Tensor) -> Self:
        return cls(theta, *objective(theta))

    def __getitem__(self, cells: Tensor) -> "Point":
        return Point(self.theta[cells], self.value[cells], self.gradient[cells])

    def put(self, cells: Tensor, other: "Point") -> None:
        """Overwrite some cells."""
        self.theta[cells], self.value[cells], self.gradient[cells] = other.theta, other.value, other.gradient

    def clone(self) -> "Point":
        return Point(self.theta.clone(), self.value.clone(), self.gradient.clone())

    @property
    def finite(self) -> Tensor:
        """Mask (cells,) of the cells with finite parameters, value and gradient."""
        return self.value.isfinite() & self.gradient.isfinite().all(1) & self.theta.isfinite().all(1)


@dataclass
class Step:
    """One iteration of a method: the next point, what it cost, and which cells found no way on.

    Attributes
    ----------
    point : Point
    passes : Tensor
        Passes over the data, (cells,): evaluations of each cell's function.
    stuck : Tensor
        Mask (cells,) of cells whose value cannot be lowered any more in floating point.
    """

    point: Point
    passes: Tensor
    stuck: Tensor


class Method(Protocol):
    """An iterative method with a memory for each cell.

    Attributes
    ----------
    whole : bool
        Whether the points of its steps have value and gradient of the whole data; else they are of
        the last mini-batch.
    """

    whole: bool

    def step(self, objective: Objective, point: Point) -> Step: ...

    def keep(self, cells: Tensor) -> None:
        """Forget the cells outside the mask: they have left the stack."""

    @property
    def state(self) -> State:
        """The memory, from which `resume` goes on as if it had never stopped."""

    def resume(self, state: State) -> None:
        """Take up a memory, in a fresh method."""


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product (cells,) of two (cells, parameters)."""
    return (a * b).sum(1)
