"""Any torch module: its layers, the cuts that are its sources, and the gradients in its layers."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import nrc
from nrc.modules.measured_module import ModuleFeatures
from support.references import Reference, cross_entropy
from support.zoo import LABELS, POINTS, ZOO, Model, mlp, warm

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("kind", ZOO)
def test_layers_and_sources_are_those_of_the_module(kind):
    model, x = ZOO[kind]()
    found = nrc.measure(model, x, LABELS, clusters=3, restarts=1)
    assert found["layer"].values.tolist() == ZOO[kind].layers
    assert found["source"].values.tolist() == ZOO[kind].sources


@pytest.mark.parametrize("kind", ZOO)
def test_spectra_are_those_of_the_parameters_unfolded(kind):
    model, x = ZOO[kind]()
    found, reference = nrc.spectra(model), Reference(model, x)
    for layer in ZOO[kind].layers:
        w = reference.matrix(layer)
        s = found["singular_values"].sel(layer=layer).values
        np.testing.assert_allclose(s[: min(w.shape)], np.linalg.svd(w, compute_uv=False), rtol=1e-12)
        assert np.isnan(s[min(w.shape) :]).all()


@pytest.mark.parametrize("kind", ZOO)
def test_all_that_follows_a_source_depends_on_its_features_alone(kind):
    reference = Reference(*ZOO[kind]())
    other = torch.from_numpy(np.random.default_rng(9).permutation(reference.x.numpy()))
    other = other if ZOO[kind].tokens else 0.5 - 2 * other
    whole = reference.run(reference.x)
    assert not torch.allclose(reference.run(other), whole)
    for source in ZOO[kind].sources:
        z = reference.enters(source)
        torch.testing.assert_close(reference.run(other, source, z), whole, rtol=1e-10, atol=1e-12)
    for module in ZOO[kind].mixed:
        z = reference.enters(module)
        assert not torch.allclose(reference.run(other, module, z), whole, rtol=1e-3), module


def test_a_tied_layer_is_reported_and_takes_the_decay_of_either_name():
    model, x = ZOO["tied embedding"]()
    settings = {"clusters": 3, "restarts": 1}
    y = LABELS
    found = [
        nrc.measure(model, x, y, weight_decay={name: 0.1}, **settings)
        for name in ("embed.weight", "head.weight")
    ]
    assert found[0]["layer"].attrs["tied"] == '{"head": ["embed.weight", "head.weight"]}'
    assert found[0]["residual"].equals(found[1]["residual"])
    assert found[0]["bound_projected"].isnull().all("source").sel(layer=["mix", "head"]).values.tolist() == [
        True,
        True,
    ]


def test_a_weight_that_no_output_uses_has_no_gradient():
    model, x = ZOO["unused"]()
    found = nrc.measure(model, x, LABELS, weight_decay=0.1).sel(layer="aside")
    assert float(found["residual"]) == pytest.approx(0.1 * model.aside.weight.norm().item(), rel=1e-6)
    assert found["gap"].isnull().all(), "and no source is below it"


def test_a_skip_connection_that_starts_at_0_makes_a_cut_of_what_it_leaves_out():
    def run(m, x):
        h = m.first(x).tanh()
        return m.head(m.second(h).tanh() + m.share * h)

    model = Model(run, first=nn.Linear(5, 4), second=nn.Linear(4, 4), head=nn.Linear(4, 3)).eval()
    x = RNG.normal(size=(POINTS, 5))
    for share, sources in ((0.0, ["input", "second", "head"]), (0.1, ["input", "head"])):
        model.share = share
        assert ModuleFeatures(model, x).sources == sources


def test_sorted_data_hide_no_skip_connection():
    """At points that are one, all features are cuts; points are tried from all over the data."""

    def run(m, x):
        return m.head(m.lift(m.embed(x).flatten(1)).tanh() + x[:, :1])

    model = Model(run, embed=nn.Embedding(9, 3), lift=nn.Linear(6, 4), head=nn.Linear(4, 3)).eval()
    x = np.sort(np.random.default_rng(0).integers(0, 9, (POINTS, 2)) // 4, axis=0)
    assert (x[:4] == x[0]).all()
    assert ModuleFeatures(model, x).sources == ["head"]


@pytest.mark.parametrize("kind", ["2d", "post-norm"])
def test_module_and_data_are_left_as_they_were(kind):
    model, x = ZOO[kind]()
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(number % 2 == 0)
        parameter.grad = torch.full_like(parameter, number)
    before, gradients = copy.deepcopy(model), [parameter.grad for parameter in model.parameters()]
    data, hooks = x.copy(), [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    nrc.measure(model, x, LABELS, weight_decay=0.1)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert (x == data).all()
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()] == hooks
    assert torch.backends.mha.get_fastpath_enabled()
    assert not any(module.training for module in model.modules())
    for number, (old, new) in enumerate(zip(before.parameters(), model.parameters(), strict=True)):
        assert torch.equal(old, new)
        assert new.grad is gradients[number]
        assert (new.grad == number).all()
        assert (old.requires_grad, old.dtype) == (new.requires_grad, new.dtype)
    assert all(torch.equal(a, b) for a, b in zip(before.buffers(), model.buffers(), strict=True))


def test_a_module_that_writes_into_its_inputs_does_not_write_into_the_data():
    def run(m, x):
        x += 1
        return m.head(x)

    model, x = Model(run, head=nn.Linear(5, 3)).eval(), RNG.normal(size=(POINTS, 5))
    for data in (x.copy(), torch.from_numpy(x.copy())):
        found = nrc.measure(model, data, LABELS)
        assert (np.asarray(data) == x).all()
        plain = cross_entropy(
            copy.deepcopy(model.head).double()(torch.from_numpy(x) + 1), torch.from_numpy(LABELS)
        )
        assert found["loss"].item() == pytest.approx(plain.mean().item(), rel=1e-12)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_there_in_every_mode(mode):
    model, x = ZOO["no biases"]()
    plain = nrc.measure(model, x, LABELS, weight_decay=0.1)
    with mode():
        within = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        assert nrc.measure(model, torch.from_numpy(x), LABELS, weight_decay=0.1).equals(plain)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == within
    assert torch.is_grad_enabled()


def test_running_statistics_are_used_and_dropout_is_not():
    layer = mlp(5, 4, 3)
    model = nn.Sequential(layer[0], warm(nn.BatchNorm1d(4)), nn.Dropout(0.9), layer[2]).eval()
    x = RNG.normal(size=(POINTS, 5))
    double = copy.deepcopy(model).double()
    norm = double[1]
    h = double[0](torch.from_numpy(x))
    h = (h - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    plain = cross_entropy(double[3](h), torch.from_numpy(LABELS)).mean().item()
    found = nrc.measure(model, x, LABELS)
    assert found["loss"].item() == pytest.approx(plain, rel=1e-12)
    assert found["source"].values.tolist() == ["input", "3"]
