"""A stack in parts, over threads: the bytes are those of one part by one thread, whatever happens."""

import signal
import time

import pytest

from support.training import Training


@pytest.mark.workflow
@pytest.mark.parametrize("kind", ["lbfgs", "varpro", "adam"])
def test_any_number_of_threads_gives_the_same_bytes(tmp_path, kind):
    training = Training(tmp_path, kind)
    alone, _ = training.run()
    for threads in (2, 5):
        training.forget()
        assert training.run(threads=threads)[0] == alone


@pytest.mark.workflow
@pytest.mark.parametrize("kind", ["lbfgs", "varpro"])
def test_threads_go_on_from_a_checkpoint_in_the_same_bytes(tmp_path, kind):
    training = Training(tmp_path, kind)
    undisturbed, _ = training.run()
    training.forget()
    process = training.start(threads=2)
    training.wait_for_checkpoints(process, 2)
    process.signal(signal.SIGTERM)
    assert process.wait() == 1
    assert process.said().endswith("stopped by a signal; run again to go on from the checkpoint\n")
    again, said = training.run(threads=3)  # and by another number of them
    assert "going on from a checkpoint" in said
    assert again == undisturbed


@pytest.mark.workflow
def test_killed_threads_leave_a_checkpoint_of_all_parts(tmp_path):
    training = Training(tmp_path, "varpro")
    undisturbed, _ = training.run()
    training.forget()
    process = training.start(threads=3, interval=0.1)
    training.wait_for_checkpoints(process, 2)
    time.sleep(0.05)
    process.kill()
    process.wait()
    again, said = training.run(threads=2)
    assert "going on from a checkpoint" in said
    assert again == undisturbed
