"""Minima and saddles by the smallest eigenvalue of the Hessian, against autograd and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nrc.measures import curvature as module
from nrc.measures.curvature import curvature, dense_hessian, smallest_dense, smallest_found
from nrc.networks.mlp import Architecture
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.minimise import minimise
from nrc.status import flag_masks
from support.configurations import read, refused
from support.problems import METHODS, autoencoders, classifiers, normal, plain_hessians

SHARES = torch.softmax(normal(2, 50), 1)


def linear_problem(*sizes, weight_decay):
    """A linear network from normal inputs to normal targets, and Y X' / N."""
    x, y = normal(1, 30, sizes[0]), normal(1, 30, sizes[-1], seed=1)
    loss = RegularisedLoss(
        Architecture(sizes, "linear"), x, y, torch.tensor(weight_decay, dtype=torch.float64)
    )
    return loss, (y[0].mT @ x[0] / 30).numpy(), (x[0].mT @ x[0] / 30).numpy()


def trained(loss, start, tolerance=1e-9):
    end = minimise(loss, start, METHODS["varpro"].method(5000, [0]), tolerance=tolerance, epochs=5000)
    assert (end.residual <= tolerance).all()
    return end.point.theta


def kinds(dataset):
    """What each cell is, in words."""
    masks = flag_masks(dataset["extremum"])
    return [next(kind for kind, mask in masks.items() if mask[c]) for c in range(dataset.sizes["cell"])]


@pytest.mark.parametrize(
    ("loss", "activation", "shares", "bias"),
    [
        ("squared_error", "tanh", None, True),
        ("cross_entropy", "tanh", SHARES, False),
        ("squared_error", "linear", SHARES, False),
        ("cross_entropy", "linear", None, True),
    ],
)
def test_the_smallest_eigenvalue_is_autograds(loss, activation, shares, bias):
    """From all entries of the Hessian and by the search, each within its error, at any point."""
    objective, theta, _ = classifiers(loss=loss, activation=activation, bias=bias)
    objective = replace(objective, shares=shares)
    for cell, hessian in enumerate(plain_hessians(objective, theta)):
        exact = float(torch.linalg.eigvalsh(hessian)[0])
        assert exact < 0
        torch.testing.assert_close(dense_hessian(objective, theta, cell), hessian, rtol=1e-9, atol=1e-12)
        for smallest in (smallest_dense, smallest_found):
            value, error = smallest(objective, theta, cell)
            assert value == pytest.approx(exact, rel=0, abs=error)
            # the search to its accuracy, the dense one to rounding
            assert error < (1e-10 if smallest is smallest_dense else 1.1e-4 * objective.weight_decay[cell])


