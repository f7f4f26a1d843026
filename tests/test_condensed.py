"""Condensed modules: the same function with fewer neurons, and the penalty of the large module."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import nrc
from nrc.data.points import Points
from nrc.modules.chains import hidden_layers, left_out
from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Network
from support.problems import normal


def duplicated(layer, after, sign=-1.0, factor=1.0, at_zero=True):
    """Neuron 1 is neuron 0 times sign * factor, 2 is at zero; outgoing weights are those of a stationary point."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter[1] = sign * factor * parameter[0]
            if at_zero:
                parameter[2] = 0
        columns = after.weight.reshape(len(after.weight), len(layer.weight), -1)
        columns[:, 1] = sign * factor * columns[:, 0]
        if at_zero:
            columns[:, 2] = 0


CHAINS = {
    "tanh": (
        lambda: [nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 3)],
        (4,),
        -1.0,
        1.0,
    ),
    "gelu": (
        lambda: [nn.Linear(4, 7), nn.GELU(), nn.Linear(7, 6), nn.SiLU(), nn.Linear(6, 3)],
        (4,),
        1.0,
        1.0,
    ),
    "relu": (
        lambda: [nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 6, bias=False), nn.LeakyReLU(), nn.Linear(6, 3)],
        (4,),
        1.0,
        2.5,
    ),
    "nested": (
        lambda: [
            nn.Sequential(nn.Linear(4, 7), nn.Dropout(0.5), nn.Tanh()),
            nn.Linear(7, 6),
            nn.Softsign(),
            nn.Sequential(nn.Linear(6, 3)),
        ],
        (4,),
        -1.0,
        1.0,
    ),
    "convolution": (
        lambda: [
            nn.Conv2d(2, 7, 3),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(7, 6, 2, padding=1),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(96, 3),
        ],
        (2, 8, 8),
        -1.0,
        1.0,
    ),
    "maximum": (
        lambda: [
            nn.Conv1d(2, 7, 3),
            nn.ReLU(inplace=True),
            nn.MaxPool1d(2),
            nn.Conv1d(7, 6, 2),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(6, 3),
        ],
        (2, 9),
        1.0,
        0.5,
    ),
}


def chain(kind):
    build, shape, sign, factor = CHAINS[kind]
    torch.manual_seed(0)
    model = nn.Sequential(*build()).double().eval()
    for of in reversed(hidden_layers(model)):
        duplicated(of.layer, of.next_layer, sign, factor)
    return model, np.random.default_rng(0).normal(size=(11, *shape))


@pytest.mark.parametrize("kind", CHAINS)
def test_equal_neurons_are_merged_and_the_function_stays(kind):
    model, x = chain(kind)
    before = copy.deepcopy(model.state_dict())
    small = nrc.condense(model, x=x, batch=4)
    x = torch.from_numpy(x)
    np.testing.assert_allclose(small.model(x).detach(), model(x).detach(), rtol=1e-10, atol=1e-12)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert small.table["before"].tolist() == [7, 6, 3]
    assert small.table["after"].tolist() == [5, 4, 3]
    assert small.table["change"].max() < 1e-10
    assert small.table["left"].tolist() == ["", "", "its neurons are outputs of the model"]
    assert small.parameters < sum(parameter.numel() for parameter in model.parameters())
    # the declared sizes are those of the weights, and merging is complete
    again = nrc.condense(small.model)
    assert again.table["after"].tolist() == [5, 4, 3]
    for module in small.model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)


@pytest.mark.parametrize("kind", CHAINS)
def test_the_penalty_of_the_large_module_follows_from_the_small_one(kind):
    model, _ = chain(kind)
    if kind == "relu":  # scaled copies share the penalty if biases are scaled too, as at stationary points
        model[2].weight.data[:, 1] = 2.5 * model[2].weight.data[:, 0]
    squares = sum(parameter.square().sum().item() for parameter in model.parameters())
    small = nrc.condense(model)
    norm = small.squared_norm()
    assert norm.item() == pytest.approx(squares, rel=1e-10)
    # training can continue with it: the derivative of a quadratic function along its argument is twice its value
    norm.backward()
    along = sum((parameter * parameter.grad).sum().item() for parameter in small.model.parameters())
    assert along == pytest.approx(2 * squares, rel=1e-10)


def test_multiplicities_count_the_neurons():
    model, _ = chain("tanh")
    small = nrc.condense(model)
    assert sorted(small.multiplicities["0"].tolist()) == [1, 1, 1, 1, 2]
    assert small.table["before"]["0"] - small.multiplicities["0"].sum() == 1  # at zero


def test_distinct_neurons_stay_unless_the_tolerance_is_large():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 3)).eval()
    x = torch.randn(9, 4)
    same = nrc.condense(model, x=x)
    assert torch.allclose(same.model(x), model(x), atol=1e-6)
    assert same.table["after"].tolist() == [7, 3]
    changes = [nrc.condense(model, tolerance=t, x=x).table["change"].iloc[-1] for t in (1e-3, 0.5, 3.0)]
    assert changes[0] < 1e-6 < changes[1] < changes[2]


def test_a_neuron_at_zero_stays_where_the_activation_does_not_vanish():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1)).double()
    with torch.no_grad():
        model[0].weight[1:] = 0
        model[0].bias[1:] = 0
    x = torch.randn(5, 2).double()
    small = nrc.condense(model)
    assert small.table["after"].tolist() == [2, 1]
    assert torch.allclose(small.model(x), model(x))


