"""The driver: phases of methods, until every cell of a stack is stationary or out of budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from nrc.networks.arrays import fastest, tensor
from nrc.objectives import protocols
from nrc.objectives.protocols import Objective, Point
from nrc.optimize.protocols import Method, Phase, State
from nrc.status import TerminationReason

__all__ = ["Minimisation", "Minimum", "Observer", "RunProgress", "minimise"]

# A cell has collapsed to zero if the norm of its parameters is at most this share of the initial norm.
COLLAPSED = 1e-6
# Codes of cells without a termination reason: they stay in the phase, or leave it for the next one.
STAYS, RUNNING = -2, -1


class Observer(Protocol):
    """What observes cells during a minimisation, such as snapshots.

    Examples
    --------
    The trajectory of gradient descent towards the minimum of (w - 2)^2 / 2 + w^2 / 2:

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> from nrc.optimize.gd import GradientDescent
    >>> class Trajectory(list):
    ...     def __call__(self, cells, epochs, theta, diverged):
    ...         self.append(theta.item())
    >>> x, trajectory = torch.tensor([[[1.0], [-1.0]]]), Trajectory()
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> initial, phases = torch.full((1, 1), 5.0), [Phase(GradientDescent(0.25))]
    >>> end = minimise(loss, initial, phases, tolerance=0, epochs=4, observer=trajectory)
    >>> trajectory
    [5.0, 3.0, 2.0, 1.5]
    """

    def __call__(self, cells: Tensor, epochs: Tensor, theta: Tensor, diverged: Tensor) -> None:
        """Observe some cells.

        Parameters
        ----------
        cells, epochs, theta : Tensor
            Numbers in the stack, epochs done (a huge number if the cell has terminated), and parameters,
            (some, ...).
        diverged : Tensor
            Mask (some,) of the cells that diverged.
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
        """The initial points of all cells."""
        unknown = theta.new_full((len(theta),), torch.nan)
        none = torch.zeros_like(unknown, dtype=torch.int64)
        point = Point(theta.clone(), unknown, torch.full_like(theta, torch.nan))
        return cls(point, unknown.clone(), none, none.clone(), torch.full_like(none, RUNNING))

    @classmethod
    def resume(cls, state: State) -> "Minimum":
        return cls(**{**state, "point": Point(**state["point"])})

    def put(self, cells: Tensor, point: Point, residual: Tensor, termination_reason: Tensor) -> None:
        """Record the end points of some cells."""
        self.point.put(cells, point)
        self.residual[cells], self.termination_reason[cells] = residual, termination_reason


class RunProgress(NamedTuple):
    """Progress of a minimisation.

    Attributes
    ----------
    cells, converged, running : int
        Numbers of cells: all, converged, and not terminated.
    epochs : int
        Epochs of the cells that run now, their sum.
    worst_residual : float
        Largest relative residual of a running cell; nan if none is running, or on mini-batches.
    """

    cells: int
    converged: int
    running: int = 0
    epochs: int = 0
    worst_residual: float = float("nan")


def minimise(
    objective: Objective,
    theta: Tensor,
    phases: Sequence[Phase],
    *,
    tolerance: float,
    epochs: int,
    window: int | None = None,
    observer: Observer | None = None,
    state: State | None = None,
    report: "Callable[[Minimisation], None] | None" = None,
) -> Minimum:
    """Minimise from theta until every cell has terminated. A cell that has terminated leaves the stack.

    Parameters
    ----------
    objective : Objective
    theta : Tensor
        Initial points, (cells, parameters).
    phases : sequence of Phase
        The phases in order, with new methods, which have no memory. A cell on mini-batches is judged only at
        the end of its budget.
    tolerance : float
        A cell has converged when its relative residual is at most this.
    epochs : int
        Budget of each cell: evaluations of its function on all points.
    window : int, optional
        Number of cells that run at a time; all if not given. The others wait, and take the places of cells
        that have left. The window changes no number.
    observer : Observer, optional
        Observes the running cells before the first step and after every step, and each cell at its end.
    state : mapping, optional
        State of an earlier call with the same arguments. This call continues from there to the same bits.
    report : callable, optional
        Called after every iteration.

    Returns
    -------
    Minimum
        A cell that diverges keeps its last finite point.

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, with the minimum at w = 1, in two cells:

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> from nrc.optimize.gd import GradientDescent
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(2))
    >>> phases = [Phase(GradientDescent(0.5))]
    >>> end = minimise(loss, torch.tensor([[5.0], [1.0]]), phases, tolerance=1e-6, epochs=99)
    >>> end.point.theta.tolist(), end.iterations.tolist()
    ([[1.0], [1.0]], [1, 0])
    >>> [TerminationReason(code).name for code in end.termination_reason.tolist()]
    ['TOLERANCE', 'TOLERANCE']
    """
    run = Minimisation(objective, theta, phases, observer, state)
    with np.errstate(all="ignore"):  # cells that diverge are found by their values
        while True:
            run.admit(len(theta) if window is None else window)
            run.leave(run.judge(tolerance, epochs))
            if report is not None:
                report(run)
            if len(run.running):
                run.step()
            elif not len(run.waiting) and not run.begin_next_phase():
                return run.end


