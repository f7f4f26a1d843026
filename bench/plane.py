"""Cells of Figure 1, trained until stationary by every program."""

import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import baselines, machine
from bench.engine import ROUNDING, nrc_stack
from bench.problems import Problem, residual
from bench.runs import TOLERANCES, Budget, Run
from tools.markdown import rounded, table

__all__ = ["ON_MANY", "PROGRAMS", "THREADS", "Compared", "compared", "headline", "lattice", "section"]

TORCH = "nn.Sequential, torch.optim.LBFGS"
# the program without this engine with which nrc is compared
SCIPY = "numpy closure, scipy L-BFGS-B"
AUTOGRAD = "torch closure, scipy L-BFGS-B"
FUNC = "torch.func ensemble, torch.optim.LBFGS on the sum"
JAX = "jitted and vmapped JAX, optax L-BFGS"
THREADS = sorted({1, machine.cores()})
# losses with a smaller relative difference count as one minimum
SAME = 1e-4


class Compared(NamedTuple):
    """Runs of programs, with losses and residuals that are computed again at their end points."""

    problem: Problem
    budget: Budget
    runs: dict[str, Run]
    losses: dict[str, NDArray[np.float64]]
    residuals: dict[str, NDArray[np.float64]]


def lattice(values: list[float], count: int) -> list[float]:
    """A number of evenly spaced values, including the first and the last."""
    return [values[round(k)] for k in np.linspace(0, len(values) - 1, count)]


def of_threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def engine_name(threads: int) -> str:
    return f"nrc, {of_threads(threads)}"


def written(tolerance: float) -> str:
    return f"{tolerance:.0e}".replace("e-0", "e-")


# functions, which are called with a problem and a budget, and their further arguments
PROGRAMS: dict[str, tuple[Callable[..., Run], *tuple[int | str, ...]]] = {
    TORCH: (baselines.torch_lbfgs,),
    SCIPY: (baselines.scipy_lbfgs, "numpy"),
    AUTOGRAD: (baselines.scipy_lbfgs, "torch"),
    FUNC: (baselines.torch_func,),
    **({JAX: (baselines.jax_lbfgs,)} if find_spec("optax") else {}),
    **{engine_name(threads): (nrc_stack, threads) for threads in THREADS},
}
SHORT = {TORCH: "torch", SCIPY: "scipy", FUNC: "func", JAX: "optax", engine_name(1): "nrc"}
# programs that are run on enough cells to fill the blocks of a stack: scipy and this engine
ON_MANY = [SCIPY, *map(engine_name, THREADS)]


def warm(program: Callable[..., Run], problem: Problem, budget: Budget, *others: Any) -> Run:
    """Run a program after a run of few evaluations, so that the cost of first calls is not counted."""
    program(problem, Budget(3, 1), *others)
    return program(problem, budget, *others)


def compared(problem: Problem, budget: Budget, names: Iterable[str]) -> Compared:
    """Run programs, each in its own process."""
    runs, losses, residuals = {}, {}, {}
    for name in names:
        program, *others = PROGRAMS[name]
        runs[name] = run = machine.alone(warm, program, problem, budget, *others)
        ends = [residual(problem, *end) for end in zip(problem.stack.cells(), run.theta, strict=True)]
        losses[name], residuals[name] = np.array(ends).T
        # cells that passed according to the program did pass
        assert (residuals[name][run.passed[-1]] <= ROUNDING * TOLERANCES[-1]).all(), name
        print(f"{name}, {len(run.theta)} cells: {run.seconds[0, -1]:.1f} s", file=sys.stderr)
    return Compared(problem, budget, runs, losses, residuals)


def seconds_a_cell(run: Run, clock: int, k: int) -> str:
    """Mean over cells of a time, with a sign > if some cells never reach the tolerance."""
    cells = run.passed.shape[1]
    return f"{'' if run.passed[k].all() else '> '}{rounded(run.seconds[clock, k] / cells)}"


def never(run: Run, k: int) -> int:
    return int((~run.passed[k]).sum())


def headline(found: Compared) -> str:
    """Time of scipy over the time of this engine, for each tolerance, and which minima they end in."""
    theirs, cells, parts = found.runs[SCIPY], len(found.problem.stack), []
    for k, tolerance in enumerate(TOLERANCES):
        processor, *elapsed = (
            theirs.seconds[clock, k] / found.runs[engine_name(threads)].seconds[clock, k]
            for clock, threads in [(0, 1), *((1, threads) for threads in THREADS)]
        )
        times = (
            f"{processor:.1f} times the processor time of nrc with 1 thread, and in elapsed time "
            + " and ".join(
                f"{factor:.1f} times that of nrc with {of_threads(threads)}"
                for threads, factor in zip(THREADS, elapsed, strict=True)
            )
        )
        goal = f"a relative residual of {written(tolerance)}"
        if missed := never(theirs, k):
            where = "any of these cells" if missed == cells else f"{missed} of these cells"
            parts.append(f"does not reach {goal} in {where}, and stops after {times}.")
        else:
            parts.append(f"trains {cells} cells of Figure 1 to {goal} in {times}.")
    return (
        "With one thread, scipy's L-BFGS-B on a function that was written by hand in numpy "
        f"{' It '.join(parts)} {_minima(found)}"
    )


