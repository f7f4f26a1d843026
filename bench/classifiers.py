"""Classifiers on MNIST, trained until stationary: the method `newton` of this engine, and scipy."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.baselines import minimised
from bench.engine import minimum
from bench.machine import alone, clock, use_threads
from bench.problems import Problem, configured, relative_residual
from bench.runs import Halt
from nrc.determinism import make_deterministic
from tools.markdown import table

__all__ = ["section"]

METHOD = {"name": "newton", "history": 10, "switch": 1e-5}
TOLERANCE = 1e-6
EPOCHS = 100_000
# time limit of scipy, as a multiple of the time of the engine
TIMES = 3

Array = NDArray[np.float64]


def by_engine(problem: Problem) -> tuple[float, int, Array]:
    """Seconds, number of evaluations, and end point."""
    make_deterministic()
    begin = clock()
    theta, evaluations = minimum(problem, TOLERANCE, EPOCHS)
    return (clock() - begin)[0], int(evaluations), theta[0].numpy()


def loss_of(problem: Problem, x: Tensor, classes: Tensor, decay: float, theta: Array) -> tuple[float, Array]:
    """Value and gradient of the loss with weight decay, by autograd."""
    sizes = [n_out * n_in for n_out, n_in in problem.shapes]
    parts = torch.from_numpy(theta).split(sizes)
    weights = [part.view(shape).requires_grad_() for part, shape in zip(parts, problem.shapes, strict=True)]
    z = x
    for w in weights[:-1]:
        z = torch.tanh(z @ w.T)
    loss = torch.nn.functional.cross_entropy(z @ weights[-1].T, classes)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]).numpy()
    return loss.item() + decay / 2 * (theta @ theta), gradient + decay * theta


def by_scipy(problem: Problem, seconds: float) -> tuple[float, float, Array]:
    """Seconds spent, and the smallest relative residual within a time limit, with its parameters."""
    use_threads(1)
    x, y, decay = problem.cell(next(problem.stack.cells()))
    classes, best, end = y.argmax(1), np.inf, None
    begin = clock()

    def watched(theta: Array) -> tuple[float, Array]:
        nonlocal best, end
        value, gradient = loss_of(problem, x, classes, decay, theta)
        residual = relative_residual(*map(torch.from_numpy, (gradient, theta)), decay)
        if residual < best:
            best, end = residual, theta.copy()
        if best <= TOLERANCE or (clock() - begin)[0] > seconds:
            raise Halt
        return value, gradient

    minimised(watched, problem.start()[0].numpy())
    return (clock() - begin)[0], best, end


def section(widths: list[int]) -> str:
    """Section of the page."""
    rows = [_row(width) for width in widths]
    return f"""## Classifiers, to stationarity

Tanh networks of depth 4 are trained on 1,000 images of MNIST with the cross-entropy, in float64, from their
initial weights, with one thread. The table has the seconds that the method `{METHOD["name"]}` of this engine
takes to a relative residual of {TOLERANCE:.0e}, and the smallest residual that scipy's L-BFGS-B on a torch
closure reaches in {TIMES} times as long.

{table(rows)}
"""


def _row(width: int) -> dict[str, Any]:
    problem = replace(configured("mnist", weight_decay=[1e-3], width=width, depth=4), method=METHOD)
    seconds, evaluations, ours = alone(by_engine, problem)
    spent, smallest, theirs = alone(by_scipy, problem, TIMES * seconds)
    x, y, decay = problem.cell(next(problem.stack.cells()))
    value, gradient = loss_of(problem, x, y.argmax(1), decay, ours)
    return {
        "width": width,
        "weight decay": decay,
        "nrc, s": seconds,
        "nrc, evaluations": evaluations,
        "nrc, residual": float(relative_residual(*map(torch.from_numpy, (gradient, ours)), decay)),
        "nrc, loss": f"{value:.6f}",
        "scipy, s": spent,
        "scipy, residual": float(smallest),
        "scipy, loss": f"{loss_of(problem, x, y.argmax(1), decay, theirs)[0]:.6f}",
    }