def test_a_network_at_zero_keeps_a_neuron():
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Tanh(), nn.Linear(3, 1))
    nn.init.zeros_(model[0].weight)
    small = nrc.condense(model)
    assert small.table["after"].tolist() == [1, 1]
    assert torch.equal(small.model(torch.ones(1, 2)), model(torch.ones(1, 2)))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))

    def forward(self, x):
        return x + self.body(x)


def shared():
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer)


def hooked(place):
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    model[place].register_forward_hook(lambda module, x, output: output + torch.arange(output.shape[1]))
    return model


LEFT = {
    "Tanh (1) with hooks follows": hooked(1),
    "BatchNorm1d (1) follows": nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)),
    "Linear (2) with hooks follows": hooked(2),
    "PReLU (1) follows": nn.Sequential(nn.Linear(4, 5), nn.PReLU(), nn.Linear(5, 2)),
    "Residual (1) follows": nn.Sequential(nn.Linear(4, 4), Residual(), nn.Linear(4, 2)),
    "it is not a plain layer in a chain of modules of type Sequential": Residual(),
    "its weights or those of the next layer are shared": shared(),
    "it or the next layer is a grouped convolution": nn.Sequential(
        nn.Conv1d(4, 4, 1, groups=2), nn.Conv1d(4, 2, 1)
    ),
    "pooling mixes its neurons": nn.Sequential(nn.Linear(4, 4), nn.AvgPool1d(2), nn.Linear(2, 2)),
    "the next layer does not act on its channels": nn.Sequential(
        nn.Conv1d(4, 4, 1), nn.Tanh(), nn.Linear(4, 2)
    ),
    "Flatten keeps some axes": nn.Sequential(nn.Conv1d(4, 4, 1), nn.Flatten(0, 1), nn.Linear(4, 2)),
    "the next layer does not act on its neurons one by one": nn.Sequential(
        nn.Linear(4, 4), nn.Tanh(), nn.Flatten(), nn.Linear(8, 2)
    ),
}


@pytest.mark.parametrize("reason", LEFT)
def test_layers_that_cannot_be_merged_are_left_and_named(reason):
    model = LEFT[reason]
    assert not hidden_layers(model)
    assert reason in left_out(model).values()
    small = nrc.condense(model)
    assert reason in small.table["left"].tolist()
    assert (small.table["before"] == small.table["after"]).all()
    for one, other in zip(small.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("tolerance", [0, -1.0, float("inf"), "small"])
def test_a_tolerance_that_is_no_positive_number_is_an_error(tolerance):
    with pytest.raises(ValueError, match="but must be a positive number"):
        nrc.condense(nn.Sequential(nn.Linear(2, 2)), tolerance=tolerance)


def test_wrappers_are_removed_and_hooked_layers_stay():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    model[0].weight.data[1], model[0].bias.data[1] = model[0].weight.data[0], model[0].bias.data[0]
    assert nrc.condense(nn.DataParallel(model)).table["after"].to_dict() == {"0": 3, "2": 2}
    model[0].register_forward_hook(lambda module, x, output: output + torch.arange(4))
    assert nrc.condense(model).table["after"].to_dict() == {"0": 4, "2": 2}


def test_a_model_that_fails_is_an_error_of_one_line():
    with pytest.raises(
        ValueError, match=r"^x: the model fails at points of shape \(3,\) and torch.float32 \(.*\)$"
    ):
        nrc.condense(nn.Sequential(nn.Linear(4, 2)), x=torch.ones(5, 3))


def test_a_model_that_is_no_module_is_an_error():
    with pytest.raises(TypeError, match="must be a torch"):
        nrc.condense(3)


@pytest.fixture(scope="module")
def trained():
    points = Points(0, normal(12, 3, seed=4).numpy(), np.arange(12) % 2)
    stack = {"weight_decay": [0.05, 0.1], "sigma": 0.0, "width": 5, "depth": 3, "seed": 0}
    return nrc.train(stack, points, network={"activation": "gelu", "bias": True}, epochs=5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_module_has_the_outputs_of_the_trained_network(trained, activation):
    model = nrc.module(trained, network={"activation": activation}, weight_decay=0.1)
    one = trained.sel(weight_decay=0.1)
    parameters = ([torch.from_numpy(one[f"{kind}{l}"].values)[None] for l in (1, 2, 3)] for kind in "Wb")
    weights, biases = parameters
    x = normal(1, 6, 3)
    expected = Network(weights, activation, "squared_error", biases).features(x)[-1]
    np.testing.assert_allclose(model(x[0]).detach(), expected[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({}, "weight_decay has several values; choose one, as in weight_decay=0.05"),
        ({"weight_decay": 0.2}, "weight_decay is 0.2, but must be one of 0.05, 0.1"),
        ({"rate": 1}, "rate is not an axis of the networks; their axes are weight_decay"),
        (
            {"network": {"activation": "sine"}, "weight_decay": 0.1},
            "activation is 'sine', but must be one of tanh, linear",
        ),
    ],
)
def test_what_does_not_select_a_network_is_an_error(trained, cell, message):
    with pytest.raises(ValueError, match=message):
        nrc.module(trained, **{"network": {"activation": "gelu"}, **cell})
