"""A line search to a weak Wolfe point (Lewis & Overton 2013), for all cells at once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nrc.objectives.protocols import Objective, Point, dot

__all__ = ["Found", "weak_wolfe"]

DECREASE, CURVATURE = 1e-4, 0.9
TRIALS = 40
# Rounding of a value in units of the last place; below it the slope decides instead of the value
# (Hager & Zhang 2005).
ROUNDING = 50


@dataclass
class Found:
    """End points of the searches; the initial point for cells that were not accepted."""

    point: Point
    epochs: Tensor
    accepted: Tensor


def weak_wolfe(objective: Objective, start: Point, direction: Tensor) -> Found:
    """Find for each cell a step t with, for phi(t) = f(theta + t direction),

    phi(t) <= phi(0) + 1e-4 t phi'(0)  and  phi'(t) >= 0.9 phi'(0),

    by doubling and bisection from t = 1. If the decrease is lost in rounding, the approximation
    phi'(t) <= (2e-4 - 1) phi'(0) replaces the first condition.

    Parameters
    ----------
    objective : Objective
    start : Point
    direction : Tensor
        Descent directions, (cells, variables).

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2. As f(2) is not less than f(0), half the step is taken.

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> found = weak_wolfe(loss, loss.at(torch.zeros(1, 1)), direction=torch.tensor([[2.0]]))
    >>> found.point.theta.item(), found.epochs.item(), found.accepted.item()
    (1.0, 2, True)
    """
    variables = direction.shape[1]
    slope = dot(start.gradient[:, :variables], direction)
    rounding = ROUNDING * objective.rounding
    low, high, t = torch.zeros_like(slope), torch.full_like(slope, torch.inf), torch.ones_like(slope)
    epochs, accepted = torch.zeros_like(slope, dtype=torch.int64), torch.zeros_like(slope, dtype=torch.bool)
    found, search = start, (slope < 0).nonzero()[:, 0]
    for _ in range(TRIALS):
        if len(search) == 0:
            break
        everyone = len(search) == len(slope)
        part, begin, along = objective, start, direction
        if not everyone:
            part, begin, along = objective.select(search), start[search], direction[search]
        step, slope_0 = t[search], slope[search]
        theta = begin.theta.clone()
        theta[:, :variables].addcmul_(along, step[:, None])
        trial = part.at(theta)
        epochs[search] += 1
        slope_t = dot(trial.gradient[:, :variables], along)

        decreased = trial.value <= begin.value + DECREASE * step * slope_0
        level = begin.value + rounding * begin.value.abs()
        flat = (trial.value <= level) & (slope_t <= (2 * DECREASE - 1) * slope_0)
        short = (decreased | flat) & (slope_t < CURVATURE * slope_0)
        good = (decreased | flat) & ~short & trial.finite

        if everyone and good.all():  # the usual case
            return Found(trial, epochs, good)
        if found is start:
            found = start.clone()
        found.put(search[good], trial[good])
        accepted[search[good]] = True
        low[search] = torch.where(short, step, low[search])
        high[search] = torch.where(short, high[search], step)
        t = torch.where(high.isinf(), 2 * t, (low + high) / 2)
        search = search[~good]
    return Found(found, epochs, accepted)
