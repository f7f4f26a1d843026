import numpy as np
import pytest
import torch

from nrc.network import ACTIVATIONS, Architecture, RegularisedLoss, features, loss_gradient

CELLS, POINTS, SIZES = 3, 11, (4, 6, 5, 3)


@pytest.fixture(params=sorted(ACTIVATIONS))
def architecture(request):
    return Architecture(SIZES, request.param)


@pytest.fixture
def problem(architecture):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = [normal(CELLS, *shape) / shape[1] ** 0.5 for shape in architecture.shapes]
    return weights, normal(CELLS, POINTS, SIZES[0]), normal(CELLS, POINTS, SIZES[-1])


def network(weights, point, activation):
    """One network, one point at a time, with numpy alone."""
    phi = {"tanh": np.tanh, "linear": lambda t: t, "relu": lambda t: np.maximum(t, 0)}[activation]
    z = [point]
    for l, w in enumerate(weights):
        t = np.array([sum(row[j] * z[-1][j] for j in range(len(row))) for row in w])
        z.append(t if l == len(weights) - 1 else phi(t))
    return z


def test_features_and_loss_agree_with_a_plain_loop(architecture, problem):
    weights, x, y = problem
    z = features(weights, x, architecture.activation)
    loss, _ = loss_gradient(weights, x, y, architecture.activation)
    for c in range(CELLS):
        errors = []
        for i in range(POINTS):
            plain = network([w[c].numpy() for w in weights], x[c, i].numpy(), architecture.activation)
            for l, layer in enumerate(plain):
                np.testing.assert_allclose(z[l][c, i].numpy(), layer, rtol=1e-12, atol=1e-14)
            errors.append(0.5 * ((plain[-1] - y[c, i].numpy()) ** 2).sum())
        assert float(loss[c]) == pytest.approx(np.mean(errors), rel=1e-12)


def test_gradient_agrees_with_autograd(architecture, problem):
    weights, x, y = problem
    _, gradient = loss_gradient(weights, x, y, architecture.activation)
    leaves = [w.clone().requires_grad_() for w in weights]
    output = features(leaves, x, architecture.activation)[-1]
    loss = torch.nn.functional.mse_loss(output, y, reduction="none").sum(2).mean(1) / 2
    for ours, theirs in zip(gradient, torch.autograd.grad(loss.sum(), leaves), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_gradient_agrees_with_finite_differences(architecture, problem):
    weights, x, y = problem
    weight_decay = torch.tensor([0.0, 0.1, 3.0], dtype=torch.float64)
    loss = RegularisedLoss(architecture, x, y, weight_decay)
    theta = architecture.join(weights)
    _, gradient = loss(theta)
    step = 1e-6
    for j in range(theta.shape[1]):
        shift = torch.zeros_like(theta)
        shift[:, j] = step
        slope = (loss(theta + shift)[0] - loss(theta - shift)[0]) / (2 * step)
        torch.testing.assert_close(gradient[:, j], slope, rtol=1e-6, atol=1e-8)


def test_weight_decay_is_pytorchs(problem):
    """One step of SGD with weight_decay moves by the gradient of our loss."""
    weights, x, y = problem
    architecture = Architecture(SIZES, "tanh")
    theta = architecture.join(weights)
    _, gradient = RegularisedLoss(architecture, x, y, torch.full((CELLS,), 0.3, dtype=torch.float64))(theta)
    leaves = [w[0].clone().requires_grad_() for w in weights]
    output = features([w[None] for w in leaves], x[:1], "tanh")[-1]
    ((output - y[:1]) ** 2).sum().div(2 * POINTS).backward()
    torch.optim.SGD(leaves, lr=1.0, weight_decay=0.3).step()
    moved = architecture.join([w.detach()[None] for w in leaves])
    torch.testing.assert_close(moved, theta[:1] - gradient[:1], rtol=1e-12, atol=1e-14)


def test_no_cell_depends_on_another(architecture, problem):
    weights, x, y = problem
    theta = architecture.join(weights)
    loss = RegularisedLoss(architecture, x, y, torch.full((CELLS,), 0.1, dtype=torch.float64))
    spoiled = theta.clone()
    spoiled[1] = torch.nan
    values, gradients = loss(theta)
    spoiled_values, spoiled_gradients = loss(spoiled)
    for c in (0, 2):
        assert torch.equal(values[c], spoiled_values[c])
        assert torch.equal(gradients[c], spoiled_gradients[c])


def test_split_and_join_are_inverse(architecture, problem):
    weights, *_ = problem
    for ours, original in zip(architecture.split(architecture.join(weights)), weights, strict=True):
        assert torch.equal(ours, original)


def test_initial_weights_depend_on_seed_and_have_unit_gain():
    architecture = Architecture((400, 300, 200))
    theta = architecture.initial(5)
    assert torch.equal(theta, architecture.initial(5))
    assert not torch.equal(theta, architecture.initial(6))
    for w, n_in in zip(architecture.split(theta[None]), (400, 300), strict=True):
        assert float(w.var()) * n_in == pytest.approx(1, rel=0.02)
