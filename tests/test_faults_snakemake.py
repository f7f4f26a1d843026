"""What happens to Snakemake itself: afterwards the results are those of an undisturbed run, byte for byte."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

import pytest

from support.checkout import Checkout, copy_project, digests
from support.processes import mounted, start
from support.shared import made_once

TRAINED = "results/mixture/train/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"
SLOW = {
    "experiments.mixture.training": {"epochs": 1500, "tolerance": 1e-30},
    "data.blobs": {"points": 60, "dimension": 6},
    "checkpoint_interval": 0.1,
}


@dataclass(frozen=True)
class Slow:
    """A checkout in which the training that was finished undisturbed once is to be done again."""

    checkout: Checkout
    overlays: list[str]
    undisturbed: dict[str, str]

    def start(self) -> subprocess.Popen:
        """Start Snakemake, in a session of its own, and wait until it trains."""
        command = self.checkout.command(TRAINED, overlays=self.overlays)
        process = start(command, cwd=self.checkout.folder, start_new_session=True)
        folder = (self.checkout.folder / TRAINED).parent
        for _ in range(3000):
            if any(folder.glob(".*.checkpoint")):
                return process
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        raise AssertionError("no checkpoint after 60 s")

    def run(self, **options) -> str:
        return self.checkout.snakemake(TRAINED, overlays=self.overlays, **options)


@pytest.fixture
def slow(tmp_path_factory, tmp_path) -> Slow:
    def make(folder):
        checkout = copy_project(folder)
        checkout.snakemake(TRAINED, overlays=checkout.overlay(SLOW))

    made = Checkout(made_once(tmp_path_factory, "slow", make))
    checkout = made.copy(tmp_path / "slow")
    shutil.rmtree(checkout.folder / "results/mixture")
    return Slow(checkout, checkout.overlay(SLOW), digests(made))


def training_of(snakemake: subprocess.Popen) -> list[int]:
    """The processes that train for a Snakemake."""
    found = ["pgrep", "--session", str(snakemake.pid), "--full", "train.py"]
    return [int(pid) for pid in subprocess.run(found, capture_output=True, check=True).stdout.split()]


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def test_snakemake_is_killed_and_started_again_beside_its_old_job(slow, survived):
    first = slow.start()
    old = training_of(first)
    signal_all(old, signal.SIGSTOP)  # until the new one has trained
    first.kill()  # and not its jobs
    first.wait()
    assert "--unlock" in slow.run(fails=True)
    slow.checkout.snakemake(options=["--unlock"], overlays=slow.overlays)
    slow.run()
    assert "going on from a checkpoint" in slow.checkout.log(TRAINED)
    signal_all(old, signal.SIGCONT)
    first.communicate()  # until the old one has given up, in a log that the new one has replaced
    assert digests(slow.checkout) == slow.undisturbed
    survived(
        "SIGKILL of Snakemake, and a restart while its old job runs",
        "nothing. Run `snakemake --unlock`, then run again; the old job ends by itself",
    )


def test_two_snakemakes_in_one_folder(slow, survived):
    first = slow.start()
    signal_all(training_of(first), signal.SIGSTOP)
    assert "Directory cannot be locked" in slow.run(fails=True)
    signal_all(training_of(first), signal.SIGCONT)
    said = first.communicate()[0]
    assert first.returncode == 0, said
    assert digests(slow.checkout) == slow.undisturbed
    survived("two Snakemakes in one folder", "nothing. The second one reports that the folder is locked")


def test_interrupting_snakemake_keeps_the_work(slow, survived):
    """Ctrl-C in a terminal: every process of the session gets SIGINT."""
    first = slow.start()
    os.killpg(first.pid, signal.SIGINT)
    assert "stopped by a signal; run again to go on from the checkpoint" in first.communicate()[0]
    slow.run()
    assert "going on from a checkpoint" in slow.checkout.log(TRAINED)
    assert digests(slow.checkout) == slow.undisturbed
    survived("Ctrl-C in a terminal", "nothing. Run again")


def test_the_results_folder_is_read_only(fresh, survived):
    results = fresh.folder / "results"
    results.mkdir()
    target = "results/data/blobs/seed~0.nc"
    with mounted(results, "-o", "ro"):
        said = fresh.snakemake(target, fails=True)
        assert "results/ cannot be written" in said
        assert "Traceback" not in said
    fresh.snakemake(target)
    survived("a read-only results folder", "nothing. An error is reported before any job")
