"""Time of an evaluation: of naive programs and this engine, and how the engine's grows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize

from bench.engine import minimum
from bench.machine import alone, seconds_of, use_threads
from bench.naive import closure_for_scipy, scipy_options
from bench.page import table
from bench.problems import Problem, blobs
from nrc.determinism import make_deterministic
from nrc.optimize import build
from nrc.optimize.protocols import RunInfo

__all__ = ["exponent", "section"]

# cells that are timed together
BLOCK = 8
# evaluations of a whole optimisation that is timed
PASSES = 100


def of_engine(problem: Problem) -> float:
    """Microseconds of a bare evaluation of one cell among those of its stack."""
    make_deterministic()
    options = dict(problem.method)
    *_, phase = build(options.pop("name"), options, RunInfo(PASSES, [0]))
    objective, theta = phase.objective(problem.objective), problem.start()
    return 1e6 * seconds_of(lambda: objective.at(theta)) / len(theta)


def of_engine_and_method(problem: Problem) -> tuple[float, float]:
    """The same, and with all that the method does between two."""
    bare, evaluations = of_engine(problem), 0

    def once() -> None:
        nonlocal evaluations
        evaluations = int(minimum(problem, 0.0, PASSES)[1].sum())

    return bare, 1e6 * seconds_of(once) / evaluations


def of_scipy(problem: Problem) -> tuple[float, float]:
    """The same two of the first cell, by scipy on a torch closure."""
    use_threads(1)
    function = closure_for_scipy(problem, next(problem.stack.cells()))
    theta, evaluations = problem.start()[0].numpy(), 0
    bare = 1e6 * seconds_of(lambda: function(theta))

    def once() -> None:
        nonlocal evaluations
        evaluations = minimize(function, theta, **scipy_options(PASSES)).nfev

    return bare, 1e6 * seconds_of(once) / evaluations


def exponent(sizes: list[float], times: list[float]) -> float:
    """Slope of log time in log size, by least squares over the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(times[half:]), 1)[0])


def grown(
    method: Mapping[str, Any], along: str, sizes: list[int], others: Mapping[str, Any]
) -> dict[str, Any]:
    """Microseconds of an evaluation of a cell for every size of one kind, and the exponent."""
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
        Of this engine.
    rate : float
        Operations a second of the machine's products with one thread.
    shapes : list of (points, dimension)
        At which programs are compared.
    cells, points, linear_points, widths, depths : list of int
        Along which the engine's time is taken.
    """
    linear = {"dimension": 10, "activation": "linear"}
    asked = {
        "cells in the stack": ("cells", cells, {}),
        "points N": ("points", points, {}),
        "points N, linear, d = 10": ("points", linear_points, linear),
        "width = dimension": ("dimension", widths, {}),
        "depth": ("depth", depths, {}),
    }
    rows = {name: alone(grown, method, *along) for name, along in asked.items()}
    tables = "\n\n".join(table([{along: "us", **row}]) for along, row in rows.items())
    return f"""## An evaluation

Microseconds of value and gradient of one cell of depth 4 with one thread, bare, and with the optimiser's own
work in {PASSES} evaluations; this engine in a stack of {BLOCK}, by `{method["name"]}`.

{table([row for shape in shapes for row in _programs(method, rate, *shape)])}

How this engine's bare evaluation of a cell grows, from {BLOCK} cells, N = 200, d = width = 20 and depth 4;
exponents are fitted to the upper half of the sizes. A linear autoencoder trains on as many points as it
has inputs, of the same second moments, so that its time does not depend on N.

{tables}
"""


def _programs(method: Mapping[str, Any], rate: float, points: int, dimension: int) -> list[dict[str, Any]]:
    problem = blobs(method, points=points, dimension=dimension, cells=BLOCK)
    timed = {
        "torch closure, scipy L-BFGS-B": alone(of_scipy, problem),
        "nrc": alone(of_engine_and_method, problem),
    }
    return [
        {
            "program": name,
            "N": points,
            "d = width": dimension,
            "bare": bare,
            "with optimiser": whole,
            "% of GEMM, bare": 100 * problem.operations / (1e-6 * bare) / rate,
        }
        for name, (bare, whole) in timed.items()
    ]
