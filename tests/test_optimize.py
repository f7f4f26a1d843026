import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from nrc.data.mixture import draw_mixture
from nrc.determinism import make_deterministic
from nrc.grid import Ended, Stack, Status
from nrc.network import RegularisedLoss
from nrc.optimize.gradient_descent import GradientDescent
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.line_search import weak_wolfe
from nrc.optimize.minimise import minimise
from nrc.optimize.point import Point
from nrc.stacks import autoencoder, initial_parameters, regularised_loss, training_points

make_deterministic()

METHODS = {"lbfgs": lambda: LBFGS(10), "gd": lambda: GradientDescent(0.2)}
BUDGET = {"tolerance": 1e-8, "evaluations": 20_000}


def problem(weight_decay=(0.02, 0.1), sigma=(0.05, 0.3), *, points=21, dimension=3, seed=0):
    """A plane of small autoencoders. The odd sizes put matrices at odd places in memory."""
    stack = Stack(
        {
            "weight_decay": list(weight_decay),
            "sigma": list(sigma),
            "width": dimension,
            "depth": 3,
            "seed": seed,
        }
    )
    mixture = draw_mixture(
        clusters=2,
        points=points,
        dimension=dimension,
        separation=2,
        covariance="isotropic",
        weights=None,
        seed=seed,
    )
    x, shares = training_points(stack, [mixture] * len(stack), centroids=False, linear=False)
    architecture = autoencoder(stack, dimension, "tanh")
    loss = regularised_loss(stack, architecture, x, shares, torch.float64)
    return loss, initial_parameters(stack, architecture)


def spectra(loss, theta):
    return torch.cat([torch.linalg.svdvals(w) for w in loss.architecture.split(theta)], dim=1)


@pytest.mark.parametrize("method", METHODS)
def test_every_cell_ends_stationary(method):
    loss, start = problem(weight_decay=(0.05, 0.1))
    end = minimise(loss, start, METHODS[method](), **BUDGET)
    assert (end.ended == Ended.TOLERANCE).all()
    _, gradient = loss(end.point.theta)
    assert torch.equal(gradient, end.point.gradient)
    size = loss.weight_decay * end.point.theta.norm(dim=1)
    assert (gradient.norm(dim=1) / size <= 1e-8).all()
    torch.testing.assert_close(end.residual, gradient.norm(dim=1) / size)


