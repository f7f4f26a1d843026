"""Training for a number of epochs, full batch or in mini-batches, with a look at the way there."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nrc.network import RegularisedLoss
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.point import Point

__all__ = ["SCHEDULES", "UPDATES", "Course", "train_epochs"]

# All act on each parameter by itself, so that one optimiser serves a stack. The weight decay is in
# the gradient: decoupled from it there would be no stationary point of the loss.
UPDATES = {
    "adam": lambda theta, course: torch.optim.Adam([theta], lr=course.learning_rate),
    "sgd": lambda theta, course: torch.optim.SGD([theta], lr=course.learning_rate, momentum=course.momentum),
}
SCHEDULES = {
    "constant": lambda update, steps: torch.optim.lr_scheduler.ConstantLR(update, factor=1, total_iters=0),
    "cosine": lambda update, steps: torch.optim.lr_scheduler.CosineAnnealingLR(update, T_max=steps),
}


@dataclass(frozen=True)
class Course:
    """How to train.

    Attributes
    ----------
    method : {"adam", "sgd", "lbfgs"}
        L-BFGS takes the full batch, an iteration an epoch.
    epochs : int
    batch : int, optional
        Points of a mini-batch; all if not given.
    learning_rate, momentum : float
        Of adam and sgd, and of sgd.
    schedule : {"constant", "cosine"}
    history : int
        Of lbfgs.
    seed : int
        Of the order of the points.
    """

    method: str
    epochs: int
    batch: int | None = None
    learning_rate: float = 1e-3
    momentum: float = 0.9
    schedule: str = "constant"
    history: int = 10
    seed: int = 0


def train_epochs(
    loss: RegularisedLoss, theta: Tensor, course: Course, look: Callable[[int, Tensor], None]
) -> Tensor:
    """Train all cells of a stack for the same epochs, and return where they end.

    Parameters
    ----------
    loss : RegularisedLoss
        Its points may have a first axis of 1: all cells then see the same.
    theta : Tensor
        Starting points, (cells, parameters).
    course : Course
    look : callable
        Called with the epoch and the parameters before the first epoch and after each.

    Returns
    -------
    Tensor
        (cells, parameters)
    """
    look(0, theta)
    if course.method == "lbfgs":
        method, point = LBFGS(course.history), Point.at(loss, theta)
        for epoch in range(1, course.epochs + 1):
            point = method.step(loss, point).point
            look(epoch, point.theta)
        return point.theta
    theta = theta.clone()
    points = loss.x.shape[1]
    batch = points if course.batch is None else course.batch
    update = UPDATES[course.method](theta, course)
    schedule = SCHEDULES[course.schedule](update, course.epochs * -(-points // batch))
    rng = np.random.default_rng(np.random.SeedSequence(course.seed, spawn_key=(3,)))
    for epoch in range(1, course.epochs + 1):
        order = torch.from_numpy(rng.permutation(points)).to(theta.device)
        for some in order.split(batch):
            _, theta.grad = loss.on(some)(theta)
            update.step()
            schedule.step()
        look(epoch, theta)
    return theta
