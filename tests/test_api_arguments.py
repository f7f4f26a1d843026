"""Errors of nrc.measure, nrc.spectra and nrc.Recorder: one line that begins with the argument."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import nrc
from support.refusals import refusal
from support.zoo import LABELS, POINTS, Model, mlp

X = np.random.default_rng(0).normal(size=(POINTS, 5))
Y = np.eye(3)[LABELS]


def network():
    torch.manual_seed(0)
    return mlp(5, 4, 3).eval()


def refused(model=None, x=X, y=LABELS, call=nrc.measure, **settings):
    return refusal(call, model or network(), x, y, **settings)


def changed(array, *at, value):
    array = array.copy()
    array[at] = value
    return array


# Labels and clusters.


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:-1], "labels has shape (23,), but must have (24, ...)"),
        (LABELS - 1, "labels: one is -1, but a class is at least 0"),
        (0 * LABELS, "labels are all 0, but must be of at least two classes"),
        (LABELS + 0.5, "labels are an array of float64 of shape (24,), but must be the class of each point"),
        (X, "labels are an array of float64 of shape (24, 5), but must be the class of each point"),
        (np.ma.masked_equal(LABELS, 1), "labels has masked values; fill them in or leave these points out"),
    ],
)  # fmt: skip
def test_labels_are_the_class_of_each_point(labels, message):
    assert refused(y=Y, labels=labels).startswith(message)
    assert refused(y=labels, call=nrc.Recorder).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"y": LABELS + 0.5},
            "y are an array of float64 of shape (24,), but must be the class of each point",
        ),
        (
            {"y": changed(1.0 * LABELS, 7, value=np.nan)},
            "y has values that are not finite, the first at point 7",
        ),
        ({"y": X[:, :3]}, "clusters: pass their number, or labels, or classes as y"),
        (
            {"labels": LABELS, "clusters": 4},
            "clusters is 4, but labels have 3 classes; pass only one of them",
        ),
        ({"clusters": POINTS + 1}, "clusters is 25, but must be at most 24, the number of points"),
        ({"clusters": 2.0}, "clusters is 2.0, but must be an integer"),
        ({"y": None, "clusters": 2}, "y: pass targets, or labels as classes"),
    ],
)
def test_clusters_are_a_number_where_there_are_no_labels(settings, message):
    assert refused(**settings).startswith(message)


# Inputs and targets.


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[:, 0], "x has shape (24,), but must be (points, ...)"),
        (3.0, "x has shape (), but must be (points, ...)"),
        (changed(X, 17, 2, value=np.nan), "x has values that are not finite"),
        (X[:, :4], "x: the model fails at points of shape (4,) and torch.float64"),
        ([["a"] * 5] * POINTS, "x is an array of <U1, but must be an array of real numbers"),
    ],
)
def test_inputs_are_rows_of_finite_numbers_that_the_model_takes(x, message):
    settings = (
        {}
        if np.shape(x)[:1] == (POINTS,)
        else {"y": None, "labels": LABELS[: np.size(x) // 5] if np.ndim(x) == 2 else LABELS}
    )
    assert refused(x=x, **settings).startswith(message)


@pytest.mark.parametrize(
    ("y", "settings", "message"),
    [
        (X, {}, "y: targets of shape (5,) do not fit outputs of shape (3,) under squared_error"),
        (Y[:-1], {}, "y has shape (23, 3), but must have (24, ...), one row per point of x"),
        (changed(Y, 23, 0, value=np.nan), {}, "y has values that are not finite"),
        (LABELS, {}, "y: targets of shape () do not fit outputs of shape (3,) under squared_error; of classes pass torch.nn.functional.one_hot(y, 3)"),
        (LABELS, {"loss": lambda output, y: output.sum(1)}, "y: integers are classes, but a function of outputs and targets is also evaluated at mean targets"),
        (2 * LABELS, {"loss": "cross_entropy"}, "y: classes must be in 0..2 for 3 outputs, but point 2 has class 4"),
        (LABELS + 1, {"loss": "cross_entropy"}, "y: classes must be in 0..2 for 3 outputs, but point 2 has class 3; number them from 0, as y - 1"),
        (LABELS + 0.5, {"loss": "cross_entropy"}, "y: classes must be whole numbers"),
        (np.array(["cat", "dog", "eel"])[LABELS], {"loss": "cross_entropy"}, "y is an array of <U3, but must be numbers; give classes the numbers of outputs"),
        (0 * LABELS - 100, {"loss": "cross_entropy"}, "y: all points have the class -100, which cross_entropy ignores"),
        (Y * 2, {"loss": "binary_cross_entropy"}, "y: targets of binary_cross_entropy must be in 0..1, but one is 2.0"),
        (Y - 0.5, {"loss": "cross_entropy"}, "y: real targets of cross_entropy must be distributions"),
    ],
)  # fmt: skip
def test_targets_are_what_the_loss_takes(y, settings, message):
    assert refused(y=y, labels=LABELS, **{"loss": "squared_error", **settings}).startswith(message)


def test_classes_beside_integers_as_inputs_leave_no_space_to_partition():
    model = Model(
        lambda m, x: m.head(m.embed(x).mean(1)), embed=nn.Embedding(9, 4), head=nn.Linear(4, 3)
    ).eval()
    tokens = np.random.default_rng(0).integers(0, 9, (POINTS, 4))
    assert nrc.measure(model, tokens, LABELS)["source"].values.tolist() == ["head"]
    functional_head = Model(
        lambda m, x: functional.linear(m.embed(x).mean(1), m.head.weight),
        embed=nn.Embedding(9, 4),
        head=nn.Linear(4, 3),
    )
    assert refused(functional_head.eval(), tokens).startswith("x: integers have no centroids")
    assert refused(model, 9 + tokens).startswith(
        "x: the model fails at points of shape (4,) and torch.int64 (index out of range"
    )


# The model.


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


def with_a_value(name, value):
    model = network()
    model.state_dict()[name].flatten()[0] = value
    return model


def partly_training():
    model = nn.Sequential(nn.Linear(5, 3), nn.Dropout()).eval()
    model[1].train()
    return model


def with_a_tensor():
    model = network()
    model.cache = 2 * model[0].weight
    return model


def batch_statistics():
    return nn.Sequential(
        nn.Linear(5, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 3)
    ).eval()


def returning(form):
    return Model(lambda m, x: form(m.last(x)), last=nn.Linear(5, 3)).eval()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Sequential(nn.Tanh()).eval(), "model: Sequential has no layer that can be measured: no parameter is a matrix"),
        (lambda: nn.Sequential(nn.LayerNorm(5), nn.Tanh()), "model: Sequential has no layer that can be measured: no parameter is a matrix"),
        (lambda: with_a_value("2.weight", np.nan), "model: weights of layer 2 are not finite"),
        (lambda: with_a_value("2.bias", np.nan), "model: its outputs are not finite"),
        (lambda: nn.Sequential(nn.Linear(5, 3), Noise()), "model: two evaluations at the same points differ, so it uses random numbers"),
        (batch_statistics, "model: the output of a point depends on the other points of its batch"),
        (lambda: network().train(), "model: Sequential is in training mode; call model.eval() first"),
        (partly_training, "model: 1 is in training mode; call model.eval() first"),
        (lambda: returning(lambda z: (z, z)), "model: it returns a tuple, of which one tensor must be chosen; wrap it: class Wrapped(torch.nn.Module)"),
        (lambda: returning(lambda z: z.mean()), "model: its output for 4 points is of shape (), but must be a tensor"),
        (lambda: returning(lambda z: z.round().long().double()), "model: no layer has a gradient"),
        (lambda: network().to("meta"), "model: 0.weight is not an initialised parameter"),
        (with_a_tensor, "model: it cannot be copied (Only Tensors created explicitly by the user"),
        (lambda: network, "model is a function, but must be a torch.nn.Module"),
    ],
)  # fmt: skip
def test_models_are_functions_of_a_point_with_weights_that_are_there(build, message):
    model = build()
    if isinstance(model, nn.Module) and "training mode" not in message:
        model.eval()
    line = refused(model)
    assert line.startswith(message)
    if any(word in message for word in ("no layer that", "weights of layer", "initialised")):
        assert refused(model, call=lambda model, x, y: nrc.spectra(model)) == line
    if "random" not in message and "training" not in message:
        if "no layer has" in message:
            nrc.Recorder(model, X, LABELS)
        else:
            refused(model, call=nrc.Recorder)


# Everything else.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight_decay": -0.1}, "weight_decay is -0.1, but must be finite and at least 0"),
        ({"weight_decay": "0.1"}, "weight_decay is '0.1', but must be a number, numbers by parameter name, or an optimiser"),
        ({"weight_decay": torch.optim.LBFGS(network().parameters())}, "weight_decay: LBFGS has none; pass the lambda"),
        ({"weight_decay": torch.optim.SGD(network().parameters())}, "weight_decay: SGD has no parameter of the model"),
        ({"weight_decay": {"0.weight": None}}, "weight_decay['0.weight'] is None, but must be a number"),
        ({"leave_out": 1}, "leave_out is 1, but must be names or patterns of layers"),
        ({"sources": 1}, 'sources is 1, but must be names of modules, "input" or "all"'),
        ({"leave_out": "1"}, "leave_out: '1' is no layer and no pattern of one; layers are 0, 2"),
        ({"leave_out": ["0", "2.*"]}, "model: Sequential has no layer that can be measured: all are left out"),
        ({"weight_decay": {"0": 0.1}}, "weight_decay: '0' is not a parameter of the model; a parameter is '0.weight'"),
        ({"loss": "hinge"}, "loss is 'hinge', but must be cross_entropy, squared_error, mse, binary_cross_entropy, a loss module of torch or a function"),
        ({"loss": 3}, "loss is a int, but must be a name or a function of outputs and targets"),
        ({"loss": lambda output, y: (output - y).square()}, "loss: its value for 4 points is of shape (4, 3), but must be a tensor of shape (4,)"),
        ({"loss": functional.mse_loss}, "loss: its value for 4 points is of shape (), but must be a tensor of shape (4,), the loss of each point; in torch by reduction"),
        ({"loss": nn.HuberLoss()}, "loss is HuberLoss, but of the losses of torch only CrossEntropyLoss, NLLLoss, MSELoss, BCEWithLogitsLoss are known"),
        ({"loss": nn.CrossEntropyLoss(weight=torch.ones(2))}, "loss: CrossEntropyLoss(weight=[1.0, 1.0]) fails for outputs (4, 3) and targets (4, 3)"),
        ({"loss": nn.BCEWithLogitsLoss(weight=torch.ones(3))}, "loss: BCEWithLogitsLoss(weight=[1.0, 1.0, 1.0]) has weights of outputs or points"),
        ({"sources": "1"}, "sources: '1' does not determine all later features; choose from input, 2"),
        ({"sources": []}, "sources is empty; choose from input, 2"),
        ({"restarts": 1.5}, "restarts is 1.5, but must be an integer"),
        ({"batch": 0}, "batch is 0, but must be at least 1"),
        ({"certified_ranks": 25}, "certified_ranks is 25, but must be at most 24, the number of points"),
        ({"svd": "fast"}, "svd is 'fast', but must be 'exact' or 'randomized'"),
    ],
)  # fmt: skip
def test_other_arguments(settings, message):
    assert refused(y=Y, labels=LABELS, **settings).startswith(message)


def test_a_large_layer_needs_a_choice_of_svd(monkeypatch):
    model = network()
    monkeypatch.setattr("nrc.api_arguments.COSTLY", 4 * 5 * 4**2 - 1)
    line = refused(model)
    assert line.startswith("svd: layer 0 is 4 x 5, and its exact singular values take 3.2e+02 operations")
    assert refused(model, call=lambda model, x, y: nrc.spectra(model)) == line
    exact = nrc.measure(model, X, LABELS, svd="exact")
    # of layers with fewer than 256 singular values they are exact, too
    assert nrc.measure(model, X, LABELS, svd="randomized").equals(exact)


def test_numbers_of_numpy_are_numbers():
    number = np.int64(2)
    settings = {"restarts": number, "seed": number, "batch": number, "certified_ranks": number}
    found = nrc.measure(network(), X, LABELS, weight_decay={"0.weight": np.float32(0.5)}, **settings)
    settings = dict.fromkeys(settings, 2)
    assert found.identical(nrc.measure(network(), X, LABELS, weight_decay={"0.weight": 0.5}, **settings))
