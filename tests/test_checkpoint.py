"""Interrupted and resumed computations end in the same bits; a checkpoint is whole or it is none."""

import hashlib
import io
import pathlib

import numpy as np
import pytest
import torch
from test_mnist import small, split  # noqa: F401
from test_optimize import METHODS, problem

from nrc.checkpoint import Checkpoint, Superseded
from nrc.classifiers import Snapshots
from nrc.optimize.epochs import Course, train_epochs
from nrc.optimize.minimise import minimise

# some cells converge within it and some do not
SHORT = {"tolerance": 1e-7, "evaluations": 150}


class Interrupt(Exception):
    pass


def checkpoint(folder, fingerprint="a", interval=0.0):
    return Checkpoint(folder / "output.nc", fingerprint, interval)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("moment", [1, 7, 40])
def test_a_minimisation_goes_on_in_the_same_bits(tmp_path, method, moment):
    loss, start = problem()
    unbroken = minimise(loss, start, METHODS[method](), **SHORT)
    looks = 0

    def look(progress, here):
        nonlocal looks
        looks += 1
        if looks == moment:
            saved.save({"run": here()})
            raise Interrupt

    saved = checkpoint(tmp_path)
    assert saved.open() == {}
    with pytest.raises(Interrupt):
        minimise(loss, start, METHODS[method](), report=look, **SHORT)
    state = checkpoint(tmp_path).open()["run"]
    resumed = minimise(loss, start, METHODS[method](), state=state, **SHORT)
    for name in ("residual", "iterations", "evaluations", "ended"):
        assert torch.equal(getattr(resumed, name), getattr(unbroken, name)), name
    for name in ("theta", "value", "gradient"):
        assert torch.equal(getattr(resumed.point, name), getattr(unbroken.point, name)), name


@pytest.mark.parametrize("method", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("moment", [1, 3, 4, 8])
def test_epochs_go_on_in_the_same_bits(tmp_path, split, method, moment):  # noqa: F811
    """Three mini-batches an epoch: within an epoch, at its end, after it."""
    objective, theta, labels = small(split)
    course = Course(method, epochs=9 if method == "lbfgs" else 3, batch=20, schedule="cosine", seed=5)

    def snapshots():
        return Snapshots(
            objective.architecture, objective.x, objective.y, labels, every=2, last=course.epochs
        )

    seen = snapshots()
    unbroken, _ = train_epochs(objective, theta, course, seen)
    steps = 0

    def look(here):
        nonlocal steps
        steps += 1
        if steps == moment:
            saved.save({"training": here(), "snapshots": broken.state})
            raise Interrupt

    saved, broken = checkpoint(tmp_path), snapshots()
    saved.open()
    with pytest.raises(Interrupt):
        train_epochs(objective, theta, course, broken, report=look)
    state, again = checkpoint(tmp_path).open(), snapshots()
    again.resume(state["snapshots"])
    resumed, _ = train_epochs(objective, theta, course, again, state=state["training"])
    assert torch.equal(resumed, unbroken)
    assert again.epochs == seen.epochs
    np.testing.assert_array_equal(again.singular_values, seen.singular_values)
    np.testing.assert_array_equal(again.wcss, seen.wcss)


def test_a_cell_that_diverges_leaves_the_others_alone(split):  # noqa: F811
    objective, theta, labels = small(split)
    huge = theta.clone()
    huge[0] *= 1e200
    course = Course("sgd", epochs=3, batch=20, learning_rate=0.1)

    def train(start):
        seen = Snapshots(objective.architecture, objective.x, objective.y, labels, every=1, last=3)
        return *train_epochs(objective, start, course, seen), seen

    together, diverged, seen = train(huge)
    healthy, _, alone = train(theta)
    assert diverged.tolist() == [True, False]
    assert together.isfinite().all()
    assert torch.equal(together[1], healthy[1])
    for name in ("singular_values", "wcss"):
        ours, theirs = np.array(getattr(seen, name)), np.array(getattr(alone, name))
        np.testing.assert_array_equal(ours[:, 1], theirs[:, 1])
        assert np.isnan(ours[1:, 0]).all()


STATE = {"run": {"theta": torch.arange(3.0), "count": 4}, "size": 2}


def test_a_state_is_taken_up_once_it_is_saved(tmp_path):
    first = checkpoint(tmp_path)
    first.open()
    first.save(STATE)
    found = checkpoint(tmp_path).open()
    assert torch.equal(found["run"]["theta"], STATE["run"]["theta"])
    assert (int(found["run"]["count"]), int(found["size"])) == (4, 2)


def test_a_state_of_another_computation_is_none(tmp_path):
    first = checkpoint(tmp_path, "a")
    first.open()
    first.save(STATE)
    assert checkpoint(tmp_path, "b").open() == {}


@pytest.mark.parametrize("place", [0, 31, 32, 60, -1, "half", "empty"])
def test_a_damaged_checkpoint_is_none(tmp_path, place):
    first = checkpoint(tmp_path)
    first.open()
    first.save(STATE)
    data = bytearray(first.path.read_bytes())
    if place == "half":
        data = data[: len(data) // 2]
    elif place == "empty":
        data = b""
    else:
        data[place] ^= 4
    first.path.write_bytes(data)
    assert checkpoint(tmp_path).open() == {}


def test_the_computation_that_began_last_holds_the_claim(tmp_path):
    first, second = checkpoint(tmp_path), checkpoint(tmp_path)
    first.open()
    first.save(STATE)
    assert second.open() != {}
    for action in (first.check, lambda: first.save(STATE)):
        with pytest.raises(Superseded):
            action()
    second.check()
    second.remove()
    with pytest.raises(Superseded):
        first.check()
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_due_after_its_interval_or_when_asked_for(tmp_path):
    often, seldom = checkpoint(tmp_path, interval=0), checkpoint(tmp_path, interval=1000)
    assert often.due
    assert not seldom.due
    seldom.ask()
    assert seldom.due


class Trap:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.path),)


def test_no_pickle_is_written_or_read(tmp_path):
    first, trap = checkpoint(tmp_path), Trap()
    first.open()
    with pytest.raises(ValueError, match="allow_pickle"):
        first.save({"theta": np.array([trap])})
    trap.path = str(tmp_path / "sprung")
    data = io.BytesIO()
    np.savez(data, fingerprint="a", theta=np.array([trap]))
    content = data.getvalue()
    first.path.write_bytes(hashlib.sha256(content).digest() + content)
    assert checkpoint(tmp_path).open() == {}
    assert not (tmp_path / "sprung").exists()
