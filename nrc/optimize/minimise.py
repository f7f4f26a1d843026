"""Driving a method until every cell of a stack is stationary, or out of budget."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nrc.grid import Ended
from nrc.optimize.point import Method, Objective, Point, State

__all__ = ["Minimum", "Progress", "minimise"]

# A cell is dead when its parameters shrank to this fraction of where they began.
DEAD = 1e-6
# Code of a cell that has not ended.
RUNNING = -1


@dataclass
class Minimum:
    """End points of all cells.

    Attributes
    ----------
    point : Point
    residual : Tensor
        Relative residual, (cells,).
    iterations, evaluations : Tensor
        Counts, (cells,).
    ended : Tensor
        `Ended` codes, (cells,).
    """

    point: Point
    residual: Tensor
    iterations: Tensor
    evaluations: Tensor
    ended: Tensor

    @classmethod
    def begin(cls, point: Point, residual: Tensor) -> "Minimum":
        """Where every cell begins, after one evaluation."""
        ended = torch.full_like(residual, RUNNING, dtype=torch.int64)
        once = torch.ones_like(ended)
        return cls(point.clone(), residual.clone(), torch.zeros_like(once), once, ended)

    @classmethod
    def resume(cls, state: State) -> "Minimum":
        return cls(**{**state, "point": Point(**state["point"])})

    def put(self, cells: Tensor, point: Point, residual: Tensor, ended: Tensor) -> None:
        """Record the end of some cells."""
        self.point.put(cells, point)
        self.residual[cells], self.ended[cells] = residual, ended


@dataclass(frozen=True)
class Progress:
    """A look at a running minimisation.

    Attributes
    ----------
    cells, converged, running : int
        Numbers of cells: all, converged, still in the stack.
    worst : float
        Largest relative residual of a running cell (nan if none runs).
    evaluations, budget : int
        Evaluations of the running cell that made most, and its limit.
    seconds : float
        Time since the start.
    """

    cells: int
    converged: int
    running: int
    worst: float
    evaluations: int
    budget: int
    seconds: float

    @classmethod
    def of(cls, end: Minimum, running: Tensor, residual: Tensor, budget: int, seconds: float) -> "Progress":
        return cls(
            cells=len(end.ended),
            converged=int((end.ended == Ended.TOLERANCE).sum()),
            running=len(running),
            worst=float(residual.max()) if len(running) else float("nan"),
            evaluations=int(end.evaluations[running].max()) if len(running) else int(end.evaluations.max()),
            budget=budget,
            seconds=seconds,
        )

    @property
    def rate(self) -> float:
        """Evaluations a second of a cell."""
        return self.evaluations / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        """Time until the budget is spent at this rate: the longest the rest can take."""
        return (self.budget - self.evaluations) / self.rate if self.running else 0.0


def minimise(
    objective: Objective,
    theta: Tensor,
    method: Method,
    *,
    tolerance: float,
    evaluations: int,
    wall_clock: float | None = None,
    state: State | None = None,
    report: Callable[[Progress, Callable[[], State]], None] | None = None,
) -> Minimum:
    """Follow a method from theta until every cell has ended; an ended cell leaves the stack.

    Parameters
    ----------
    objective : Objective
    theta : Tensor
        Starting points, (cells, parameters).
    method : Method
        Fresh, without memory.
    tolerance : float
        A cell has converged when its relative residual is at most this.
    evaluations : int
        Budget of function evaluations for each cell.
    wall_clock : float, optional
        Limit in seconds for the whole stack. Results then depend on the machine's speed.
    state : mapping, optional
        Where an earlier call was, which began with the same arguments: this one goes on from there and
        ends in the same bits.
    report : callable, optional
        Called after every iteration with a `Progress` and a function that returns the state.

    Returns
    -------
    Minimum
        A cell that diverges keeps its last finite point.
    """
    start = time.monotonic() - float(state["seconds"] if state else 0)
    if state:
        running, residual = state["running"], state["residual"]
        point, end = Point(**state["point"]), Minimum.resume(state["end"])
        objective = objective.select(running)
        method.resume(state.get("method", {}))
    else:
        running = torch.arange(len(theta), device=theta.device)
        point = Point.at(objective, theta)
        residual = objective.relative_residual(point.theta, point.gradient)
        end = Minimum.begin(point, residual)
    small = DEAD * theta.norm(dim=1)
    stuck, diverged = torch.zeros_like(running, dtype=torch.bool), ~point.finite

    def here() -> State:
        return {
            "running": running,
            "point": vars(point),
            "residual": residual,
            "end": vars(end) | {"point": vars(end.point)},
            "method": method.state,
            "seconds": time.monotonic() - start,
        }

    while True:
        late = wall_clock is not None and time.monotonic() - start > wall_clock
        # of several reasons the last one in this list counts
        ended = torch.full_like(running, RUNNING)
        ended[torch.full_like(stuck, late)] = Ended.WALL_CLOCK
        ended[end.evaluations[running] >= evaluations] = Ended.EVALUATIONS
        ended[stuck] = Ended.NO_DESCENT
        ended[residual <= tolerance] = Ended.TOLERANCE
        ended[point.theta.norm(dim=1) <= small[running]] = Ended.ORIGIN
        ended[diverged] = Ended.DIVERGED

        leaving = ended != RUNNING
        if leaving.any():
            end.put(running[leaving], point[leaving], residual[leaving], ended[leaving])
            running, point, residual = running[~leaving], point[~leaving], residual[~leaving]
            objective = objective.select(~leaving)
            method.keep(~leaving)
        if report is not None:
            report(Progress.of(end, running, residual, evaluations, time.monotonic() - start), here)
        if len(running) == 0:
            return end

        step = method.step(objective, point)
        end.iterations[running] += 1
        end.evaluations[running] += step.evaluations
        stuck, diverged = step.stuck, ~step.point.finite
        step.point.put(diverged, point[diverged])
        point = step.point
        residual = objective.relative_residual(point.theta, point.gradient)
