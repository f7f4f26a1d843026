"""The progress of a run, by its events and the files that its jobs write."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nrc import netcdf
from nrc.status import TerminationReason
from snakemake_logger_plugin_nrc.progress import Run, duration, status_counts
from workflow.lib.progress_file import ProgressFile

REASONS = [TerminationReason[name] for name in ("TOLERANCE", "EPOCHS", "DIVERGED", "COLLAPSED_TO_ZERO")]
GRID = {"weight_decay": [1, 2], "sigma": [0, 1], "width": [4], "depth": [2], "seed": [0, 1]}
CONFIGURATION = {
    "settings": {"experiments": {"a": {"data": "b", "grid": GRID, "stack": ["weight_decay", "sigma"]}}},
    "stack_of": lambda experiment, cells: range(4),
    "size_of": lambda data: SimpleNamespace(points=9000, features=10),
}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def write(path, reasons, residual):
    """A file of networks that terminated for some reasons."""
    arrays = {
        "status": np.array([code.status for code in reasons], np.int8),
        "termination_reason": np.array(reasons, np.int8),
        "relative_residual": np.array(residual),
    }
    about = {"long_name": "made up", "units": "1"}
    netcdf.save(xr.Dataset({name: ("cell", values, about) for name, values in arrays.items()}), path)
    return str(path)


@pytest.fixture
def run(tmp_path):
    """Two stacks of four networks to train and to measure, and a figure."""
    clock = Clock()
    stats = {"train_stack": 2, "measure": 2, "plot_figure1": 1, "total": 5}
    rules = ["train_stack", "train_stack", "measure", "measure", "plot_figure1"]
    jobs = [
        SimpleNamespace(
            jobid=n, rule_name=rule, output=[str(tmp_path / f"{n}.nc")], log=[str(tmp_path / f"{n}.log")],
            wildcards={"experiment": "a", "cells": f"seed~{n}"},
        )
        for n, rule in enumerate(rules)
    ]  # fmt: skip
    return Run(stats, CONFIGURATION, clock), jobs, clock


def report(job, when, **progress):
    """Write what a training has done by a time."""
    file = ProgressFile.file(job.log[0])
    ProgressFile(**progress).write(job.log[0])
    os.utime(file, (when, when))
    return file


def test_networks_are_counted_by_status(tmp_path):
    counts, worst = status_counts(write(tmp_path / "cells.nc", REASONS, [1e-9, 0.5, np.nan, 0.0]))
    assert counts == {"converged": 1, "stopped": 1, "diverged": 1, "collapsed_to_zero": 1}
    assert worst == 0.5


def test_progress_follows_the_jobs(run):
    progress, jobs, clock = run
    assert progress.progress() == (0, "0 of 8 networks trained, 0 converged, 0/5 jobs")
    progress.start(jobs[0])
    file = report(jobs[0], clock.now, terminated=1, converged=1, share=0.5)
    share, words = progress.progress()
    assert words == "1 of 8 networks trained, 1 converged, 0/5 jobs"
    file.unlink()
    assert progress.progress() == (share, words), "until the job is done"
    write(jobs[0].output[0], REASONS, [1e-9, 0.5, np.nan, 0.0])
    clock.now += 10
    progress.finish(0)
    done, words = progress.progress()
    assert done == pytest.approx(share * 4 / 1.5), "one of four networks, and half of another"
    left = duration(10 / done - 10)
    assert words == f"{left} left, 4 of 8 networks trained, 1 converged, 1/5 jobs"
    clock.now += 5
    assert progress.progress()[1].startswith(f"{duration(10 / done - 15)} left")
    progress.start(jobs[1])
    progress.fail(1)
    assert progress.progress()[1].endswith(", 1 failed")
    for job in jobs[1:]:
        progress.start(job)
        write(job.output[0], [TerminationReason.TOLERANCE] * 4, [1e-9] * 4)
        progress.finish(job.jobid)
    assert progress.progress() == (pytest.approx(1), "8 of 8 networks trained, 5 converged, 5/5 jobs")


def test_old_and_unreadable_reports_count_as_nothing(run):
    progress, jobs, clock = run
    report(jobs[0], clock.now - 100, terminated=3)
    ProgressFile.file(jobs[1].log[0]).write_text('{"termination_reason": 1', encoding="utf-8")
    progress.start(jobs[0])
    progress.start(jobs[1])
    assert progress.progress() == (0, "0 of 8 networks trained, 0 converged, 0/5 jobs")


def test_runs_without_training_count_what_they_do(run):
    progress = Run({"measure": 1, "collect": 1, "total": 2}, CONFIGURATION)
    progress.start(run[1][2])
    progress.finish(2)
    assert progress.progress()[1] == "4 of 4 networks measured, 1/2 jobs"
    assert Run({"audit": 2, "total": 2}, {}).progress() == (0, "0/2 jobs")


def test_the_number_of_networks_is_about_where_stacks_that_differ_may_be_in_the_run(run):
    """Of two stacks of 4 networks and two of 1, two are in the run; the first that starts has 4."""
    small = {
        "data": "b",
        "grid": {**GRID, "weight_decay": [1], "sigma": [0]},
        "stack": ["weight_decay", "sigma"],
    }
    experiments = {**CONFIGURATION["settings"]["experiments"], "c": small}
    configuration = {**CONFIGURATION, "settings": {"experiments": experiments}}
    progress = Run({"train_stack": 2, "total": 2}, configuration)
    assert progress.progress()[1].startswith("0 of about 5 networks trained")
    progress.start(run[1][0])
    assert progress.progress()[1].startswith("0 of about 6 networks trained")
    progress.start(run[1][1])
    assert progress.progress()[1].startswith("0 of 8 networks trained")
