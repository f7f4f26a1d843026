"""What a user sees when something is wrong: one line before any job, or one line and the log of a job."""

import re

import numpy as np
import pytest
import torch

from nrc import netcdf
from support.checkout import TINY, digests

MIXTURE = "results/mixture/{}/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"
IMAGES = "results/{}/{}/weight_decay~all/sigma~0/width~4/depth~3/seed~all.nc"


def shown_with_log(said: str) -> dict[str, str]:
    """The errors that a terminal shows, each by the log that it names."""
    return {log: error for error, log in re.findall(r"^Error: (.*)\n  log: (\S+)$", said, re.MULTILINE)}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_ends_a_run_before_it_removes_a_result(checkout):
    before = digests(checkout)
    for options in (["--dry-run"], []):
        said = checkout.snakemake(options=[*options, "--config", "device=cuda"], fails=True)
        errors = [line for line in said.splitlines() if "rror" in line]
        assert errors == ["Error: device is cuda, but torch finds no GPU; use device: auto or cpu"]
        assert "Traceback" not in said
    assert digests(checkout) == before


def test_a_training_that_fails_says_why_and_nothing_behind_it_passes_for_up_to_date(checkout):
    """With the default profile, and not as a job whose output is slow to come."""
    target, cause, begin = (
        "results/figures/figure1.png",
        "no network is trained today",
        "    make_deterministic(",
    )
    checkout.edit("workflow/scripts/train.py", begin, f"    raise ValueError({cause!r})\n{begin}")
    said = checkout.snakemake(target, fails=True)
    log = MIXTURE.format("train").replace("results", "results/logs").replace(".nc", ".log")
    assert shown_with_log(said) == {log: cause}
    assert f"Error: {cause}" in checkout.read(log)
    assert "completed successfully" not in said
    assert "latency" not in said
    assert "Traceback" not in said
    newest = max((checkout.folder / ".snakemake/log").iterdir())
    assert "set -euo pipefail" in newest.read_text(encoding="utf-8"), "what fails in a pipe fails its job"
    # Snakemake removes the output of a failed job, and would take what was made of the last one
    assert not (checkout.folder / MIXTURE.format("train")).exists()
    assert checkout.planned(target) == {
        "train_stack": 1, "measure": 1, "collect": 1, "plot_figure1": 1,
    }  # fmt: skip


def test_files_that_are_damaged_or_hold_no_networks_are_named(checkout):
    """Three jobs that fail, each with its own line; what was there is gone or left whole."""
    damaged = MIXTURE.format("train")
    infinite, misfit = IMAGES.format("width", "train"), IMAGES.format("depth", "train").replace("depth~3", "depth~2")  # fmt: skip
    file = checkout.folder / damaged
    file.write_bytes(file.read_bytes()[:500])
    trained = netcdf.load(checkout.folder / infinite)
    netcdf.save(trained.assign(W2=trained["W2"] * np.nan), checkout.folder / infinite)
    trained = netcdf.load(checkout.folder / misfit)
    netcdf.save(trained.assign(W1=trained["W1"].isel(n0=slice(3)).rename(n0="m0")), checkout.folder / misfit)
    targets = ["results/mixture/measures.nc", "results/width/measures.nc", "results/depth/measures.nc"]
    shown = shown_with_log(checkout.snakemake(*targets, options=["--keep-going"], fails=True))
    for path, message in (
        (damaged, f"{damaged} is damaged"),
        (infinite, "W2 has a weight that is not finite; train the stack again"),
        (misfit, "the trained networks have W1 of shape (4, 3), but network has W1 of shape (4, 784)"),
    ):
        measured = path.replace("/train/", "/measure/")
        log = measured.replace("results", "results/logs", 1).replace(".nc", ".log")
        assert message in shown.pop(log)
        assert f"Error: {message[:20]}" in checkout.read(log) or message in checkout.read(log)
        assert not (checkout.folder / measured).exists()
    assert not shown


def test_a_mistake_is_reported_in_one_line_before_any_job(unplanned):
    """The texts are tested where they are made; here they stop Snakemake before it plans."""
    changes = {"experiments.mixture.grid.depth": [2, 3]}
    assert unplanned.refused(overlays=unplanned.overlay(changes)).startswith(
        "Error: configuration: figures.figure1 (plane) cannot be drawn from mixture: grid.depth is [2, 3], but"
    )
    (unplanned.folder / "twice.yaml").write_text("device: cpu\n\ndevice: cuda\n", encoding="utf-8")
    assert "twice.yaml, line 3: the key device is given again" in unplanned.refused(
        overlays=[TINY, "twice.yaml"]
    )


def test_numbers_on_the_command_line_are_numbers(unplanned):
    options = [
        "--dry-run",
        "--quiet",
        "all",
        "--config",
        "figures={style: {dpi: 150}}",
        "checkpoint_interval=soon",
    ]
    said = unplanned.snakemake(options=options, fails=True)
    assert "Error: configuration: checkpoint_interval is 'soon', but must be a finite number" in said
