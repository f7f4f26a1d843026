"""nrc.Recorder in training loops: its snapshots, and that training is not affected."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import nrc
from support.zoo import LABELS, POINTS, Model, warm

DIGITS = load_digits(n_class=4)
X, DIGIT = DIGITS.data[:300].astype(np.float32) / 16, DIGITS.target[:300]
LAYERS, SOURCES = ["0", "4", "6"], ["input", "4", "6"]


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(64, 20), nn.BatchNorm1d(20), nn.ReLU(inplace=True), nn.Dropout(0.2), nn.Linear(20, 10), nn.Tanh(),
        nn.Linear(10, 4),
    )  # fmt: skip


def train(model, steps, record=lambda: None):
    """Steps of SGD with dropout and batch norm."""
    torch.manual_seed(1)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    x, y = torch.from_numpy(X), torch.from_numpy(DIGIT)
    for _ in range(steps):
        rows = torch.randint(len(x), (32,))
        optimiser.zero_grad()
        functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimiser.step()
        record()


def plain_snapshot(model):
    """Singular values and class WCSS of a copy, layer by layer."""
    model = copy.deepcopy(model).double().eval()
    z, spectra, wcss = torch.from_numpy(X).double(), [], []
    with torch.no_grad():
        for module in model:
            if isinstance(module, nn.Linear):
                spectra.append(np.linalg.svd(module.weight.numpy(), compute_uv=False))
                points = z.numpy()
                within = [points[label == DIGIT] - points[label == DIGIT].mean(0) for label in range(4)]
                wcss.append(sum((part**2).sum() for part in within) / len(points))
            z = module(z.clone())
    return spectra, wcss


def assert_snapshots(dataset, snapshots):
    assert dataset["snapshot"].values.tolist() == list(snapshots)
    assert dataset["layer"].values.tolist() == LAYERS
    assert dataset["source"].values.tolist() == SOURCES
    for call, (spectra, wcss) in snapshots.items():
        at = dataset.sel(snapshot=call)
        np.testing.assert_allclose(at["snapshot_wcss"], wcss, rtol=1e-9)
        for layer, s in zip(LAYERS, spectra, strict=True):
            found = at["snapshot_singular_values"].sel(layer=layer).values
            np.testing.assert_allclose(found[: len(s)], s, rtol=1e-9)
            assert np.isnan(found[len(s) :]).all()


@pytest.mark.parametrize(("every", "batch"), [(1, None), (5, 7)])
def test_snapshots_agree_with_numpy(every, batch):
    model = network()
    recorder, snapshots, calls = (
        nrc.Recorder(model, X, DIGIT, every=every, batch=batch),
        {0: plain_snapshot(model)},
        [0],
    )

    def record():
        calls[0] += 1
        recorder()
        if calls[0] % every == 0 or calls[0] == 12:
            snapshots[calls[0]] = plain_snapshot(model)

    train(model, 12, record)
    assert_snapshots(recorder.dataset(), snapshots)


def test_training_is_not_affected():
    ends = []
    for recorded in (False, True):
        model = network()
        model.eval()[1].train()
        modes = [module.training for module in model.modules()]
        recorder = nrc.Recorder(model, X, DIGIT) if recorded else lambda: None
        assert [module.training for module in model.modules()] == modes
        train(model.train(), 20, recorder)
        assert all(module.training for module in model.modules())
        gradients = [parameter.grad for parameter in model.parameters()]
        ends.append([*model.state_dict().values(), *gradients, torch.get_rng_state()])
    assert all(torch.equal(*pair) for pair in zip(*ends, strict=True))
    assert len(recorder.dataset()["snapshot"]) == 21


def test_a_dataset_is_there_on_the_way_and_again():
    model = network()
    recorder = nrc.Recorder(model, X, DIGIT, every=3)
    train(model, 4, recorder)
    first = recorder.dataset()
    assert first.identical(recorder.dataset())
    assert first["snapshot"].values.tolist() == [0, 3, 4]
    assert first.attrs["clusters"] == 4
    assert first.attrs["points"] == len(X)
    train(model, 2, recorder)
    later = recorder.dataset()
    assert later["snapshot"].values.tolist() == [0, 3, 4, 6]
    assert later.sel(snapshot=first["snapshot"]).equals(first)
    assert all({"long_name", "units"} <= set(variable.attrs) for variable in later.variables.values())


@pytest.mark.parametrize("value", [np.nan, 1e38])
def test_training_that_diverges_is_not_ended_by_a_snapshot(value):
    """Weights of 1e38 are finite, and so are what they make in float64, of which the squares are in range."""
    model = network()
    recorder = nrc.Recorder(model, X, DIGIT)
    model[4].weight.data[0, 0] = value
    recorder()
    model[4].weight.data[0, 0] = 0.1
    recorder()
    found = recorder.dataset()
    missing = found.isnull().all(["layer", "source", "index"])
    for name in ("snapshot_singular_values", "snapshot_wcss"):
        assert missing[name].values.tolist() == [False, not np.isfinite(value), False]
    nrc.plot(found)


def test_what_overflows_in_the_features_alone_is_missing_alone():
    """Squares around a mean of 0 are not in range."""
    model = Model(
        lambda m, x: m.last(m.scale * m.first(x)).tanh(),
        first=nn.Linear(5, 4, bias=False),
        last=nn.Linear(4, 3),
    )
    x = np.random.default_rng(0).normal(size=(POINTS, 5))
    model.scale = 1e160
    found = nrc.Recorder(model, np.concatenate([x, -x]), np.tile(LABELS, 2)).dataset()
    assert found["snapshot_singular_values"].notnull().any("index").all()
    assert found["snapshot_wcss"].isnull().values.tolist() == [[False, True]]


def test_a_start_that_is_not_finite_is_refused():
    model = network()
    model[0].weight.data[0, 0] = np.nan
    with pytest.raises(ValueError, match="model: weights of layer 0 are not finite"):
        nrc.Recorder(model, X, DIGIT)


def test_a_space_that_is_a_cut_at_the_start_only_has_values_there_only():
    model = Model(
        lambda m, x: m.head(m.norm(m.lift(x).tanh()) + m.share * x),
        lift=nn.Linear(5, 5), norm=nn.Sequential(nn.Linear(5, 5), warm(nn.BatchNorm1d(5))), head=nn.Linear(5, 3),
    )  # fmt: skip
    model.share = nn.Parameter(torch.zeros(()))
    recorder = nrc.Recorder(model, np.random.default_rng(0).normal(size=(POINTS, 5)), LABELS)
    for _ in range(2):
        model.share.data += 1
        recorder()
    found = recorder.dataset()["snapshot_wcss"]
    assert found["source"].values.tolist() == ["input", "norm", "head"]
    assert found.isnull().values.tolist() == [[False] * 3, [False, True, False], [False, True, False]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": DIGIT[:-1]}, "labels has shape (299,), but must have (300, ...)"),
        ({"labels": None}, "labels: pass the class of each point"),
        ({"every": 0}, "every is 0, but must be at least 1"),
    ],
)
def test_errors_are_one_line(settings, message):
    asked = {"model": network(), "x": X, "labels": DIGIT, **settings}
    with pytest.raises((TypeError, ValueError)) as error:
        nrc.Recorder(asked.pop("model"), asked.pop("x"), asked.pop("labels"), **asked)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
