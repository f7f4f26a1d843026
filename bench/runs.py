"""Runs of a program: when each cell reached each tolerance, and its end point."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.machine import clock
from bench.problems import relative_residual

__all__ = ["TOLERANCES", "Budget", "Halt", "Run", "Watch"]

# Relative residuals that cells are trained to.
TOLERANCES = (1e-6, 1e-8)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """Limits for one cell, or for cells that run together: evaluations, and seconds per cell."""

    evaluations: int
    seconds: float


@dataclass
class Run:
    """The run of a program on all cells.

    Attributes
    ----------
    seconds : (2, tolerances) array
        Processor time and elapsed time, in total over cells, until each cell reached the tolerance or used
        up its budget.
    evaluations : (tolerances, cells) array
        Evaluations of each cell until then.
    passed : (tolerances, cells) array of bool
        Whether a cell reached the tolerance.
    theta : (cells, parameters) array
        Parameters with the smallest residual.
    """

    seconds: Array
    evaluations: Array
    passed: NDArray[np.bool_]
    theta: Array

    @classmethod
    def of_cells(cls, runs: list["Run"]) -> "Run":
        """Join runs of single cells, one after the other."""
        return cls(
            np.sum([run.seconds for run in runs], axis=0),
            np.concatenate([run.evaluations for run in runs], axis=1),
            np.concatenate([run.passed for run in runs], axis=1),
            np.concatenate([run.theta for run in runs]),
        )

    @property
    def microseconds(self) -> float:
        """Processor time per evaluation of a cell, including the work of the optimiser."""
        return 1e6 * self.seconds[0, -1] / self.evaluations[-1].sum()


class Halt(Exception):
    """Raised when all cells have reached the tolerance, or the budget is used up."""


class Watch:
    """Called after every evaluation: records which tolerances are reached, and raises `Halt` at the end.

    The time that it takes itself is not counted.
    """

    def __init__(self, weight_decay: Tensor, budget: Budget) -> None:
        self.weight_decay, self.budget = weight_decay, budget
        self.count = 0
        # processor time, elapsed time and evaluations
        self.at = np.full((3, len(TOLERANCES), len(weight_decay)), np.nan)
        self.smallest, self.theta = torch.full_like(weight_decay, torch.inf), None
        self.begin = clock()

    def __call__(self, theta: list[Tensor], gradient: list[Tensor], evaluations: int = 1) -> None:
        """Record evaluations, the last of them by parameters and gradients, each of shape (cells, ...)."""
        now = clock()
        self.count += evaluations
        self.spent = np.append(now - self.begin, self.count)
        theta, gradient = (torch.cat([a.detach().flatten(1) for a in b], dim=1) for b in (theta, gradient))
        residual = relative_residual(gradient, theta, self.weight_decay)
        better = residual < self.smallest
        self.smallest = torch.where(better, residual, self.smallest)
        self.theta = theta.clone() if self.theta is None else torch.where(better[:, None], theta, self.theta)
        for k, tolerance in enumerate(TOLERANCES):
            new = (residual <= tolerance).numpy() & np.isnan(self.at[0, k])
            self.at[:, k, new] = self.spent[:, None]
        late = self.spent[0] > self.budget.seconds * len(self.weight_decay)
        if not np.isnan(self.at[0, -1]).any() or late or self.count >= self.budget.evaluations:
            raise Halt
        self.begin += clock() - now

    def run(self) -> Run:
        passed = ~np.isnan(self.at[0])
        *seconds, evaluations = np.where(passed, self.at, self.spent[:, None, None])
        return Run(np.max(seconds, axis=2), evaluations, passed, self.theta.numpy())
