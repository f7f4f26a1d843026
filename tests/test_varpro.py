"""Variable projection, compared with least squares of numpy, autograd, and plain L-BFGS."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nrc.networks.arrays import fastest, tensor
from nrc.networks.workspace import Workspace
from nrc.optimize.minimise import minimise
from nrc.optimize.protocols import RunInfo, tree_map
from nrc.optimize.varpro import Options, Projected, RightInverse, build
from nrc.status import TerminationReason
from support.problems import (
    METHODS,
    autoencoders,
    classifiers,
    let_torch_compute,
    modules,
    normal,
    parameters_of,
)

VARPRO = METHODS["varpro"]


def problems():
    """Squared errors: tanh or linear, with biases or without, with weights of the points or without."""
    plain = autoencoders()
    linear = autoencoders(activation="linear")
    biased, theta, _ = classifiers(loss="squared_error")
    shares = torch.rand(len(theta), 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weighted = replace(biased, shares=shares / shares.sum(1, keepdim=True))
    return {"tanh": plain, "linear": linear, "biases": (biased, theta), "shares": (weighted, theta)}


PROBLEMS = problems()


def weights_of_points(loss):
    cells, points = len(loss.weight_decay), loss.x.shape[1]
    return (
        torch.full((cells, points), 1 / points, dtype=torch.float64) if loss.shares is None else loss.shares
    )


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_last_layer_is_that_of_least_squares(name):
    """With rows sqrt(p_i) (z_i, y_i), and sqrt(lambda) times the unit vectors, whose targets are 0."""
    loss, theta = PROBLEMS[name]
    found = loss.architecture.network(Projected(loss).at(theta).theta)
    x, y = (a.expand(len(theta), -1, -1) for a in (loss.x, loss.y))
    for cell, module in enumerate(modules(loss.architecture.network(theta))):
        z = module[:-1](x[cell]).detach().numpy()
        if loss.architecture.bias:
            z = np.hstack([z, np.ones((len(z), 1))])
        root = np.sqrt(weights_of_points(loss)[cell].numpy())[:, None]
        decay = np.sqrt(float(loss.weight_decay[cell])) * np.eye(z.shape[1])
        rows = np.vstack([root * z, decay])
        targets = np.vstack([root * y[cell].numpy(), np.zeros((z.shape[1], y.shape[2]))])
        best = np.linalg.lstsq(rows, targets, rcond=None)[0].T
        last = found.weights[-1][cell].numpy()
        if loss.architecture.bias:
            last = np.hstack([last, found.biases[-1][cell].numpy()[:, None]])
        np.testing.assert_allclose(last, best, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", PROBLEMS)
def test_value_and_gradient_are_those_of_the_loss_there(name):
    loss, theta = PROBLEMS[name]
    point = Projected(loss).at(theta)
    there = loss.at(point.theta)
    torch.testing.assert_close(point.value, there.value, rtol=1e-12, atol=0)
    torch.testing.assert_close(point.gradient, there.gradient, rtol=0, atol=1e-14)
    last = loss.network(point.gradient)
    assert last.weights[-1].abs().max() < 1e-14


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_gradient_is_that_of_the_projected_function(name):
    """By central differences, in which the last layer is solved for anew."""
    loss, theta = PROBLEMS[name]
    projected, step = Projected(loss), 1e-5
    point = projected.at(theta)
    for seed in range(2):
        along = normal(*theta.shape, seed=seed)
        along[:, projected.variables :] = 0
        ends = [projected.at(theta + sign * step * along).value for sign in (1, -1)]
        slope = (point.gradient * along).sum(1)
        if loss.architecture.bias:
            network = loss.network(along)
            slope = slope - (loss.network(point.gradient).weights[-1] * network.weights[-1]).sum((1, 2))
        torch.testing.assert_close((ends[0] - ends[1]) / (2 * step), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_preconditioner_is_a_plain_loop_over_layers(name):
    loss, theta = PROBLEMS[name]
    projected = Projected(loss)
    inverses, q = RightInverse.at(projected, theta), normal(len(theta), projected.variables).float()
    times = RightInverse.times(projected, tree_map(fastest, inverses), fastest(q))
    found = loss.architecture.network(tensor(times))
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(4,)))
    signs = rng.choice([-1.0, 1.0], size=(loss.x.shape[1], loss.architecture.sizes[-1]))
    x, p = loss.x.expand(len(theta), -1, -1), weights_of_points(loss).numpy()
    for cell, module in enumerate(modules(loss.architecture.network(theta))):
        layers = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
        inputs, outputs = [], []
        z = x[cell]
        for layer in module:
            if isinstance(layer, torch.nn.Linear):
                inputs.append(z.detach().numpy())
            z = layer(z)
            if isinstance(layer, torch.nn.Linear):
                z.retain_grad()
                outputs.append(z)
        (z * torch.from_numpy(signs)).sum().backward()
        asked = loss.architecture.network(q)
        for l in range(len(layers) - (not loss.architecture.bias)):
            a = inputs[l]
            layer = asked.weights[l][cell].double().numpy()
            if loss.architecture.bias:
                a = np.hstack([a, np.ones((len(a), 1))])
                layer = np.hstack([layer, asked.biases[l][cell].double().numpy()[:, None]])
            second = sum(p[cell, i] * np.outer(a[i], a[i]) for i in range(len(a)))
            u = outputs[l].grad.numpy()
            c = sum(p[cell, i] * u[i] @ u[i] for i in range(len(u))) / u.shape[1]
            damped = c * second + 10 * float(loss.weight_decay[cell]) * np.eye(len(second))
            expected = layer @ np.linalg.inv(damped)
            ours = found.weights[l][cell].double().numpy()
            if loss.architecture.bias:
                ours = np.hstack([ours, found.biases[l][cell].double().numpy()[:, None]])
            np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["tanh", "shares"])
def test_it_ends_at_stationary_points_of_the_whole_loss(name):
    """By autograd, in modules of torch's own."""
    loss, theta = PROBLEMS[name]
    end = minimise(loss, theta, VARPRO.method(5000, [0] * len(theta)), tolerance=1e-10, epochs=5000)
    assert (end.termination_reason == TerminationReason.TOLERANCE).all()
    x, y = (a.expand(len(theta), -1, -1) for a in (loss.x, loss.y))
    for cell, module in enumerate(modules(loss.architecture.network(end.point.theta))):
        errors = (module(x[cell]) - y[cell]).square().sum(1)
        decay = float(loss.weight_decay[cell])
        penalty = decay / 2 * sum(w.square().sum() for w in module.parameters())
        value = (weights_of_points(loss)[cell] * errors).sum() / 2 + penalty
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(value, module.parameters())])
        assert float(value.detach()) == pytest.approx(float(end.point.value[cell]), rel=1e-10)
        assert gradient.norm() <= 2e-10 * decay * parameters_of(module).norm()


