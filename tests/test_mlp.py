"""Networks and their losses, compared with plain loops, autograd and torch's own layers."""

from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
import torch
from torch.nn import functional

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Architecture
from nrc.objectives.regularised_loss import RegularisedLoss
from support.problems import (
    gradient_of,
    modules,
    normal,
    torch_activation,
    value_and_gradient,
)

CELLS, POINTS, SIZES = 3, 11, (4, 6, 5, 3)
WEIGHT_DECAY = torch.tensor([0.0, 0.1, 3.0], dtype=torch.float64)
EVEN = torch.full((POINTS,), 1 / POINTS, dtype=torch.float64)
SHARES = torch.from_numpy(np.random.default_rng(1).dirichlet(np.ones(POINTS), CELLS))


# Each activation, with all pairs of the other choices.
CHOICES = [
    (True, "squared_error", None),
    (False, "cross_entropy", None),
    (True, "cross_entropy", SHARES),
    (False, "squared_error", SHARES),
]
CASES = [(name, *choices) for name, choices in zip(sorted(ACTIVATIONS), cycle(CHOICES), strict=False)]


@pytest.fixture(params=[False, True], ids=["plain", "biases"])
def architecture(request):
    return Architecture(SIZES, "tanh", request.param)


def problem(architecture):
    """Parameters, inputs, and targets that are distributions, so that they serve both losses."""
    theta = normal(CELLS, sum(a * b for a, b in architecture.shapes) + architecture.bias * sum(SIZES[1:]))
    return theta / 2, normal(CELLS, POINTS, SIZES[0]), normal(CELLS, POINTS, SIZES[-1], seed=1).softmax(-1)


def plain_loss(module, x, y, loss):
    """The loss of each point of one network, by torch alone."""
    if loss == "cross_entropy":
        return functional.cross_entropy(module(x), y, reduction="none")
    return functional.mse_loss(module(x), y, reduction="none").sum(1) / 2


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_of_an_activation_agree_with_autograd(name):
    """Where phi'(0) does not exist the grid leaves 0 out."""
    activation = ACTIVATIONS[name]
    t = torch.linspace(-6, 6, 1000, dtype=torch.float64, requires_grad=True)
    value = torch_activation(name)(t)
    torch.testing.assert_close(activation.value(t.detach(), None), value, check_dtype=True)
    argument = value.detach() if activation.of_value else t.detach()
    for derivative in (lambda s: activation.derivative(s, None), activation.curvature, activation.third):
        (value,) = torch.autograd.grad(value.sum() + 0 * (t**4).sum(), t, create_graph=True)
        if derivative is not None:
            torch.testing.assert_close(derivative(argument), value.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("activation", "bias", "loss", "shares"), CASES)
def test_value_and_gradient_agree_with_autograd_on_torchs_layers(activation, bias, loss, shares):
    architecture = Architecture(SIZES, activation, bias)
    theta, x, y = problem(architecture)
    objective = RegularisedLoss(architecture, x, y, WEIGHT_DECAY, shares, loss=loss)
    value, gradient = value_and_gradient(objective, theta)
    for c, module in enumerate(modules(architecture.network(theta))):
        p = EVEN if shares is None else shares[c]
        plain = (p * plain_loss(module, x[c], y[c], loss)).sum()
        # biases count as weights in the penalty
        plain = plain + WEIGHT_DECAY[c] / 2 * sum((q**2).sum() for q in module.parameters())
        plain.backward()
        torch.testing.assert_close(value[c], plain.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient[c], gradient_of(module), rtol=1e-11, atol=1e-14)


def test_no_cell_depends_on_another(architecture):
    theta, x, y = problem(architecture)
    loss = RegularisedLoss(architecture, x, y, WEIGHT_DECAY)
    spoiled = theta.clone()
    spoiled[1] = torch.nan
    for ours, other in zip(value_and_gradient(loss, theta), value_and_gradient(loss, spoiled), strict=True):
        assert torch.equal(ours[[0, 2]], other[[0, 2]])
        assert other[1].isnan().all()


def test_a_network_holds_the_parameters_that_are_joined(architecture):
    theta, *_ = problem(architecture)
    network = architecture.network(theta)
    assert [tuple(w.shape) for w in network.weights] == [(CELLS, *shape) for shape in architecture.shapes]
    assert (network.biases is not None) == architecture.bias
    assert torch.equal(architecture.join(network.weights, network.biases or []), theta)
    network.weights[1][2] = 7  # a view of them
    assert int((theta == 7).sum()) == 6 * 5


def test_what_is_left_after_a_layer_goes_on_from_its_features(architecture):
    theta, x, y = problem(architecture)
    network = architecture.network(theta, "cross_entropy")
    z, whole = network.features(x), network.gradient(x, y)
    for k in range(3):
        rest = network.after(k)
        assert torch.equal(rest.features(z[k])[-1], z[-1])
        value, gradient, of_biases = rest.gradient(z[k], y)
        assert torch.equal(value, whole[0])
        for ours, theirs in zip(gradient + of_biases, whole[1][k:] + whole[2][k:], strict=True):
            assert torch.equal(ours, theirs)