def test_blocks_of_copies_change_nothing_but_rounding(monkeypatch):
    objective, theta, _ = classifiers()
    whole = dense_hessian(objective, theta, 1)
    for copies in (1, 7):
        monkeypatch.setattr(module, "BLOCK", copies * 50 * sum(objective.architecture.sizes))
        torch.testing.assert_close(dense_hessian(objective, theta, 1), whole, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("most", [0, 2000], ids=["search", "dense"])
def test_ridge_regression_is_a_minimum(most, monkeypatch):
    """One layer: the Hessian is I x (XX' / N + lambda I), wherever it is taken."""
    monkeypatch.setattr(module, "DENSE", most)
    loss, _, moments = linear_problem(4, 3, weight_decay=[0.01, 0.3])
    found = curvature(loss, normal(2, 12))
    exact = np.linalg.eigvalsh(moments)[0] + np.array([0.01, 0.3])
    assert (abs(found["curvature"] - exact) <= found["curvature_error"]).all()
    assert kinds(found) == ["minimum"] * 2


@pytest.mark.parametrize("most", [0, 2000], ids=["search", "dense"])
def test_the_origin_is_a_saddle_until_weight_decay_makes_it_a_minimum(most, monkeypatch):
    """Two linear layers: lambda less the largest singular value of YX' / N. From three on: lambda."""
    monkeypatch.setattr(module, "DENSE", most)
    loss, correlation, _ = linear_problem(4, 6, 3, weight_decay=[0.01, 2.0])
    found = curvature(loss, torch.zeros(2, 42, dtype=torch.float64))
    exact = np.array([0.01, 2.0]) - np.linalg.norm(correlation, 2)
    assert (abs(found["curvature"] - exact) <= found["curvature_error"]).all()
    assert kinds(found) == ["saddle", "minimum"]
    loss, *_ = linear_problem(4, 6, 5, 3, weight_decay=[0.01, 2.0])
    found = curvature(loss, torch.zeros(2, 69, dtype=torch.float64))
    np.testing.assert_allclose(found["curvature"], [0.01, 2.0], rtol=1e-12)
    assert kinds(found) == ["minimum"] * 2


@pytest.mark.parametrize("most", [0, 2000], ids=["search", "dense"])
def test_the_symmetry_of_linear_networks_leaves_a_minimum_undetermined(most, monkeypatch):
    monkeypatch.setattr(module, "DENSE", most)
    loss, start = autoencoders(weight_decay=(0.02, 0.1), sigma=(0.05,), activation="linear")
    theta = trained(loss, start)
    found = curvature(loss, theta)
    assert kinds(found) == ["undetermined"] * 2
    assert (found["curvature_error"] < 0.01 * loss.weight_decay.numpy()).all()
    # not for want of other curvature: a positive one, beside as many flat directions as rotations of a plane
    for hessian in plain_hessians(loss, theta):
        flat = np.abs(torch.linalg.eigvalsh(hessian).numpy()) < 1e-3 * 0.02
        assert 0 < flat.sum() < 9


def test_a_trained_tanh_network_is_a_minimum_and_a_network_of_half_of_it_is_not():
    """The origin of a two-layer tanh network is stationary, and is where the linear one's is a saddle."""
    loss, start = autoencoders(weight_decay=(0.02, 0.1), sigma=(0.05,))
    theta = trained(loss, start)
    found = curvature(loss, theta)
    assert kinds(found) == ["minimum"] * 2
    assert (found["curvature"] < loss.weight_decay.numpy() * (1 + 1e-9)).all()
    loss = replace(loss, architecture=Architecture((3, 3, 3)))
    found = curvature(loss, torch.zeros(2, 18, dtype=torch.float64))
    assert kinds(found) == ["saddle"] * 2


def test_a_cell_alone_has_the_bits_of_the_cell_in_its_stack():
    objective, theta, _ = classifiers()
    one = torch.tensor([1])
    for smallest in (smallest_dense, smallest_found):
        assert smallest(objective.select(one), theta[one], 0) == smallest(objective, theta, 1)


# ---- the setting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "experiments: {own: {like: mixture, grid: {weight_decay: [0, 1]}, measures: {curvature: true}, training: {method: {name: lbfgs}}}}",
            "experiments.own.measures.curvature is true, which needs grid.weight_decay to be greater than 0, but "
            "experiments.own.grid.weight_decay is [0.0, 1.0]; leave it out",
        ),
    ],
)
def test_where_there_is_no_curvature_it_is_refused_by_name(tmp_path, text, message):
    assert refused(tmp_path, text) == message


def test_asked_for_everywhere_it_is_measured_where_it_can_be(tmp_path):
    settings = read(
        tmp_path,
        "measures: {curvature: true}",
        "experiments: {linear: {measures: {curvature: false}}, other: {like: mnist, network: {activation: relu}}}",
    )
    asked = {name: e["measures"].get("curvature") for name, e in settings["experiments"].items()}
    assert asked["mixture"] is asked["mnist_stationary"] is True
    # like its model, where it has no use anyway
    assert asked["linear"] is asked["linear_product"] is False
    assert asked["other"] is None
    settings = read(tmp_path, "experiments: {linear_product: {measures: {curvature: false}}}")
    assert not any(e["measures"]["curvature"] for e in settings["experiments"].values())
