"""Linear networks in training: few equivalent points, centroids, the penalty on the product."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

from nrc.batching import (
    architecture_of,
    equivalent_points,
    initial_parameters,
    regularised_loss,
    sample,
    training_sample,
)
from nrc.grid import Stack
from nrc.measures.linear import centroid_shift, forecasts, trained_shift, transition
from nrc.networks.mlp import Architecture
from nrc.objectives.penalties import PENALTIES, Factors
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.levenberg_marquardt import LevenbergMarquardt
from nrc.optimize.minimise import minimise
from nrc.optimize.protocols import Phase
from nrc.status import TerminationReason
from nrc.theory.linear import Autoencoder, at_centroids
from support.problems import mixture, value_and_gradient

STACK = Stack({"weight_decay": [0.02, 0.2], "sigma": [0.05, 0.3, 1.0], "width": 6, "depth": 4, "seed": 1})
MIXTURE = mixture(clusters=3, points=50, dimension=6, covariance="full", weights=[3, 2, 1], seed=1)
MIXTURES = {1: MIXTURE}


def points_of(centroids=False):
    """The inputs of each network, (cells, points, features)."""
    inputs = sample(STACK, MIXTURES, "autoencode", centroids=centroids)
    assert inputs.y is inputs.x
    return inputs.x


def stack_loss(penalty, centroids=False, linear=True, activation="linear"):
    architecture = architecture_of(STACK, (6,), 6, {"activation": activation})
    inputs = training_sample(STACK, MIXTURES, "autoencode", centroids=centroids, linear=linear)
    loss = regularised_loss(STACK, architecture, inputs, torch.float64, penalty=penalty)
    return loss, initial_parameters(STACK, architecture)


def product_of(architecture, theta):
    w1, *others = architecture.network(theta).weights
    for w in others:
        w1 = w @ w1
    return w1.numpy()


@cache
def trained(penalty, centroids=False):
    loss, start = stack_loss(penalty, centroids)
    method = [Phase(LevenbergMarquardt() if penalty == "product" else LBFGS(10))]
    end = minimise(loss, start, method, tolerance=1e-9, epochs=5000)
    assert (end.termination_reason == TerminationReason.TOLERANCE).all()
    return loss, end


@pytest.mark.parametrize("penalty", ["factors", "product"])
@pytest.mark.parametrize("centroids", [False, True])
def test_equivalent_points_give_the_loss_of_all_points(penalty, centroids):
    few, theta = stack_loss(penalty, centroids)
    every, _ = stack_loss(penalty, centroids, linear=False)
    assert few.x.shape[1] == 6
    assert every.x.shape[1] == (3 if centroids else 50)
    for ours, plain in zip(value_and_gradient(few, theta), value_and_gradient(every, theta), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-13)


def test_equivalent_points_have_the_second_moments():
    rng = np.random.default_rng(0)
    for count in (3, 5, 400):
        x, shares = rng.normal(size=(count, 5)), rng.uniform(size=count)
        root, ones = equivalent_points(x, shares)
        assert root.shape == (5, 5)
        np.testing.assert_allclose((root * ones[:, None]).T @ root, (x * shares[:, None]).T @ x, atol=1e-12)


def test_the_loss_on_centroids_is_the_mean_over_points_moved_there():
    few, theta = stack_loss("factors", centroids=True, linear=False, activation="tanh")
    moved = torch.from_numpy(points_of(centroids=True))
    expected = np.stack([at_centroids(MIXTURE.x(cell["sigma"]), MIXTURE.labels) for cell in STACK.cells()])
    np.testing.assert_allclose(moved, expected, atol=1e-14)
    plain = RegularisedLoss(few.architecture, moved, moved, few.weight_decay)
    for ours, theirs in zip(value_and_gradient(few, theta), value_and_gradient(plain, theta), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_the_penalty_on_the_product_agrees_with_autograd():
    loss, theta = stack_loss("product")
    leaf = theta.clone().requires_grad_()
    w1, *others = loss.architecture.network(leaf).weights
    for w in others:
        w1 = w @ w1
    points = torch.from_numpy(points_of())
    error = (points @ w1.mT - points).square().sum((1, 2)) / (2 * 50)
    value = error + loss.weight_decay / 2 * w1.square().sum((1, 2))
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    ours, our_gradient = value_and_gradient(loss, theta)
    torch.testing.assert_close(ours, value.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(our_gradient, gradient, rtol=1e-11, atol=1e-13)
    penalty, _ = loss.penalty_gradient(theta)
    torch.testing.assert_close(penalty, (value - error).detach(), rtol=1e-12, atol=0)


def test_a_penalty_on_the_product_needs_a_linear_network_and_weight_decay():
    x = torch.zeros(1, 2, 3, dtype=torch.float64)
    for architecture, what in (
        (Architecture((3, 3), "tanh"), "the activation is tanh"),
        (Architecture((3, 3), "linear", bias=True), "the activation is linear with biases"),
    ):
        with pytest.raises(ValueError, match=f"{what}; only a linear network without biases is the product"):
            RegularisedLoss(architecture, x, x, torch.ones(1), penalty="product")
    with pytest.raises(ValueError, match=r"weight decay is 0, .* Theorem 5\.1"):
        RegularisedLoss(Architecture((3, 3), "linear"), x, x, torch.zeros(1), penalty="product")


@pytest.mark.parametrize("centroids", [False, True])
def test_levenberg_marquardt_ends_at_the_ridge_solution(centroids):
    loss, end = trained("product", centroids)
    for cell, w in zip(STACK.cells(), product_of(loss.architecture, end.point.theta), strict=True):
        x = MIXTURE.x(cell["sigma"])
        x = at_centroids(x, MIXTURE.labels) if centroids else x
        moments = x.T @ x / len(x)
        ridge = np.linalg.solve(moments + cell["weight_decay"] * np.eye(6), moments)
        np.testing.assert_allclose(w, ridge, atol=1e-7 * np.linalg.norm(ridge))


def test_layers_are_balanced_and_as_forecast_under_weight_decay():
    loss, end = trained("factors")
    weights = [w.numpy() for w in loss.architecture.network(end.point.theta).weights]
    x = points_of()
    weight_decay = loss.weight_decay.numpy()
    found = forecasts(weights, x, weight_decay, PENALTIES["factors"])
    for v, w in pairwise(weights):
        np.testing.assert_allclose(w.swapaxes(1, 2) @ w, v @ v.swapaxes(1, 2), atol=1e-6)
    assert (found["imbalance"] < 1e-6).all()
    assert (found["critical_distance"] < 1e-6).all()
    s = np.stack([np.linalg.svd(w, compute_uv=False) for w in weights], axis=1)
    best = found["at_minimum"].values == 1
    assert best.any()
    np.testing.assert_allclose(s[best], found["forecast"].values[best], atol=1e-6)
    assert (np.abs(s - found["forecast"].values).max((1, 2))[~best] > 0.1).all()


def test_a_small_start_is_stuck_at_a_lower_rank_and_marked():
    loss, _ = stack_loss("factors")
    architecture = loss.architecture
    end = minimise(
        loss,
        0.6 * initial_parameters(STACK, architecture),
        [Phase(LBFGS(10))],
        tolerance=1e-9,
        epochs=5000,
    )
    weights = [w.numpy() for w in architecture.network(end.point.theta).weights]
    found = forecasts(weights, points_of(), loss.weight_decay.numpy(), PENALTIES["factors"])
    ended = end.termination_reason.numpy()
    lower = found["critical_rank"].values < found["forecast_rank"].values
    assert lower.any()
    assert (found["at_minimum"].values[lower] == 0).all()
    alive = ended == TerminationReason.TOLERANCE
    assert (found["critical_distance"].values[alive] < 1e-6).all()


def test_the_shift_of_closed_forms_is_that_of_training():
    full, at_means = trained("product"), trained("product", centroids=True)
    x, labels = points_of(), np.stack([MIXTURE.labels] * len(STACK))
    weight_decay = full[0].weight_decay.numpy()
    closed = centroid_shift(x, labels, weight_decay, (6,) * 5, PENALTIES["product"])
    products = [product_of(loss.architecture, end.point.theta) for loss, end in (full, at_means)]
    shift = np.linalg.norm(products[0] - products[1], axis=(1, 2))
    np.testing.assert_allclose(closed["shift_forecast"], shift, atol=1e-6)
    np.testing.assert_allclose(closed["shift_product"], shift, atol=1e-6)
    assert (shift <= closed["shift_bound"]).all()
    assert (closed["shift_bound"] <= closed["shift_bound_tcv"] * (1 + 1e-12)).all()
    assert (closed["restriction"] <= closed["restriction_bound"]).all()

    cubes = []
    for (loss, end), points in zip((full, at_means), (x, points_of(centroids=True)), strict=True):
        weights = [w.numpy() for w in loss.architecture.network(end.point.theta).weights]
        cube = forecasts(weights, points, weight_decay, PENALTIES["product"])
        cube["status"] = ("cell", np.zeros(len(STACK), dtype=np.int8))
        cubes.append(cube)
    compared = trained_shift(*cubes)
    np.testing.assert_allclose(compared["shift"], shift, rtol=1e-12)
    assert (compared["at_minimum"] == 1).all()


def test_the_forecast_transition_is_where_the_rank_passes_k():
    x = points_of()
    line = transition(x, 4, 3)["transition"].values
    for factor, more in ((0.999, True), (1.001, False)):
        learnt = Autoencoder.of(x, factor * line, (6,) * 5, factors=4).learnt.sum(1)
        assert ((learnt > 3) == more).all()


def test_a_penalty_without_a_closed_form_has_no_forecast():
    class Other(Factors):
        of = "the biases"

        def penalised_factors(self, depth):
            return None

    weights, x = [np.eye(2)[None]], np.eye(2)[None]
    with pytest.raises(ValueError, match="the penalty on the biases has no closed form"):
        forecasts(weights, x, np.ones(1), Other())
