"""Steps of torch's first-order optimisers, on all points or on mini-batches.

They act on each parameter by itself, so that one optimiser serves a stack. The weight decay is in
the gradient: decoupled from it there would be no stationary point of the loss.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from nrc.objectives.protocols import Point
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.protocols import RunInfo, State, Step
from nrc.random_streams import Stream, generator

__all__ = ["FirstOrder"]

# The learning rate's share of its first value, at a share of the steps.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
}


class FirstOrder:
    """A pass over the data a step, each point once: in one batch, or in mini-batches in random order.

    Parameters
    ----------
    update : callable
        The optimiser of a list of parameters.
    course : RunInfo
        The schedule ends with its epochs; cells of one seed see the points in one order.
    learning_rate : float
    batch : int, optional
        Points of a mini-batch; all if not given.
    schedule : {"constant", "cosine"}

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, with the gradient -2 at 0:

    >>> from functools import partial
    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> sgd, course = partial(torch.optim.SGD, lr=0.5), RunInfo(epochs=10, seeds=[0])
    >>> method = FirstOrder(sgd, course, learning_rate=0.5, batch=None, schedule="constant")
    >>> begin = loss.at(torch.zeros(1, 1))
    >>> method.join(torch.tensor([0]), begin)
    >>> method.step(loss, begin).point.theta
    tensor([[1.]])
    """

    def __init__(
        self,
        update: Callable[[list[Tensor]], Optimizer],
        course: RunInfo,
        *,
        learning_rate: float,
        batch: int | None,
        schedule: str,
    ) -> None:
        self.whole = batch is None
        self._make, self._passes = update, course.epochs
        self._rate, self._batch, self._schedule = learning_rate, batch, SCHEDULES[schedule]
        self._all_seeds = torch.tensor(course.seeds)
        self._begin_anew(self._all_seeds[:0])

    @property
    def admits(self) -> bool:
        # the learning rate and the order of points are those of a pass
        return not len(self._seeds)

    def join(self, cells: Tensor, point: Point) -> None:
        self._begin_anew(self._all_seeds[cells.cpu()])

    def _begin_anew(self, seeds: Tensor) -> None:
        self._seeds, self._done, self._drawn = seeds, 0, 0
        self._orders = {
            seed: generator(seed, Stream.BATCHES) for seed in sorted(set(self._all_seeds.tolist()))
        }
        self._theta = torch.empty(0)
        self._update: Optimizer | None = None

    def step(self, objective: RegularisedLoss, point: Point) -> Step:
        update = self._update or self._begin(point.theta)
        self._theta.copy_(point.theta)
        if self._batch is None:
            self._step(update, point.gradient, 0, 1)
            after = objective.at(self._theta.clone())
        else:
            order = self._order(objective.x.shape[1]).to(point.theta.device)
            batches = torch.split(order, self._batch, dim=1)
            for number, some in enumerate(batches):
                point = objective.on(some).at(self._theta)
                self._step(update, point.gradient, number, len(batches))
            after = Point(self._theta.clone(), point.value, point.gradient)
        self._done += 1
        once = torch.ones_like(point.value, dtype=torch.int64)
        return Step(after, once, torch.zeros_like(once, dtype=torch.bool))

    def _begin(self, theta: Tensor) -> Optimizer:
        """A fresh optimiser, of parameters that begin at theta."""
        self._theta = theta.clone()
        self._update = self._make([self._theta])
        return self._update

    def _order(self, points: int) -> Tensor:
        """The order of the points in the next pass, (cells or 1, points)."""
        while self._drawn <= self._done:  # from a state on, those of the epochs done are drawn again
            orders = {seed: rng.permutation(points) for seed, rng in self._orders.items()}
            self._drawn += 1
        seeds = self._seeds.tolist()
        seeds = seeds if len(set(seeds)) > 1 else seeds[:1]
        return torch.from_numpy(np.stack([orders[seed] for seed in seeds]))

    def _step(self, update: Optimizer, gradient: Tensor, number: int, batches: int) -> None:
        done = (self._done * batches + number) / (self._passes * batches)
        update.param_groups[0]["lr"] = self._rate * self._schedule(done)
        self._theta.grad = gradient
        update.step()

    def keep(self, cells: Tensor) -> None:
        self._seeds = self._seeds[cells.cpu()]
        if self._update is not None:
            memory = {
                name: value[cells] if value.ndim else value
                for name, value in self._update.state[self._theta].items()
                if value is not None
            }
            self._begin(self._theta[cells]).state[self._theta] = memory

    @property
    def state(self) -> State:
        state = {"done": self._done, "seeds": self._seeds}
        if self._update is None:
            return state
        memory = {name: v for name, v in self._update.state[self._theta].items() if v is not None}
        return {**state, "theta": self._theta, "memory": memory}

    def resume(self, state: State) -> None:
        self._done, self._seeds = int(state["done"]), state["seeds"].cpu()
        if "theta" not in state:
            return
        # torch counts steps on the CPU
        memory = {name: v if v.ndim else v.cpu() for name, v in state.get("memory", {}).items()}
        self._begin(state["theta"]).state[self._theta] = memory
