"""Snapshots: what is measured on the end point of a run with the budget of the snapshot."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nrc.networks.mlp import Architecture
from nrc.optimize.minimise import minimise
from nrc.status import TerminationReason
from nrc.training.snapshots import Snapshots, snapshot_times
from support.problems import METHODS, classifiers

LABELS = np.arange(21)[None] % 2


def snapshots(loss, start, times, labels=LABELS):
    # linear networks train on fewer points
    labels = labels[:, : loss.x.shape[1]]
    return Snapshots(loss.architecture, loss.x, loss.y, labels, len(start), times)


def run(name, loss, start, epochs, observer=None, tolerance=1e-14):
    method = METHODS[name].method(epochs, [0] * len(start))
    return minimise(loss, start, method, observer=observer, tolerance=tolerance, epochs=epochs)


def plain_wcss(z, y, labels):
    """Points side by side, class by class."""
    points = np.concatenate([z, y], axis=1)
    classes = [points[labels == label] for label in np.unique(labels)]
    return sum(((members - members.mean(0)) ** 2).sum() for members in classes) / len(points)


def plain_distinct(rows, loss):
    """Number of rows that are not equal to an earlier one, up to sign for tanh."""
    found = []
    for row in rows[np.linalg.norm(rows, axis=1) > 1e-6 * np.linalg.norm(rows, axis=1).max()]:
        signs = (1, -1) if loss.architecture.activation in ("tanh", "linear") else (1,)
        if not any(
            np.allclose(s * row, other, rtol=0, atol=1e-3 * np.linalg.norm(row))
            for other in found
            for s in signs
        ):
            found.append(row)
    return len(found)


def assert_measured(taken, number, loss, theta, labels=LABELS, cells=None):
    """A snapshot of networks has their spectra and class WCSS, by numpy."""
    network = loss.architecture.network(theta)
    z = network.features(loss.x)[:-1]
    for cell in range(len(theta)) if cells is None else cells:
        for l, w in enumerate(network.weights):
            s = taken.singular_values[cell, number, l]
            shorter = min(w.shape[1:])
            plain = np.linalg.svd(w[cell].numpy(), compute_uv=False)
            np.testing.assert_allclose(s[:shorter], plain, rtol=1e-9, atol=1e-12)
            assert np.isnan(s[shorter:]).all()
            distinct = taken.distinct_neurons[cell, number, l]
            assert (
                np.isnan(distinct) if l == len(z) - 1 else distinct == plain_distinct(w[cell].numpy(), loss)
            )
        for k, space in enumerate(z):
            here, y = space[cell % len(space)].numpy(), loss.y[cell % len(loss.y)].numpy()
            plain = plain_wcss(here, y, labels[cell % len(labels), : len(y)])
            assert taken.wcss[cell, number, k] == pytest.approx(plain, rel=1e-9, abs=1e-20)


def test_snapshots_are_at_the_start_at_multiples_and_at_the_end():
    assert snapshot_times(10, 30) == [0, 10, 20, 30]
    assert snapshot_times(7, 30) == [0, 7, 14, 21, 28, 30]
    assert snapshot_times(50, 30) == [0, 30]


@pytest.mark.parametrize("name", ["lbfgs", "varpro", "levenberg_marquardt", "sgd in batches"])
def test_a_snapshot_is_the_end_point_of_a_run_with_its_budget(name):
    loss, start = METHODS[name].autoencoders()
    times = [0, 1, 4, 9]
    taken = snapshots(loss, start, times)
    run(name, loss, start, 9, taken)
    for number, epochs in enumerate(times):
        theta = run(name, loss, start, epochs).point.theta if epochs else start
        assert_measured(taken, number, loss, theta)


@pytest.mark.parametrize("name", ["lbfgs", "adam in batches"])
def test_snapshots_change_nothing(name):
    loss, start = METHODS[name].autoencoders()
    watched, plain = (
        run(name, loss, start, 20, snapshots(loss, start, [0, 3, 20])),
        run(name, loss, start, 20),
    )
    assert torch.equal(watched.point.theta, plain.point.theta)
    assert torch.equal(watched.evaluations, plain.evaluations)


def test_a_cell_that_ends_early_keeps_its_end_point():
    loss, start = METHODS["lbfgs"].autoencoders(weight_decay=(0.02, 5.0), sigma=[0.1])
    times = [0, 10, 20, 100, 300]
    taken = snapshots(loss, start, times)
    end = run("lbfgs", loss, start, 300, taken, tolerance=1e-10)
    assert end.termination_reason.tolist() == [
        TerminationReason.TOLERANCE,
        TerminationReason.COLLAPSED_TO_ZERO,
    ]
    assert (end.evaluations < 300).all()
    for cell, last in enumerate(end.evaluations.tolist()):
        held = [number for number, epochs in enumerate(times) if epochs >= last]
        assert held
        for number in held:
            assert_measured(taken, number, loss, end.point.theta, cells=[cell])
        assert (taken.singular_values[cell, 0] != taken.singular_values[cell, -1]).any()


@pytest.mark.parametrize("name", ["varpro", "sgd in batches"])
def test_a_cell_that_diverged_is_missing_and_changes_no_other(name):
    loss, start = METHODS[name].autoencoders(weight_decay=[0.05])
    huge = torch.tensor([[[1.0]], [[1e170]]], dtype=torch.float64)
    broken = replace(loss, x=loss.x * huge, y=loss.y * huge)
    times = [0, 5, 10]
    taken, alone = (
        snapshots(broken, start, times),
        snapshots(loss.select(torch.tensor([0])), start[:1], times),
    )
    end = run(name, broken, start, 10, taken)
    run(name, loss.select(torch.tensor([0])), start[:1], 10, alone)
    assert end.termination_reason[1] == TerminationReason.DIVERGED
    assert np.isnan(taken.singular_values[1]).all()
    assert np.isnan(taken.wcss[1]).all()
    np.testing.assert_array_equal(taken.singular_values[0], alone.singular_values[0])
    np.testing.assert_array_equal(taken.wcss[0], alone.wcss[0])
    assert np.isfinite(taken.wcss[0]).all()


def test_a_cell_is_missing_from_where_it_diverged():
    name = "sgd in batches"
    loss, start = METHODS[name].autoencoders(weight_decay=(0.1, 90.0), sigma=[0.1])
    times = list(range(0, 301, 5))
    taken = snapshots(loss, start, times)
    end = run(name, loss, start, 300, taken)
    assert end.termination_reason[1] == TerminationReason.DIVERGED
    there = np.isfinite(taken.singular_values[1]).all((1, 2))
    # the iteration that was not finite is counted, but has no snapshot
    assert there.tolist() == [epochs < end.evaluations[1] for epochs in times]
    assert np.isfinite(taken.singular_values[0]).all()


def test_features_that_overflow_are_missing_without_a_warning():
    architecture = Architecture((2, 2, 2), "linear")
    x = torch.arange(8, dtype=torch.float64).reshape(1, 4, 2)
    taken = Snapshots(architecture, x, x, np.zeros((1, 4), dtype=int), 1, [0])
    theta = architecture.join([torch.eye(2, dtype=torch.float64)[None] * 1e200] * 2)
    taken(torch.tensor([0]), torch.tensor([1]), theta, torch.tensor([False]))
    assert np.isfinite(taken.singular_values).all()
    np.testing.assert_array_equal(np.isnan(taken.wcss), [[[False, True]]])


def test_cell_arrays_several_seeds_have_points_and_labels_of_their_own():
    loss, start, _ = classifiers(seeds=(5, 8), points=20)
    labels = loss.y.argmax(2).numpy()
    labels[1] = labels[1, ::-1]
    taken = Snapshots(loss.architecture, loss.x, loss.y, labels, 4, [0])
    some = torch.tensor([1, 2, 3])
    taken(some, torch.zeros(3, dtype=torch.int64), start[some], torch.zeros(3, dtype=torch.bool))
    assert_measured(taken, 0, loss, start, labels, cells=[1, 2, 3])
    assert np.isnan(taken.wcss[0]).all()
