"""Cells of Figure 1's plane to stationarity, by every program."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import machine, naive
from bench.engine import ROUNDING, nrc_stack
from bench.page import rounded, table
from bench.problems import Problem, residual
from bench.runs import TOLERANCES, Budget, Run

__all__ = ["SCIPY", "Compared", "compared", "headline", "lattice", "section", "short"]

TORCH = "nn.Sequential, torch.optim.LBFGS"
SCIPY = "torch closure, scipy L-BFGS-B"
FUNC = "torch.func ensemble, torch.optim.LBFGS on the sum"
# losses that differ by less are one minimum
SAME = 1e-4


class Compared(NamedTuple):
    """Runs of all programs, and their losses and residuals at the end, computed anew."""

    problem: Problem
    budget: Budget
    runs: dict[str, Run]
    losses: dict[str, NDArray[np.float64]]
    residuals: dict[str, NDArray[np.float64]]


def lattice(values: list[float], count: int) -> list[float]:
    """So many of the values, first and last among them."""
    return [values[round(k)] for k in np.linspace(0, len(values) - 1, count)]


def engine_name(threads: int) -> str:
    return f"nrc, {threads} thread{'s' if threads > 1 else ''}"


def compared(problem: Problem, budget: Budget, say=print) -> Compared:
    """Run every program, each in a process of its own."""
    programs = {
        TORCH: (naive.torch_lbfgs, problem, budget),
        SCIPY: (naive.scipy_lbfgs, problem, budget),
        FUNC: (naive.torch_func, problem, budget),
    }
    for threads in sorted({1, machine.cores()}):
        programs[engine_name(threads)] = (nrc_stack, problem, budget, threads)
    runs, losses, residuals = {}, {}, {}
    for name, call in programs.items():
        runs[name] = run = machine.alone(*call)
        ends = [residual(problem, *end) for end in zip(problem.stack.cells(), run.theta, strict=True)]
        losses[name], residuals[name] = np.array(ends).T
        # who says to have passed has
        assert (residuals[name][run.passed[-1]] <= ROUNDING * TOLERANCES[-1]).all(), name
        say(f"{name}: {run.seconds[-1]:.1f} s")
    return Compared(problem, budget, runs, losses, residuals)


def seconds_a_cell(run: Run, k: int) -> str:
    """Mean over cells; at least that where some never pass."""
    cells = run.passed.shape[1]
    return f"{'' if run.passed[k].all() else '> '}{rounded(run.seconds[k] / cells)}"


def never(run: Run, k: int) -> int:
    return int((~run.passed[k]).sum())


def row(name: str, run: Run) -> dict[str, Any]:
    return {
        "program": name,
        "s a cell to 1e-6": seconds_a_cell(run, 0),
        "to 1e-8": seconds_a_cell(run, 1),
        "never at 1e-6": never(run, 0),
        "at 1e-8": never(run, 1),
        "us an evaluation": run.microseconds,
    }


def short(found: Compared) -> str:
    """The table of the README."""
    return table([row(*run) for run in found.runs.items()])


def ratio(found: Compared, threads: int, k: int) -> tuple[str, str]:
    """How many times as long scipy takes as this engine."""
    theirs, ours = found.runs[SCIPY], found.runs[engine_name(threads)]
    atleast = "" if theirs.passed[k].all() else "at least "
    return atleast, f"{theirs.seconds[k] / ours.seconds[k]:.1f}"


def headline(found: Compared) -> str:
    """The best naive program over this engine, on the same cells to the same residuals."""
    said = []
    for threads in sorted({1, machine.cores()}):
        times = [
            f"{atleast}{factor} times to {tolerance:.0e}".replace("e-0", "e-")
            for k, tolerance in enumerate(TOLERANCES)
            for atleast, factor in [ratio(found, threads, k)]
        ]
        said.append(f"{' and '.join(times)} with {threads} thread{'s' if threads > 1 else ''}")
    return (
        f"The best program without this engine (scipy, one thread) takes {'; '.join(said)} as long as "
        f"this engine on the same {len(found.problem.stack)} cells."
    )


def section(found: Compared, rates: Mapping[int, float]) -> str:
    """Section of the page.

    Parameters
    ----------
    found : Compared
    rates : mapping
        Operations a second of the machine's products, by number of threads.
    """
    rows = []
    for name, run in found.runs.items():
        threads = next((t for t in rates if name == engine_name(t)), 1)
        rate = found.problem.operations / (1e-6 * run.microseconds)
        passed = run.passed[-1]
        worst = found.residuals[name][passed].max() if passed.any() else None
        rows.append(
            row(name, run)
            | {
                "evaluations a cell to 1e-6": float(run.evaluations[0].mean()),
                "evaluations to 1e-8": float(run.evaluations[1].mean()),
                "% of GEMM": 100 * rate / rates[threads],
                "largest residual of those at 1e-8": worst,
            }
        )
    axes, sizes = found.problem.stack.axes, found.problem.operations
    return f"""## Cells of Figure 1, to stationarity

{headline(found)}
{_minima(found)}

{table(rows)}

{len(found.problem.stack)} tanh autoencoders of width {axes["width"]} and depth {axes["depth"]}, N = \
{len(found.problem.points.labels)}: weight decay {_listed(axes["weight_decay"])} x sigma {_listed(axes["sigma"])},
seed 0, float64, the same data and initial weights. Residuals are ||gradient|| / (lambda ||Theta||), at the end computed anew
by autograd. A program runs until each cell has passed 1e-8 or {found.budget.evaluations:,} evaluations or \
{found.budget.seconds:.0f} s a cell, with histories of {naive.HISTORY};
`>`: cells that never passed count with what they spent. torch.func brings no optimiser: its cells share one L-BFGS on
the sum of their losses, as first-order ones do not get there. This engine trains by `{found.problem.method["name"]}`.
An evaluation is value and gradient of one cell, its time all time over all evaluations, its operations
2 N (3 sum_l n_l n_(l-1) - n_1 n_0) = {sizes:,}, those of its products. Every program has a process of its own.

{_cell_by_cell(found)}
"""


def _listed(values: list[float]) -> str:
    return "{" + ", ".join(f"{value:.3g}" for value in values) + "}"


def _minima(found: Compared) -> str:
    """Where this engine's end points are beside scipy's."""
    both = found.runs[SCIPY].passed[0] & found.runs[engine_name(1)].passed[0]
    theirs, ours = found.losses[SCIPY][both], found.losses[engine_name(1)][both]
    change = (ours - theirs) / theirs
    same, lower, higher = abs(change) <= SAME, change < -SAME, change > SAME
    return (
        f"Of the {both.sum()} cells that both bring to 1e-6, {same.sum()} end at one loss to {SAME:.0e}, "
        f"{lower.sum()} at a lower one by this engine, {higher.sum()} at a higher one."
    )


def _cell_by_cell(found: Compared) -> str:
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
    return f"Evaluations to 1e-6, and losses at the end:\n\n{table(rows)}"
