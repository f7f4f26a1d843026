"""What happens to Snakemake itself: afterwards the results have the same bytes as after an undisturbed run."""

import os
import shutil
import signal
import subprocess
import time

from support.checkout import Checkout, digests
from support.processes import mounted, start

TRAINED = "results/mixture/train/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"
SLOW = {
    "experiments.mixture.training": {"epochs": 1500, "tolerance": 1e-30},
    "data.blobs": {"points": 60, "dimension": 6},
    "checkpoint_interval": 0.1,
}


def start_training(checkout: Checkout, overlays: list[str]) -> subprocess.Popen:
    """Start Snakemake in a session of its own, and return once its training job has written a checkpoint."""
    checkpoint = (checkout.folder / TRAINED).with_name(".seed~0.checkpoint")
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    process = start(checkout.command(TRAINED, overlays=overlays), cwd=checkout.folder, start_new_session=True)
    while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    return process


def signal_training(snakemake: subprocess.Popen, number: signal.Signals) -> None:
    found = ["pgrep", "--session", str(snakemake.pid), "--full", "train.py"]
    for pid in subprocess.run(found, capture_output=True, check=True).stdout.split():
        os.kill(int(pid), number)


def test_snakemake_is_started_twice_killed_and_interrupted(fresh, survived):
    overlays = fresh.overlay(SLOW)
    fresh.snakemake(TRAINED, overlays=overlays)
    undisturbed = digests(fresh)
    shutil.rmtree(fresh.folder / "results/mixture")
    first = start_training(fresh, overlays)
    signal_training(first, signal.SIGSTOP)  # until the others have trained
    assert "Directory cannot be locked" in fresh.snakemake(TRAINED, overlays=overlays, fails=True)
    first.kill()  # and not its job
    first.wait()
    fresh.snakemake(options=["--unlock"], overlays=overlays)
    second = start_training(fresh, overlays)
    os.killpg(second.pid, signal.SIGINT)  # as Ctrl-C in a terminal, which every process gets
    output = second.communicate()[0]
    assert "run again" in output
    assert "Traceback" not in output
    fresh.snakemake(TRAINED, overlays=overlays)
    assert "continuing from a checkpoint" in fresh.log(TRAINED)
    signal_training(first, signal.SIGCONT)
    first.communicate()  # until the job of the killed one has ended
    assert digests(fresh) == undisturbed
    survived("two Snakemakes in one folder", "nothing. The second one reports that the folder is locked")
    survived(
        "SIGKILL of Snakemake, and a restart while its old job runs",
        "nothing. Run `snakemake --unlock`, then run again; the old job ends by itself",
    )
    survived("Ctrl-C in a terminal", "nothing. Run again")


def test_the_results_folder_is_read_only(fresh, survived):
    results = fresh.folder / "results"
    results.mkdir()
    target = "results/data/blobs/seed~0.nc"
    with mounted(results, "-o", "ro"):
        output = fresh.snakemake(target, fails=True)
        assert "results/ cannot be written" in output
        assert "Traceback" not in output
    fresh.snakemake(target)
    survived("a read-only results folder", "nothing. An error is reported before any job")
