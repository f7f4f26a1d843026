"""Plain full-batch gradient descent."""

import torch
from pydantic import Field

from nrc.objectives.protocols import Objective, Point
from nrc.optimize.options import SingleStartOptions
from nrc.optimize.protocols import Method, Phase, RunInfo, Step
from nrc.optimize.single_start import single_start

__all__ = ["GradientDescent", "Options", "build"]


class Options(SingleStartOptions):
    """Plain full-batch gradient descent."""

    step: float = Field(0.2, gt=0, description="step size")


def build(run: RunInfo, options: Options) -> list[Phase]:
    """Gradient descent, in float32 first if the options ask for it.

    Examples
    --------
    >>> [phase] = build(RunInfo(epochs=100, seeds=[0]), Options(step=0.1))
    >>> phase.method.length
    0.1
    """
    start = single_start(GradientDescent(options.step), run, options)
    return [*start, Phase(GradientDescent(options.step))]


class GradientDescent(Method[Objective]):
    """theta <- theta - step * gradient, with one step size for all cells.

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, with the gradient -2 at 0:

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> GradientDescent(0.25).step(loss, loss.at(torch.zeros(1, 1))).point.theta
    tensor([[0.5000]])
    """

    def __init__(self, step: float) -> None:
        super().__init__()
        self.length = step

    def step(self, objective: Objective, point: Point) -> Step:
        after = objective.at(point.theta - self.length * point.gradient)
        once = torch.ones_like(point.value, dtype=torch.int64)
        return Step(after, once, torch.zeros_like(once, dtype=torch.bool))
