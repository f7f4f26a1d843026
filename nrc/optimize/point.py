"""A stack of points: where each cell is, with the value and gradient of its function there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from torch import Tensor

__all__ = ["Method", "Objective", "Point", "State", "Step", "dot"]

# Where an iteration is: a tree of tensors and numbers, in dictionaries with text keys.
State = Mapping[str, Any]


class Objective(Protocol):
    """Independent smooth functions, one per cell."""

    def __call__(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Values (cells,) and gradients (cells, parameters) at theta (cells, parameters)."""

    def relative_residual(self, theta: Tensor, gradient: Tensor) -> Tensor:
        """How far each cell is from stationary, (cells,)."""

    def select(self, cells: Tensor) -> Self:
        """The functions of some cells."""


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
        """Mask (cells,) of the cells with a finite value and gradient."""
        return self.value.isfinite() & self.gradient.isfinite().all(1)


@dataclass
class Step:
    """One iteration of a method: the next point, what it cost, and which cells found no way on.

    Attributes
    ----------
    point : Point
    evaluations : Tensor
        Evaluations of each cell's function, (cells,).
    stuck : Tensor
        Mask (cells,) of cells whose value cannot be lowered any more in floating point.
    """

    point: Point
    evaluations: Tensor
    stuck: Tensor


class Method(Protocol):
    """An iterative method with a memory for each cell."""

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
