"""A first phase in float32, whose evaluations take about half the time of float64."""

from typing import Any

from nrc.objectives.mixed_precision import single
from nrc.objectives.module_loss import SingleModuleLoss
from nrc.optimize.options import SingleStartOptions
from nrc.optimize.protocols import Method, Phase, RunInfo

__all__ = ["single_start"]


def single_start(method: Method[Any], run: RunInfo, options: SingleStartOptions) -> list[Phase]:
    """The phase of a method in float32, if the options ask for one.

    It takes at most half of the budget, because rounding could hide the way to the residual at which float64
    takes over.

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
    if options.float32_until is None:
        return []
    objective = SingleModuleLoss if run.modules else single
    return [Phase(method, objective, tolerance=options.float32_until, epochs=run.epochs // 2)]
