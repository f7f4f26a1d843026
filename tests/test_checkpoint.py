"""Interrupted and resumed minimisations end in the same bits; a damaged checkpoint is ignored."""

import hashlib
import io
import pathlib

import numpy as np
import pytest
import torch

from nrc.optimize.minimise import minimise
from nrc.training.checkpoint import Checkpoint
from nrc.training.snapshots import Snapshots
from support.problems import METHODS, MethodCase, classifiers

STATE = {"run": {"theta": torch.arange(3.0), "count": 4}, "size": 2}


OPTIONS = {"adam": {}, "sgd": {"momentum": 0.9}}


class Interrupt(Exception):
    pass


def checkpoint(folder, fingerprint="a", interval=0.0):
    return Checkpoint(folder / "output.nc", fingerprint, interval)


def run(case, problem, epochs, **options):
    """Train with snapshots, and return the end and the snapshots."""
    loss, start, seeds, labels = problem
    snapshots = Snapshots(loss.architecture, loss.x, loss.y, labels, len(start), [0, 2, 5, 11, 40, epochs])
    method = case.method(epochs, seeds)
    end = minimise(loss, start, method, tolerance=1e-7, epochs=epochs, observer=snapshots, **options)
    return end, snapshots


def assert_continues_in_the_same_bits(folder, case, problem, epochs, moment, **options):
    """Saved and stopped after a number of reports, and continued as in a new process."""
    unbroken, all_snapshots = run(case, problem, epochs)
    reports = 0

    def interrupt(minimisation):
        nonlocal reports
        reports += 1
        if reports == moment:
            checkpoint(folder).save({"run": minimisation.state})
            raise Interrupt

    with pytest.raises(Interrupt):
        run(case, problem, epochs, report=interrupt, **options)
    resumed, snapshots = run(case, problem, epochs, state=checkpoint(folder).open()["run"], **options)
    for name in ("residual", "iterations", "evaluations", "termination_reason"):
        pair = getattr(resumed, name), getattr(unbroken, name)
        torch.testing.assert_close(*pair, rtol=0, atol=0, equal_nan=True, msg=name)
    for name in ("theta", "value", "gradient"):
        assert torch.equal(getattr(resumed.point, name), getattr(unbroken.point, name)), name
    np.testing.assert_array_equal(snapshots.singular_values, all_snapshots.singular_values)
    np.testing.assert_array_equal(snapshots.wcss, all_snapshots.wcss)


@pytest.mark.parametrize(
    ("name", "moment", "window"), [*((name, 9, 2) for name in METHODS), ("lbfgs", 40, None)]
)
def test_a_minimisation_continues_in_the_same_bits(tmp_path, name, moment, window):
    """Within the budget some cells converge, and some do not; in a window some wait."""
    loss, start = METHODS[name].autoencoders(weight_decay=(0.02, 0.3, 0.1))
    labels = np.arange(loss.x.shape[1])[None] % 2
    problem = loss, start, [0] * len(start), labels
    assert_continues_in_the_same_bits(tmp_path, METHODS[name], problem, 60, moment, window=window)


@pytest.mark.parametrize(("name", "moment"), [("adam", 2), ("sgd", 9)])
def test_mini_batches_of_several_seeds_continue_in_the_same_bits(tmp_path, name, moment):
    """One cell diverges at once, and the other cell of its seed keeps its order."""
    loss, start, seeds = classifiers(seeds=(5, 8))
    start[0] *= 1e200
    case = MethodCase(name, {"learning_rate": 0.01, "batch": 20, "schedule": "cosine", **OPTIONS[name]})
    problem = loss, start, seeds, loss.y.argmax(2).numpy()
    assert_continues_in_the_same_bits(tmp_path, case, problem, 9, moment)


def test_a_state_can_be_the_state_at_the_end(tmp_path):
    for name in ("lbfgs", "sgd"):
        loss, start = METHODS[name].autoencoders()
        problem = loss, start, [0] * 4, np.zeros((1, loss.x.shape[1]), dtype=int)
        saved = checkpoint(tmp_path, name)
        end, _ = run(
            METHODS[name], problem, 12, report=lambda run, saved=saved: saved.save({"run": run.state})
        )
        again, _ = run(METHODS[name], problem, 12, state=checkpoint(tmp_path, name).open()["run"])
        assert torch.equal(again.point.theta, end.point.theta), name
        assert torch.equal(again.evaluations, end.evaluations), name


def test_a_state_is_only_read_by_the_same_computation(tmp_path):
    checkpoint(tmp_path, "a").save(STATE)
    found = checkpoint(tmp_path, "a").open()
    assert torch.equal(found["run"]["theta"], STATE["run"]["theta"])
    assert (int(found["run"]["count"]), int(found["size"])) == (4, 2)
    assert checkpoint(tmp_path, "b").open() == {}
    checkpoint(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [0, -1, "half"])
def test_a_damaged_checkpoint_is_ignored(tmp_path, place):
    file = checkpoint(tmp_path)
    file.save(STATE)
    data = bytearray(file.path.read_bytes())
    if place == "half":
        data = data[: len(data) // 2]
    else:
        data[place] ^= 4
    file.path.write_bytes(data)
    assert checkpoint(tmp_path).open() == {}


def test_a_checkpoint_is_due_after_its_interval_or_on_request(tmp_path):
    often, seldom = checkpoint(tmp_path, interval=0), checkpoint(tmp_path, interval=1000)
    assert often.due
    assert not seldom.due
    seldom.request()
    assert seldom.due


class Trap:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.path),)


def test_no_pickle_is_written_or_read(tmp_path):
    file, trap = checkpoint(tmp_path), Trap()
    with pytest.raises(ValueError, match="allow_pickle"):
        file.save({"theta": np.array([trap])})
    trap.path = str(tmp_path / "sprung")
    data = io.BytesIO()
    np.savez(data, fingerprint="a", theta=np.array([trap]))
    content = data.getvalue()
    file.path.write_bytes(hashlib.sha256(content).digest() + content)
    assert checkpoint(tmp_path).open() == {}
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_in_the_home_directory_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Checkpoint("~/output.nc", "a", 0.0).save({"step": 3})
    assert (
        checkpoint(tmp_path).open() == Checkpoint("~/output.nc", "a", 0.0).open() == {"step": torch.tensor(3)}
    )
