"""A line search for every cell at once, to a weak Wolfe point (Lewis & Overton 2013)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nrc.optimize.point import Objective, Point, dot

__all__ = ["Found", "weak_wolfe"]

DECREASE, CURVATURE = 1e-4, 0.9
TRIALS = 40
# Relative rounding of a value, in units of the last place: below it the slope decides, not the value
# (Hager & Zhang 2005).
ROUNDING = 50


@dataclass
class Found:
    """Where the searches ended: the start itself for cells that were not accepted."""

    point: Point
    passes: Tensor
    accepted: Tensor


def weak_wolfe(objective: Objective, start: Point, direction: Tensor) -> Found:
    """Find for each cell a step t with, for phi(t) = f(theta + t direction),

    phi(t) <= phi(0) + 1e-4 t phi'(0)  and  phi'(t) >= 0.9 phi'(0),

    by doubling and bisection from t = 1. Where the decrease is lost in rounding, the first is
    replaced by its approximation phi'(t) <= (2e-4 - 1) phi'(0).

    Parameters
    ----------
    objective : Objective
    start : Point
    direction : Tensor
        Descent directions, (cells, parameters).
    """
    slope = dot(start.gradient, direction)
    cells, rounding = len(slope), ROUNDING * torch.finfo(slope.dtype).eps
    low, high, t = torch.zeros_like(slope), torch.full_like(slope, torch.inf), torch.ones_like(slope)
    found = Found(
        start.clone(),
        passes=torch.zeros_like(slope, dtype=torch.int64),
        accepted=torch.zeros_like(slope, dtype=torch.bool),
    )
    search = (slope < 0).nonzero()[:, 0]
    for _ in range(TRIALS):
        if len(search) == 0:
            break
        everyone = len(search) == cells
        part = objective if everyone else objective.select(search)
        step, slope_0, value_0 = t[search], slope[search], start.value[search]
        trial = Point.at(part, start.theta[search] + step[:, None] * direction[search])
        found.passes[search] += 1
        slope_t = dot(trial.gradient, direction[search])

        decreased = trial.value <= value_0 + DECREASE * step * slope_0
        flat = (trial.value <= value_0 + rounding * value_0.abs()) & (slope_t <= (2 * DECREASE - 1) * slope_0)
        short = (decreased | flat) & (slope_t < CURVATURE * slope_0)
        accepted = (decreased | flat) & ~short & trial.finite

        found.point.put(search[accepted], trial[accepted])
        found.accepted[search[accepted]] = True
        low[search] = torch.where(short, step, low[search])
        high[search] = torch.where(short, high[search], step)
        t = torch.where(high.isinf(), 2 * t, (low + high) / 2)
        search = search[~accepted]
    return found
