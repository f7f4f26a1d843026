"""Layers and weights of any module: which matrices are measured, and the weight decay that acts on them."""

import copy
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm
from torch.optim.swa_utils import AveragedModel

import nrc
from nrc.modules.plain_module import check_adapters
from support.zoo import LABELS, POINTS, Experts, Model, mlp

X = np.random.default_rng(0).normal(size=(POINTS, 5))
CLASSES = torch.from_numpy(LABELS)
DECAY = 0.02


def layers(found):
    return found["layer"].values.tolist()


def network():
    torch.manual_seed(0)
    return mlp(5, 8, 6, 3).eval()


def residual(model, x=X, decay=None):
    """||gradient + lambda p|| over ||lambda p|| of all parameters that require a gradient, by autograd."""
    model, x = copy.deepcopy(model).double(), torch.as_tensor(x)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    value = functional.cross_entropy(model(x), CLASSES)
    gradient = torch.autograd.grad(value, list(named.values()))
    decays = dict.fromkeys(named, DECAY) if decay is None else decay
    parts = [
        (g + decays[n] * p, decays[n] * p)
        for (n, p), g in zip(named.items(), gradient, strict=True)
        if decays[n]
    ]
    r, pull = (
        torch.cat([of.flatten() for of in column]).norm().item() for column in zip(*parts, strict=True)
    )
    return r / pull


# Matrices.


def test_a_transposed_convolution_maps_channels_to_channels_and_positions():
    layer = nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False).double()
    w = torch.from_numpy(matrix_of(layer))
    x = torch.randn(1, 4, 1, 1).double()
    groups = [
        m @ torch.kron(v[:, None], torch.eye(9))
        for m, v in zip(w.chunk(2), x.flatten().chunk(2), strict=True)
    ]
    torch.testing.assert_close(layer(x).flatten(2)[0], torch.cat(groups).detach())


def matrix_of(module):
    from nrc.modules.layers import layers_of, parameters_of, weights_of

    (w,) = weights_of(layers_of(module), parameters_of(module))
    return w[0].numpy()


class Conv1D(nn.Module):
    """As in transformers."""

    def __init__(self, outputs, inputs):
        super().__init__()
        self.nf, self.weight, self.bias = (
            outputs,
            nn.Parameter(torch.randn(inputs, outputs)),
            nn.Parameter(torch.zeros(outputs)),
        )

    def forward(self, x):
        return x @ self.weight + self.bias


@pytest.mark.parametrize(
    ("module", "names", "shapes"),
    [
        (nn.Bilinear(2, 3, 4), ["Bilinear"], [(4, 6)]),
        (Conv1D(4, 3), ["Conv1D"], [(4, 3)]),
        (nn.Embedding(9, 4), ["Embedding"], [(4, 9)]),
        (nn.GRU(3, 4), [f"weight_{of}_l0.{gate}" for of in ("ih", "hh") for gate in "rzn"], [(4, 3)] * 3 + [(4, 4)] * 3),
        (nn.LSTM(3, 4, proj_size=2), [*(f"weight_{of}_l0.{gate}" for of in ("ih", "hh") for gate in "ifgo"), "weight_hr_l0"], [(4, 3)] * 4 + [(4, 2)] * 4 + [(2, 4)]),
        (nn.RNNCell(3, 4), ["weight_ih", "weight_hh"], [(4, 3), (4, 4)]),
        (Experts(), ["experts.0", "experts.1", "out", "gate"], [(4, 5), (4, 5), (3, 4), (2, 5)]),
        (nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.LayerNorm([8, 3, 3])), ["0"], [(8, 9)]),
        (nn.ParameterDict({"up": torch.ones(3, 4), "empty": torch.ones(0, 4), "up_bias": torch.ones(2, 4)}), ["up"], [(3, 4)]),
    ],
)  # fmt: skip
def test_every_matrix_is_a_layer(module, names, shapes):
    found = nrc.spectra(module)
    assert layers(found) == names
    s = found["singular_values"].notnull().sum("index").values.tolist()
    assert s == [min(shape) for shape in shapes]
    entries = sum(np.prod(shape) for shape in shapes)
    assert found["measured_share"].item() == pytest.approx(
        entries / sum(p.numel() for p in module.parameters())
    )


