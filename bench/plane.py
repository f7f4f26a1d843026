"""Cells of Figure 1's plane to stationarity, by every program."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import machine, naive
from bench.engine import ROUNDING, nrc_stack
from bench.page import rounded, table
from bench.problems import Problem, residual
from bench.runs import TOLERANCES, Budget, Run

__all__ = ["BEST", "PROGRAMS", "THREADS", "Compared", "compared", "headline", "lattice", "section"]

TORCH = "nn.Sequential, torch.optim.LBFGS"
SCIPY = "torch closure, scipy L-BFGS-B"
FUNC = "torch.func ensemble, torch.optim.LBFGS on the sum"
THREADS = sorted({1, machine.cores()})
# losses that differ by less are one minimum
SAME = 1e-4


class Compared(NamedTuple):
    """Runs of programs, and their losses and residuals at the end, computed anew."""

    problem: Problem
    budget: Budget
    runs: dict[str, Run]
    losses: dict[str, NDArray[np.float64]]
    residuals: dict[str, NDArray[np.float64]]


def lattice(values: list[float], count: int) -> list[float]:
    """So many of the values, first and last among them."""
    return [values[round(k)] for k in np.linspace(0, len(values) - 1, count)]


def of_threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def engine_name(threads: int) -> str:
    return f"nrc, {of_threads(threads)}"


def written(tolerance: float) -> str:
    return f"{tolerance:.0e}".replace("e-0", "e-")


# what is called with a problem, a budget, and more
PROGRAMS: dict[str, tuple[Callable[..., Run], *tuple[int, ...]]] = {
    TORCH: (naive.torch_lbfgs,),
    SCIPY: (naive.scipy_lbfgs,),
    FUNC: (naive.torch_func,),
    **{engine_name(threads): (nrc_stack, threads) for threads in THREADS},
}
# the best without this engine, and this engine
BEST = [SCIPY, *map(engine_name, THREADS)]


def warm(program: Callable[..., Run], problem: Problem, budget: Budget, *others: Any) -> Run:
    """A program's run after one of few evaluations, so that no first call counts."""
    program(problem, Budget(3, 1), *others)
    return program(problem, budget, *others)


def compared(problem: Problem, budget: Budget, names: Iterable[str]) -> Compared:
    """Run programs, each in a process of its own."""
    runs, losses, residuals = {}, {}, {}
    for name in names:
        program, *others = PROGRAMS[name]
        runs[name] = run = machine.alone(warm, program, problem, budget, *others)
        ends = [residual(problem, *end) for end in zip(problem.stack.cells(), run.theta, strict=True)]
        losses[name], residuals[name] = np.array(ends).T
        # who says to have passed has
        assert (residuals[name][run.passed[-1]] <= ROUNDING * TOLERANCES[-1]).all(), name
        print(f"{name}, {len(run.theta)} cells: {run.seconds[-1]:.1f} s", file=sys.stderr)
    return Compared(problem, budget, runs, losses, residuals)


def seconds_a_cell(run: Run, k: int) -> str:
    """Mean over cells; at least that where some never pass."""
    cells = run.passed.shape[1]
    return f"{'' if run.passed[k].all() else '> '}{rounded(run.seconds[k] / cells)}"


def never(run: Run, k: int) -> int:
    return int((~run.passed[k]).sum())


def headline(found: Compared) -> str:
    """The best program without this engine beside it, on the same cells to the same residuals."""
    theirs, parts = found.runs[SCIPY], []
    for k, tolerance in enumerate(TOLERANCES):
        factors = [
            f"{theirs.seconds[k] / ours.seconds[k]:.1f} times as long as nrc with {of_threads(threads)}"
            for threads in THREADS
            for ours in [found.runs[engine_name(threads)]]
        ]
        missed = f" (short of which it stops in {never(theirs, k)} of them)" if never(theirs, k) else ""
        parts.append(f"to {written(tolerance)}{missed} {' and '.join(factors)}")
    return (
        f"On the same {len(found.problem.stack)} cells scipy's L-BFGS-B on a torch closure, one thread, the "
        f"best program without nrc, takes {'; '.join(parts)}."
    )


