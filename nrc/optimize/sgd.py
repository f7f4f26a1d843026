"""Stochastic gradient descent with momentum, by torch."""

from functools import partial

import torch

from nrc.optimize.first_order import FirstOrder
from nrc.optimize.point import Course

__all__ = ["build"]


def build(
    course: Course, *, learning_rate: float, momentum: float, batch: int | None, schedule: str
) -> FirstOrder:
    """Gradient descent with momentum and the options of `FirstOrder`."""
    update = partial(torch.optim.SGD, lr=learning_rate, momentum=momentum)
    return FirstOrder(update, course, learning_rate=learning_rate, batch=batch, schedule=schedule)