def test_what_is_not_measured_is_named():
    found = nrc.measure(network(), X, LABELS, leave_out=["2", "4.w*"])
    assert layers(found) == ["0"]
    assert json.loads(found["measured_share"].attrs["not_measured"]) == [
        "0.bias",
        "2.weight",
        "2.bias",
        "4.weight",
        "4.bias",
    ]
    assert found["measured_share"].item() == 40 / (48 + 54 + 21)
    assert layers(nrc.Recorder(network(), X, LABELS, leave_out="2").dataset()) == ["0", "4"]
    tied = {"a.weight": torch.ones(2, 3), "bias": torch.ones(2)}
    tied["b.weight"] = tied["a.weight"]
    of_part, of_tied = nrc.spectra(nn.MultiheadAttention(4, 2), leave_out="q_proj"), nrc.spectra(tied)
    assert json.loads(of_part["measured_share"].attrs["not_measured"])[0] == "in_proj_weight"
    assert (of_part["measured_share"].item(), of_tied["measured_share"].item()) == (48 / 80, 6 / 8)


def test_a_weight_that_is_no_parameter_is_named_in_one_warning():
    model = Model(
        lambda m, x: m.head(x @ m.body.weight.T), body=nn.Linear(5, 4, bias=False), head=nn.Linear(4, 3)
    )
    model.body.factor = nn.Parameter(torch.randn(4, 5))
    del model.body.weight
    model.body.weight = 2 * model.body.factor.detach()
    with pytest.warns(UserWarning, match=r"^model: body.weight is no parameter") as seen:
        assert layers(nrc.spectra(model)) == ["body.factor", "head"]
    assert len(seen) == 1


# Weight decay.


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_the_residual_is_of_all_parameters_with_weight_decay(kind):
    torch.manual_seed(0)
    model = Model(
        lambda m, x: m.head(m.rnn(x)[0][:, -1]), rnn=kind(3, 4, batch_first=True), head=nn.Linear(4, 3)
    ).eval()
    x = np.random.default_rng(0).normal(size=(POINTS, 6, 3))
    for leave_out in ((), "rnn.*"):
        found = nrc.measure(model, x, LABELS, weight_decay=DECAY, restarts=1, leave_out=leave_out)
        assert found["relative_residual"].item() == pytest.approx(residual(model, x), rel=1e-9)
    assert layers(found) == ["head"]


def test_frozen_parameters_have_no_weight_decay_and_no_residual():
    model = network()
    for p in (*model[0].parameters(), model[2].bias):
        p.requires_grad_(False)
    for decay in (DECAY, dict.fromkeys(dict(model.named_parameters()), DECAY)):
        found = nrc.measure(model, X, LABELS, weight_decay=decay)
        assert found["relative_residual"].item() == pytest.approx(residual(model), rel=1e-9)
        assert found["residual"].isnull().values.tolist() == [True, False, False]
        assert found["bound_projected"].notnull().any("source").values.tolist() == [False, True, True]
    model.requires_grad_(False)
    with pytest.warns(UserWarning, match=r"weight_decay: all parameters are frozen"):
        assert nrc.measure(model, X, LABELS, weight_decay=DECAY)["relative_residual"].isnull()


def test_an_optimiser_has_the_weight_decay_of_its_groups():
    model = network()
    groups = [
        {"params": [model[0].weight, model[2].weight], "weight_decay": 0.1},
        {"params": [model[4].weight]},
    ]
    found = nrc.measure(model, X, LABELS, weight_decay=torch.optim.SGD(groups, lr=0.1, weight_decay=0.3))
    by_name = {"0.weight": 0.1, "2.weight": 0.1, "4.weight": 0.3}
    plain = nrc.measure(model, X, LABELS, weight_decay=by_name)
    assert found.drop_vars("residual").equals(plain.drop_vars("residual"))
    assert found["residual"].equals(plain["residual"])
    assert json.loads(found.attrs["settings"])["weight_decay"] == by_name
    decays = dict.fromkeys(dict(model.named_parameters()), 0) | by_name
    assert found["relative_residual"].item() == pytest.approx(residual(model, decay=decays), rel=1e-9)
    assert "weight_decay_acts" not in found.attrs
    beside = nrc.measure(
        model, X, LABELS, weight_decay=torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    )
    assert "no penalty" in beside.attrs["weight_decay_acts"]


