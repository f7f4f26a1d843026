"""Losses that users name or pass as modules of torch: their value and gradients, against torch's own."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import nrc
from nrc.modules.inputs import inputs_of
from nrc.modules.measured_module import MeasuredModule
from support.zoo import LABELS, POINTS, mlp

X = torch.from_numpy(np.random.default_rng(0).normal(size=(POINTS, 5)))
CLASSES = torch.from_numpy(LABELS)
REAL = torch.from_numpy(np.random.default_rng(1).normal(size=(POINTS, 3)))
MIXED = REAL.softmax(1)
BITS = (REAL > 0).double()
IGNORED = torch.where(CLASSES == 1, -100, CLASSES)
WEIGHTS = torch.tensor([0.2, 3.0, 1.0])


def network(outputs=3, logs=False):
    torch.manual_seed(0)
    model = mlp(5, 4, outputs)
    return (nn.Sequential(*model, nn.LogSoftmax(1)) if logs else model).double().eval()


CASES = {
    "cross entropy": (nn.CrossEntropyLoss(), CLASSES),
    "sum": (nn.CrossEntropyLoss(reduction="sum"), CLASSES),
    "weights": (nn.CrossEntropyLoss(weight=WEIGHTS.double()), CLASSES),
    "weights, sum": (nn.CrossEntropyLoss(weight=WEIGHTS.double(), reduction="sum"), CLASSES),
    "weights of distributions": (nn.CrossEntropyLoss(weight=WEIGHTS.double()), MIXED),
    "smoothing": (nn.CrossEntropyLoss(label_smoothing=0.2), CLASSES),
    "smoothing of distributions": (nn.CrossEntropyLoss(label_smoothing=0.2), MIXED),
    "all": (
        nn.CrossEntropyLoss(weight=WEIGHTS.double(), label_smoothing=0.2, ignore_index=2),
        CLASSES,
    ),
    "ignored": (nn.CrossEntropyLoss(), IGNORED),
    "ignored, sum": (nn.CrossEntropyLoss(reduction="sum"), IGNORED),
    "logs": (nn.NLLLoss(weight=WEIGHTS.double()), CLASSES),
    "mse": (nn.MSELoss(), REAL),
    "mse, sum": (nn.MSELoss(reduction="sum"), REAL),
    "binary": (nn.BCEWithLogitsLoss(), BITS),
    "binary, positive weights": (nn.BCEWithLogitsLoss(pos_weight=WEIGHTS.double()), BITS),
    "binary, sum": (nn.BCEWithLogitsLoss(reduction="sum"), BITS),
}


@pytest.mark.parametrize("case", CASES)
def test_a_module_of_torch_is_taken_as_what_it_is(case):
    loss, y = CASES[case]
    model = network(logs=isinstance(loss, nn.NLLLoss))
    settings = {} if y.ndim == 1 else {"labels": LABELS}
    found = nrc.measure(model, X, y, loss=loss, weight_decay=0.3, batch=7, restarts=1, **settings)
    value = loss(model(X), y)
    assert found["loss"].item() == pytest.approx(value.item(), rel=1e-12)
    weights = [model[0].weight, model[2].weight]
    gradients = torch.autograd.grad(value, weights)
    for place, (w, g) in enumerate(zip(weights, gradients, strict=True)):
        assert found["residual"][place].item() == pytest.approx((g + 0.3 * w).norm().item(), rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_points_that_are_their_own_sets_have_no_gap(case):
    """The loss at K = N centroids is the loss of the points: ell is the same for classes and distributions."""
    loss, y = CASES[case]
    model, x = network(logs=isinstance(loss, nn.NLLLoss)), X
    if y.ndim == 1 and (y == loss.ignore_index).any():
        x, y = X[y != loss.ignore_index], y[y != loss.ignore_index]
    measured = MeasuredModule(model, x, y, loss)
    for source in range(len(measured.sources)):
        z, targets = (
            torch.cat(parts, 1)
            for parts in zip(*((z[source], y) for _, z, y in measured.batches("")), strict=True)
        )
        own = measured.gradient_from(
            source, z, targets, torch.full((1, len(x)), 1 / len(x), dtype=torch.float64)
        )
        for g, of_set in zip(measured.gradient()[1], own, strict=True):
            if of_set is not None:
                torch.testing.assert_close(of_set, g, rtol=1e-9, atol=1e-12)


def test_names_are_losses_of_torch():
    model, output = network(), network()(X)
    bit = (CLASSES > 0).long()
    of_one = network(1)
    cases = [
        (model, CLASSES, "cross_entropy", nn.functional.cross_entropy(output, CLASSES)),
        (model, REAL, "mse", nn.functional.mse_loss(output, REAL)),
        (model, REAL, "squared_error", nn.functional.mse_loss(output, REAL) * 3 / 2),
        (model, BITS, "binary_cross_entropy", nn.functional.binary_cross_entropy_with_logits(output, BITS)),
    ]
    value = nn.functional.binary_cross_entropy_with_logits(of_one(X)[:, 0], bit.double())
    cases += [
        (of_one, y, "binary_cross_entropy", value) for y in (bit, bit.bool(), bit[:, None], bit.double())
    ]
    cases += [(nn.Sequential(of_one, nn.Flatten(0)), bit, nn.BCEWithLogitsLoss(), value)]
    for net, y, loss, expected in cases:
        found = nrc.measure(net.eval(), X, y, loss=loss, labels=LABELS, restarts=1)
        assert found["loss"].item() == pytest.approx(expected.item(), rel=1e-12), loss
    # of zeros and ones alone the classes are known
    assert nrc.measure(of_one, X, bit, loss="binary_cross_entropy", restarts=1).attrs["clusters"] == 2


def test_one_output_needs_another_loss_than_cross_entropy():
    with pytest.raises(ValueError, match='model has one output; pass loss="binary_cross_entropy"'):
        nrc.measure(network(1), X, CLASSES > 0)


def test_ignored_points_do_not_count():
    model, kept = network(), CLASSES != 1
    found = nrc.measure(model, X, IGNORED, labels=LABELS, weight_decay=0.1, restarts=1)
    alone = nrc.measure(model, X[kept], CLASSES[kept], weight_decay=0.1, restarts=1)
    assert found.equals(alone)
    assert (found.attrs["points"], found.attrs["clusters"]) == (int(kept.sum()), 2)


# Classes.


def test_a_head_has_outputs_for_classes_that_the_points_lack():
    model = network(10)
    y = np.array([0, 2, 9])[LABELS]
    found = nrc.measure(model, X, y, weight_decay=0.1, restarts=1)
    value = nn.functional.cross_entropy(model(X), torch.from_numpy(y))
    assert found["loss"].item() == pytest.approx(value.item(), rel=1e-12)
    assert found.attrs["clusters"] == 3
    assert found["rho_bound"].max() <= 3, "an empty set has no centroid"
    for labels in (y, y.astype(float), np.array(["cat", "dog", "eel"])[LABELS], np.eye(10)[y], 5 + LABELS):
        same = nrc.measure(model, X, y, labels=labels, weight_decay=0.1, restarts=1)
        assert same.equals(found)


@pytest.mark.parametrize(
    "form",
    [
        lambda y: y + 0.0,
        lambda y: y[:, None],
        lambda y: np.eye(3, dtype=int)[y],
        lambda y: y.astype(">i2"),
        lambda y: y.tolist(),
    ],
)
def test_classes_come_in_many_forms(form):
    model = network()
    found = nrc.measure(model, X, form(LABELS), restarts=1)
    assert found.equals(nrc.measure(model, X, LABELS, restarts=1))


def test_sets_without_points_are_left_out():
    """A module and a loss may have no value at 0."""

    class Direction(nn.Module):
        def forward(self, z):
            return z / z.norm(dim=1, keepdim=True)

    model = nn.Sequential(nn.Linear(5, 4, bias=False), Direction(), nn.Linear(4, 3)).double()
    measured = MeasuredModule(model, X, CLASSES, "cross_entropy")
    z, y = torch.zeros(1, 3, 5).double(), torch.eye(3).double()[None]
    z[0, :2] = X[:2]
    found = measured.gradient_from(0, z, y, torch.tensor([[0.5, 0.5, 0.0]]).double())
    alone = measured.gradient_from(0, z[:, :2], y[:, :2], torch.tensor([[0.5, 0.5]]).double())
    assert all(g.isfinite().all() and torch.equal(g, h) for g, h in zip(found, alone, strict=True))


def test_real_targets_of_classes_are_made_batch_by_batch():
    model = network(7)
    measured = MeasuredModule(copy.deepcopy(model), inputs_of(X), LABELS, "cross_entropy", batch=10)
    assert measured._y.values.shape == (POINTS,)
    assert [y.shape for _, _, y in measured.batches("")] == [(1, 10, 7), (1, 10, 7), (1, 4, 7)]