def test_both_methods_and_scipy_find_the_same_minimum():
    """From a start in one valley; from far away they may well end in different ones."""
    loss, start = problem(weight_decay=[0.1], sigma=[0.05])
    start = minimise(loss, start, LBFGS(10), **BUDGET).point.theta + 0.02 * torch.cos(
        torch.arange(start.shape[1])
    )
    ends = [minimise(loss, start, method(), **BUDGET).point for method in METHODS.values()]

    def flat(theta):
        value, gradient = loss(torch.from_numpy(theta)[None])
        return float(value[0]), gradient[0].numpy()

    scipys = minimize(flat, start[0].numpy(), jac=True, method="BFGS", options={"gtol": 1e-9})
    for end in ends:
        assert float(end.value[0]) == pytest.approx(scipys.fun, rel=1e-10)
        reached = torch.from_numpy(scipys.x)[None]
        torch.testing.assert_close(spectra(loss, end.theta), spectra(loss, reached), rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_cell_alone_has_the_bits_of_the_cell_in_its_stack(method):
    loss, start = problem(weight_decay=(0.02, 0.05, 0.1), sigma=(0.05, 0.2, 0.5))
    budget = {"tolerance": 1e-8, "evaluations": 500}
    together = minimise(loss, start, METHODS[method](), **budget)
    for c in range(len(start)):
        cell = torch.tensor([c])
        alone = minimise(loss.select(cell), start[cell], METHODS[method](), **budget)
        assert torch.equal(alone.point.theta[0], together.point.theta[c])
        assert alone.ended[0] == together.ended[c]
        assert alone.evaluations[0] == together.evaluations[c]


def test_single_precision_converges_as_far_as_it_can():
    loss, start = problem(weight_decay=[0.1], sigma=(0.05, 0.1))
    single = RegularisedLoss(loss.architecture, loss.x.float(), loss.y.float(), loss.weight_decay.float())
    end = minimise(single, start.float(), LBFGS(10), tolerance=1e-4, evaluations=2000)
    exact = minimise(loss, start, LBFGS(10), **BUDGET)
    assert end.point.theta.dtype is torch.float32
    assert (end.ended == Ended.TOLERANCE).all()
    torch.testing.assert_close(
        spectra(loss, end.point.theta.double()), spectra(loss, exact.point.theta), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_budget_of_evaluations_stops_a_cell(method):
    loss, start = problem()
    end = minimise(loss, start, METHODS[method](), tolerance=1e-14, evaluations=30)
    assert (end.ended == Ended.EVALUATIONS).all()
    assert all(Ended(code).status is Status.STOPPED for code in end.ended.tolist())
    # an iteration that has begun is finished
    assert (end.evaluations >= 30).all()
    assert (end.evaluations <= 30 + 40).all()


def test_a_wall_clock_limit_stops_the_stack_and_says_so():
    loss, start = problem()

    class Slow(GradientDescent):
        def step(self, objective, point):
            time.sleep(0.02)
            return super().step(objective, point)

    end = minimise(loss, start, Slow(0.2), wall_clock=0.1, **BUDGET)
    assert (end.ended == Ended.WALL_CLOCK).all()
    assert (end.residual > 1e-8).all()


def test_too_much_weight_decay_kills_a_cell():
    loss, start = problem(weight_decay=(0.1, 5.0), sigma=[0.1])
    end = minimise(loss, start, LBFGS(10), **BUDGET)
    assert [Ended(code).status for code in end.ended.tolist()] == [Status.CONVERGED, Status.DEAD]
    assert end.point.theta[1].norm() <= 1e-6 * start[1].norm()


def test_without_weight_decay_the_relative_residual_is_missing():
    loss, start = problem(weight_decay=[0.0], sigma=[0.1])
    end = minimise(loss, start, LBFGS(10), tolerance=1e-6, evaluations=50)
    assert end.residual.isnan().all()
    assert Ended(int(end.ended[0])).status is Status.STOPPED


def test_a_diverging_cell_keeps_its_last_finite_point_and_spoils_no_other():
    loss, start = problem(weight_decay=(0.1, 30.0), sigma=[0.1])
    step = 0.2  # the factor 1 - 0.2 * 30 of the second cell is -5: it grows without bound
    end = minimise(loss, start, GradientDescent(step), **BUDGET)
    alone = minimise(loss.select(torch.tensor([0])), start[:1], GradientDescent(step), **BUDGET)
    assert end.ended.tolist() == [Ended.TOLERANCE, Ended.DIVERGED]
    assert end.point.theta.isfinite().all()
    assert torch.equal(end.point.theta[0], alone.point.theta[0])


def test_data_that_is_not_finite_ends_only_its_own_cell():
    loss, start = problem(weight_decay=[0.1], sigma=(0.1, 0.2))
    loss.x[1, 0, 0] = torch.nan
    end = minimise(loss, start, LBFGS(10), **BUDGET)
    assert end.ended.tolist() == [Ended.TOLERANCE, Ended.DIVERGED]


def test_rounding_does_not_end_a_search_early():
    """Far below the rounding of the value the slope still leads to the stationary point."""
    loss, start = problem(weight_decay=[0.1], sigma=[0.1])
    end = minimise(loss, start, LBFGS(10), tolerance=1e-12, evaluations=2000)
    assert end.ended.tolist() == [Ended.TOLERANCE]


def test_a_cell_without_any_descent_stops():
    """A linear network that is the identity has gradient 0 exactly, and no residual to converge by."""
    loss, _ = problem(weight_decay=[0.0], sigma=[0.1])
    loss = replace(loss, architecture=replace(loss.architecture, activation="linear"))
    identity = loss.architecture.join([torch.eye(3, dtype=torch.float64)[None]] * 3)
    end = minimise(loss, identity, LBFGS(10), **BUDGET)
    assert end.ended.tolist() == [Ended.NO_DESCENT]
    assert torch.equal(end.point.theta, identity)


def test_a_line_search_ends_at_weak_wolfe_points():
    loss, start = problem()
    point = Point.at(loss, start)
    for scale in (1e-4, 1.0, 1e3):
        direction = -scale * point.gradient
        found = weak_wolfe(loss, point, direction)
        assert found.accepted.all()
        slope = (point.gradient * direction).sum(1)
        step = ((found.point.theta - start) * direction).sum(1) / (direction**2).sum(1)
        assert (found.point.value <= point.value + 1e-4 * step * slope + 1e-12).all()
        assert ((found.point.gradient * direction).sum(1) >= 0.9 * slope).all()


def test_an_ascent_direction_is_not_followed():
    loss, start = problem()
    point = Point.at(loss, start)
    found = weak_wolfe(loss, point, point.gradient)
    assert not found.accepted.any()
    assert torch.equal(found.point.theta, start)
    assert (found.evaluations == 0).all()


def test_progress_tells_the_state_and_ends_with_everything():
    loss, start = problem()
    seen = []
    end = minimise(loss, start, LBFGS(10), report=lambda progress, here: seen.append(progress), **BUDGET)
    assert [p.converged for p in seen] == sorted(p.converged for p in seen)
    assert (seen[0].converged, seen[0].running) == (0, 4)
    assert (seen[-1].converged, seen[-1].running, seen[-1].cells) == (4, 0, 4)
    assert seen[-1].evaluations == int(end.evaluations.max())
    worst = [p.worst for p in seen if p.running]
    assert np.isfinite(worst).all()
    assert worst[-1] < worst[0]


def test_a_quadratic_of_many_scales():
    """lbfgs against the closed form, with condition numbers from 1 to 10^6 in one stack."""

    class Quadratic:
        def __init__(self, scales, target):
            self.scales, self.target = scales, target

        def __call__(self, theta):
            gradient = self.scales * (theta - self.target)
            return (gradient * (theta - self.target)).sum(1) / 2, gradient

        def relative_residual(self, theta, gradient):
            return gradient.norm(dim=1)

        def select(self, cells):
            return Quadratic(self.scales[cells], self.target[cells])

    scales = torch.stack([torch.logspace(0, decades, 12, dtype=torch.float64) for decades in (0, 2, 4, 6)])
    target = torch.arange(48, dtype=torch.float64).reshape(4, 12)
    start = torch.full_like(target, 30.0)
    end = minimise(Quadratic(scales, target), start, LBFGS(10), tolerance=1e-9, evaluations=5000)
    assert (end.ended == Ended.TOLERANCE).all()
    torch.testing.assert_close(end.point.theta, target, rtol=0, atol=1e-8)


def test_regularised_loss_is_what_select_keeps():
    loss, start = problem()
    some = torch.tensor([2, 0])
    values, gradients = loss(start)
    part: RegularisedLoss = loss.select(some)
    torch.testing.assert_close(part(start[some])[0], values[some], rtol=0, atol=0)
    torch.testing.assert_close(part(start[some])[1], gradients[some], rtol=0, atol=0)
