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
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last step in the next")


def build(
    course: RunInfo, *, learning_rate: float, momentum: float, batch: int | None, schedule: str
) -> list[Phase]:
    """Gradient descent with momentum and the options of `FirstOrder`.

    Examples
    --------
    >>> course = RunInfo(epochs=100, seeds=[0])
    >>> [phase] = build(course, learning_rate=0.1, momentum=0.9, batch=32, schedule="constant")
    >>> phase.method.whole
    False
    """
    update = partial(torch.optim.SGD, lr=learning_rate, momentum=momentum)
    return [Phase(FirstOrder(update, course, learning_rate=learning_rate, batch=batch, schedule=schedule))]
