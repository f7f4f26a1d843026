"""The pipeline on a real SLURM of one node, and the faults that happen on clusters."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from nrc.text import STOPPED
from support.checkout import TINY, Checkout, copy_project, digests
from support.configurations import desk
from support.processes import start

pytestmark = pytest.mark.slurm

HERE = Path(__file__).parent
PROFILE = "workflow/profiles/slurm/config.yaml"
# One experiment of two cells, whose training takes seconds and is never stationary before its budget is spent.
CHANGES = {
    **{f"experiments.{name}": None for name in desk()["experiments"] if name != "mixture"},
    "experiments.mixture.grid": {"weight_decay": [0.01, 0.02], "sigma": [0.05]},
    "experiments.mixture.training": {"epochs": 600, "tolerance": 1e-30},
    "data.blobs": {"points": 60, "dimension": 6},
    "checkpoint_interval": 0.2,
}
MEASURED = "results/mixture/measure/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"
# cells off the grid are targets too
CANCELLED, LATE = TARGETS = [
    f"results/mixture/train/weight_decay~{value}/sigma~all/width~4/depth~3/seed~0.nc"
    for value in (0.03, 0.04)
]


def slurm(*command: str) -> str:
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout


def wait_for(found, seconds: float = 600):
    """The first true value of a function."""
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, slurm("squeue", "-o", "%i %T %r %k")
        time.sleep(0.1)
    return result


def clear_queue() -> None:
    slurm("scancel", "--user=root")
    wait_for(lambda: not slurm("squeue", "-h"))


@pytest.fixture(scope="module", autouse=True)
def cluster():
    if os.geteuid() != 0:
        pytest.skip("only root can start a SLURM of one node")
    started = subprocess.run([HERE / "start.sh"], text=True, capture_output=True, check=False)
    assert started.returncode == 0, started.stdout + started.stderr
    clear_queue()
    yield
    subprocess.run([HERE / "stop.sh"], check=True)


@pytest.fixture(autouse=True)
def empty_queue(cluster):
    yield
    clear_queue()


@dataclass(frozen=True)
class Job:
    """A SLURM job: its number, state, minutes, megabytes, resources and comment, which names rule and cells."""

    number: str
    state: str
    minutes: int
    memory: int
    resources: str
    comment: str

    @classmethod
    def all_with(cls, text: str) -> list["Job"]:
        """The jobs whose comment has a text, in the order of their submission."""
        jobs = []
        for line in slurm("scontrol", "--oneliner", "show", "jobs").splitlines():
            shown = dict(re.findall(r"(\S+?)=(\S*)", line))
            hours, minutes, _ = map(int, shown["TimeLimit"].rpartition("-")[2].split(":"))
            jobs.append(
                cls(
                    shown["JobId"], shown["JobState"], 60 * hours + minutes,
                    int(float(shown["MinMemoryNode"].rstrip("MG")) * (1024 if "G" in shown["MinMemoryNode"] else 1)),
                    shown.get("TresPerNode", "") + shown.get("TresPerJob", ""), shown.get("Comment", ""),
                )
            )  # fmt: skip
        return sorted((job for job in jobs if text in job.comment), key=lambda job: int(job.number))


@dataclass(frozen=True)
class Cluster:
    """A checkout whose user edited the profile for a cluster without accounting."""

    checkout: Checkout

    def __post_init__(self) -> None:
        self.checkout.edit(PROFILE, "slurm_account: default", "")
        self.checkout.edit(PROFILE, "slurm-efficiency-report: true", "slurm-efficiency-report: false")
        self.checkout.overlay(CHANGES)

    def start(self, *targets: str, options=()) -> subprocess.Popen:
        command = [
            sys.executable, str(HERE / "snakemake_polling.py"), "--workflow-profile", str(Path(PROFILE).parent),
            "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10",
            *options, "--configfile", TINY, "changes.yaml", "--", *targets,
        ]  # fmt: skip
        # where Snakemake finds the plugin of its logger
        environment = {**os.environ, "PYTHONPATH": str(self.checkout.folder)}
        return start(command, cwd=self.checkout.folder, env=environment)

    def run(self, *targets: str, fails: bool = False, options=()) -> str:
        return printed(self.start(*targets, options=options), fails)

    def stop_training(self, *targets: str) -> dict[str, str]:
        """Stop the processes that train targets, each once it has a checkpoint: its SLURM job, by target."""
        jobs: dict[str, str] = {}

        def one_more() -> bool:
            for target in set(targets) - set(jobs):
                output = self.checkout.folder / target
                if output.with_name(f".{output.stem}.checkpoint").exists():
                    signal_training(target, signal.SIGSTOP)
                    jobs[target] = Job.all_with(cell(target))[-1].number
            return len(jobs) == len(targets)

        wait_for(one_more)
        return jobs


def printed(process: subprocess.Popen, fails: bool = False) -> str:
    """The output of a Snakemake, once it has ended."""
    output = process.communicate()[0]
    assert (process.returncode != 0) == fails, output
    return output


def cell(target: str) -> str:
    return re.search(r"weight_decay~[\d.]+", target)[0]


def signal_training(target: str, number: signal.Signals) -> None:
    """Send a signal to the processes that train a target."""
    for pid in slurm("pgrep", "-f", f"train.py .*--output {re.escape(target)}").split():
        os.kill(int(pid), number)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Checkout:
    """The same without SLURM."""
    checkout = copy_project(tmp_path_factory.mktemp("local"))
    checkout.snakemake(MEASURED, *TARGETS, overlays=checkout.overlay(CHANGES))
    return checkout


@pytest.fixture
def untrained(local, tmp_path) -> Cluster:
    """A checkout with data and without networks."""
    checkout = local.copy(tmp_path / "cluster")
    shutil.rmtree(checkout.folder / "results/mixture")
    return Cluster(checkout)


def test_measures_have_the_bytes_of_a_local_run(local, fresh, survived):
    """Training has a GPU as a generic resource, and at first too little memory to begin."""
    cluster = Cluster(fresh)
    asked = ["train_stack:gres=gpu:null:1", "train_stack:mem_mb=300*attempt**3"]
    cluster.run(MEASURED, options=["--set-resources", *asked])
    made, expected = digests(fresh), digests(local)
    assert made == {path: expected[path] for path in made}
    assert MEASURED in made
    assert "Nothing to do" in fresh.snakemake(MEASURED, overlays=[TINY, "changes.yaml"])
    rules = ["make_mixture", "train_stack", "train_stack", "measure"]
    jobs = Job.all_with("rule_")
    assert [job.state for job in jobs] == ["COMPLETED", "FAILED", "COMPLETED", "COMPLETED"]
    (failed,) = (fresh.folder / "results/logs/slurm").rglob(f"{jobs[1].number}.log")
    assert "Exceeded job memory limit" in failed.read_text(encoding="utf-8")
    for job, rule in zip(jobs, rules, strict=True):
        assert job.comment.startswith(f"rule_{rule}")
        assert ("gpu:null:1" in job.resources) == (rule == "train_stack")
    survived(
        "SLURM job over its memory",
        "the work since the last checkpoint. The job is tried again with more memory",
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_job_that_fails_says_why(untrained):
    """One that asks for a GPU by its number and model, which this machine has in name only."""
    gpu = ["--config", "device=cuda", "--set-resources", "train_stack:gpu_model=null", "--retries", "0"]
    output = untrained.run(CANCELLED, options=gpu, fails=True)
    assert re.search(r"^Error: device is cuda, but torch finds no GPU", output, re.MULTILINE)
    assert "log: results/logs/mixture/train/" in output
    (job,) = Job.all_with(cell(CANCELLED))
    assert job.state == "FAILED"
    assert "gpu:null:1" in job.resources


def test_jobs_are_cancelled_and_timed_out_and_their_node_drained(untrained, local, survived):
    """One run of two jobs, a fault for each, while the node drains."""
    began = {target: len(Job.all_with(cell(target))) for target in TARGETS}
    process = untrained.start(*TARGETS)
    jobs = untrained.stop_training(*TARGETS)
    node = slurm("sinfo", "-h", "-o", "%n").strip()
    slurm("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    slurm("scontrol", "update", f"JobId={jobs[LATE]}", "EndTime=now")
    signal_training(CANCELLED, signal.SIGCONT)
    slurm("scancel", jobs[CANCELLED])
    wait_for(lambda: "drain" in slurm("sinfo", "-h", "-o", "%T"))
    wait_for(lambda: "PENDING" in slurm("squeue", "-h", "-o", "%T"))
    slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    output = printed(process)
    made, expected = digests(untrained.checkout), digests(local)
    assert made == {path: expected[path] for path in made}
    for target in TARGETS:
        assert "continuing from a checkpoint" in untrained.checkout.log(target), target
    assert output.count(STOPPED) == 2, "two jobs were stopped once, and tried again"
    assert "Error: " not in output
    for target, state in ((CANCELLED, "CANCELLED"), (LATE, "TIMEOUT")):
        first, second = Job.all_with(cell(target))[began[target] :]
        assert first.state.startswith(state)
        assert second.state == "COMPLETED"
        assert second.minutes == 120, "twice the time"
        assert second.memory == 2 * first.memory, "and twice the memory"
    survived(
        "`scancel` of a SLURM job",
        "nothing. The job writes a checkpoint after the signal, and is tried again",
    )
    survived("SLURM job over its time limit", "nothing. The job is tried again with more time")
    survived("SLURM node drained and back", "nothing. Jobs wait until the node is back")


def test_snakemake_is_killed_while_its_slurm_job_runs_and_started_again(untrained, local, survived):
    target = TARGETS[0]
    first = untrained.start(target)
    untrained.stop_training(target)  # until the new job trains
    first.kill()
    first.wait()
    untrained.checkout.snakemake(options=["--unlock"], overlays=[TINY, "changes.yaml"])
    second = untrained.start(target)
    log = untrained.checkout.folder / target.replace("results", "results/logs", 1).replace(".nc", ".log")
    wait_for(lambda: log.exists() and "continuing from a checkpoint" in log.read_text(encoding="utf-8"))
    signal_training(target, signal.SIGCONT)
    printed(second)
    wait_for(lambda: not slurm("squeue", "-h"))
    made, expected = digests(untrained.checkout), digests(local)
    assert made == {path: expected[path] for path in made}
    assert target in made
    survived(
        "SIGKILL of Snakemake, and a restart while its SLURM jobs run",
        "nothing. Run `snakemake --unlock`, then run again; the old jobs end by themselves",
    )
