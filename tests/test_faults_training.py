"""Faults of machines during training: afterwards the bytes are the same as after an undisturbed run."""

import random
import re
import signal

import numpy as np
import pytest

from nrc import netcdf
from support.processes import mounted
from support.training import STACK, Training

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(("kind", "kills"), [("lbfgs", 5), ("adam", 3)])
def test_a_training_process_is_killed_at_random_moments(tmp_path, survived, kind, kills):
    training = Training(tmp_path, kind)
    undisturbed, _ = training.run()
    training.forget()
    rng, killed, resumed = random.Random(0), 0, 0
    while killed < kills:
        process = training.start()
        if rng.random() < 0.8:  # else while it is still importing, perhaps
            training.wait_for_checkpoints(process, rng.randint(1, 5))
        process.wait(rng.uniform(0, 0.5))
        if process.running:
            process.kill()
            killed += 1
        process.wait()
        resumed += "continuing from a checkpoint" in process.said()
        if training.output.exists():
            assert training.output.read_bytes() == undisturbed
            training.forget()
    last, _ = training.run()
    assert last == undisturbed
    assert resumed > kills / 4, "the kills came before any checkpoint"
    left = {file.name for file in tmp_path.iterdir() if "partial" not in file.name}
    assert left == {*(file.name for file in training.data), "train.nc", ".train.earlier.nc", "said"}
    survived(
        "SIGKILL of a training process at a random moment",
        "the work since the last checkpoint, at most `checkpoint_interval` seconds. Run again",
        tried=kills,
        survived=kills,
    )


def test_a_signal_makes_a_checkpoint_at_once(tmp_path, survived):
    """SIGINT; tests/test_parallel.py has SIGTERM."""
    training = Training(tmp_path)
    options = {"interval": 0.2, "training": training.training(epochs=2000, tolerance=1e-14)}
    undisturbed, _ = training.run(**options)
    training.forget()
    process = training.start(**options)
    process.wait_for(training.hidden("checkpoint"))
    first = training.hidden("checkpoint").read_bytes()
    process.signal(signal.SIGINT)
    assert process.wait() == 1
    assert process.said().endswith("stopped by a signal; the next run continues from the checkpoint\n")
    assert "Traceback" not in process.said()
    assert not training.output.exists()
    assert training.hidden("checkpoint").read_bytes() != first
    again, said = training.run(**options)
    assert "continuing from a checkpoint" in said
    assert again == undisturbed
    assert not training.hidden("checkpoint").exists()
    survived(
        "SIGTERM or SIGINT to a training process",
        "nothing. It writes a checkpoint at once and ends; run again, or set `retries`",
    )


def test_a_checkpoint_that_cannot_be_written_ends_nothing(tmp_path, survived):
    training = Training(tmp_path)
    undisturbed, _ = training.run()
    training.output = tmp_path / "small" / "train.nc"
    training.output.parent.mkdir()
    # room for the output and not for a checkpoint, which has the memory of the method too
    with mounted(training.output.parent, "-o", f"size={len(undisturbed) + 15_000}"):
        again, said = training.run(interval=0.3)
        left = {file.name for file in training.output.parent.iterdir()}
    assert "train.checkpoint could not be written (No space left on device)" in said
    assert "training continues without a checkpoint" in said
    assert again == undisturbed
    assert left == {"train.nc", ".train.earlier.nc"}
    survived("full disk while a checkpoint is written", "nothing. The log reports it, and training continues")


def test_a_growing_stack_trains_the_new_cells_only(tmp_path):
    training = Training(tmp_path)
    training.run(stack={**STACK, "weight_decay": [0.002, 0.008]})
    grown, said = training.run()
    assert "6 of 15 cells reused from the earlier file" in said
    assert "of 9 cells converged" in said
    training.forget()
    assert training.run()[0] == grown
    shrunk, said = training.run(stack={**STACK, "sigma": [0.4]})
    assert "5 of 5 cells reused" in said
    training.forget()
    assert training.run(stack={**STACK, "sigma": [0.4]})[0] == shrunk


def test_cells_of_other_settings_or_data_are_not_reused(tmp_path):
    """Nor those of a damaged file."""
    training = Training(tmp_path)
    training.run(training=training.training(epochs=40))
    settings = {"training": training.training(epochs=41)}
    said = [training.run(**settings)[1]]
    (file,) = training.data
    other = netcdf.load(file)
    other["noise"] = (1.01 * other["noise"]).assign_attrs(other["noise"].attrs)
    netcdf.save(other, file)
    again, words = training.run(**settings)
    said.append(words)
    earlier = training.hidden("earlier.nc")
    earlier.write_bytes(earlier.read_bytes()[:-1])
    assert training.run(**settings)[0] == again
    said.append((training.folder / "said").read_text(encoding="utf-8"))
    assert not [words for words in said if "reused" in words]
    assert ["damaged" in words for words in said] == [False, False, True]
    training.forget()
    assert training.run(**settings)[0] == again


def test_a_stack_too_big_for_memory_is_split(tmp_path, survived):
    training = Training(tmp_path)
    # 24 cells take about 280 MiB, one of them 50
    options = {
        "stack": {**STACK, "weight_decay": [0.001 * k for k in range(1, 9)], "depth": 3, "width": 200},
        "training": training.training(epochs=6),
    }
    undisturbed, _ = training.run(**options)
    training.forget()
    again, said = training.run(memory=150, **options)
    assert re.search(r"\d+ cells do not fit in memory; training \d+ at a time", said)
    assert again == undisturbed
    training.forget()
    process = training.start(memory=20, **options)
    assert process.wait() == 1
    assert process.said().endswith(
        "one network does not fit in memory; use fewer points or a smaller width\n"
    )
    assert "Traceback" not in process.said()
    assert not training.output.exists()
    survived(
        "out of memory",
        "nothing. The stack is trained in parts; a single network that is too large is an error",
    )


def test_a_network_that_diverges_does_not_poison_its_stack(tmp_path, survived):
    training = Training(tmp_path)
    options = {"training": training.training(method={"name": "gd", "step": 8}, epochs=60)}
    training.run(**options, stack={**STACK, "sigma": [0.1, 4.0]})
    together = netcdf.load(training.output)
    diverged = together["termination_reason"] == together["termination_reason"].attrs[
        "flag_meanings"
    ].split().index("diverged")
    assert diverged.any()
    assert not diverged.all()
    training.run(**options, stack={**STACK, "sigma": [0.1]})
    alone = netcdf.load(training.output)
    for name in alone.data_vars:
        same = together[name].sel(sigma=[0.1])
        np.testing.assert_array_equal(same.transpose(*alone[name].dims), alone[name], err_msg=name)
    assert together["loss"].isnull().equals(diverged)
    survived("NaN in training", "the network that diverged, which is marked and has no measures")
