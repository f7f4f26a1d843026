"""The potential of channels of convolutions, against networks with one channel, and at a stationary point."""

import numpy as np
import pytest
import torch
from torch import nn

import nrc
from nrc.modules.chains import hidden_layers
from nrc.modules.measured_module import MeasuredModule
from nrc.modules.positions import activation_between

DECAY, NEXT_DECAY, BIAS_DECAY = 0.05, 0.02, 0.03
# a layer, what follows, the next layer, and the shape of a point
PAIRS = {
    "same": ([nn.Conv2d(2, 3, 3, padding="same"), nn.Tanh(), nn.Conv2d(3, 4, 3, padding=1)], (2, 5, 6)),
    "stride": ([nn.Conv2d(1, 3, 3, 2, 1), nn.GELU(), nn.Conv2d(3, 2, (2, 3), (1, 2), 2)], (1, 7, 8)),
    "dilation": ([nn.Conv1d(2, 3, 3, dilation=2, bias=False), nn.Tanh(), nn.Conv1d(3, 2, 2, dilation=3)], (2, 12)),
    "circular": (
        [
            nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular"),
            nn.Tanh(),
            nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"),
        ],
        (1, 4, 5),
    ),
    "replicate": ([nn.Conv1d(1, 3, 2), nn.SiLU(), nn.Conv1d(3, 2, 3, 2, 2, padding_mode="replicate")], (1, 6)),
    "averages": (
        [
            nn.Conv2d(1, 3, 3),
            nn.AvgPool2d(2, padding=1),
            nn.Tanh(),
            nn.Dropout(),
            nn.AdaptiveAvgPool2d((3, 2)),
            nn.Conv2d(3, 2, 2),
        ],
        (1, 8, 9),
    ),
    "volume": ([nn.Conv3d(1, 3, 2), nn.Tanh(), nn.Conv3d(3, 2, 2, 2, 1)], (1, 3, 4, 3)),
    "flat": ([nn.Conv2d(2, 3, 2), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 4)], (2, 5, 5)),
    "tokens": ([nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)], (5, 4)),
}  # fmt: skip


class Outputs(nn.Module):
    """Two numbers for each point that depend on all positions."""

    def forward(self, y):
        weights = torch.linspace(-1, 1, y[0].numel(), dtype=y.dtype).view(y.shape[1:])
        return torch.stack([(y * weights).flatten(1).sum(1), y.pow(2).flatten(1).sum(1)], 1)


@pytest.mark.parametrize("kind", PAIRS)
def test_the_potential_is_that_of_one_channel_in_the_place_of_all(kind):
    modules, shape = PAIRS[kind]
    torch.manual_seed(0)
    model, rng = nn.Sequential(*modules, Outputs()).double().eval(), np.random.default_rng(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    x, y = (torch.from_numpy(rng.normal(size=(6, *size))) for size in (shape, (2,)))
    network = MeasuredModule(model, x, y, "squared_error", batch=4)
    (of,) = (of for of in network.neurons if of.after is not None)
    potential = network.potential(of, np.array([[DECAY, NEXT_DECAY]]), np.full((1, 2), BIAS_DECAY))

    (hidden,) = hidden_layers(model)
    layer, after, behind = hidden.layer, hidden.next_layer, []
    handle = after.register_forward_hook(lambda module, args, output: behind.append(output))
    loss = (model(x) - y).pow(2).sum(1).mean() / 2
    handle.remove()
    delta, of_next = torch.autograd.grad(loss, [*behind, after.weight])
    n = layer.weight[0].numel()
    shares = torch.ones(n + (layer.bias is not None)).double()
    shares[n:] = BIAS_DECAY / DECAY

    def force(w):
        """-sum_i p_i delta_i phi(w . z_i)' by the layers, with w in the place of all channels."""
        w = w.expand(len(layer.weight), -1)
        new = {"weight": w[:, :n].view_as(layer.weight), **({"bias": w[:, n]} if len(shares) > n else {})}
        a = torch.func.functional_call(layer, new, x)
        for module in hidden.between:
            a = module(a)
        (gradient,) = torch.autograd.grad(after(a), after.weight, delta, create_graph=True)
        return -gradient.reshape(len(after.weight), len(layer.weight), -1)[:, 0]

    def value(w):
        return force(w).square().sum() / (2 * DECAY * NEXT_DECAY) - (shares * w**2).sum() / 2

    w = torch.from_numpy(rng.normal(size=(1, 2, len(shares))))
    for j in range(2):
        one = w[0, j].clone().requires_grad_()
        np.testing.assert_allclose(potential.value(w)[0, j], value(one).detach(), rtol=1e-9)
        np.testing.assert_allclose(
            potential.outgoing(w)[0, j], force(one).detach().flatten() / NEXT_DECAY, rtol=1e-9, atol=1e-12
        )
        (gradient,) = torch.autograd.grad(value(one), one)
        np.testing.assert_allclose(potential.gradient(w)[0, j], gradient, rtol=1e-8, atol=1e-10)
        hessian = torch.autograd.functional.hessian(value, w[0, j])
        np.testing.assert_allclose(potential.hessian(w)[0, j], hessian, rtol=1e-7, atol=1e-8)
    # at its own weights, each channel pulls by the gradient in its block of columns
    own = of_next.reshape(len(of_next), len(layer.weight), -1).transpose(0, 1).flatten(1)
    np.testing.assert_allclose(potential.outgoing(network.incoming(of))[0], -own / NEXT_DECAY, atol=1e-11)


def test_positions_that_are_mixed_by_more_than_averages_have_no_potential():
    for between in ([nn.Tanh(), nn.MaxPool1d(2)], [nn.Tanh(), nn.AvgPool1d(2), nn.Tanh()]):
        (hidden,) = hidden_layers(nn.Sequential(nn.Conv1d(1, 2, 2), *between, nn.Conv1d(2, 1, 1)))
        assert activation_between(hidden) is None


def test_channels_of_a_stationary_convolutional_network_are_critical_points():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 6, 2), nn.Tanh(), nn.Conv2d(6, 6, 2), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()
    model, decay, labels = nn.Sequential(*layers, nn.Linear(6, 3)).double().eval(), 0.05, torch.arange(12) % 3
    x = labels.double()[:, None, None, None] + torch.randn(12, 1, 4, 4)
    search = {"history_size": 50, "tolerance_change": 0, "line_search_fn": "strong_wolfe"}
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=300, tolerance_grad=1e-9, **search)

    def objective():
        optimiser.zero_grad()
        penalty = sum(parameter.square().sum() for parameter in model.parameters())
        value = nn.functional.cross_entropy(model(x), labels) + decay / 2 * penalty
        value.backward()
        return value

    optimiser.step(objective)
    found = nrc.measure(model, x, labels, weight_decay=decay, restarts=1)
    assert found["relative_residual"] < 1e-6
    hidden = found.isel(layer=slice(0, 2))
    assert (hidden["distinct_neurons"] < 6).all()
    assert (hidden["potential_gradient"] <= hidden["potential_gradient_bound"]).all()
    assert (hidden["potential_gradient"] < 1e-5).all()
    assert (hidden["groups_at_maxima"] == hidden["merged_groups"]).all()
    assert (hidden["merged_groups"] > 0).all()
    assert (hidden["potential_curvature_groups"] < 0).all()
    # the derivatives of the loss in three classes have rank 2
    assert found["neuron_rank"][2] == 2
    assert found["neuron_gap"].max() < 1e-4