def rows(found: Compared, rate: float) -> list[dict[str, Any]]:
    """A row per program."""
    return [
        {
            "program": name,
            "processor s per cell to 1e-6": seconds_a_cell(run, 0, 0),
            "elapsed s": seconds_a_cell(run, 1, 0),
            "processor s to 1e-8": seconds_a_cell(run, 0, 1),
            "cells never at 1e-6": never(run, 0),
            "never at 1e-8": never(run, 1),
            "us per evaluation": run.microseconds,
            "evaluations per cell to 1e-6": float(run.evaluations[0].mean()),
            "evaluations to 1e-8": float(run.evaluations[1].mean()),
            "% of GEMM": 100 * found.problem.operations / (1e-6 * run.microseconds) / rate,
            "worst residual": float(found.residuals[name].max()),
        }
        for name, run in found.runs.items()
    ]


def section(found: Compared, whole: Compared, rate: float) -> str:
    """Section of the page.

    Parameters
    ----------
    found : Compared
        All programs, on few cells.
    whole : Compared
        scipy and this engine, on enough cells to fill the blocks of a stack.
    rate : float
        Operations per second of matrix products with one thread.
    """
    axes, budget, points = found.problem.stack.axes, found.budget, len(found.problem.points.labels)
    without_jax = "" if JAX in found.runs else "JAX is not among them, because optax is not installed. "
    return f"""## Cells of Figure 1, to stationarity

{table(rows(whole, rate))}

The {len(whole.problem.stack)} cells of this table are {_cells(whole)}, which is enough to fill the
blocks in which a stack is trained. The next table compares all programs on fewer cells:

{table(rows(found, rate))}

{without_jax}These cells are {_cells(found)}. They are tanh autoencoders of
width {axes["width"]} and depth {axes["depth"]}, with N = {points} points and seed 0, in float64, from the
same data and initial weights for all programs.

- The residual is ||gradient|| / (lambda ||Theta||). The column `worst residual` has the smallest residual
  that each cell reached, of which it takes the largest over cells; it is computed again by autograd.
- A program runs until each cell has reached 1e-8, until it has used {budget.evaluations:,} evaluations or
  {budget.seconds:.0f} s per cell, or until it finds no lower loss. The line searches of scipy and torch
  compare values of the loss, and stop where rounding hides the remaining decrease. scipy is restarted
  without its history of {baselines.HISTORY} steps as long as this helps; torch skips pairs with s'y below
  1e-10.
- The sign `>` means that cells which never reached the tolerance count with the time and evaluations they
  used.
- torch.func has no optimiser, and first-order methods do not reach these residuals. Its cells share one
  L-BFGS on the sum of their losses.
- nrc trains all cells in one stack with `{found.problem.method["name"]}`, once for each tolerance. Its
  threads share the cells. In networks of this size they wait for the interpreter longer than they compute, so
  the pipeline trains their stacks in one thread each, several at a time.
- optax's cells are compiled as one function, in which all of them do as many trials of the line search as the
  cell with most.
- An evaluation is the value and the gradient of one cell. Its time is the total processor time over the
  number of evaluations, and its operations are those of its matrix products,
  2 N (3 sum_l n_l n_(l-1) - n_1 n_0) = {found.problem.operations:,}. Each program has its own process.

Evaluations to 1e-6 and losses at the end, by cell:

{table(_cell_by_cell(found))}
"""


def _cells(found: Compared) -> str:
    axes = found.problem.stack.axes
    return (
        f"{len(axes['weight_decay'])} values of weight decay from {_range(axes['weight_decay'])} times "
        f"{len(axes['sigma'])} of sigma from {_range(axes['sigma'])}"
    )


def _range(values: list[float]) -> str:
    return f"{values[0]:.3g} to {values[-1]:.3g}"


def _minima(found: Compared) -> str:
    """How many cells end at the same, a lower and a higher loss with this engine than with scipy."""
    both = found.runs[SCIPY].passed[0] & found.runs[engine_name(1)].passed[0]
    theirs, ours = found.losses[SCIPY][both], found.losses[engine_name(1)][both]
    change = (ours - theirs) / theirs
    same, lower, higher = abs(change) <= SAME, change < -SAME, change > SAME
    return (
        f"Of the {both.sum()} cells that both train to 1e-6, {same.sum()} end at the same loss (to a "
        f"relative difference of {written(SAME)}), {lower.sum()} at a lower loss with nrc, and "
        f"{higher.sum()} at a higher loss with nrc."
    )


def _cell_by_cell(found: Compared) -> list[dict[str, Any]]:
    """A row per cell: evaluations and losses of each program."""
    names = {name: short for name, short in SHORT.items() if name in found.runs}
    rows = []
    for c, cell in enumerate(found.problem.stack.cells()):
        counts = {
            f"{short}, evaluations": f"{'' if found.runs[name].passed[0, c] else '> '}"
            f"{found.runs[name].evaluations[0, c]:,.0f}"
            for name, short in names.items()
        }
        losses = {f"{short}, loss": f"{found.losses[name][c]:.6f}" for name, short in names.items()}
        rows.append({"weight decay": cell["weight_decay"], "sigma": cell["sigma"], **counts, **losses})
    return rows
