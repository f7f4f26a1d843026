"""This engine on the same cells, trained in one stack."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from bench.machine import clock
from bench.problems import Problem, residual
from bench.runs import TOLERANCES, Budget, Run
from nrc.determinism import make_deterministic
from nrc.objectives.principal_axes import Rotation
from nrc.optimize import build, rotates
from nrc.optimize.minimise import minimise
from nrc.optimize.protocols import RunInfo
from nrc.training.parallel import in_blocks

__all__ = ["minimum", "nrc_stack"]

# factor that rounding may add to a residual that is computed again
ROUNDING = 1.01


def minimum(problem: Problem, tolerance: float, epochs: int, threads: int = 1) -> tuple[Tensor, Tensor]:
    """End points and numbers of evaluations of all cells, with the configured method."""
    theta, options = problem.start(), dict(problem.method)
    name = options.pop("name")

    @torch.inference_mode()
    def end_of(cells: Tensor):
        loss = problem.objective.select(cells).to(theta.device)  # separate memory
        axes = Rotation.of(loss) if rotates(name) else Rotation(None)
        turned, window = in_blocks(axes.rotate(loss), loss.x.shape[1])
        phases = build(name, options, RunInfo(epochs, [0] * len(cells), tolerance))
        begin = axes.into(loss, theta[cells])
        end = minimise(turned, begin, phases, tolerance=tolerance, epochs=epochs, window=window)
        return axes.back(turned, end.point.theta), end.evaluations

    shares = [torch.arange(first, len(theta), threads) for first in range(threads)]
    evaluations = torch.zeros(len(theta), dtype=torch.int64)
    with ThreadPoolExecutor(threads) as pool:
        for cells, end in zip(shares, pool.map(end_of, shares), strict=True):
            theta[cells], evaluations[cells] = end
    return theta, evaluations


def nrc_stack(problem: Problem, budget: Budget, threads: int) -> Run:
    """The configured method on all cells together, once for each tolerance."""
    make_deterministic()
    cells = list(problem.stack.cells())
    seconds, evaluations, passed = [], [], []
    for tolerance in TOLERANCES:
        begin = clock()
        theta, counts = minimum(problem, tolerance, budget.evaluations, threads)
        seconds.append(clock() - begin)
        evaluations.append(counts.numpy())
        residuals = [residual(problem, *pair)[1] for pair in zip(cells, theta.numpy(), strict=True)]
        passed.append(np.array(residuals) <= ROUNDING * tolerance)
    return Run(np.transpose(seconds), np.array(evaluations, dtype=float), np.array(passed), theta.numpy())
