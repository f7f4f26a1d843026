"""What the driver and the methods share: a stack of points, and the protocols of functions and methods."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor

__all__ = ["Method", "Objective", "Phase", "Point", "RunInfo", "State", "Step", "WithoutMemory", "dot"]

# Where an iteration is: a tree of tensors and numbers, in dictionaries with text keys.
State = Mapping[str, Any]


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
    >>> from nrc.optimize.gd import GradientDescent
    >>> from nrc.optimize.minimise import minimise
    >>> c, phases = torch.tensor([[1.0], [2.0]]), [Phase(GradientDescent(1.0))]
    >>> minimise(Parabolas(c), 5 * c, phases, tolerance=1e-6, epochs=9).point.theta.tolist()
    [[1.0], [2.0]]
    """

    @property
    def variables(self) -> int:
        """How many parameters of a cell, the first ones, its function depends on."""

    @property
    def rounding(self) -> float:
        """Relative rounding of a value."""

    def at(self, theta: Tensor) -> "Point":
        """Values and gradients at theta (cells, parameters), completed where a cell has less variables."""

    def relative_residual(self, theta: Tensor, gradient: Tensor) -> Tensor:
        """How far each cell is from stationary, (cells,)."""

    def select(self, cells: Tensor) -> Self:
        """The functions of some cells."""


# The objectives that a method is for.
Seen = TypeVar("Seen", bound=Objective, contravariant=True)


class RunInfo(NamedTuple):
    """What a method may ask of the run: its budget of epochs, the seed of each cell, and its tolerance.

    Examples
    --------
    >>> RunInfo(epochs=100, seeds=[0, 1])
    RunInfo(epochs=100, seeds=[0, 1], tolerance=1e-06)
    """

    epochs: int
    seeds: Sequence[int]
    tolerance: float = 1e-6


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

    def with_more(self, other: "Point") -> "Point":
        """These cells, and behind them others."""
        return Point(
            *(torch.cat(both) for both in zip(vars(self).values(), vars(other).values(), strict=True))
        )

    def put(self, cells: Tensor, other: "Point") -> None:
        """Overwrite some cells."""
        self.theta[cells], self.value[cells], self.gradient[cells] = other.theta, other.value, other.gradient

    def clone(self) -> "Point":
        return Point(self.theta.clone(), self.value.clone(), self.gradient.clone())

    @property
    def finite(self) -> Tensor:
        """Mask (cells,) of the cells with finite parameters, value and gradient."""
        # a sum is finite where its terms are, and several times as fast to tell
        return (self.value + self.gradient.sum(1) + self.theta.sum(1)).isfinite()


@dataclass
class Step:
    """One iteration of a method: the next point, what it cost, and which cells found no way on.

    Attributes
    ----------
    point : Point
    epochs : Tensor
        Passes over the data, (cells,): evaluations of each cell's function.
    stuck : Tensor
        Mask (cells,) of cells whose value cannot be lowered any more in floating point.
    """

    point: Point
    epochs: Tensor
    stuck: Tensor


class Method(Protocol[Seen]):
    """An iterative method with a memory for each cell. It begins with none: cells join it.

    Attributes
    ----------
    whole : bool
        Whether the points of its steps have value and gradient of the whole data; else they are of
        the last mini-batch.

    Examples
    --------
    One that halves all parameters:

    >>> class Halving(WithoutMemory):
    ...     whole = True
    ...
    ...     def step(self, objective, point):
    ...         once = torch.ones(len(point.theta), dtype=torch.int64)
    ...         return Step(objective.at(point.theta / 2), once, stuck=once > 1)
    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.optimize.minimise import minimise
    >>> from nrc.regularised_loss import RegularisedLoss
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> end = minimise(loss, torch.full((1, 1), 8.0), [Phase(Halving())], tolerance=0, epochs=3)
    >>> end.point.theta
    tensor([[2.]])
    """

    whole: bool

    @property
    def admits(self) -> bool:
        """Whether cells may join now, and take the same steps as in a stack of their own."""

    def join(self, cells: Tensor, point: Point) -> None:
        """Take up cells behind those that are there: their numbers in the stack, and where they begin."""

    def step(self, objective: Seen, point: Point) -> Step: ...

    def keep(self, cells: Tensor) -> None:
        """Forget the cells outside the mask: they have left the stack."""

    @property
    def state(self) -> State:
        """The memory, from which `resume` goes on as if it had never stopped."""

    def resume(self, state: State) -> None:
        """Take up a memory, in a fresh method."""


class WithoutMemory:
    """What a method without a memory keeps, and takes up: nothing.

    Examples
    --------
    >>> WithoutMemory().state
    {}
    """

    admits = True

    def join(self, cells: Tensor, point: Point) -> None:
        pass

    def keep(self, cells: Tensor) -> None:
        pass

    @property
    def state(self) -> State:
        return {}

    def resume(self, state: State) -> None:
        pass


@dataclass(frozen=True)
class Phase:
    """A method for a stretch of the way: cells go on with the next phase, and end in the last.

    Attributes
    ----------
    method : Method
        For what `objective` gives.
    objective : callable, optional
        What the method sees of an objective: another with the same stationary points, or in another
        precision. The last phase's has the values and gradients of the objective itself.
    tolerance, epochs : optional
        A cell goes on at this relative residual, or after so many epochs in the phase; it also does where
        the method is stuck.

    Examples
    --------
    Gradient descent for 20 epochs, and L-BFGS from there:

    >>> from nrc.optimize.gd import GradientDescent
    >>> from nrc.optimize.lbfgs import LBFGS
    >>> phases = [Phase(GradientDescent(0.1), epochs=20), Phase(LBFGS(history=10))]
    >>> [phase.epochs for phase in phases]
    [20, inf]
    """

    method: Method[Any]
    objective: Callable[[Any], Objective] = lambda objective: objective
    tolerance: float = 0.0
    epochs: float = float("inf")


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product (cells,) of two (cells, parameters).

    Examples
    --------
    >>> dot(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
    tensor([11.])
    """
    return (a * b).sum(1)