def test_a_plain_stretch_follows_lbfgs_to_the_bit():
    loss, theta = autoencoders()
    plain = minimise(loss, theta, METHODS["lbfgs"].method(9, [0] * 4), tolerance=1e-12, epochs=9)
    phases = build(RunInfo(9, [0] * 4), Options(plain_epochs=9, history=10))[:1]
    stretch = minimise(loss, theta, phases, tolerance=1e-12, epochs=9)
    assert torch.equal(plain.point.theta, stretch.point.theta)


def steps(loss, theta):
    """A few steps in each phase: on all layers, in float32 and in float64."""
    phases = build(RunInfo(12, [0] * len(theta)), Options(plain_epochs=4))
    return minimise(loss, theta, phases, tolerance=0, epochs=12).point


def test_float32_ends_where_its_rounding_begins():
    """With little weight decay it does not reach a residual of 3e-4, and would use half of the budget."""
    loss, start = autoencoders(weight_decay=[1e-5], sigma=[0.3])
    epochs = []

    def report(run):
        if not run.in_last_phase:
            epochs.append(run.progress.epochs)

    phases = build(RunInfo(20_000, [0]), Options(plain_epochs=50))
    minimise(loss, start, phases, tolerance=1e-8, epochs=20_000, report=report)
    assert max(epochs) < 5_000


@pytest.mark.parametrize("name", PROBLEMS)
def test_blocks_change_no_bit(name):
    loss, theta = PROBLEMS[name]
    blocks = steps(replace(loss, block=1, workspace=Workspace()), theta)
    assert all(map(torch.equal, vars(steps(loss, theta)).values(), vars(blocks).values()))


@pytest.mark.parametrize("name", PROBLEMS)
def test_torch_computes_what_numpy_does(monkeypatch, name):
    """On a GPU torch computes."""
    loss, theta = PROBLEMS[name]
    expected = steps(loss, theta)
    let_torch_compute(monkeypatch)
    found = steps(replace(loss, workspace=Workspace()), theta)
    torch.testing.assert_close(found.value, expected.value, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.theta, expected.theta, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"loss": "cross_entropy"}, "is cross_entropy"),
        ({"weight_decay": torch.tensor([0.0, 0.1])}, "weight decay 0 on"),
        ({"penalty": "product"}, "on the product"),
    ],
)
def test_it_is_refused_where_it_does_not_hold(change, said):
    loss, _ = autoencoders(weight_decay=(0.1, 0.2), sigma=(0.1,), activation="linear")
    with pytest.raises(ValueError, match=said):
        Projected(replace(loss, **change))


def test_features_that_are_all_zero_leave_a_zero_layer():
    loss, theta = autoencoders(weight_decay=(0.1,), sigma=(0.1,))
    point = Projected(loss).at(torch.zeros_like(theta))
    assert torch.equal(point.theta, torch.zeros_like(theta))
    assert point.finite.all()
