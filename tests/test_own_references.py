"""Your own networks against other libraries, plain loops, and losses of torch."""

import contextlib
import copy
import io
import logging
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import nrc
from support.references import (
    DECAY,
    Reference,
    agree,
    at_centroids,
)
from support.zoo import LABELS, POINTS, ZOO, Model


@pytest.fixture(scope="module")
def weightwatcher():
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import weightwatcher

        logging.getLogger("weightwatcher").setLevel(logging.ERROR)
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.ReLU(),
            nn.Conv2d(8, 6, 1),
            nn.Flatten(),
            nn.Linear(216, 30),
            nn.Linear(30, 12),
        )
        watcher = weightwatcher.WeightWatcher(model=model)
        details = watcher.analyze(min_evals=1).set_index("longname")
        ids = {name: int(row["layer_id"]) for name, row in details.iterrows()}
        esds = {name: watcher.get_ESD(layer=ids[name]) for name in ("0", "4", "5")}
        return model, details, esds


def test_spectra_agree_with_weightwatcher(weightwatcher):
    """For a kernel with many positions WeightWatcher has a matrix per position; only ||W|| agrees."""
    model, details, esds = weightwatcher
    found = nrc.spectra(model)
    # a kernel of one position is a matrix
    for layer in ("2", "4", "5"):
        at = found.sel(layer=layer)
        assert at["stable_rank"].item() == pytest.approx(details.loc[layer, "stable_rank"], rel=1e-5)
        assert at["exact_rank"].item() == details.loc[layer, "matrix_rank"]
    for layer in ("4", "5"):
        s = found["singular_values"].sel(layer=layer).dropna("index").values
        np.testing.assert_allclose(np.sort(np.sqrt(esds[layer]))[::-1], s, rtol=1e-5)
    assert len(esds["0"]) == 3 * 9
    norm = (found["singular_values"].sel(layer="0") ** 2).sum().item()
    assert esds["0"].sum() == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize("kind", ["no biases", "in place", "2d", "residual"])
def test_variability_agrees_with_a_loop_over_points(kind):
    model, x = ZOO[kind]()
    y = np.random.default_rng(6).dirichlet(np.ones(3), POINTS)
    found, reference = nrc.measure(model, x, y, labels=LABELS), Reference(model, x)
    for source in ZOO[kind].sources:
        z = reference.enters(source).flatten(1).numpy()
        centre, mean = z.mean(0), [z[label == LABELS].mean(0) for label in range(3)]
        within = (
            sum(np.outer(a - mean[label], a - mean[label]) for a, label in zip(z, LABELS, strict=True))
            / POINTS
        )
        between = sum(np.outer(mean[label] - centre, mean[label] - centre) for label in LABELS) / POINTS
        of_targets = (
            sum(((a - y[label == LABELS].mean(0)) ** 2).sum() for a, label in zip(y, LABELS, strict=True))
            / POINTS
        )
        at = found.sel(source=source)
        assert at["wcss_class"].item() == pytest.approx(np.trace(within) + of_targets, rel=1e-9)
        assert at["wcss_share"].item() == pytest.approx(
            np.trace(within) / np.trace(within + between), rel=1e-9
        )
        inverse = np.linalg.pinv(between, rcond=1e-10, hermitian=True)
        assert at["nc1"].item() == pytest.approx(np.trace(within @ inverse) / 3, rel=1e-7)
        s = np.linalg.svd(np.hstack([z, y]) - np.hstack([z, y]).mean(0), compute_uv=False)
        assert at["tcv_lower"].item() == pytest.approx((s[2:] ** 2).sum() / POINTS, rel=1e-9)


def test_losses_agree_with_torch():
    model, x = ZOO["no biases"]()
    output = copy.deepcopy(model).double()(torch.from_numpy(x)).detach()
    y = torch.from_numpy(np.random.default_rng(6).dirichlet(np.ones(3), POINTS))
    classes = torch.from_numpy(LABELS)
    plain = [
        (nrc.measure(model, x, LABELS), functional.cross_entropy(output, classes)),
        (nrc.measure(model, x, labels=LABELS), functional.cross_entropy(output, classes)),
        (
            nrc.measure(model, x, torch.from_numpy(LABELS), clusters=4),
            functional.cross_entropy(output, classes),
        ),
        (nrc.measure(model, x, y, clusters=2), functional.cross_entropy(output, y)),
        (nrc.measure(model, x, y, clusters=2, loss="squared_error"), functional.mse_loss(output, y) * 3 / 2),
    ]
    for found, value in plain:
        assert found["loss"].item() == pytest.approx(value.item(), rel=1e-12)


def smooth(output, y):
    return functional.smooth_l1_loss(output, y, reduction="none", beta=0.3).mean(1)


def test_your_own_loss_is_differentiated_by_autograd():
    model, x = ZOO["2d"]()
    y = np.random.default_rng(6).normal(size=(POINTS, 3))
    found = nrc.measure(model, x, y, labels=LABELS, weight_decay=DECAY, loss=smooth, batch=10)
    reference, layers = Reference(model, x), ZOO["2d"].layers
    value = smooth(reference.run(reference.x), torch.from_numpy(y)).mean()
    whole = reference.gradient(layers, value)
    assert found["loss"].item() == pytest.approx(value.item(), rel=1e-12)
    for source in ZOO["2d"].sources:
        gradient = at_centroids(reference, layers, source, y, LABELS, smooth)
        for layer in layers[ZOO["2d"].sources.index(source) :]:
            gap = np.linalg.norm(whole[layer] - gradient[layer])
            assert found["gap"].sel(layer=layer, source=source).item() == pytest.approx(gap, rel=1e-9)
    assert '"loss": "smooth"' in found.attrs["settings"]


@pytest.mark.parametrize("squeezed", [lambda z: z.squeeze(-1), lambda z: z.squeeze()])
def test_outputs_may_be_one_number_per_point(squeezed):
    model = Model(
        lambda m, x: squeezed(m.last(m.first(x).tanh())), first=nn.Linear(5, 4), last=nn.Linear(4, 1)
    ).eval()
    x, y = ZOO["no biases"]()[1], np.random.default_rng(0).normal(size=POINTS)
    plain = Model(lambda m, x: m.last(m.first(x).tanh()), first=model.first, last=model.last).eval()
    settings = {"labels": LABELS, "weight_decay": DECAY, "loss": "squared_error"}
    found = nrc.measure(model, x, y, batch=23, **settings)
    agree(found, nrc.measure(plain, x, y[:, None], **settings))
    binary = nrc.measure(
        model,
        x,
        (LABELS > 0) * 1.0,
        labels=LABELS,
        loss=lambda output, y: functional.binary_cross_entropy_with_logits(output, y, reduction="none"),
        batch=23,
    )
    output = copy.deepcopy(plain).double()(torch.from_numpy(x))[:, 0]
    value = functional.binary_cross_entropy_with_logits(output, torch.from_numpy((LABELS > 0) * 1.0))
    assert binary["loss"].item() == pytest.approx(value.item(), rel=1e-12)