def rows(found: Compared, rates: Mapping[int, float]) -> list[dict[str, Any]]:
    """A row of the table for each program."""
    made = []
    for name, run in found.runs.items():
        threads = next((t for t in rates if name == engine_name(t)), 1)
        rate = found.problem.operations / (1e-6 * run.microseconds)
        made.append(
            {
                "program": name,
                "s a cell to 1e-6": seconds_a_cell(run, 0),
                "to 1e-8": seconds_a_cell(run, 1),
                "cells never at 1e-6": never(run, 0),
                "never at 1e-8": never(run, 1),
                "us an evaluation": run.microseconds,
                "evaluations a cell to 1e-6": float(run.evaluations[0].mean()),
                "evaluations to 1e-8": float(run.evaluations[1].mean()),
                "% of GEMM": 100 * rate / rates[threads],
                "worst residual": float(found.residuals[name].max()),
            }
        )
    return made


def section(found: Compared, whole: Compared, rates: Mapping[int, float]) -> str:
    """Section of the page.

    Parameters
    ----------
    found : Compared
        All programs, on a few cells.
    whole : Compared
        scipy and this engine, on as many as fill its stacks.
    rates : mapping
        Operations a second of the machine's products, by number of threads.
    """
    axes, budget, points = found.problem.stack.axes, found.budget, len(found.problem.points.labels)
    return f"""## Cells of Figure 1, to stationarity

{headline(whole)} {_minima(whole)}

{table(rows(whole, rates))}

Those cells are {_cells(whole)}: as many as fill the
blocks in which a stack is trained. All programs, on fewer:

{table(rows(found, rates))}

{_cells(found)}; tanh autoencoders of width {axes["width"]}
and depth {axes["depth"]}, N = {points}, seed 0, float64, the same data and initial weights. The residual is
||gradient|| / (lambda ||Theta||); `worst residual` is the smallest that each cell came to, the largest over
cells, computed anew by autograd. A program runs until each cell has passed 1e-8, or
{budget.evaluations:,} evaluations or {budget.seconds:.0f} s a cell are spent, or it finds no lower loss:
scipy (which begins anew without its history of {naive.HISTORY} while that helps) and torch compare values
in their line searches, and stop where rounding hides what is left to gain; torch also takes no pair into its
history whose s'y is below 1e-10. `>`: cells that never passed count with what they spent. torch.func brings
no optimiser: its cells share one L-BFGS on the sum of their losses, as first-order ones do not get there. nrc
trains them in one stack by `{found.problem.method["name"]}`, once to each residual.

An evaluation is value and gradient of one cell; its time is all time over all evaluations, and its operations
are those of its products, 2 N (3 sum_l n_l n_(l-1) - n_1 n_0) = {found.problem.operations:,}. Every program
has a process of its own.

Evaluations to 1e-6, and losses at the end:

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
    """Where this engine's end points are beside scipy's."""
    both = found.runs[SCIPY].passed[0] & found.runs[engine_name(1)].passed[0]
    theirs, ours = found.losses[SCIPY][both], found.losses[engine_name(1)][both]
    change = (ours - theirs) / theirs
    same, lower, higher = abs(change) <= SAME, change < -SAME, change > SAME
    return (
        f"Of the {both.sum()} cells that both bring to 1e-6, {same.sum()} end at one loss (to "
        f"{written(SAME)}), {lower.sum()} at a lower one by nrc, {higher.sum()} at a higher one."
    )


def _cell_by_cell(found: Compared) -> list[dict[str, Any]]:
    """Evaluations of every cell, and its losses."""
    names = dict(zip(found.runs, ("torch", "scipy", "func", "nrc"), strict=False))
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
