"""What the driver and the methods share: a stack of points, and the protocols of functions and methods."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from nrc.objectives.protocols import Objective, Point

__all__ = ["Method", "Phase", "RunInfo", "State", "Step", "WithoutMemory"]

# Where an iteration is: a tree of tensors and numbers, in dictionaries with text keys.
State = Mapping[str, Any]


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
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
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
