"""A line search to a weak Wolfe point (Lewis & Overton 2013), for all cells at once."""

from dataclasses import dataclass

from torch import Tensor

from nrc.networks.arrays import fastest, inner, namespace, tensor
from nrc.objectives.protocols import Objective, Point

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
    along, value, gradient = map(fastest, (direction, start.value, start.gradient))
    xp, variables = namespace(along), along.shape[1]
    slope = inner(gradient[:, :variables], along)
    # below this value the slope decides
    level = value + ROUNDING * objective.rounding * abs(value)
    low, high, t = xp.zeros_like(slope), xp.full_like(slope, xp.inf), xp.ones_like(slope)
    epochs, accepted = xp.zeros_like(slope, dtype=xp.int64), xp.zeros_like(slope, dtype=xp.bool)
    found, search = start, xp.argwhere(slope < 0)[:, 0]
    for _ in range(TRIALS):
        if len(search) == 0:
            break
        everyone = len(search) == len(slope)
        here = slice(None) if everyone else search
        part = objective if everyone else objective.select(tensor(search))
        step, slope_0 = t[here], slope[here]
        theta = start.theta.clone() if everyone else start.theta[tensor(search)]
        fastest(theta)[:, :variables] += step[:, None] * along[here]
        trial = part.at(theta)
        value_t, slope_t = fastest(trial.value), inner(fastest(trial.gradient)[:, :variables], along[here])

        decreased = value_t <= value[here] + DECREASE * step * slope_0
        flat = (value_t <= level[here]) & (slope_t <= (2 * DECREASE - 1) * slope_0)
        below = decreased | flat
        short = below & (slope_t < CURVATURE * slope_0)
        good = below & ~short & fastest(trial.finite)

        epochs[here] += 1
        if found is start and everyone and good.all():  # the usual case
            return Found(trial, tensor(epochs), tensor(good))
        if found is start:
            found = start.clone()
        found.put(tensor(search[good]), trial[tensor(good)])
        accepted[search[good]] = True
        low[here] = xp.where(short, step, low[here])
        high[here] = xp.where(short, high[here], step)
        t = xp.where(xp.isinf(high), 2 * t, (low + high) / 2)
        search = search[~good]
    return Found(found, tensor(epochs), tensor(accepted))