class Minimisation:
    """A minimisation in progress: the cells that run in a phase, the cells that wait, and all end points.

    Attributes
    ----------
    running, waiting : Tensor
        Numbers of the cells in the stack.
    point, residual : Point, Tensor
        Of the running cells.
    end : Minimum
        Of all cells.
    """

    def __init__(
        self,
        objective: Objective,
        theta: Tensor,
        phases: Sequence[Phase],
        observer: Observer | None,
        state: State | None,
    ) -> None:
        self._objective, self._phases, self._observer = objective, phases, observer
        self._small = COLLAPSED * theta.norm(dim=1)
        if not state:
            self._number, self.end = 0, Minimum.begin(theta)
            self._begin_phase()
            return
        self._number, self.residual = int(state["phase"]), state["residual"]
        self.running, self.waiting = state["running"], state["waiting"]
        self.point, self.end = Point(**state["point"]), Minimum.resume(state["end"])
        self._before, self.objective = state["before"], self._objective_of(self.running)
        self._near = self._near_in_phase()
        self.method.resume(state["method"])
        self._stuck, self._diverged = torch.zeros_like(self.running, dtype=torch.bool), ~self.point.finite
        if observer is not None:
            observer.resume(state["observer"])

    @property
    def phase(self) -> Phase:
        return self._phases[self._number]

    @property
    def method(self) -> Method[Any]:
        return self.phase.method

    @property
    def in_last_phase(self) -> bool:
        return self._number == len(self._phases) - 1

    @property
    def progress(self) -> RunProgress:
        reasons = self.end.termination_reason
        return RunProgress(
            cells=len(reasons),
            converged=int((reasons == TerminationReason.TOLERANCE).sum()),
            running=int((reasons == RUNNING).sum()),
            epochs=int(self.end.evaluations[self.running].sum()),
            worst_residual=float(self.residual.max()) if len(self.residual) else float("nan"),
        )

    @property
    def state(self) -> State:
        """The state, from which a later call continues."""
        return {
            "phase": self._number,
            "running": self.running,
            "waiting": self.waiting,
            "point": vars(self.point),
            "residual": self.residual,
            "before": self._before,
            "end": vars(self.end) | {"point": vars(self.end.point)},
            "method": self.method.state,
            **({} if self._observer is None else {"observer": self._observer.state}),
        }

    def _objective_of(self, cells: Tensor) -> Objective:
        """The objective that the method of the phase minimises, of some cells."""
        return self.phase.objective(self._objective.select(cells))

    def _near_in_phase(self) -> Tensor:
        """The relative residual at which each cell leaves the phase, (cells,)."""
        near = self.phase.tolerance
        return near(self._objective) if callable(near) else torch.full_like(self._small, near)

    def _begin_phase(self) -> None:
        """Let the cells that have not terminated wait for the phase."""
        self.waiting = (self.end.termination_reason == RUNNING).nonzero()[:, 0]
        self.running = self.waiting[:0]
        self.objective = self._objective_of(self.running)
        self.point, self.residual = self.end.point[self.running], self.end.residual[self.running]
        self._near = self._near_in_phase()
        # epochs of each cell before the phase
        self._before = self.end.evaluations.clone()
        self._stuck = self._diverged = torch.zeros_like(self.running, dtype=torch.bool)

    def begin_next_phase(self) -> bool:
        """Begin the next phase, if there is one and a cell for it."""
        if self.in_last_phase or not (self.end.termination_reason == RUNNING).any():
            return False
        self._number += 1
        self._begin_phase()
        return True

    def admit(self, window: int) -> None:
        """Let waiting cells begin the phase, in free places."""
        free = window - len(self.running)
        if free <= 0 or not len(self.waiting) or not self.method.can_join:
            return
        new, self.waiting = self.waiting[:free], self.waiting[free:]
        objective = self._objective_of(new)
        point = objective.at(self.end.point.theta[new])
        # a method on mini-batches does not use this evaluation, so it is not part of the budget
        self.end.evaluations[new] += int(self.method.full_batch)
        self._before[new] = self.end.evaluations[new]
        self.method.join(new, point, objective)
        residual = objective.relative_residual(point.theta, point.gradient)
        self.running = torch.cat([self.running, new])
        self.objective = objective if len(self.running) == len(new) else self._objective_of(self.running)
        self.point = Point.join([self.point, point])
        self.residual = torch.cat([self.residual, residual])
        self._stuck = torch.cat([self._stuck, torch.zeros_like(new, dtype=torch.bool)])
        self._diverged = torch.cat([self._diverged, ~point.finite])

    def judge(self, tolerance: float, epochs: int) -> Tensor:
        """For each running cell the termination reason, `RUNNING` for the next phase, or `STAYS`."""
        running = fastest(self.running)
        done, norm = fastest(self.end.evaluations)[running], fastest(protocols.norm(self.point.theta))
        spent, collapsed = done >= epochs, norm <= fastest(self._small)[running]
        near = fastest(self.residual) <= fastest(self._near)[running].clip(min=tolerance)
        over = done - fastest(self._before)[running] >= self.phase.epochs
        usual = not (near | over | spent | collapsed | fastest(self._stuck) | fastest(self._diverged)).any()
        left = torch.full_like(self.running, STAYS)
        if usual:
            return left
        spent, collapsed, near, over = map(tensor, (spent, collapsed, near, over))
        # on mini-batches the residual is only evaluated at the end of a cell, whatever other cells do
        known = torch.full_like(spent, self.in_last_phase and self.method.full_batch)
        if not known.all():
            known = (spent | collapsed) & ~self._diverged
            if known.any():
                self._evaluate(known)
        # if several reasons hold, the last one of this list counts
        left[self._stuck] = TerminationReason.NO_DESCENT
        if not self.in_last_phase:
            left[near | over | self._stuck] = RUNNING
        left[spent] = TerminationReason.EPOCHS
        left[known & (self.residual <= tolerance)] = TerminationReason.TOLERANCE
        left[collapsed] = TerminationReason.COLLAPSED_TO_ZERO
        left[self._diverged] = TerminationReason.DIVERGED
        return left

    def _evaluate(self, cells: Tensor) -> None:
        """Evaluate the objective of the run, whose value and gradient are not known in every phase."""
        objective, theta = self._objective.select(self.running[cells]), self.point.theta[cells]
        point = objective.at(theta)
        self.point.put(cells, point)
        self.residual[cells] = objective.relative_residual(theta, point.gradient)
        self._diverged = self._diverged | ~self.point.finite

    def leave(self, left: Tensor) -> None:
        """Let cells leave the phase, after the observer has observed all running cells."""
        leaving = left != STAYS
        if self._observer is not None:
            huge = torch.full_like(self.running, torch.iinfo(torch.int64).max)
            epochs = torch.where(left > RUNNING, huge, self.end.evaluations[self.running])
            self._observer(self.running, epochs, self.point.theta, self._diverged)
        if leaving.any():
            self.end.put(self.running[leaving], self.point[leaving], self.residual[leaving], left[leaving])
            self.running, self.point = self.running[~leaving], self.point[~leaving]
            self.residual, self.objective = self.residual[~leaving], self.objective.select(~leaving)
            self._stuck, self._diverged = self._stuck[~leaving], self._diverged[~leaving]
            self.method.keep(~leaving)

    def step(self) -> None:
        """One step of the method; a cell that diverges stays at its last point."""
        step = self.method.step(self.objective, self.point)
        running, end = fastest(self.running), self.end
        fastest(end.iterations)[running] += 1 if step.moved is None else fastest(step.moved)
        fastest(end.evaluations)[running] += fastest(step.epochs)
        self._stuck, self._diverged = step.stuck, ~step.point.finite
        if self._diverged.any():
            step.point.put(self._diverged, self.point[self._diverged])
        self.point = step.point
        if self.method.full_batch:
            self.residual = self.objective.relative_residual(self.point.theta, self.point.gradient)
        else:  # it is known again when the objective is evaluated on all data
            self.residual = torch.full_like(self.residual, torch.nan)
