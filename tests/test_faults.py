"""What machines do to a run, locally: afterwards the results are those of an undisturbed run, byte for byte."""

import contextlib
import io
import json
import os
import random
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT, Checkout, copy_project, digests
from test_workflow import write_scale

from nrc import store

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT)}
DATA = {
    "kind": "mixture",
    "clusters": 2,
    "points": 60,
    "dimension": 6,
    "separation": 2,
    "covariance": "isotropic",
    "weights": None,
}
STACK = {"weight_decay": [0.001, 0.002, 0.004, 0.008, 0.016], "sigma": [0.1, 0.2, 0.4], "width": 6, "depth": 4, "seed": 0}  # fmt: skip
LBFGS = {
    "method": "lbfgs",
    "loss_on": "data",
    "penalty": "factors",
    "tolerance": 1e-12,
    "evaluations": 1200,
    "history": 10,
    "step": 0.2,
    "wall_clock": None,
}
IMAGES = {"kind": "mnist", "source": "bundled", "folder": None, "mirrors": None, "train_points": 200, "test_points": 100}  # fmt: skip
ADAM = {
    "method": "adam",
    "epochs": 150,
    "batch": 20,
    "learning_rate": 1e-3,
    "momentum": 0.9,
    "schedule": "cosine",
    "history": 10,
    "tolerance": 1e-3,
    "snapshots": 3,
    "precision": "float32",
    "tf32": False,
}


STARTED = []


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    """End what a failed test started."""
    yield
    for process in STARTED:
        with process:
            process.kill()
    STARTED.clear()


def start(command, **options) -> subprocess.Popen:
    STARTED.append(
        subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    )
    return STARTED[-1]


class Training:
    """A training program in a folder, to be killed."""

    def __init__(self, folder, kind="lbfgs"):
        self.folder, self.output = folder, folder / "train.nc"
        if kind == "lbfgs":
            self.script, self.data = "train", folder / "mixture.nc"
            self.settings = {
                "experiment": "mixture", "data": DATA, "network": {"activation": "tanh", "gain": 1, "loss": "squared_error"},
                "training": LBFGS, "device": "cpu", "precision": "float64", "stack": STACK,
            }  # fmt: skip
            make = [
                "make_mixture",
                "--settings",
                json.dumps({"experiment": "mixture", "data": DATA, "seed": 0}),
            ]
        else:
            self.script, self.data = "train_classifier", folder / "mnist.nc"
            self.settings = {
                "experiment": "mnist", "data": IMAGES, "network": {"activation": "tanh", "gain": 1, "loss": "cross_entropy"},
                "training": ADAM, "device": "cpu",
                "stack": {"weight_decay": [0.001, 0.01], "sigma": 0, "width": 32, "depth": 4, "seed": 0},
            }  # fmt: skip
            make = ["fetch_mnist", "--settings", json.dumps(IMAGES), "--split", "test", "--bundled", str(PROJECT / "resources/mnist")]  # fmt: skip
        if not self.data.exists():
            run_process([*make, "--output", str(self.data)])

    def arguments(self, interval=0.05, **settings):
        chosen = {**self.settings, **settings}
        return [
            self.script, "--settings", json.dumps(chosen), "--data", str(self.data),
            "--output", str(self.output), "--checkpoint-interval", str(interval),
        ]  # fmt: skip

    def start(self, **options) -> subprocess.Popen:
        script, *arguments = self.arguments(**options)
        return start(
            [sys.executable, str(PROJECT / f"workflow/scripts/{script}.py"), *arguments], env=ENVIRONMENT
        )

    def run(self, **options) -> tuple[bytes, str]:
        """The bytes of the output, and what the program says."""
        process = self.start(**options)
        said = process.communicate()[0]
        assert process.returncode == 0, said
        return self.output.read_bytes(), said

    @property
    def checkpoint(self) -> Path:
        return self.folder / f".{self.output.stem}.checkpoint"

    def forget(self):
        """Be as if nothing had ever run."""
        for file in (self.output, *self.folder.glob(f".{self.output.stem}.*")):
            file.unlink(missing_ok=True)

    def wait_for_claim(self, process):
        """Until training begins."""
        while not (self.folder / f".{self.output.stem}.claim").exists() and process.poll() is None:
            time.sleep(0.01)

    def wait_for_checkpoint(self, process):
        for _ in range(3000):
            if self.checkpoint.exists():
                return
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        raise AssertionError("no checkpoint after 30 s")


