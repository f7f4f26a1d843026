"""Steps of torch's first-order optimisers, on all points or on mini-batches.

They act on each parameter separately, so one optimiser serves a stack. Weight decay is part of the gradient,
because decoupled weight decay does not lead to a stationary point of the loss.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from nrc.objectives.protocols import Point
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.options import FirstOrderOptions
from nrc.optimize.protocols import Method, RunInfo, State, Step
from nrc.random_streams import Stream, generator

__all__ = ["FirstOrder"]

# The learning rate over its first value, as a function of the share of the steps that is done.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
}


class FirstOrder(Method[RegularisedLoss]):
    """A step is an epoch, with each point once: in one batch, or in mini-batches in random order.

    Parameters
    ----------
    optimiser : callable
        The optimiser of a list of parameters.
    run : RunInfo
        The schedule ends with its epochs; cells of the same seed have the same order of points.
    options : FirstOrderOptions

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, with the gradient -2 at 0:

    >>> from functools import partial
    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> sgd, options = partial(torch.optim.SGD, lr=0.5), FirstOrderOptions(learning_rate=0.5)
    >>> method = FirstOrder(sgd, RunInfo(epochs=10, seeds=[0]), options)
    >>> first = loss.at(torch.zeros(1, 1))
    >>> method.join(torch.tensor([0]), first, loss)
    >>> method.step(loss, first).point.theta
    tensor([[1.]])
    """

    def __init__(
        self, optimiser: Callable[[list[Tensor]], Optimizer], run: RunInfo, options: FirstOrderOptions
    ) -> None:
        super().__init__()
        self.full_batch = options.batch is None
        self._optimiser, self._run, self._options = optimiser, run, options
        self._restart_orders()

    @property
    def can_join(self) -> bool:
        # the learning rate and the order of points depend on the epoch
        return not len(self.cells)

    def begin(self, cells: Tensor, point: Point, objective: RegularisedLoss) -> dict[str, Any]:
        self._restart_orders()
        return {"done": 0, "buffers": {}}

    def _restart_orders(self) -> None:
        self._drawn = 0
        self._orders = {seed: generator(seed, Stream.BATCHES) for seed in sorted(set(self._run.seeds))}

    def resume(self, state: State) -> None:
        super().resume({"buffers": {}, **state})

    def step(self, objective: RegularisedLoss, point: Point) -> Step:
        theta = point.theta.clone()
        optimiser = self._optimiser([theta])
        # torch counts steps in a tensor without an axis
        optimiser.state[theta] = {name: torch.as_tensor(a) for name, a in self.memory["buffers"].items()}
        if self._options.batch is None:
            self._update(optimiser, theta, point.gradient, 0, 1)
            after = objective.at(theta)
        else:
            order = self._order(objective.x.shape[1]).to(theta.device)
            batches = torch.split(order, self._options.batch, dim=1)
            for number, some in enumerate(batches):
                point = objective.on(some).at(theta)
                self._update(optimiser, theta, point.gradient, number, len(batches))
            after = Point(theta, point.value, point.gradient)
        theta.grad = None
        self.memory["buffers"] = {name: a for name, a in optimiser.state[theta].items() if a is not None}
        self.memory["done"] += 1
        once = torch.ones_like(point.value, dtype=torch.int64)
        return Step(after, once, torch.zeros_like(once, dtype=torch.bool))

    def _order(self, points: int) -> Tensor:
        """The order of the points in the next epoch, (cells or 1, points)."""
        while self._drawn <= self.memory["done"]:  # after a resume the orders of past epochs are drawn again
            orders = {seed: rng.permutation(points) for seed, rng in self._orders.items()}
            self._drawn += 1
        seeds = [self._run.seeds[cell] for cell in self.cells.tolist()]
        seeds = seeds if len(set(seeds)) > 1 else seeds[:1]
        return torch.from_numpy(np.stack([orders[seed] for seed in seeds]))

    def _update(
        self, optimiser: Optimizer, theta: Tensor, gradient: Tensor, number: int, batches: int
    ) -> None:
        options = self._options
        done = (self.memory["done"] * batches + number) / (self._run.epochs * batches)
        optimiser.param_groups[0]["lr"] = options.learning_rate * SCHEDULES[options.schedule](done)
        theta.grad = gradient
        optimiser.step()
