"""What the driver and the methods share: methods with their memory, their steps, and phases of a run."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from nrc.objectives.protocols import Objective, Point

__all__ = ["Method", "Phase", "RunInfo", "State", "Step", "tree_map"]

# A tree of tensors and numbers, in dictionaries with text keys.
State = Mapping[str, Any]
# The objectives that a method can minimise.
Suitable = TypeVar("Suitable", bound=Objective)


def tree_map(function: Callable[..., Any], tree: State, *others: State) -> dict[str, Any]:
    """A tree with the results of a function of the leaves of one or more trees of the same keys.

    Examples
    --------
    >>> tree_map(lambda a, b: a + b, {"x": 1, "y": {"z": 2}}, {"x": 10, "y": {"z": 20}})
    {'x': 11, 'y': {'z': 22}}
    """
    return {
        key: tree_map(function, leaf, *(other[key] for other in others))
        if isinstance(leaf, Mapping)
        else function(leaf, *(other[key] for other in others))
        for key, leaf in tree.items()
    }


class RunInfo(NamedTuple):
    """What a method can use of the run: the budget of epochs, the seed of each cell, and the tolerance.

    Also whether the networks are torch modules, of which only values, gradients and Hessians are known.

    Examples
    --------
    >>> RunInfo(epochs=100, seeds=[0, 1])
    RunInfo(epochs=100, seeds=[0, 1], tolerance=1e-06, modules=False)
    """

    epochs: int
    seeds: Sequence[int]
    tolerance: float = 1e-6
    modules: bool = False


@dataclass
class Step:
    """One iteration of a method.

    Attributes
    ----------
    point : Point
        The next point of each cell.
    epochs : Tensor
        Number of evaluations of the function of each cell on all points, (cells,).
    stuck : Tensor
        Mask (cells,) of cells whose value cannot decrease any more in floating point.
    moved : Tensor, optional
        Mask (cells,) of cells that have finished an iteration; all if not given.
    """

    point: Point
    epochs: Tensor
    stuck: Tensor
    moved: Tensor | None = None


class Method(ABC, Generic[Suitable]):
    """An iterative method. Its memory has a row for each cell, and is empty until cells join.

    A subclass defines `step`, and `begin` if it has a memory. No operation may mix cells.

    Attributes
    ----------
    full_batch : bool
        Whether its steps have value and gradient of the loss on all data. Otherwise they are of the last
        mini-batch.
    memory : dict
        A tree of tensors (cells, ...), which follow the cells that join and leave, and of numbers, which are
        shared by all cells and begin anew when cells join an empty stack. Tensors without an axis count as
        numbers.

    Examples
    --------
    Gradient descent with momentum 1/2, from 8 towards the minimum of w^2 / 2:

    >>> class HeavyBall(Method):
    ...     def begin(self, cells, point, objective):
    ...         return {"velocity": torch.zeros_like(point.theta)}
    ...
    ...     def step(self, objective, point):
    ...         self.memory["velocity"] = self.memory["velocity"] / 2 - point.gradient / 4
    ...         once = torch.ones(len(point.theta), dtype=torch.int64)
    ...         return Step(objective.at(point.theta + self.memory["velocity"]), once, stuck=once > 1)
    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> from nrc.optimize.minimise import minimise
    >>> x = torch.zeros(1, 2, 1)
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, x, weight_decay=torch.ones(1))
    >>> end = minimise(loss, torch.full((1, 1), 8.0), [Phase(HeavyBall())], tolerance=0, epochs=3)
    >>> end.point.theta
    tensor([[3.5000]])
    """

    full_batch = True

    def __init__(self) -> None:
        self.memory: dict[str, Any] = {"cells": torch.empty(0, dtype=torch.int64)}

    @property
    def cells(self) -> Tensor:
        """The numbers in the stack of the cells that have joined and not left."""
        cells: Tensor = self.memory["cells"]
        return cells

    @property
    def can_join(self) -> bool:
        """Whether cells can join now, and then take the same steps as in a stack of their own."""
        return True

    def begin(self, cells: Tensor, point: Point, objective: Suitable) -> dict[str, Any]:
        """The memory of cells that join: from their numbers in the stack, first points and functions."""
        return {}

    @abstractmethod
    def step(self, objective: Suitable, point: Point) -> Step:
        """One step of every cell from a point, whose value and gradient are known."""

    def join(self, cells: Tensor, point: Point, objective: Suitable) -> None:
        """Add cells after the cells that are there."""
        new = {"cells": cells, **self.begin(cells, point, objective)}
        self.memory = tree_map(_joined, self.memory, new) if len(self.cells) else new

    def keep(self, cells: Tensor) -> None:
        """Forget the cells outside a mask."""
        self.memory = tree_map(lambda leaf: leaf[cells] if _has_rows(leaf) else leaf, self.memory)

    @property
    def state(self) -> State:
        """The memory, from which `resume` continues to the same bits."""
        return self.memory

    def resume(self, state: State) -> None:
        """Take the memory of an earlier run, in a new method."""
        self.memory = tree_map(
            lambda leaf: leaf.item() if isinstance(leaf, Tensor) and not leaf.ndim else leaf, state
        )


def _has_rows(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.ndim > 0


def _joined(leaf: Any, new: Any) -> Any:
    return torch.cat([leaf, new]) if _has_rows(leaf) else leaf


@dataclass(frozen=True)
class Phase:
    """A part of a run by one method. Cells continue in the next phase, and terminate in the last one.

    Attributes
    ----------
    method : Method
    objective : callable, optional
        From the objective of the run, the objective that the method minimises: another one with the same
        stationary points, or in another precision. In the last phase it has the values and gradients of the
        objective of the run.
    tolerance, epochs : optional
        A cell leaves the phase at this relative residual, after this number of epochs in the phase, or when
        the method cannot decrease its value any more. The tolerance may be a function of the objective of the
        run, with a value for each cell.

    Examples
    --------
    Gradient descent for 20 epochs, and then L-BFGS:

    >>> from nrc.optimize.gd import GradientDescent
    >>> from nrc.optimize.lbfgs import LBFGS
    >>> phases = [Phase(GradientDescent(0.1), epochs=20), Phase(LBFGS(history=10))]
    >>> [phase.epochs for phase in phases]
    [20, inf]
    """

    method: Method[Any]
    objective: Callable[[Any], Objective] = lambda objective: objective
    tolerance: float | Callable[[Any], Tensor] = 0.0
    epochs: float = float("inf")
