"""Driving a method until every cell of a stack is stationary, or out of budget."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nrc.ended import Ended
from nrc.optimize.point import Method, Objective, Point, State

__all__ = ["Look", "Minimum", "Progress", "minimise"]

# A cell is dead when its parameters shrank to this fraction of where they began.
DEAD = 1e-6
# Code of a cell that has not ended.
RUNNING = -1


class Look(Protocol):
    """What looks at cells on their way."""

    def __call__(self, cells: Tensor, passes: Tensor, theta: Tensor, lost: Tensor) -> None:
        """Look at some cells.

        Parameters
        ----------
        cells, passes, theta : Tensor
            Places in the stack, passes done (beyond any number where the cell has ended), and
            parameters, (some, ...).
        lost : Tensor
            Mask (some,) of those that diverged.
        """

    @property
    def state(self) -> State: ...

    def resume(self, state: State) -> None: ...


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
    def begin(cls, point: Point, residual: Tensor, passes: int) -> "Minimum":
        """Where every cell begins, after so many passes."""
        ended = torch.full_like(residual, RUNNING, dtype=torch.int64)
        return cls(
            point.clone(), residual.clone(), torch.zeros_like(ended), torch.full_like(ended, passes), ended
        )

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
        Largest relative residual of a running cell; nan if none runs, or on mini-batches.
    passes, budget : int
        Passes of the running cell that made most, and its limit.
    seconds : float
        Time since the start.
    """

    cells: int
    converged: int
    running: int
    worst: float
    passes: int
    budget: int
    seconds: float

    @classmethod
    def of(cls, end: Minimum, running: Tensor, residual: Tensor, budget: int, seconds: float) -> "Progress":
        return cls(
            cells=len(end.ended),
            converged=int((end.ended == Ended.TOLERANCE).sum()),
            running=len(running),
            worst=float(residual.max()) if len(running) else float("nan"),
            passes=int(end.evaluations[running].max()) if len(running) else int(end.evaluations.max()),
            budget=budget,
            seconds=seconds,
        )

    @property
    def rate(self) -> float:
        """Passes a second of a cell."""
        return self.passes / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        """Time until the budget is spent at this rate: the longest the rest can take."""
        return (self.budget - self.passes) / self.rate if self.running else 0.0


def minimise(
    objective: Objective,
    theta: Tensor,
    method: Method,
    *,
    tolerance: float,
    passes: int,
    wall_clock: float | None = None,
    look: Look | None = None,
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
        Fresh, without memory. One on mini-batches is judged at the end of its budget alone.
    tolerance : float
        A cell has converged when its relative residual is at most this.
    passes : int
        Budget of each cell: passes over the data, evaluations of its function.
    wall_clock : float, optional
        Limit in seconds for the whole stack. Results then depend on the machine's speed.
    look : Look, optional
        Looks at the running cells at the start and after every step, and at each cell's end.
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
    run = _Run(objective, theta, method, look, state)
    while True:
        late = wall_clock is not None and run.seconds > wall_clock
        run.leave(run.judge(tolerance, passes, late))
        if report is not None:
            report(Progress.of(run.end, run.running, run.residual, passes, run.seconds), run.state)
        if len(run.running) == 0:
            return run.end
        run.step()


class _Run:
    """A minimisation under way: the running cells, and where the others ended."""

    def __init__(
        self, objective: Objective, theta: Tensor, method: Method, look: Look | None, state: State | None
    ) -> None:
        self.method, self.look = method, look
        self._start = time.monotonic() - float(state["seconds"] if state else 0)
        if state:
            self.running, self.residual = state["running"], state["residual"]
            self.point, self.end = Point(**state["point"]), Minimum.resume(state["end"])
            self.objective = objective.select(self.running)
            method.resume(state.get("method", {}))
            if look is not None:
                look.resume(state["look"])
        else:
            self.running = torch.arange(len(theta), device=theta.device)
            self.objective, self.point = objective, Point.at(objective, theta)
            self.residual = objective.relative_residual(self.point.theta, self.point.gradient)
            # what a method on mini-batches does not evaluate is no part of its budget
            self.end = Minimum.begin(self.point, self.residual, passes=int(method.whole))
        self.small = DEAD * theta.norm(dim=1)
        self.stuck, self.diverged = torch.zeros_like(self.running, dtype=torch.bool), ~self.point.finite

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def judge(self, tolerance: float, passes: int, late: bool) -> Tensor:
        """How each running cell ends now, (running,), or that it does not."""
        spent = self.end.evaluations[self.running] >= passes
        dead = self.point.theta.norm(dim=1) <= self.small[self.running]
        known = torch.full_like(spent, self.method.whole)
        if not self.method.whole:
            # a cell's own end alone: what its neighbours do must not end it
            known = (spent | dead | late) & ~self.diverged
            if known.any():
                self._evaluate(known)
        # of several reasons the last one in this list counts
        ended = torch.full_like(self.running, RUNNING)
        ended[torch.full_like(spent, late)] = Ended.WALL_CLOCK
        ended[spent] = Ended.PASSES
        ended[self.stuck] = Ended.NO_DESCENT
        ended[known & (self.residual <= tolerance)] = Ended.TOLERANCE
        ended[dead] = Ended.ORIGIN
        ended[self.diverged] = Ended.DIVERGED
        return ended

    def _evaluate(self, cells: Tensor) -> None:
        """Value, gradient and residual on the whole data, which a step on mini-batches does not give."""
        objective, theta = self.objective.select(cells), self.point.theta[cells]
        whole = Point.at(objective, theta)
        self.point.put(cells, whole)
        self.residual[cells] = objective.relative_residual(theta, whole.gradient)
        self.diverged = self.diverged | ~self.point.finite

    def leave(self, ended: Tensor) -> None:
        """Let cells leave the stack, and look at all."""
        leaving = ended != RUNNING
        if self.look is not None:
            beyond = torch.full_like(self.running, torch.iinfo(torch.int64).max)
            passes = torch.where(leaving, beyond, self.end.evaluations[self.running])
            self.look(self.running, passes, self.point.theta, self.diverged)
        if leaving.any():
            self.end.put(self.running[leaving], self.point[leaving], self.residual[leaving], ended[leaving])
            self.running, self.point = self.running[~leaving], self.point[~leaving]
            self.residual, self.objective = self.residual[~leaving], self.objective.select(~leaving)
            self.method.keep(~leaving)

    def step(self) -> None:
        """One step of the method; a cell that diverges stays where it was."""
        step = self.method.step(self.objective, self.point)
        self.end.iterations[self.running] += 1
        self.end.evaluations[self.running] += step.passes
        self.stuck, self.diverged = step.stuck, ~step.point.finite
        step.point.put(self.diverged, self.point[self.diverged])
        self.point = step.point
        if self.method.whole:
            self.residual = self.objective.relative_residual(self.point.theta, self.point.gradient)
        else:  # known again where it is evaluated on the whole data
            self.residual = torch.full_like(self.residual, torch.nan)

    def state(self) -> State:
        """Where this is, for a later call to go on from."""
        return {
            "running": self.running,
            "point": vars(self.point),
            "residual": self.residual,
            "end": vars(self.end) | {"point": vars(self.end.point)},
            "method": self.method.state,
            "seconds": self.seconds,
            **({} if self.look is None else {"look": self.look.state}),
        }
