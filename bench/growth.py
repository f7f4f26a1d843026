"""Time of an evaluation: of naive programs and this engine, and how the engine's grows."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench import naive
from bench.engine import minimum
from bench.machine import alone, seconds_of, use_threads
from bench.page import table
from bench.problems import Problem, blobs
from nrc.determinism import make_deterministic

__all__ = ["exponent", "section"]

# cells that are timed together
BLOCK = 8
# evaluations of a whole optimisation that is timed
PASSES = 100


def of_engine(problem: Problem) -> float:
    """Microseconds of a bare evaluation of one cell among those of its stack."""
    make_deterministic()
    objective, theta = problem.objective, problem.start()
    return 1e6 * seconds_of(lambda: objective(theta)) / len(theta)


def of_engine_with_method(problem: Problem) -> float:
    """The same with all that the method does between two."""
    make_deterministic()
    evaluations = 0

    def once() -> None:
        nonlocal evaluations
        evaluations = int(minimum(problem, 0.0, PASSES)[1].sum())

    return 1e6 * seconds_of(once) / evaluations


def of_scipy(problem: Problem) -> float:
    use_threads(1)
    function = naive.closure_for_scipy(problem, next(problem.stack.cells()))
    theta = problem.start()[0].numpy()
    return 1e6 * seconds_of(lambda: function(theta))


def of_scipy_with_method(problem: Problem) -> float:
    use_threads(1)
    function = naive.closure_for_scipy(problem, next(problem.stack.cells()))
    theta = problem.start()[0].numpy()
    options = {"maxcor": naive.HISTORY, "ftol": 0.0, "gtol": 0.0, "maxfun": PASSES}
    evaluations = 0

    def once() -> None:
        nonlocal evaluations
        evaluations = naive.minimize(function, theta, jac=True, method="L-BFGS-B", options=options).nfev

    return 1e6 * seconds_of(once) / evaluations


def exponent(sizes: list[float], times: list[float]) -> float:
    """Slope of log time in log size, by least squares over the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(times[half:]), 1)[0])


def growth(sizes: list[int], problem_of: Callable[[int], Problem]) -> dict[str, Any]:
    """Microseconds of an evaluation of a cell for every size, and the exponent."""
    times = {size: alone(of_engine, problem_of(size)) for size in sizes}
    return {f"{size:,}": time for size, time in times.items()} | {
        "exponent": f"{exponent(list(times), list(times.values())):.2f}"
    }


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
    grown = {
        "cells in the stack": growth(cells, lambda size: blobs(method, cells=size)),
        "points N": growth(points, lambda size: blobs(method, points=size)),
        "points N, linear": growth(
            linear_points, lambda size: blobs(method, points=size, dimension=10, activation="linear")
        ),
        "width = dimension": growth(widths, lambda size: blobs(method, dimension=size)),
        "depth": growth(depths, lambda size: blobs(method, depth=size)),
    }
    tables = "\n\n".join(table([{f"{along}": "us", **row}]) for along, row in grown.items())
    return f"""## An evaluation

Microseconds of value and gradient of one cell of depth 4 with one thread, bare, and with the optimiser's own work in \
{PASSES} evaluations;
this engine in a stack of {BLOCK}, by `{method["name"]}`.

{table([row for shape in shapes for row in _programs(method, rate, *shape)])}

How this engine's bare evaluation of a cell grows; where nothing else is said {BLOCK} cells, N = 200, d = width = 20, \
depth 4.
Exponents are fitted to the upper half of the sizes. A linear autoencoder trains on as many points as it has inputs, of the
same second moments: its time does not depend on N.

{tables}
"""


def _programs(method: Mapping[str, Any], rate: float, points: int, dimension: int) -> list[dict[str, Any]]:
    problem = blobs(method, points=points, dimension=dimension, cells=BLOCK)
    timed = {
        "torch closure, scipy L-BFGS-B": (of_scipy, of_scipy_with_method),
        "nrc": (of_engine, of_engine_with_method),
    }
    rows = []
    for name, functions in timed.items():
        bare, whole = (alone(function, problem) for function in functions)
        share = 100 * problem.operations / (1e-6 * bare) / rate
        rows.append(
            {
                "program": name,
                "N": points,
                "d = width": dimension,
                "bare": bare,
                "with optimiser": whole,
                "% of GEMM, bare": share,
            }
        )
    return rows
