"""What modules return, cast to, hide and create, when `nrc.measure` runs their copy in float64."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import nrc
from support.refusals import refusal
from support.zoo import LABELS, POINTS, mlp

X = np.random.default_rng(0).normal(size=(POINTS, 5))


class Net(nn.Module):
    """Two layers, and a forward pass of its own."""

    def __init__(self, run):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.run, self.mix = nn.Linear(5, 8), nn.Linear(8, 3), run, torch.eye(5)
        self.eval()

    def forward(self, x):
        return self.run(self, x)


def plain(s, x):
    return s.b(s.a(x).tanh())


def measured(run, x=X, **settings):
    return nrc.measure(Net(run), x, LABELS, weight_decay=0.1, restarts=1, **settings)


def refused(run, x=X, y=LABELS):
    return refusal(nrc.measure, Net(run), x, y, restarts=1)


def into_zeros(s, x):
    h = torch.zeros(len(x), 8)
    h[:] = s.a(x)
    return s.b(h.tanh())


def automatic(s, x):
    with torch.autocast("cpu", torch.bfloat16):
        return s.b(s.a(x).tanh())


@pytest.mark.parametrize(
    "run",
    [
        lambda s, x: plain(s, x.float()),
        lambda s, x: plain(s, x.half()),
        lambda s, x: plain(s, x.to(torch.float32)).float(),
        lambda s, x: plain(s, x.type(torch.bfloat16)),
        lambda s, x: plain(s, x + torch.zeros(5, dtype=torch.float16)),
        lambda s, x: plain(s, x @ s.mix),
        into_zeros,
        automatic,
    ],
)
def test_casts_keep_the_digits_of_float64(run):
    found, want = measured(run), measured(plain)
    for name in ("loss", "residual", "relative_residual"):
        np.testing.assert_allclose(found[name], want[name], rtol=1e-12)


def test_integers_may_be_cast():
    images = np.random.default_rng(1).integers(0, 256, (POINTS, 5)).astype(np.uint8)
    model = Net(lambda s, x: plain(s, x.float() / 255))
    found = nrc.measure(model, images, LABELS, restarts=1)
    value = nn.functional.cross_entropy(
        plain(copy.deepcopy(model).double(), torch.from_numpy(images).double() / 255),
        torch.from_numpy(LABELS),
    )
    assert found["loss"].item() == pytest.approx(value.item(), rel=1e-6)


def test_a_cast_that_cannot_be_changed_is_reported():
    class Single(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            return torch.from_numpy(z.numpy().astype(np.float32))

        @staticmethod
        def backward(ctx, g):
            return g.double()

    with pytest.warns(UserWarning, match="it computes in float32 in part") as said:
        found = measured(lambda s, x: Single.apply(plain(s, x)))
    assert len([w for w in said if "float32" in str(w.message)]) == 1
    assert found.attrs["precision"] == "float32"
    assert measured(plain).attrs["precision"] == "float64"


def test_settings_of_the_caller_change_nothing():
    own = Net(lambda s, x: plain(s, x + torch.zeros(5)))
    first = nrc.measure(own, X, LABELS, weight_decay=0.1, restarts=1)
    try:
        torch.set_default_dtype(torch.float16)
        assert nrc.measure(own, X, LABELS, weight_decay=0.1, restarts=1).equals(first)
        torch.set_default_dtype(torch.float32)
        torch.set_default_device("meta")
        found, spectra = nrc.measure(own, X, LABELS, weight_decay=0.1, restarts=1), nrc.spectra(own)
        recorded = nrc.Recorder(own, X, LABELS).dataset()
        assert torch.get_default_device() == torch.device("meta")
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert found.equals(first)
    assert spectra["singular_values"].equals(first["singular_values"])
    np.testing.assert_allclose(recorded["snapshot_wcss"][0], first["wcss_class"], rtol=1e-12)


# What a module returns.


@pytest.mark.parametrize(
    "form",
    [
        lambda z: {"logits": z, "hidden_states": (z, z)},
        lambda z: {"out": z},
        lambda z: (z,),
        lambda z: SimpleNamespace(loss=None, logits=z),
    ],
)
def test_one_tensor_of_outputs_is_found(form):
    assert measured(lambda s, x: form(plain(s, x))).equals(measured(plain))


@pytest.mark.parametrize(
    ("form", "kind", "choice"),
    [
        (lambda z: (z, z), "tuple", "[0]"),
        (lambda z: {"main": z, "aux": z}, "dict", "['main']"),
        (lambda z: SimpleNamespace(main=z), "SimpleNamespace", ".main"),
    ],
)
def test_of_several_tensors_the_error_shows_how_to_choose(form, kind, choice):
    line = refused(lambda s, x: form(plain(s, x)))
    assert line.startswith(f"model: it returns a {kind}, of which one tensor must be chosen; wrap it: class")
    assert line.endswith(choice)


def test_what_may_help_is_said():
    assert refused(lambda s, x: None) == "model: it returns None, but must return a tensor of outputs"
    other = nn.Linear(5, 5)
    assert "register all modules and tensors of the model" in refused(lambda s, x: plain(s, other(x)))


class Transposed(nn.Module):
    def forward(self, z):
        return z.mT


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(torch.arange(1.0, 10.0), reduction="sum", label_smoothing=0.1),
    ],
)
def test_a_point_can_have_a_class_at_each_position(last, loss):
    """With the classes last, as in language models, or second, as in torch."""
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 9, (POINTS, 4)))
    layers = [nn.Embedding(9, 5), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 9)]
    model = nn.Sequential(*layers, *([] if last else [Transposed()])).double().eval()
    y = torch.where(tokens == 3, -100, tokens)
    output = model(tokens)
    value = loss.double()(output.movedim(2, 1) if last else output, y)
    with pytest.raises(ValueError, match="y has a class for each position of a point, which are no clusters"):
        nrc.measure(model, tokens, y, loss=loss)
    found = nrc.measure(model, tokens, y, loss=loss, labels=LABELS, weight_decay=0.1, restarts=1)
    assert found["loss"].item() == pytest.approx(value.item(), rel=1e-12)
    gradient = torch.autograd.grad(value, model[3].weight)[0]
    residual = (gradient + 0.1 * model[3].weight).norm().item()
    assert found["residual"].sel(layer="3").item() == pytest.approx(residual, rel=1e-9)
    assert found["rho_bound"].max() <= 3 * 4, "the positions of three centroids"


@pytest.mark.parametrize(
    ("shape", "classes", "line"),
    [
        ((4, 4), 5, "neither the second nor the last is of classes"),
        ((4, 5), 9, "y: classes must be in 0..3 for 4 outputs, but point 0 has class 8"),
    ],
)
def test_classes_of_positions_fit_the_outputs(shape, classes, line):
    model = nn.Sequential(nn.Linear(5, 4 * shape[1]), nn.Unflatten(1, (4, shape[1]))).eval()
    y = np.full((POINTS, 5), classes - 1)
    with pytest.raises(ValueError, match=line):
        nrc.measure(model, X, y, labels=LABELS)


# Gradients and values.


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_checkpoints_are_refused(reentrant):
    line = refused(lambda s, x: s.b(checkpoint(lambda z: s.a(z).tanh(), x, use_reentrant=reentrant)))
    assert line.startswith("model: a is called by torch.utils.checkpoint")


def test_gradients_that_are_turned_off_are_refused_unless_the_layer_is_frozen():
    def run(s, x):
        with torch.no_grad():
            h = s.a(x).tanh()
        return s.b(h)

    assert refused(run).startswith("model: a is called under torch.no_grad, but its parameters require")
    model = Net(run)
    model.a.requires_grad_(False)
    found = nrc.measure(model, X, LABELS, weight_decay=0.1, restarts=1)
    assert found["residual"].sel(layer="b").item() == measured(plain)["residual"].sel(layer="b").item()


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (lambda s, x: plain(s, x) / (x[:, :1] != X[17, 0]), "its outputs are"),
        (lambda s, x: s.b((s.a(x) * (x[:, :1] != X[17, 0])).abs().sqrt()), "the gradient in a.weight is"),
        (lambda s, x: s.b(s.a(x) / (x[:, :1] != X[17, 0])).tanh(), "the features of source b are"),
    ],
)
def test_values_that_are_not_finite_have_their_place(run, what):
    assert refused(run).startswith(f"model: {what} not finite at point 17; every number must be")


def test_repeated_points_give_no_warning(recwarn):
    """k-means finds fewer sets than there are clusters."""
    x = np.repeat(X[:2], 12, axis=0)
    found = nrc.measure(mlp(5, 4, 3).eval(), x, np.repeat([0, 1], 12), clusters=4, weight_decay=0.1)
    assert not list(recwarn)
    assert float(found["tcv_upper"].max()) == pytest.approx(0, abs=1e-20)
    assert np.isfinite(found["gap_best"].values[-1]).all()