def test_without_weight_decay_the_gradient_is_of_all_parameters():
    model = network()
    found = nrc.measure(model, X, LABELS)
    value = functional.cross_entropy(copy.deepcopy(model).double()(torch.from_numpy(X)), CLASSES)
    assert found["loss"].item() == pytest.approx(value.item(), rel=1e-12)
    double = copy.deepcopy(model).double()
    gradient = torch.autograd.grad(
        functional.cross_entropy(double(torch.from_numpy(X)), CLASSES), list(double.parameters())
    )
    assert found["gradient_norm"].item() == pytest.approx(
        torch.cat([g.flatten() for g in gradient]).norm().item(), rel=1e-9
    )
    assert found["relative_residual"].isnull()


# Wrappers, and weights that are computed.


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        AveragedModel,
        lambda model: torch.compile(model, backend="eager"),
        lambda model: nn.DataParallel(torch.compile(model, backend="eager")),
    ],
)
def test_wrappers_are_removed(wrap):
    model = network()
    plain, wrapped = nrc.measure(model, X, LABELS, weight_decay={"2.weight": DECAY}), wrap(network())
    name = next(name for name, _ in wrapped.named_parameters() if name.endswith("2.weight"))
    for decay in ({"2.weight": DECAY}, {name: DECAY}):
        found = nrc.measure(wrapped, X, LABELS, weight_decay=decay)
        assert found.drop_attrs().identical(plain.drop_attrs())
    assert nrc.spectra(wrapped).identical(nrc.spectra(model))
    assert nrc.Recorder(wrapped, X, LABELS).dataset().equals(nrc.Recorder(model, X, LABELS).dataset())


def test_wrappers_inside_are_removed_from_a_copy():
    inner, head = network(), nn.Linear(3, 3)
    wrapped = nn.Sequential(torch.compile(inner, backend="eager"), head).eval()
    found = nrc.measure(wrapped, X, LABELS, weight_decay=DECAY)
    assert found.identical(nrc.measure(nn.Sequential(inner, head).eval(), X, LABELS, weight_decay=DECAY))
    assert "_orig_mod" in wrapped[0]._modules


def pruned(layer):
    return prune.l1_unstructured(layer, "weight", 0.5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "compute",
    [weight_norm, spectral_norm, parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal, pruned],
)  # fmt: skip
def test_weights_that_are_computed_are_measured_as_they_are_used(compute):
    model = network()
    compute(model[2])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    nrc.spectra(model)  # also in training mode, in which spectral norms change their state
    model.eval()
    plain = network()
    with torch.no_grad():
        model(torch.from_numpy(X).float())
        for l in (0, 2, 4):
            plain[l].weight.copy_(model[l].weight)
    found, expected = (
        nrc.measure(model, X, LABELS, weight_decay=DECAY),
        nrc.measure(plain, X, LABELS, weight_decay=DECAY),
    )
    for name in ("singular_values", "gap", "wcss_class", "loss"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nrc.spectra(model)["singular_values"], found["singular_values"], rtol=1e-12)
    assert layers(found) == ["0", "2", "4"]
    # weight decay acts on the parameters that are trained
    assert found["relative_residual"].item() == pytest.approx(residual(computing(compute, before)), rel=1e-6)
    assert found["residual"].isnull().values.tolist() == [False, True, False]
    assert found["bound_projected"].sel(layer="2").isnull().all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model(torch.from_numpy(X).float())


def computing(compute, state):
    """A fresh model with a state; models with computed weights cannot be copied."""

    class Fresh(nn.Module):
        def __deepcopy__(self, memo):
            model = network()
            compute(model[2])
            model.load_state_dict(state)
            return model.eval()

    return Fresh()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda m: m.to(torch.complex64), "model: 0.weight is complex (torch.complex64); only real weights"),
        (lambda m: m.to(torch.float8_e4m3fn), "model: 0.weight is quantised (torch.float8_e4m3fn); pass"),
        (lambda m: torch.ao.quantization.quantize_dynamic(m, {nn.Linear}), "model: 0 is quantised; pass"),
        (lambda m: torch.jit.trace(m, torch.ones(1, 5)), "model: TopLevelTracedModule is a ScriptModule of torch.jit"),
        (lambda m: torch.export.export(m, (torch.ones(2, 5),)).module(), "model: GraphModule is a program of torch.export"),
        (lambda m: torch.export.export(m, (torch.ones(2, 5),)), "model is a ExportedProgram, but must be a torch.nn.Module"),
    ],
)  # fmt: skip
def test_modules_without_weights_as_real_numbers_are_refused_in_one_line(build, message):
    model = build(network())
    for call in (lambda: nrc.spectra(model), lambda: nrc.measure(model, X, LABELS)):
        with pytest.raises(TypeError) as error:
            call()
        assert str(error.value).startswith(message)
        assert "\n" not in str(error.value)


