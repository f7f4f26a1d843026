"""The pipeline on a real SLURM of one node, and through what happens on clusters."""

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

from support.checkout import TINY, Checkout, copy_project, digests
from support.processes import start

pytestmark = pytest.mark.slurm

HERE = Path(__file__).parent
PROFILE = "workflow/profiles/slurm/config.yaml"


@pytest.fixture(scope="session", autouse=True)
def cluster():
    if os.geteuid() != 0:
        pytest.skip("a SLURM of one node can only be started by root")
    started = subprocess.run([HERE / "start.sh"], text=True, capture_output=True, check=False)
    assert started.returncode == 0, started.stdout + started.stderr
    clear_queue()
    yield
    subprocess.run([HERE / "stop.sh"], check=True)


@dataclass(frozen=True)
class Cluster:
    """A checkout whose user edited the two lines of the profile."""

    checkout: Checkout
    overlays: tuple[str, ...] = (TINY,)

    def start(self, *targets: str, options=()) -> subprocess.Popen:
        command = [
            sys.executable, str(HERE / "snakemake_polling.py"), "--workflow-profile", str(Path(PROFILE).parent),
            "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10",
            *options, "--configfile", *self.overlays, "--", *targets,
        ]  # fmt: skip
        return start(command, cwd=self.checkout.folder)

    def run(self, *targets: str, options=()) -> str:
        process = self.start(*targets, options=options)
        said = process.communicate()[0]
        assert process.returncode == 0, said
        return said


def on_cluster(checkout, overlays=(TINY,)) -> Cluster:
    checkout.edit(PROFILE, "slurm_account: default", "slurm_account: lab")
    return Cluster(checkout, tuple(overlays))


def wait_for(found, seconds: float = 180):
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, slurm("squeue", "-o", "%i %T %r %k")
        time.sleep(0.2)
    return result


def clear_queue():
    slurm("scancel", "--user=root")
    wait_for(lambda: not slurm("squeue", "-h"))


def slurm(*command: str) -> str:
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout


# Of each rule a job or a few: other experiments of the tiny scale have the same, of other settings.
DROPPED = {f"experiments.{name}": None for name in ("mixture_cells", "linear_product", "width", "depth")}


def test_every_rule_gives_the_bytes_of_a_local_run(checkout, fresh):
    """Training asks for a GPU by its number and model, or as a generic resource."""
    checkout.snakemake(overlays=checkout.overlay(DROPPED))
    began, cluster = time.strftime("%Y-%m-%dT%H:%M:%S"), on_cluster(fresh, fresh.overlay(DROPPED))
    one = "results/mixture/train/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"
    cluster.run(one, options=["--set-resources", "train_stack:gpu=1", "train_stack:gpu_model=null"])
    cluster.run(options=["--set-resources", "train_stack:gres=gpu:null:1"])
    made, local = digests(fresh), digests(checkout)
    assert made == {path: local[path] for path in made}
    assert "Nothing to be done" in fresh.snakemake(overlays=cluster.overlays)
    said = slurm("sacct", "-X", "-n", "-P", "-S", began, "-o", "Comment,AllocTRES,State")
    states = [line for line in said.splitlines() if line.startswith("rule_train")]
    assert len(states) == 5
    assert all("gres/gpu" in line and line.endswith("COMPLETED") for line in states), said
    reports = (fresh.folder / "results/logs/slurm").glob("efficiency*.csv")
    assert "".join(report.read_text(encoding="utf-8") for report in reports).count("rule_train_stack") == 5
    fresh.snakemake(options=["--report", "report.zip"], overlays=cluster.overlays)
    assert (fresh.folder / "report.zip").stat().st_size > 100_000


SLOW = {
    "experiments.mixture.training": {"epochs": 30000, "tolerance": 1e-30},
    "data.blobs": {"points": 60, "dimension": 6},
    "checkpoint_interval": 1,
}
CELLS = "results/mixture/train/weight_decay~{}/sigma~all/width~4/depth~3/seed~0.nc"
TARGETS = [CELLS.format(value) for value in (0.01, 0.02, 0.03, 0.04)]


@pytest.fixture(scope="module")
def trained_locally(tmp_path_factory) -> tuple[Checkout, dict[str, str]]:
    checkout = copy_project(tmp_path_factory.mktemp("local"))
    checkout.snakemake(*TARGETS, overlays=checkout.overlay(SLOW))
    return checkout, digests(checkout)


@pytest.fixture(autouse=True)
def nothing_is_left_in_the_queue(cluster):
    yield
    clear_queue()


