"""A first phase in float32, whose evaluations take about half the time of float64."""

from typing import Any

import torch
from torch import Tensor

from nrc.objectives.mixed_precision import single
from nrc.objectives.module_loss import SingleModuleLoss
from nrc.objectives.regularised import Regularised
from nrc.optimize.options import SingleStartOptions
from nrc.optimize.protocols import Method, Phase, RunInfo

__all__ = ["single_start"]


# Below this multiple of rounding over weight decay, a relative residual in float32 is mostly rounding: the
# gradient of the loss is a small difference of numbers near 1, and balances weight decay.
ROUNDING = 5


def single_start(method: Method[Any], run: RunInfo, options: SingleStartOptions) -> list[Phase]:
    """The phase of a method in float32, if the options ask for one.

    With small weight decay it ends at the relative residual that rounding allows. It takes at most half of
    the budget.

    Examples
    --------
    >>> from nrc.optimize.gd import GradientDescent
    >>> run = RunInfo(epochs=1000, seeds=[0])
    >>> [phase.epochs for phase in single_start(GradientDescent(0.1), run, SingleStartOptions())]
    []
    >>> options = SingleStartOptions(float32_until=1e-3)
    >>> [phase.epochs for phase in single_start(GradientDescent(0.1), run, options)]
    [500]
    """
    until = options.float32_until
    if until is None:
        return []

    def near(loss: Regularised) -> Tensor:
        return (ROUNDING * torch.finfo(torch.float32).eps / loss.weight_decay).clamp(min=until)

    objective = SingleModuleLoss if run.modules else single
    return [Phase(method, objective, tolerance=near, epochs=run.epochs // 2)]
