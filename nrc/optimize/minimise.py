"""Driving a method until every cell of a stack is stationary, or out of budget."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from nrc.objectives.protocols import Objective, Point
from nrc.optimize.protocols import Method, Phase, State
from nrc.status import TerminationReason

__all__ = ["Look", "Minimum", "Progress", "minimise"]

# A cell is dead when its parameters shrank to this fraction of where they began.
DEAD = 1e-6
# Codes of cells that have not ended: they stay in the phase, or leave it for the next.
STAYS, RUNNING = -2, -1


class Look(Protocol):
    """What looks at cells on their way.

    Examples
    --------
    What gradient descent passes on the way to the minimum of (w - 2)^2 / 2 + w^2 / 2:

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.optimize.gd import GradientDescent
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> class Way(list):
    ...     def __call__(self, cells, epochs, theta, lost):
    ...         self.append(theta.item())
    >>> x, way = torch.tensor([[[1.0], [-1.0]]]), Way()
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> start, phases = torch.full((1, 1), 5.0), [Phase(GradientDescent(0.25))]
    >>> end = minimise(loss, start, phases, tolerance=0, epochs=4, look=way)
    >>> way
    [5.0, 3.0, 2.0, 1.5]
    """

    def __call__(self, cells: Tensor, epochs: Tensor, theta: Tensor, lost: Tensor) -> None:
        """Look at some cells.

        Parameters
        ----------
        cells, epochs, theta : Tensor
            Places in the stack, epochs done (beyond any number where the cell has ended), and
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
    termination_reason : Tensor
        `TerminationReason` codes, (cells,).

    Examples
    --------
    >>> Minimum.begin(torch.ones(2, 1)).iterations
    tensor([0, 0])
    """

    point: Point
    residual: Tensor
    iterations: Tensor
    evaluations: Tensor
    termination_reason: Tensor

    @classmethod
    def begin(cls, theta: Tensor) -> "Minimum":
        """Where every cell begins."""
        unknown = theta.new_full((len(theta),), torch.nan)
        none = torch.zeros_like(unknown, dtype=torch.int64)
        point = Point(theta.clone(), unknown, torch.full_like(theta, torch.nan))
        return cls(point, unknown.clone(), none, none.clone(), torch.full_like(none, RUNNING))

    @classmethod
    def resume(cls, state: State) -> "Minimum":
        return cls(**{**state, "point": Point(**state["point"])})

    def put(self, cells: Tensor, point: Point, residual: Tensor, reason: Tensor) -> None:
        """Record the end of some cells."""
        self.point.put(cells, point)
        self.residual[cells], self.termination_reason[cells] = residual, reason


@dataclass(frozen=True)
class Progress:
    """A look at a running minimisation.

    Attributes
    ----------
    cells, converged, running : int
        Numbers of cells: all, converged, not at an end.
    worst : float
        Largest relative residual of a cell in this phase; nan if none is, or on mini-batches.

    Examples
    --------
    >>> end = Minimum.begin(torch.ones(3, 1))
    >>> end.termination_reason[0] = TerminationReason.TOLERANCE
    >>> Progress.of(end, residual=torch.tensor([0.5, 0.25]))
    Progress(cells=3, converged=1, running=2, worst=0.5)
    """

    cells: int
    converged: int
    running: int
    worst: float

    @classmethod
    def of(cls, end: Minimum, residual: Tensor) -> "Progress":
        return cls(
            cells=len(end.termination_reason),
            converged=int((end.termination_reason == TerminationReason.TOLERANCE).sum()),
            running=int((end.termination_reason == RUNNING).sum()),
            worst=float(residual.max()) if len(residual) else float("nan"),
        )


def minimise(
    objective: Objective,
    theta: Tensor,
    phases: Sequence[Phase],
    *,
    tolerance: float,
    epochs: int,
    window: int | None = None,
    wall_clock: float | None = None,
    look: Look | None = None,
    state: State | None = None,
    report: Callable[[Progress, Callable[[], State]], None] | None = None,
) -> Minimum:
    """Follow methods from theta until every cell has ended; an ended cell leaves the stack.

    Parameters
    ----------
    objective : Objective
    theta : Tensor
        Starting points, (cells, parameters).
    phases : sequence of Phase
        What the cells go through, one after the other. The methods are fresh, without memory. One on
        mini-batches is judged at the end of its budget alone.
    tolerance : float
        A cell has converged when its relative residual is at most this.
    epochs : int
        Budget of each cell: epochs over the data, evaluations of its function.
    window : int, optional
        Cells that run at a time; all if not given. The others wait, and take the places of those that
        have left. It changes no number.
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

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, which is least at w = 1, in two cells that start apart:

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.optimize.gd import GradientDescent
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(2))
    >>> theta, phases = torch.tensor([[1.0], [3.0]]), [Phase(GradientDescent(0.5))]
    >>> end = minimise(loss, theta, phases, tolerance=1e-6, epochs=20)
    >>> end.point.theta.tolist(), end.iterations.tolist()
    ([[1.0], [1.0]], [0, 1])
    >>> [TerminationReason(code).name for code in end.termination_reason.tolist()]
    ['TOLERANCE', 'TOLERANCE']
    """
    run = _Run(objective, theta, phases, look, state)
    while True:
        run.admit(len(theta) if window is None else window)
        late = wall_clock is not None and run.seconds > wall_clock
        run.leave(run.judge(tolerance, epochs, late))
        if report is not None:
            report(Progress.of(run.end, run.residual), run.state)
        if len(run.running):
            run.step()
        elif not len(run.waiting) and not run.go_on():
            return run.end


class _Run:
    """A minimisation under way: the cells running in a phase, those waiting, and where the others are."""

    def __init__(
        self,
        objective: Objective,
        theta: Tensor,
        phases: Sequence[Phase],
        look: Look | None,
        state: State | None,
    ) -> None:
        self._whole, self._phases, self.look = objective, phases, look
        self._start = time.monotonic() - float(state["seconds"] if state else 0)
        self.small = DEAD * theta.norm(dim=1)
        if state:
            self.number, self.residual = int(state["phase"]), state["residual"]
            self.running, self.waiting = state["running"], state["waiting"]
            self.point, self.end = Point(**state["point"]), Minimum.resume(state["end"])
            self.begun, self.objective = state["begun"], self._seen(self.running)
            self.method.resume(state.get("method", {}))
            self.stuck, self.diverged = torch.zeros_like(self.running, dtype=torch.bool), ~self.point.finite
            if look is not None:
                look.resume(state["look"])
        else:
            self.number, self.end = 0, Minimum.begin(theta)
            self._begin()

    @property
    def phase(self) -> Phase:
        return self._phases[self.number]

    @property
    def method(self) -> Method[Any]:
        return self.phase.method

    @property
    def last(self) -> bool:
        return self.number == len(self._phases) - 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def _seen(self, cells: Tensor) -> Objective:
        return self.phase.objective(self._whole.select(cells))

    def _begin(self) -> None:
        """Let the cells that have not ended wait for the phase."""
        self.waiting = (self.end.termination_reason == RUNNING).nonzero()[:, 0]
        self.running = self.waiting[:0]
        self.objective = self._seen(self.running)
        self.point, self.residual = self.end.point[self.running], self.end.residual[self.running]
        self.begun = self.end.evaluations.clone()
        self.stuck = self.diverged = torch.zeros_like(self.running, dtype=torch.bool)

    def admit(self, window: int) -> None:
        """Let waiting cells begin the phase, in places that are free."""
        free = window - len(self.running)
        if free <= 0 or not len(self.waiting) or not self.method.admits:
            return
        new, self.waiting = self.waiting[:free], self.waiting[free:]
        objective = self._seen(new)
        point = objective.at(self.end.point.theta[new])
        # what a method on mini-batches does not evaluate is no part of its budget
        self.end.evaluations[new] += int(self.method.whole)
        self.begun[new] = self.end.evaluations[new]
        self.method.join(new, point)
        residual = objective.relative_residual(point.theta, point.gradient)
        self.running = torch.cat([self.running, new])
        self.objective = objective if len(self.running) == len(new) else self._seen(self.running)
        self.point = self.point.followed_by(point)
        self.residual = torch.cat([self.residual, residual])
        self.stuck = torch.cat([self.stuck, torch.zeros_like(new, dtype=torch.bool)])
        self.diverged = torch.cat([self.diverged, ~point.finite])

    def go_on(self) -> bool:
        """Begin the next phase, if there is one and a cell for it."""
        if self.last or not (self.end.termination_reason == RUNNING).any():
            return False
        self.number += 1
        self._begin()
        return True

    def judge(self, tolerance: float, epochs: int, late: bool) -> Tensor:
        """How each running cell leaves the phase now, (running,), or that it stays."""
        done = self.end.evaluations[self.running]
        spent, dead = done >= epochs, self.point.theta.norm(dim=1) <= self.small[self.running]
        near = self.residual <= max(self.phase.tolerance, tolerance)
        over = done - self.begun[self.running] >= self.phase.epochs
        # a cell's own end alone: what its neighbours do must not end it
        known = torch.full_like(spent, self.last and self.method.whole)
        if not known.all():
            known = (spent | dead | late) & ~self.diverged
            if known.any():
                self._evaluate(known)
        # of several reasons the last one in this list counts
        left = torch.full_like(self.running, STAYS)
        left[self.stuck] = TerminationReason.NO_DESCENT
        if not self.last:
            left[near | over | self.stuck] = RUNNING
        left[torch.full_like(spent, late)] = TerminationReason.WALL_CLOCK
        left[spent] = TerminationReason.EPOCHS
        left[known & (self.residual <= tolerance)] = TerminationReason.TOLERANCE
        left[dead] = TerminationReason.COLLAPSED_TO_ZERO
        left[self.diverged] = TerminationReason.DIVERGED
        return left

    def _evaluate(self, cells: Tensor) -> None:
        """Value, gradient and residual of the objective itself, which not every phase gives."""
        objective, theta = self._whole.select(self.running[cells]), self.point.theta[cells]
        whole = objective.at(theta)
        self.point.put(cells, whole)
        self.residual[cells] = objective.relative_residual(theta, whole.gradient)
        self.diverged = self.diverged | ~self.point.finite

    def leave(self, left: Tensor) -> None:
        """Let cells leave the phase, and look at all."""
        leaving = left != STAYS
        if self.look is not None:
            beyond = torch.full_like(self.running, torch.iinfo(torch.int64).max)
            epochs = torch.where(left > RUNNING, beyond, self.end.evaluations[self.running])
            self.look(self.running, epochs, self.point.theta, self.diverged)
        if leaving.any():
            self.end.put(self.running[leaving], self.point[leaving], self.residual[leaving], left[leaving])
            self.running, self.point = self.running[~leaving], self.point[~leaving]
            self.residual, self.objective = self.residual[~leaving], self.objective.select(~leaving)
            self.stuck, self.diverged = self.stuck[~leaving], self.diverged[~leaving]
            self.method.keep(~leaving)

    def step(self) -> None:
        """One step of the method; a cell that diverges stays where it was."""
        step = self.method.step(self.objective, self.point)
        self.end.iterations[self.running] += 1
        self.end.evaluations[self.running] += step.epochs
        self.stuck, self.diverged = step.stuck, ~step.point.finite
        if self.diverged.any():
            step.point.put(self.diverged, self.point[self.diverged])
        self.point = step.point
        if self.method.whole:
            self.residual = self.objective.relative_residual(self.point.theta, self.point.gradient)
        else:  # known again where it is evaluated on the whole data
            self.residual = torch.full_like(self.residual, torch.nan)

    def state(self) -> State:
        """Where this is, for a later call to go on from."""
        return {
            "phase": self.number,
            "running": self.running,
            "waiting": self.waiting,
            "point": vars(self.point),
            "residual": self.residual,
            "begun": self.begun,
            "end": vars(self.end) | {"point": vars(self.end.point)},
            "method": self.method.state,
            "seconds": self.seconds,
            **({} if self.look is None else {"look": self.look.state}),
        }
