"""Interrupted and resumed computations end in the same bits; a checkpoint is whole or it is none."""

import hashlib
import io
import pathlib

import numpy as np
import pytest
import torch

from nrc.optimize.minimise import minimise
from nrc.status import TerminationReason
from nrc.training.checkpoint import Checkpoint, Superseded
from nrc.training.snapshots import Snapshots
from support.problems import METHODS, Way, autoencoders, classifiers


class Interrupt(Exception):
    pass


def checkpoint(folder, fingerprint="a", interval=0.0):
    return Checkpoint(folder / "output.nc", fingerprint, interval)


def run(way, problem, epochs, tolerance, **options):
    """Train with looks, and return the end and what was seen."""
    loss, start, seeds, labels = problem
    seen = Snapshots(loss.architecture, loss.x, loss.y, labels, len(start), [0, 2, 5, 11, 40, epochs])
    method = way.method(epochs, seeds)
    return minimise(loss, start, method, tolerance=tolerance, epochs=epochs, look=seen, **options), seen


def assert_goes_on_in_the_same_bits(folder, way, problem, epochs, tolerance, moment, **options):
    """Saved and stopped after so many reports, and taken up by a new process, as it were."""
    unbroken, all_seen = run(way, problem, epochs, tolerance)
    reports = 0

    def interrupt(progress, here):
        nonlocal reports
        reports += 1
        if reports == moment:
            saved.save({"run": here()})
            raise Interrupt

    saved = checkpoint(folder)
    assert saved.open() == {}
    with pytest.raises(Interrupt):
        run(way, problem, epochs, tolerance, report=interrupt, **options)
    state = checkpoint(folder).open()["run"]
    resumed, seen = run(way, problem, epochs, tolerance, state=state, **options)
    for name in ("residual", "iterations", "evaluations", "termination_reason"):
        torch.testing.assert_close(
            getattr(resumed, name), getattr(unbroken, name), rtol=0, atol=0, equal_nan=True, msg=name
        )
    for name in ("theta", "value", "gradient"):
        assert torch.equal(getattr(resumed.point, name), getattr(unbroken.point, name)), name
    np.testing.assert_array_equal(seen.singular_values, all_seen.singular_values)
    np.testing.assert_array_equal(seen.wcss, all_seen.wcss)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("moment", [1, 2, 7, 40])
def test_a_minimisation_goes_on_in_the_same_bits(tmp_path, name, moment):
    """Within the budget some cells converge, and some do not."""
    loss, start = METHODS[name].autoencoders(weight_decay=(0.02, 0.3))
    if name == "levenberg_marquardt":  # it is done after ten steps
        moment = min(moment, 6)
    labels = np.arange(loss.x.shape[1])[None] % 2
    problem = loss, start, [0] * 4, labels
    assert_goes_on_in_the_same_bits(tmp_path, METHODS[name], problem, 60, 1e-7, moment)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("moment", [2, 9, 55, 70])
def test_cells_that_wait_go_on_in_the_same_bits(tmp_path, name, moment):
    loss, start = METHODS[name].autoencoders(weight_decay=(0.02, 0.3, 0.1))
    labels = np.arange(loss.x.shape[1])[None] % 2
    problem = loss, start, [0] * 6, labels
    if name == "levenberg_marquardt":
        moment = min(moment, 12)
    assert_goes_on_in_the_same_bits(tmp_path, METHODS[name], problem, 60, 1e-7, moment, window=2)


@pytest.mark.parametrize(
    ("name", "options"), [("adam", {}), ("sgd", {"momentum": 0.9}), ("sgd", {"momentum": 0})]
)
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("moment", [1, 2, 4, 9])
def test_mini_batches_of_several_seeds_go_on_in_the_same_bits(tmp_path, name, options, schedule, moment):
    """One cell diverges at once: those of its seed go on in their order."""
    loss, start, seeds = classifiers(seeds=(5, 8))
    start[0] *= 1e200
    way = Way(name, {"learning_rate": 0.01, "batch": 20, "schedule": schedule, **options})
    problem = loss, start, seeds, loss.y.argmax(2).numpy()
    assert_goes_on_in_the_same_bits(tmp_path, way, problem, 9, 1e-14, moment)


def test_a_state_may_be_that_of_the_end(tmp_path):
    for name in METHODS:
        loss, start = METHODS[name].autoencoders()
        labels, saved = np.zeros((1, loss.x.shape[1]), dtype=int), checkpoint(tmp_path, name)
        saved.open()
        options = {"report": lambda progress, here, saved=saved: saved.save({"run": here()})}
        end, _ = run(METHODS[name], (loss, start, [0] * 4, labels), 12, 1e-14, **options)
        state = checkpoint(tmp_path, name).open()["run"]
        again, _ = run(METHODS[name], (loss, start, [0] * 4, labels), 12, 1e-14, state=state)
        assert torch.equal(again.point.theta, end.point.theta), name
        assert torch.equal(again.evaluations, end.evaluations), name


def test_time_spent_before_counts_for_the_wall_clock(tmp_path):
    loss, start = autoencoders()
    saved = checkpoint(tmp_path)
    saved.open()

    def interrupt(progress, here):
        saved.save({"run": {**here(), "seconds": 1e6}})
        raise Interrupt

    problem = loss, start, [0] * 4, np.zeros((1, 21), dtype=int)
    with pytest.raises(Interrupt):
        run(METHODS["gd"], problem, 100, 1e-14, report=interrupt)
    end, _ = run(METHODS["gd"], problem, 100, 1e-14, state=saved.open()["run"], wall_clock=1e5)
    assert (end.termination_reason == TerminationReason.WALL_CLOCK).all()


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