@pytest.fixture
def slow(trained_locally, tmp_path) -> Cluster:
    """A checkout with data, in which four jobs are to train for some seconds."""
    local, _ = trained_locally
    checkout = local.copy(tmp_path / "cluster")
    shutil.rmtree(checkout.folder / "results/mixture")
    return on_cluster(checkout, checkout.overlay(SLOW))


def training_job(cluster: Cluster, target: str) -> str:
    """The SLURM job that trains a target, once it has a checkpoint with a state."""
    output = cluster.checkout.folder / target
    checkpoint = output.with_name(f".{output.stem}.checkpoint")
    wait_for(checkpoint.exists)
    part = re.search(r"weight_decay~[\d.]+", target)[0]
    return wait_for(
        lambda: next(
            (
                line.split()[0]
                for line in slurm("squeue", "-h", "-t", "R", "-o", "%i %k").splitlines()
                if part in line
            ),
            None,
        )
    )


def resumed(cluster: Cluster, target: str) -> bool:
    """Whether the log of a target says so; a new job begins with a new one."""
    try:
        return "going on from a checkpoint" in cluster.checkout.log(target)
    except FileNotFoundError:
        return False


def processes(target: str) -> list[int]:
    """The processes that train a target."""
    return [int(pid) for pid in slurm("pgrep", "-f", f"train.py .*--output {re.escape(target)}").split()]


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def test_jobs_are_cancelled_requeued_timed_out_and_their_node_drained(slow, trained_locally, survived):
    """One run of four jobs, a fault for each; the node drains while all of it goes on."""
    cancelled, requeued, late, other = TARGETS
    process = slow.start(*TARGETS)
    jobs = {target: training_job(slow, target) for target in TARGETS}
    slurm("scontrol", "update", f"JobId={jobs[late]}", "TimeLimit=1")
    signal_all(processes(late), signal.SIGSTOP)  # it uses up its time
    slurm("scontrol", "update", "NodeName=" + node(), "State=DRAIN", "Reason=test")
    slurm("scancel", jobs[cancelled])
    slurm("scontrol", "requeue", jobs[requeued])
    wait_for(lambda: node_is("drain"))
    wait_for(lambda: "PENDING" in slurm("squeue", "-h", "-o", "%T"))
    slurm("scontrol", "update", "NodeName=" + node(), "State=RESUME")
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert digests(slow.checkout) == trained_locally[1]
    for target in (cancelled, requeued, late):
        assert resumed(slow, target), target
    assert not resumed(slow, other)
    assert len(re.findall("^Error: ", said, re.MULTILINE)) == 2, "each failed once, and was tried again"
    states = dict(
        line.split("|") for line in slurm("sacct", "-X", "-n", "-P", "-o", "JobID,State").splitlines()
    )
    assert states[jobs[late]] == "TIMEOUT"
    assert states[jobs[cancelled]].startswith("CANCELLED")
    survived(
        "`scancel` of a SLURM job",
        "nothing. The job writes a checkpoint after the signal, and is tried again",
    )
    survived("SLURM job over its time limit", "nothing. The job is tried again with more time")
    survived("requeue of a SLURM job", "nothing. The job starts again and continues")
    survived("SLURM node drained and back", "nothing. Jobs wait until the node is back")


def node() -> str:
    return slurm("sinfo", "-h", "-o", "%n").strip()


def node_is(state: str) -> bool:
    return state in slurm("sinfo", "-h", "-o", "%T")


def test_snakemake_is_killed_while_its_slurm_jobs_run_and_started_again(slow, trained_locally, survived):
    both = TARGETS[:2]
    first = slow.start(*both)
    old = [training_job(slow, target) for target in both]
    frozen = [pid for target in both for pid in processes(target)]
    signal_all(frozen, signal.SIGSTOP)  # until the new jobs train
    first.kill()
    first.wait()
    slow.checkout.snakemake(options=["--unlock"], overlays=slow.overlays)
    second = slow.start(*both)
    wait_for(lambda: all(resumed(slow, target) for target in both))
    signal_all(frozen, signal.SIGCONT)
    said = second.communicate()[0]
    assert second.returncode == 0, said
    wait_for(lambda: not slurm("squeue", "-h"))
    expected = {path: digest for path, digest in trained_locally[1].items() if path not in TARGETS[2:]}
    assert digests(slow.checkout) == expected
    states = dict(
        line.split("|") for line in slurm("sacct", "-X", "-n", "-P", "-o", "JobID,State").splitlines()
    )
    assert [states[job] for job in old] == ["FAILED", "FAILED"], "the old jobs give up"
    survived(
        "SIGKILL of Snakemake, and a restart while its SLURM jobs run",
        "nothing. Run `snakemake --unlock`, then run again; the old jobs end by themselves",
    )
