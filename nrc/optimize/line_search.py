"""Steps along descent directions to weak Wolfe points (Lewis & Overton 2013), for all cells at once."""

from abc import abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor

from nrc.networks.arrays import Array, fastest, inner, namespace, tensor
from nrc.objectives.protocols import Objective, Point
from nrc.optimize.protocols import Method, State, Step, tree_map

__all__ = ["LineSearch"]

DECREASE, CURVATURE = 1e-4, 0.9
TRIALS = 40
# Rounding of a value in units of the last place; below it the slope decides instead of the value
# (Hager & Zhang 2005).
ROUNDING = 50

Suitable = TypeVar("Suitable", bound=Objective)


class LineSearch(Method[Suitable]):
    """A method that searches along a direction d for a step t with, for phi(t) = f(theta + t d),

    phi(t) <= phi(0) + 1e-4 t phi'(0)  and  phi'(t) >= 0.9 phi'(0),

    by doubling and bisection from t = 1. If the decrease is lost in rounding, the approximation
    phi'(t) <= (2e-4 - 1) phi'(0) replaces the first condition.

    A step of the method is one trial of every cell. A cell whose trial is accepted takes its next direction
    at once, while others go on searching. A subclass defines `directions`, and `ended` if it has a memory.

    Examples
    --------
    Steepest descent for one weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2. From w = 2 with gradient 2 the first
    trial is w = 0, which is not lower, and the second one w = 1.

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> class Steepest(LineSearch):
    ...     def directions(self, objective, point, cells):
    ...         return -point.gradient[cells], 0
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> method, point = Steepest(), loss.at(torch.tensor([[2.0]]))
    >>> method.join(torch.tensor([0]), point, loss)
    >>> for _ in range(2):
    ...     step = method.step(loss, point)
    ...     step.point.theta.item(), step.moved.item()
    (2.0, False)
    (1.0, True)
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: State = {}
        self._arrays: dict[str, Any] = {}

    def begin(self, cells: Tensor, point: Point, objective: Suitable) -> dict[str, Any]:
        zero = torch.zeros_like(point.value)
        return {
            "direction": torch.zeros_like(point.theta[:, : objective.variables]),
            "trials": torch.zeros_like(cells),  # 0 before a new direction
            **{name: zero.clone() for name in ("slope", "t", "low", "high")},
        }

    @abstractmethod
    def directions(self, objective: Suitable, point: Point, cells: Tensor) -> tuple[Tensor, Tensor | int]:
        """Descent directions (some, variables) of some cells by index, and the evaluations that they cost."""

    def ended(
        self, objective: Suitable, after: Point, before: Point, accepted: Array, failed: Array
    ) -> Array:
        """Learn from the searches that end, masks (cells,), and return a mask of the cells that are stuck."""
        return failed

    def step(self, objective: Suitable, point: Point) -> Step:
        epochs = self._turn(objective, point)
        direction, t, slope, trials = self._named("direction", "t", "slope", "trials")
        xp, variables = namespace(t), direction.shape[1]
        theta = xp.asarray(fastest(point.theta), copy=True)
        theta[:, :variables] += t[:, None] * direction
        trial = objective.at(tensor(theta))
        trials += 1

        value, value_t = fastest(point.value), fastest(trial.value)
        slope_t = inner(fastest(trial.gradient)[:, :variables], direction)
        # below this value the slope decides
        level = value + ROUNDING * objective.rounding * abs(value)
        decreased = value_t <= value + DECREASE * t * slope
        flat = (value_t <= level) & (slope_t <= (2 * DECREASE - 1) * slope)
        below, descent = (decreased | flat) & xp.isfinite(slope_t), slope < 0
        short = below & (slope_t < CURVATURE * slope)
        accepted = below & ~short & descent
        failed = ~accepted & ((trials >= TRIALS) | ~descent)
        moved = accepted | failed

        stuck = self.ended(objective, trial, point, accepted, failed)
        trials[moved] = 0
        if not accepted.all():
            self._bisect(short)
            stay = tensor(xp.argwhere(~accepted)[:, 0])
            trial.put(stay, point[stay])
        return Step(trial, tensor(epochs), tensor(stuck), tensor(moved))

    def _turn(self, objective: Suitable, point: Point) -> Array:
        """Begin a search in cells without one; the evaluations of this step, including the trial."""
        direction, trials, slope, t, low, high = self._named(
            "direction", "trials", "slope", "t", "low", "high"
        )
        xp, new = namespace(trials), trials == 0
        epochs, cells = xp.ones_like(trials), xp.argwhere(new)[:, 0]
        if len(cells):
            here = slice(None) if len(cells) == len(new) else cells
            directions, cost = self.directions(objective, point, tensor(cells))
            direction[here] = xp.asarray(fastest(directions), dtype=direction.dtype)
            slope[here] = inner(fastest(point.gradient)[here, : direction.shape[1]], direction[here])
            t[here], low[here], high[here] = 1, 0, xp.inf
            epochs[here] += cost if isinstance(cost, int) else fastest(cost)
        return epochs

    def _bisect(self, short: Array) -> None:
        """The next step of each search: longer if this one is short, and otherwise shorter."""
        t, low, high = self._named("t", "low", "high")
        xp = namespace(t)
        low[...] = xp.where(short, t, low)
        high[...] = xp.where(short, high, t)
        t[...] = xp.where(xp.isinf(high), 2 * t, (low + high) / 2)

    @property
    def arrays(self) -> dict[str, Any]:
        """The memory as arrays of the library that computes fastest, which share it."""
        if self._seen is not self.memory:
            self._seen, self._arrays = self.memory, tree_map(fastest, self.memory)
        return self._arrays

    def _named(self, *names: str) -> list[Array]:
        return [self.arrays[name] for name in names]
