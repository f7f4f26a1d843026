"""What a program did with the cells: when each passed which residual, and where it ended."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.machine import clock_of

__all__ = ["TOLERANCES", "Budget", "Halt", "Run", "Watch"]

# Relative residuals that are waited for.
TOLERANCES = (1e-6, 1e-8)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """Limits of one cell, or of cells that run together: evaluations, and seconds a cell."""

    evaluations: int
    seconds: float


@dataclass
class Run:
    """A program's way through the cells.

    Attributes
    ----------
    seconds : (tolerances,) array
        Of all cells together, until each passed the tolerance or was out of budget.
    evaluations : (tolerances, cells) array
        The same in evaluations of each cell.
    passed : (tolerances, cells) array of bool
    microseconds : float
        Time of an evaluation of a cell, with all that the program does between two.
    theta : (cells, parameters) array
        Points of the smallest residuals.
    """

    seconds: Array
    evaluations: Array
    passed: NDArray[np.bool_]
    microseconds: float
    theta: Array

    @classmethod
    def of_cells(cls, runs: list["Run"]) -> "Run":
        """Runs of one cell after the other as one."""
        evaluations = np.concatenate([run.evaluations for run in runs], axis=1)
        seconds = np.sum([run.seconds for run in runs], axis=0)
        return cls(
            seconds,
            evaluations,
            np.concatenate([run.passed for run in runs], axis=1),
            1e6 * seconds[-1] / evaluations[-1].sum(),
            np.concatenate([run.theta for run in runs]),
        )


class Halt(Exception):
    """All cells have passed, or the budget is spent."""


class Watch:
    """Called with every evaluation; notes which residuals are passed, and raises `Halt` at the end.

    Its own time does not count.
    """

    def __init__(self, weight_decay: Tensor, budget: Budget) -> None:
        self.weight_decay, self.budget = weight_decay, budget
        self.count = 0
        self.at = np.full((2, len(TOLERANCES), len(weight_decay)), np.nan)  # seconds and evaluations
        self.least, self.theta = torch.full_like(weight_decay, torch.inf), None
        self.clock = clock_of(1)
        self.begin = self.clock()

    def __call__(self, theta: list[Tensor], gradient: list[Tensor]) -> None:
        """Look at the parameters and gradients of an evaluation, each (cells, ...)."""
        now = self.clock()
        self.count += 1
        self.seconds = now - self.begin
        theta, gradient = (torch.cat([a.detach().flatten(1) for a in b], dim=1) for b in (theta, gradient))
        residual = gradient.norm(dim=1) / (self.weight_decay * theta.norm(dim=1))
        better = residual < self.least
        self.least = torch.where(better, residual, self.least)
        self.theta = theta.clone() if self.theta is None else torch.where(better[:, None], theta, self.theta)
        for k, tolerance in enumerate(TOLERANCES):
            new = (residual <= tolerance).numpy() & np.isnan(self.at[0, k])
            self.at[:, k, new] = [[self.seconds], [self.count]]
        late = self.seconds > self.budget.seconds * len(self.weight_decay)
        if not np.isnan(self.at[0, -1]).any() or late or self.count >= self.budget.evaluations:
            raise Halt
        self.begin += self.clock() - now

    def run(self) -> Run:
        passed = ~np.isnan(self.at[0])
        seconds, evaluations = np.where(passed, self.at, [[[self.seconds]], [[self.count]]])
        microseconds = 1e6 * self.seconds / (self.count * len(self.weight_decay))
        return Run(seconds.max(1), evaluations, passed, microseconds, self.theta.numpy())