def run_process(arguments):
    script, *rest = arguments
    subprocess.run(
        [sys.executable, str(PROJECT / f"workflow/scripts/{script}.py"), *rest], env=ENVIRONMENT, check=True
    )


@pytest.mark.parametrize(("kind", "kills"), [("lbfgs", 20), ("adam", 6)])
def test_a_training_process_is_killed_at_random_moments(tmp_path, survived, kind, kills):
    training = Training(tmp_path, kind)
    process = training.start()
    training.wait_for_claim(process)
    began = time.monotonic()
    assert process.wait() == 0
    duration = time.monotonic() - began
    undisturbed = training.output.read_bytes()
    training.forget()
    rng, killed, resumed = random.Random(0), 0, 0
    while killed < kills:
        (tmp_path / ".train.claim").unlink(missing_ok=True)  # of the killed one
        process = training.start()
        if rng.random() < 0.8:  # else while it is still importing, perhaps
            training.wait_for_claim(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, 1.2) * duration)
        if process.poll() is None:
            process.kill()
            killed += 1
        said = process.communicate()[0]
        resumed += "going on from a checkpoint" in said
        if training.output.exists():
            assert training.output.read_bytes() == undisturbed
            training.forget()
    last, _ = training.run()
    assert last == undisturbed
    assert resumed > kills / 4, "the kills came before any checkpoint"
    assert {file.name for file in tmp_path.iterdir() if "partial" not in file.name} == {
        training.data.name, "train.nc", ".train.earlier.nc",
    }  # fmt: skip
    survived(
        "SIGKILL of a training process at a random moment",
        "the work since the last checkpoint, `checkpoint_interval` seconds at most; run again",
        tried=kills,
        survived=kills,
    )


