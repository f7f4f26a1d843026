"""Time per evaluation of this engine and of scipy, and how it grows with the size of the problem."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize

from bench.baselines import CLOSURES, scipy_options
from bench.engine import minimum
from bench.machine import alone, seconds_of, use_threads
from bench.problems import Problem, blobs
from nrc.determinism import make_deterministic
from nrc.optimize import build
from nrc.optimize.protocols import RunInfo
from tools.markdown import table

__all__ = ["exponent", "section"]

# number of cells that are timed together
BLOCK = 8
# evaluations of an optimisation that is timed as a whole
EVALUATIONS = 100


def of_engine(problem: Problem) -> float:
    """Microseconds per evaluation of one cell of a stack, without the work of the optimiser."""
    make_deterministic()
    options = dict(problem.method)
    *_, phase = build(options.pop("name"), options, RunInfo(EVALUATIONS, [0]))
    objective, theta = phase.objective(problem.objective), problem.start()
    return 1e6 * seconds_of(lambda: objective.at(theta)) / len(theta)


def of_engine_and_method(problem: Problem) -> tuple[float, float]:
    """Microseconds per evaluation without and with the work of the method between evaluations."""
    bare, evaluations = of_engine(problem), 0

    def once() -> None:
        nonlocal evaluations
        evaluations = int(minimum(problem, 0.0, EVALUATIONS)[1].sum())

    return bare, 1e6 * seconds_of(once) / evaluations


def of_scipy(problem: Problem, closure: str) -> tuple[float, float]:
    """The same two times for the first cell, with scipy on a closure."""
    use_threads(1)
    function = CLOSURES[closure](problem, next(problem.stack.cells()))
    theta, evaluations = problem.start()[0].numpy(), 0
    bare = 1e6 * seconds_of(lambda: function(theta))

    def once() -> None:
        nonlocal evaluations
        evaluations = minimize(function, theta, **scipy_options(EVALUATIONS)).nfev

    return bare, 1e6 * seconds_of(once) / evaluations


def exponent(sizes: list[float], times: list[float]) -> float:
    """Slope of log time over log size, by least squares on the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(times[half:]), 1)[0])


def grown(
    method: Mapping[str, Any], along: str, sizes: list[int], others: Mapping[str, Any]
) -> dict[str, Any]:
    """Microseconds per evaluation of a cell for each size along one dimension, and the exponent."""
    times = [of_engine(blobs(method, **{along: size}, **others)) for size in sizes]
    row = {f"{size:,}": time for size, time in zip(sizes, times, strict=True)}
    return row | {"exponent": f"{exponent(sizes, times):.2f}"}


def section(
    method: Mapping[str, Any],
    rate: float,
    *,
    shapes: list[tuple[int, int]],
    cells: list[int],
    points: list[int],
    linear_points: list[int],
    widths: list[int],
    depths: list[int],
) -> str:
    """Section of the page.

    Parameters
    ----------
    method : mapping
        Name and options of the method of this engine.
    rate : float
        Operations per second of matrix products with one thread.
    shapes : list of (points, dimension)
        Sizes at which programs are compared.
    cells, points, linear_points, widths, depths : list of int
        Sizes at which this engine is timed.
    """
    linear = {"dimension": 10, "activation": "linear"}
    scalings = {
        "cells in the stack": ("cells", cells, {}),
        "points N": ("points", points, {}),
        "points N, linear, d = 10": ("points", linear_points, linear),
        "width = dimension": ("dimension", widths, {}),
        "depth": ("depth", depths, {}),
    }
    rows = {name: alone(grown, method, *along) for name, along in scalings.items()}
    tables = "\n\n".join(table([{along: "us", **row}]) for along, row in rows.items())
    return f"""## An evaluation

Microseconds per evaluation of value and gradient, for one cell of depth 4 with one thread: without the work
of the optimiser, and with it, averaged over {EVALUATIONS} evaluations. This engine evaluates a stack of
{BLOCK} cells, with `{method["name"]}`.

{table([row for shape in shapes for row in _programs(method, rate, *shape)])}

The next tables show how the time of this engine per evaluation of a cell grows, without the work of the
optimiser. They start from {BLOCK} cells, N = 200, d = width = 20 and depth 4, and vary one of these; the
exponent is fitted to the upper half of the sizes. A linear autoencoder trains on as many points as it has
inputs, with the same second moments, so its time does not depend on N.

{tables}
"""


def _programs(method: Mapping[str, Any], rate: float, points: int, dimension: int) -> list[dict[str, Any]]:
    problem = blobs(method, points=points, dimension=dimension, cells=BLOCK)
    timed = {
        **{f"{name} closure, scipy L-BFGS-B": alone(of_scipy, problem, name) for name in CLOSURES},
        "nrc": alone(of_engine_and_method, problem),
    }
    return [
        {
            "program": name,
            "N": points,
            "d = width": dimension,
            "evaluation alone": bare,
            "with optimiser": whole,
            "% of GEMM, evaluation alone": 100 * problem.operations / (1e-6 * bare) / rate,
        }
        for name, (bare, whole) in timed.items()
    ]
