"""Stochastic gradient descent with momentum, by torch."""

from functools import partial

import torch

from nrc.optimize.first_order import FirstOrder
from nrc.optimize.point import Course, Phase

__all__ = ["build"]


def build(
    course: Course, *, learning_rate: float, momentum: float, batch: int | None, schedule: str
) -> list[Phase]:
    """Gradient descent with momentum and the options of `FirstOrder`."""
    update = partial(torch.optim.SGD, lr=learning_rate, momentum=momentum)
    return [Phase(FirstOrder(update, course, learning_rate=learning_rate, batch=batch, schedule=schedule))]