def test_initial_weights_depend_on_seed_and_have_unit_gain():
    architecture = Architecture((400, 300, 200))
    theta = architecture.initial(5)
    assert torch.equal(theta, architecture.initial(5))
    assert not torch.equal(theta, architecture.initial(6))
    for w, n_in in zip(architecture.network(theta[None]).weights, (400, 300), strict=True):
        assert float(w.var()) * n_in == pytest.approx(1, rel=0.02)


def test_biases_begin_at_zero_and_leave_the_weights_as_they_are():
    plain, biased = Architecture(SIZES), Architecture(SIZES, bias=True)
    weights = plain.initial(5)
    assert torch.equal(biased.initial(5), torch.cat([weights, torch.zeros(sum(SIZES[1:]))]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, x, y: (n, x, y[:, :-1]), r"the targets have shape \(3, 10, 3\), but must have \(3, 11, 3\)"),
        (lambda n, x, y: (n, x[:, :, 1:], y), r"W_1 have shape \(3, 6, 4\), but must have \(3, 6, 3\)"),
        (lambda n, x, y: (n, x * torch.inf, y), "the inputs of cell 0 are not finite"),
        (lambda n, x, y: (replace(n, biases=[*n.biases[:2], n.biases[1]]), x, y), r"b_3 have shape \(3, 5\), but must have \(3, 3\)"),
        (lambda n, x, y: (replace(n, biases=[b / torch.tensor([[1], [0], [1]]) for b in n.biases]), x, y), "b_1 of cell 1 are not finite"),
    ],
)  # fmt: skip
def test_an_array_that_does_not_fit_is_named(change, message):
    architecture = Architecture(SIZES, "tanh", bias=True)
    theta, x, y = problem(architecture)
    network, x, y = change(architecture.network(theta), x, y)
    with pytest.raises(ValueError, match=message):
        network.check(x, y)


# ---- mini-batches ---------------------------------------------------------------------------------

ORDERS = {
    "one order": torch.from_numpy(np.random.default_rng(2).permutation(POINTS)[None]),
    "an order a cell": torch.from_numpy(
        np.stack([np.random.default_rng(seed).permutation(POINTS) for seed in range(CELLS)])
    ),
}


def objective_of(shares, shared):
    """A stack whose cells see the same points or not, and its parameters."""
    architecture = Architecture(SIZES, "tanh", bias=True)
    theta, x, y = problem(architecture)
    x, y = (x[:1], y[:1]) if shared else (x, y)
    return RegularisedLoss(architecture, x, y, WEIGHT_DECAY, shares, loss="cross_entropy"), theta


BATCHES = [
    (None, True, ORDERS["one order"]),
    (SHARES, False, ORDERS["an order a cell"]),
    (SHARES, True, ORDERS["an order a cell"]),
]


@pytest.mark.parametrize(("shares", "shared", "order"), BATCHES)
def test_a_batch_is_the_loss_of_its_points(shares, shared, order):
    """By torch's layers: the sum over the points of the batch of N/b p_i ell_i, and the whole penalty."""
    objective, theta = objective_of(shares, shared)
    some = order[:, 2:6]
    value, gradient = value_and_gradient(objective.on(some), theta)
    for c, module in enumerate(modules(objective.architecture.network(theta))):
        here = some[c % len(some)]
        x, y = (a[c % len(a)][here] for a in (objective.x, objective.y))
        p = EVEN if shares is None else shares[c]
        plain = (POINTS / 4 * p[here] * plain_loss(module, x, y, "cross_entropy")).sum()
        plain = plain + WEIGHT_DECAY[c] / 2 * sum((q**2).sum() for q in module.parameters())
        plain.backward()
        assert float(value[c]) == pytest.approx(plain.item(), rel=1e-12)
        torch.testing.assert_close(gradient[c], gradient_of(module), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("shares", "shared", "order"), BATCHES)
def test_a_cell_alone_has_the_bits_of_the_stack_on_a_batch(shares, shared, order):
    objective, theta = objective_of(shares, shared)
    together = value_and_gradient(objective.on(order[:, :4]), theta)
    for c in range(CELLS):
        cell = torch.tensor([c])
        here = order[c % len(order)][None, :4]
        alone = value_and_gradient(objective.select(cell).on(here), theta[cell])
        for ours, theirs in zip(alone, together, strict=True):
            assert torch.equal(ours[0], theirs[c])


@pytest.mark.parametrize("shares", [None, SHARES], ids=["uniform", "weighted"])
def test_select_keeps_cells_as_they_are(shares):
    objective, theta = objective_of(shares, shared=False)
    whole = value_and_gradient(objective, theta)
    for some in (torch.tensor([2, 0]), torch.tensor([True, False, True])):
        for ours, theirs in zip(value_and_gradient(objective.select(some), theta[some]), whole, strict=True):
            assert torch.equal(ours, theirs[some])
