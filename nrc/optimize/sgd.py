"""Stochastic gradient descent with momentum, by torch."""

from functools import partial

import torch
from pydantic import Field

from nrc.optimize.first_order import FirstOrder
from nrc.optimize.options import FirstOrderOptions, LearningRate
from nrc.optimize.protocols import Phase, RunInfo

__all__ = ["Options", "build"]


class Options(FirstOrderOptions):
    """Stochastic gradient descent."""

    learning_rate: LearningRate = 1e-2
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last step in the next step")


def build(run: RunInfo, options: Options) -> list[Phase]:
    """Gradient descent with momentum.

    Examples
    --------
    >>> [phase] = build(RunInfo(epochs=100, seeds=[0]), Options(batch=32))
    >>> phase.method.full_batch
    False
    """
    optimiser = partial(torch.optim.SGD, lr=options.learning_rate, momentum=options.momentum)
    return [Phase(FirstOrder(optimiser, run, options))]