@pytest.mark.parametrize("request_", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_makes_a_checkpoint_at_once(tmp_path, survived, request_):
    training = Training(tmp_path)
    undisturbed, _ = training.run(interval=1e9)
    training.forget()
    process = training.start(interval=1e9)
    training.wait_for_claim(process)
    time.sleep(0.5)
    assert not training.checkpoint.exists()
    process.send_signal(request_)
    said = process.communicate()[0]
    assert process.returncode == 1
    assert said.endswith("stopped by a signal; run again to go on from the checkpoint\n")
    assert "Traceback" not in said
    assert not training.output.exists()
    again, said = training.run(interval=1e9)
    assert "going on from a checkpoint" in said
    assert again == undisturbed
    assert not training.checkpoint.exists()
    survived(
        "SIGTERM or SIGINT to a training process",
        "nothing: it writes a checkpoint at once and ends; run again, as `retries` does",
    )


def test_a_checkpoint_that_cannot_be_written_ends_nothing(tmp_path, survived):
    training = Training(tmp_path)
    undisturbed, _ = training.run()
    training.output = tmp_path / "small" / "train.nc"
    training.output.parent.mkdir()
    # room for the output and not for a checkpoint, which has the memory of the method too
    with mounted(training.output.parent, "-o", f"size={len(undisturbed) + 40_000}"):
        again, said = training.run(interval=0.3)
        left = {file.name for file in training.output.parent.iterdir()}
    assert "train.checkpoint could not be written (No space left on device)" in said
    assert "training goes on without a checkpoint" in said
    assert again == undisturbed
    assert left == {"train.nc", ".train.earlier.nc"}
    survived("full disk while a checkpoint is written", "nothing: the log says so and training goes on")


def test_a_growing_stack_trains_the_new_cells_only(tmp_path):
    training = Training(tmp_path)
    training.run(stack={**STACK, "weight_decay": [0.002, 0.008]})
    grown, said = training.run()
    assert "6 of 15 cells taken over from the earlier file" in said
    assert "0 of 9 cells converged" in said or "of 9 cells" in said
    training.forget()
    assert training.run()[0] == grown
    shrunk, said = training.run(stack={**STACK, "sigma": [0.4]})
    assert "5 of 5 cells taken over" in said
    training.forget()
    assert training.run(stack={**STACK, "sigma": [0.4]})[0] == shrunk


def test_classifiers_are_taken_over_too(tmp_path):
    training = Training(tmp_path, "adam")
    stack = training.settings["stack"]
    training.run(stack={**stack, "weight_decay": [0.01]})
    grown, said = training.run()
    assert "1 of 2 cells taken over" in said
    training.forget()
    assert training.run()[0] == grown


@pytest.mark.parametrize("change", ["settings", "data", "damage"])
def test_cells_of_other_settings_or_data_are_not_taken_over(tmp_path, change):
    training = Training(tmp_path)
    settings = {"training": {**LBFGS, "evaluations": 40}}
    training.run(**settings)
    if change == "settings":
        settings = {"training": {**LBFGS, "evaluations": 41}}
    elif change == "data":
        other = store.load(training.data)
        other["noise"] = 1.01 * other["noise"].assign_attrs(other["noise"].attrs)
        other["noise"].attrs = store.load(training.data)["noise"].attrs
        store.save(other, training.data)
    else:
        earlier = tmp_path / ".train.earlier.nc"
        earlier.write_bytes(earlier.read_bytes()[:-1])
    bytes_, said = training.run(**settings)
    assert "taken over" not in said
    assert ("damaged" in said) == (change == "damage")
    training.forget()
    assert training.run(**settings)[0] == bytes_


def test_two_processes_train_one_output(tmp_path, survived):
    training = Training(tmp_path)
    undisturbed, _ = training.run()
    training.forget()
    first = training.start(training={**LBFGS, "evaluations": 100_000, "tolerance": 1e-30})
    training.wait_for_checkpoint(first)
    second = training.start()
    said = first.communicate()[0]
    assert first.returncode == 1
    assert "another process has begun to train this since, so this one ends" in said
    assert second.wait() == 0, second.communicate()[0]
    second.communicate()
    assert training.output.read_bytes() == undisturbed
    survived(
        "two processes train one output",
        "nothing: the one that began last writes, the other gives up when it next looks",
    )


# A process whose memory is limited to what it has after its imports, and some MiB.
LIMITED = """
import resource, runpy, sys, h5netcdf, sklearn.cluster, torch, torch._dynamo, workflow.training
torch.ones(300, 300) @ torch.ones(300, 300)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_stack_too_big_for_memory_is_split(tmp_path, survived, monkeypatch):
    monkeypatch.setitem(DATA, "points", 2000)
    training = Training(tmp_path)
    stack = {**STACK, "weight_decay": [0.001 * k for k in range(1, 23)], "depth": 3}
    options = {"stack": stack, "training": {**LBFGS, "evaluations": 15}}
    undisturbed, _ = training.run(**options)
    training.forget()
    script, *arguments = training.arguments(**options)
    for limit in (60, 6):
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, str(limit), str(PROJECT / f"workflow/scripts/{script}.py"), *arguments],
            env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        if limit == 6:
            assert done.returncode == 1
            assert "memory" in done.stdout.splitlines()[-1]
            assert "Traceback" not in done.stdout
            assert not training.output.exists()
        else:
            assert done.returncode == 0, done.stdout
            assert "66 cells do not fit in memory; training" in done.stdout
            assert training.output.read_bytes() == undisturbed
            training.forget()
    survived("out of memory", "nothing: the stack is trained in parts; one network too big ends in one line")


def test_a_network_that_diverges_does_not_poison_its_stack(tmp_path, survived):
    training = Training(tmp_path)
    options = {"training": {**LBFGS, "method": "gd", "step": 8, "evaluations": 60}}
    training.run(**options, stack={**STACK, "sigma": [0.1, 4.0]})
    together = store.load(training.output)
    diverged = together["ended"] == list(together["ended"].attrs["flag_meanings"].split()).index("diverged")
    assert diverged.any()
    assert not diverged.all()
    training.run(**options, stack={**STACK, "sigma": [0.1]})
    alone = store.load(training.output)
    for name in alone.data_vars:
        same = together[name].sel(sigma=[0.1])
        np.testing.assert_array_equal(same.transpose(*alone[name].dims), alone[name], err_msg=name)
    assert together["loss"].isnull().equals(diverged)
    survived("NaN in training", "the network that diverges: it is marked, and has no measures")


# ---- stage by stage

STAGES = {
    "make_mixture": "results/data/mixture/mixture/seed~0.nc",
    "fetch_mnist": "results/data/mnist/test.nc",
    "train": "results/mixture/train/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc",
    "train_classifier": "results/mnist/train/weight_decay~all/sigma~0/width~8/depth~3/seed~0.nc",
    "measure": "results/mixture/measure/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc",
    "measure_classifier": "results/mnist/measure/weight_decay~all/sigma~0/width~8/depth~3/seed~0.nc",
    "collect": "results/mixture/measures.nc",
    "compare_centroids": "results/linear/shift.nc",
    "plot_figure1": "results/figures/figure1.pdf",
    "audit": "results/audit.csv",
    "judge_claims": "results/claims.nc",
}  # fmt: skip


@pytest.fixture(scope="module")
def commands(finished):
    return finished.commands()


def run_stage(checkout, command: str, monkeypatch) -> str:
    """Run the program of a job as its command would; what it says if it fails, else nothing."""
    words = shlex.split(command)
    at = words.index("python")
    end = next(i for i, word in enumerate(words) if i > at and word in (">", "2>&1", "|"))
    # by the environment, which a shell would look up
    script, *arguments = [word.replace("$CHECKPOINT_INTERVAL", "60") for word in words[at + 1 : end]]
    listed = "\n".join(words[2 : words.index("|")]) if words[0] == "printf" else ""
    if "train" in script:
        done = subprocess.run(
            [sys.executable, script, *arguments], cwd=checkout.folder, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(checkout.folder)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.stdout if done.returncode else ""
    with monkeypatch.context() as context:
        context.chdir(checkout.folder)
        context.setattr(sys, "argv", [script, *arguments])
        context.setattr(sys, "stdin", io.StringIO(listed))
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            return str(end.code or "")
    return ""


@contextlib.contextmanager
def mounted(folder, *options):
    """A small file system in memory over a folder."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"this user may not mount a file system: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("stage", STAGES)
def test_the_disk_is_full_at_a_write(checkout, commands, monkeypatch, survived, stage):
    before, output = digests(checkout), checkout.folder / STAGES[stage]
    shutil.rmtree(output.parent / f".{output.stem}.earlier.nc", ignore_errors=True)
    (output.parent / f".{output.stem}.earlier.nc").unlink(missing_ok=True)
    inputs = checkout.folder / "inputs"
    output.parent.rename(inputs)
    output.parent.mkdir()
    with mounted(output.parent, "-o", "size=16k"):
        for part in inputs.iterdir():  # what else is in the folder stays readable
            (output.parent / part.name).symlink_to(part)
        output.unlink(missing_ok=True)
        with contextlib.suppress(OSError), (output.parent / "filling").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
        said = run_stage(checkout, commands[STAGES[stage]], monkeypatch)
        assert said.strip().count("\n") == 0, said
        assert "could not be written (No space left on device)" in said
        assert str(Path(STAGES[stage]).parent) in said
        assert "make room" in said
        assert not output.exists()
        assert not list(output.parent.glob("*.partial-*")), "something half-written is left"
    output.parent.rmdir()
    inputs.rename(output.parent)
    output.unlink()
    assert run_stage(checkout, commands[STAGES[stage]], monkeypatch) == ""
    assert digests(checkout) == before
    survived(
        "full disk while a stage writes",
        "nothing: one line names the file, no half of it is left; make room and run again",
    )


INPUTS = {
    "train": STAGES["make_mixture"],
    "train_classifier": STAGES["fetch_mnist"],
    "measure": STAGES["train"],
    "measure_classifier": STAGES["train_classifier"],
    "collect": STAGES["measure"],
    "compare_centroids": "results/linear/measures.nc",
    "plot_figure1": STAGES["collect"],
    "audit": STAGES["collect"],
    "judge_claims": STAGES["collect"],
}  # fmt: skip


@pytest.mark.parametrize("stage", INPUTS)
def test_an_input_is_damaged(checkout, commands, monkeypatch, survived, stage):
    before, output, damaged = (
        digests(checkout),
        checkout.folder / STAGES[stage],
        checkout.folder / INPUTS[stage],
    )
    whole = damaged.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    output.unlink()
    (output.parent / f".{output.stem}.earlier.nc").unlink(missing_ok=True)
    for damage in (whole[:-1000], b"", bytes(flipped)):
        damaged.write_bytes(damage)
        said = run_stage(checkout, commands[STAGES[stage]], monkeypatch)
        assert f"{INPUTS[stage]} is damaged" in said
        assert "delete it and run again" in said
        assert said.strip().count("\n") == 0, said
        assert not output.exists()
    damaged.write_bytes(whole)
    assert run_stage(checkout, commands[STAGES[stage]], monkeypatch) == ""
    assert digests(checkout) == before
    survived(
        "truncated, empty or bit-flipped input of a stage",
        "nothing: one line names the file; delete it and run again",
        tried=3,
        survived=3,
    )


def test_deleting_a_damaged_file_is_all_it_takes(checkout):
    before, damaged = digests(checkout), checkout.folder / STAGES["train"]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    checkout.snakemake("results/mixture/measures.nc", fails=True)
    log = checkout.folder / "results/logs" / STAGES["measure"].removeprefix("results/").replace(".nc", ".log")
    assert f"{STAGES['train']} is damaged" in log.read_text(encoding="utf-8")
    damaged.unlink()
    checkout.snakemake(STAGES["measure"])
    assert digests(checkout) == before


# ---- Snakemake itself

TRAINED = STAGES["train"]
SLOW = {
    "experiments.mixture.training": {"evaluations": 9000, "tolerance": 1e-30},
    "experiments.mixture.data": {"points": 60, "dimension": 6},
    "checkpoint_interval": 0.1,
}


@dataclass(frozen=True)
class Slow:
    """A checkout in which the training that was finished undisturbed once is to be done again."""

    checkout: Checkout
    scale: list[str]
    undisturbed: dict[str, str]

    def start(self) -> subprocess.Popen:
        """Start Snakemake, in a session of its own, and wait until it trains."""
        command = self.checkout.command(TRAINED, scale=self.scale)
        process = start(command, cwd=self.checkout.folder, start_new_session=True)
        folder = (self.checkout.folder / TRAINED).parent
        for _ in range(3000):
            if any(folder.glob(".*.checkpoint")):
                return process
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        raise AssertionError("no checkpoint after 60 s")

    def run(self, **options) -> str:
        return self.checkout.snakemake(TRAINED, scale=self.scale, **options)


@pytest.fixture(scope="module")
def trained_slowly(tmp_path_factory) -> Slow:
    checkout = copy_project(tmp_path_factory.mktemp("slow"))
    slow = Slow(checkout, write_scale(checkout, **SLOW), {})
    slow.run()
    return Slow(checkout, slow.scale, digests(checkout))


@pytest.fixture
def slow(trained_slowly, tmp_path) -> Slow:
    checkout = Checkout(tmp_path / "slow")
    shutil.copytree(trained_slowly.checkout.folder, checkout.folder, symlinks=True)
    shutil.rmtree(checkout.folder / "results/mixture")
    return Slow(checkout, trained_slowly.scale, trained_slowly.undisturbed)


def test_snakemake_is_killed_and_started_again_beside_its_old_job(slow, survived):
    first = slow.start()
    first.kill()  # and not its jobs
    first.wait()
    assert "--unlock" in slow.run(fails=True)
    slow.checkout.snakemake(options=["--unlock"], scale=slow.scale)
    assert "going on from a checkpoint" in slow.run()
    assert "another process has begun to train this since" in first.communicate()[0]
    assert digests(slow.checkout) == slow.undisturbed
    survived(
        "SIGKILL of Snakemake, and a restart beside its old job",
        "nothing: `snakemake --unlock`, then run again; the old job gives up",
    )


def test_two_snakemakes_in_one_folder(slow, survived):
    first = slow.start()
    assert "Directory cannot be locked" in slow.run(fails=True)
    said = first.communicate()[0]
    assert first.returncode == 0, said
    assert digests(slow.checkout) == slow.undisturbed
    survived("two Snakemakes in one folder", "nothing: the second says that the folder is locked")


def test_interrupting_snakemake_keeps_the_work(slow, survived):
    """Ctrl-C in a terminal: every process of the session gets SIGINT."""
    first = slow.start()
    os.killpg(first.pid, signal.SIGINT)
    assert "stopped by a signal; run again to go on from the checkpoint" in first.communicate()[0]
    assert "going on from a checkpoint" in slow.run()
    assert digests(slow.checkout) == slow.undisturbed
    survived("Ctrl-C in a terminal", "nothing; run again")


def test_the_results_folder_is_read_only(fresh, survived):
    results = fresh.folder / "results"
    results.mkdir()
    with mounted(results, "-o", "ro"):
        said = fresh.snakemake("data", fails=True)
        assert "results/ cannot be written" in said
        assert "Traceback" not in said
    fresh.snakemake("data")
    survived("a read-only results folder", "nothing: one line before any job")
