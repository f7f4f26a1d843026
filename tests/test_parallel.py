"""A stack in parts, over threads: the bytes are the same as in one part on one thread, also after a signal."""

import signal

import pytest

from support.training import Training

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize("kind", ["varpro", "adam"])
def test_any_number_of_threads_gives_the_same_bytes(tmp_path, kind):
    training = Training(tmp_path, kind)
    settings = training.training(epochs=60)
    alone, _ = training.run(training=settings)
    training.forget()
    assert training.run(training=settings, threads=3)[0] == alone


def test_threads_continue_from_a_checkpoint_of_all_parts_in_the_same_bytes(tmp_path):
    training = Training(tmp_path, "varpro")
    undisturbed, _ = training.run()
    training.forget()
    process = training.start(threads=2)
    training.wait_for_checkpoints(process, 2)
    process.signal(signal.SIGTERM)
    process.wait()
    assert process.said().endswith("stopped by a signal; the next run continues from the checkpoint\n")
    again, said = training.run(threads=3)
    assert "continuing from a checkpoint" in said
    assert again == undisturbed