PAGE = Path(__file__).parents[1] / "docs/how-to/models.md"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", ["transformers", "timm", "rnn", "peft"])
def test_scripts_for_models_of_other_packages_measure_nearly_all_parameters(package, capsys):
    (script,) = [
        code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if package in code
    ]
    if package != "rnn":
        pytest.importorskip(package)
    exec(compile(script, PAGE.name, "exec"), {})
    share, _, rest = capsys.readouterr().out.partition("% of the parameters are in ")
    assert int(share) > 90
    assert rest


# Stored weights.


def test_stored_weights_have_the_spectra_of_their_module(tmp_path):
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(8, 3))
    plain = nrc.spectra(model)["singular_values"]
    torch.save(model.state_dict(), tmp_path / "model.pt")
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    for stored in (model.state_dict(), arrays, tmp_path / "model.pt", str(tmp_path / "model.pt")):
        assert nrc.spectra(stored)["singular_values"].equals(plain)
    for matrix in (model[3].weight, model[3].weight.detach().numpy()):
        found = nrc.spectra(matrix)
        assert layers(found) == ["matrix"]
        assert (
            found["singular_values"].values[0].tolist()
            == plain.sel(layer="3").dropna("index").values.tolist()
        )
    assert layers(nrc.spectra({"up": np.ones((2, 3, 4)), "bias": np.ones(3)})) == ["up.0", "up.1"]


def test_a_file_of_safetensors_is_read_if_the_package_is_there(tmp_path, monkeypatch):
    file = tmp_path / "model.safetensors"
    file.touch()
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"is read by the package safetensors; install it"):
        nrc.spectra(file)
    monkeypatch.undo()
    save_file = pytest.importorskip("safetensors.torch").save_file
    with pytest.raises(ValueError, match=r"is no file of tensors; save model.state_dict\(\) by safetensors"):
        nrc.spectra(file)
    model = network()
    save_file(model.state_dict(), file)
    assert nrc.spectra(file)["singular_values"].equals(nrc.spectra(model)["singular_values"])


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"state_dict": {}, "epoch": 3}, "model: 'state_dict' is a dict, but must be a tensor or an array of numbers; pass model['state_dict']"),
        ([nn.Linear(2, 2)], "model is a list, but must be a torch.nn.Module, a state dict,"),
        (np.ones(3), "model is an array of shape (3,), but a matrix has two axes"),
        ({"a.weight": torch.ones(2, 2, dtype=torch.int8)}, "model: a.weight is quantised (torch.int8)"),
        ({"a": np.ones((2, 2)) * 1j}, "model: a is complex (torch.complex128)"),
        (np.ones((0, 3)), "model: it has no layer that can be measured: no parameter is a matrix"),
        ({"a": torch.ones(3)}, "model: it has no layer that can be measured: no parameter is a matrix"),
        ("missing.pt", "model: missing.pt is not a file; pass a .safetensors file or a state dict of torch"),
        (__file__, f"model: {__file__} is no file of tensors; save model.state_dict() by torch.save"),
    ],
)  # fmt: skip
def test_other_inputs_are_refused_in_one_line(stored, message):
    with pytest.raises((TypeError, ValueError, FileNotFoundError)) as error:
        nrc.spectra(stored)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("dtype", [">f4", np.longdouble, np.float16, int, bool])
def test_arrays_of_all_real_types_are_matrices(dtype):
    assert nrc.spectra(np.eye(2).astype(dtype))["singular_values"].values.tolist() == [[1, 1]]


@pytest.mark.parametrize(("merged", "disabled"), [(["default"], False), ([], True)])
def test_adapters_that_take_no_part_are_refused(merged, disabled):
    class BaseTunerLayer(nn.Linear):  # the name of the class in peft
        disable_adapters = disabled

    layer = BaseTunerLayer(2, 2)
    layer.merged = merged
    with pytest.raises(ValueError, match=r"^model: the adapter of 0 has no gradient, because it is"):
        check_adapters(nn.Sequential(layer))


def test_factors_in_a_state_dict_are_named_in_one_warning():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 2)))
    with pytest.warns(UserWarning, match=r"^model: weights are computed from 0.parametrizations") as seen:
        nrc.spectra(model.state_dict())
    assert len(seen) == 1
