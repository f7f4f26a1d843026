"""Adam and gradient descent with momentum, compared with torch's optimisers on torch's own layers."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.minimise import minimise
from nrc.status import TerminationReason
from support.problems import MethodCase, classifiers, modules, parameters_of

FIRST_ORDER = {"adam": {}, "sgd": {"momentum": 0.9}}
PASSES, POINTS = 4, 50


def first_order(name, batch, schedule):
    return MethodCase(
        name, {"learning_rate": 0.01, "batch": batch, "schedule": schedule, **FIRST_ORDER[name]}
    )


def plain_training(module, x, y, name, weight_decay, batches, schedule):
    """A plain PyTorch loop with weight decay as the L2 term of the loss."""
    make = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
    update = make(module.parameters(), lr=0.01, weight_decay=weight_decay, **FIRST_ORDER[name])
    schedulers = torch.optim.lr_scheduler
    rates = {
        "constant": lambda: schedulers.ConstantLR(update, 1),
        "cosine": lambda: schedulers.CosineAnnealingLR(update, batches.steps),
    }[schedule]()
    for some in batches:
        update.zero_grad()
        functional.cross_entropy(module(x[some]), y[some]).backward()
        update.step()
        rates.step()
    return parameters_of(module)


class Batches(list):
    """The batches of all steps of a seed, and how many steps its schedule has."""

    def __init__(self, seed, size):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
        if size is None:
            # the first of the epochs is where it begins
            super().__init__([torch.arange(POINTS)] * (PASSES - 1))
            self.steps = PASSES
        else:
            orders = [torch.from_numpy(rng.permutation(POINTS)) for _ in range(PASSES)]
            super().__init__(some for order in orders for some in order.split(size))
            self.steps = len(self)


@pytest.mark.parametrize(
    ("name", "schedule", "batch"),
    [("adam", "constant", None), ("adam", "cosine", 20), ("sgd", "cosine", None), ("sgd", "constant", 1)],
)
def test_a_stack_trains_as_torch_trains_each_network(name, schedule, batch):
    """Networks of two seeds with data, start and order of their own; 20 does not divide the points."""
    loss, start, seeds = classifiers(seeds=(5, 8))
    assert seeds == [5, 8, 5, 8]
    method = first_order(name, batch, schedule).method(PASSES, seeds)
    end = minimise(loss, start, method, tolerance=1e-14, epochs=PASSES)
    assert (end.termination_reason == TerminationReason.EPOCHS).all()
    for cell, module in enumerate(modules(loss.architecture.network(start))):
        plain = plain_training(
            module,
            loss.x[cell],
            loss.y[cell],
            name,
            float(loss.weight_decay[cell]),
            Batches(seeds[cell], batch),
            schedule,
        )
        torch.testing.assert_close(end.point.theta[cell], plain, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("name", "batch"), [("adam", None), ("sgd", 20)])
def test_each_seed_alone_has_the_bits_of_the_stack_of_seeds(name, batch):
    together, start, seeds = classifiers(seeds=(5, 8, 9))
    way = first_order(name, batch, "cosine")
    end = minimise(together, start, way.method(PASSES, seeds), tolerance=1e-14, epochs=PASSES)
    for seed in (5, 8, 9):
        loss, begin, own = classifiers(seeds=(seed,))
        assert len(loss.x) == 2
        alone = minimise(loss, begin, way.method(PASSES, own), tolerance=1e-14, epochs=PASSES)
        of_seed = torch.tensor(seeds) == seed
        for what in ("theta", "value", "gradient"):
            assert torch.equal(getattr(alone.point, what), getattr(end.point, what)[of_seed])


def test_each_pass_sees_every_point_once_and_each_seed_in_its_own_order():
    seen = []

    class Watched(RegularisedLoss):
        def on(self, points):
            seen.append(points)
            return super().on(points)

    loss, start, seeds = classifiers(seeds=(5, 8))
    watched = Watched(**vars(loss))
    minimise(watched, start, first_order("sgd", 20, "constant").method(3, seeds), tolerance=1e-14, epochs=3)
    assert [points.shape[1] for points in seen] == [20, 20, 10] * 3
    epochs = [torch.cat(seen[first : first + 3], dim=1) for first in (0, 3, 6)]
    for order in epochs:
        assert (order.sort(dim=1).values == torch.arange(POINTS)).all()
        assert torch.equal(order[0], order[2]), "cells of one seed see the points in one order"
        assert not torch.equal(order[0], order[1])
    assert not torch.equal(epochs[0], epochs[1])
