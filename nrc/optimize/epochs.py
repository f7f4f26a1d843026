"""Training for a number of epochs, full batch or in mini-batches, with a look at the way there."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nrc.network import RegularisedLoss
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.point import Point, State

__all__ = ["SCHEDULES", "UPDATES", "Course", "train_epochs"]

# All act on each parameter by itself, so that one optimiser serves a stack. The weight decay is in
# the gradient: decoupled from it there would be no stationary point of the loss.
UPDATES = {
    "adam": lambda theta, course: torch.optim.Adam([theta], lr=course.learning_rate),
    "sgd": lambda theta, course: torch.optim.SGD([theta], lr=course.learning_rate, momentum=course.momentum),
}
# The learning rate's share of its first value, at a share of the steps.
SCHEDULES = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
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


class FirstOrder:
    """Steps of adam or sgd on mini-batches."""

    def __init__(self, loss: RegularisedLoss, theta: Tensor, course: Course, steps: int) -> None:
        self.loss, self.course, self.steps = loss, course, steps
        self.theta = theta.clone()
        self.update = UPDATES[course.method](self.theta, course)

    def step(self, number: int, theta: Tensor, some: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters after the step of a number from 0, and the mask of the cells where all is finite."""
        self.theta.copy_(theta)
        value, self.theta.grad = self.loss.on(some)(self.theta)
        share = SCHEDULES[self.course.schedule](number / self.steps)
        self.update.param_groups[0]["lr"] = self.course.learning_rate * share
        self.update.step()
        return self.theta.clone(), value.isfinite() & self.theta.isfinite().all(1)

    @property
    def state(self) -> State:
        return {name: value for name, value in self.update.state[self.theta].items() if value is not None}

    def resume(self, state: State) -> None:
        # torch counts steps on the CPU
        self.update.state[self.theta] = {
            name: value.cpu() if value.ndim == 0 else value for name, value in state.items()
        }


class FullBatch:
    """Steps of L-BFGS on all points."""

    def __init__(self, loss: RegularisedLoss, theta: Tensor, course: Course, steps: int) -> None:
        self.loss, self.method, self.point = loss, LBFGS(course.history), Point.at(loss, theta)

    def step(self, number: int, theta: Tensor, some: Tensor) -> tuple[Tensor, Tensor]:
        self.point = self.method.step(self.loss, self.point).point
        return self.point.theta, self.point.finite

    @property
    def state(self) -> State:
        return {"point": vars(self.point), "memory": self.method.state}

    def resume(self, state: State) -> None:
        self.point = Point(**state["point"])
        self.method.resume(state.get("memory", {}))


def train_epochs(
    loss: RegularisedLoss,
    theta: Tensor,
    course: Course,
    look: Callable[[int, Tensor, Tensor], None],
    *,
    state: State | None = None,
    report: Callable[[Callable[[], State]], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Train all cells of a stack for the same epochs, and return where they end.

    Parameters
    ----------
    loss : RegularisedLoss
        Its points may have a first axis of 1: all cells then see the same.
    theta : Tensor
        Starting points, (cells, parameters).
    course : Course
    look : callable
        Called with the epoch, the parameters and the mask of the cells that diverged, before the
        first epoch and after each.
    state : mapping, optional
        Where an earlier call was, which began with the same arguments: this one goes on from there
        and ends in the same bits.
    report : callable, optional
        Called after every step with a function that returns the state.

    Returns
    -------
    theta : Tensor
        (cells, parameters). A cell that diverged stays where it was last finite.
    diverged : Tensor
        Mask (cells,).
    """
    points = loss.x.shape[1]
    whole = course.method == "lbfgs"
    batch = points if whole or course.batch is None else course.batch
    per_epoch = -(-points // batch)
    method = (FullBatch if whole else FirstOrder)(loss, theta, course, course.epochs * per_epoch)
    done, diverged = 0, ~theta.isfinite().all(1)
    if state:
        done, theta, diverged = int(state["done"]), state["theta"], state["diverged"]
        method.resume(state.get("method", {}))
    else:
        look(0, theta, diverged)

    def here() -> State:
        return {"done": done, "theta": theta, "diverged": diverged, "method": method.state}

    rng = np.random.default_rng(np.random.SeedSequence(course.seed, spawn_key=(3,)))
    for epoch in range(1, course.epochs + 1):
        order = torch.from_numpy(rng.permutation(points)).to(theta.device)
        if epoch * per_epoch <= done:
            continue
        for some in order.split(batch)[done % per_epoch :]:
            after, finite = method.step(done, theta, some)
            diverged = diverged | ~finite
            theta = torch.where(diverged[:, None], theta, after)
            done += 1
            if done == epoch * per_epoch:
                look(epoch, theta, diverged)
            if report is not None:
                report(here)
    return theta, diverged
