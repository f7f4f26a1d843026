"""Adam (Kingma & Ba 2015), by torch."""

from functools import partial

import torch

from nrc.optimize.first_order import FirstOrder
from nrc.optimize.options import FirstOrderOptions, LearningRate
from nrc.optimize.protocols import Phase, RunInfo

__all__ = ["Options", "build"]


class Options(FirstOrderOptions):
    """Adam, with weight decay in the gradient."""

    learning_rate: LearningRate = 1e-3


def build(course: RunInfo, *, learning_rate: float, batch: int | None, schedule: str) -> list[Phase]:
    """Adam with the options of `FirstOrder`.

    Examples
    --------
    >>> course = RunInfo(epochs=100, seeds=[0])
    >>> [phase] = build(course, learning_rate=1e-3, batch=None, schedule="cosine")
    >>> phase.method.whole
    True
    """
    update = partial(torch.optim.Adam, lr=learning_rate)
    return [Phase(FirstOrder(update, course, learning_rate=learning_rate, batch=batch, schedule=schedule))]
