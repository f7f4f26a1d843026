"""How far a run is, from its jobs and the files that they write."""

import os

import numpy as np
import pytest
import xarray as xr

from nrc import netcdf
from nrc.status import TerminationReason
from workflow.lib.progress import MEASURING, TRAINING, Job, Progress, duration, ends_of
from workflow.lib.progress_file import ProgressFile

ENDED = [
    TerminationReason.TOLERANCE,
    TerminationReason.EPOCHS,
    TerminationReason.DIVERGED,
    TerminationReason.COLLAPSED_TO_ZERO,
]


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def write(path, ended, residual):
    """A file that tells how cells ended."""
    arrays = {
        "status": np.array([code.status for code in ended], np.int8),
        "termination_reason": np.array(ended, np.int8),
        "relative_residual": np.array(residual),
    }
    about = {"long_name": "made up", "units": "1"}
    netcdf.save(xr.Dataset({name: ("cell", values, about) for name, values in arrays.items()}), path)
    return str(path)


@pytest.fixture
def run(tmp_path):
    """Two stacks of four cells to train and to measure, and a figure."""
    jobs = {
        n: Job(TRAINING, str(tmp_path / f"{n}.nc"), str(tmp_path / f"{n}.log"), cells=4, numbers=90000)
        for n in (0, 1)
    }
    jobs |= {n + 2: jobs[n]._replace(rule=MEASURING) for n in (0, 1)}
    clock = Clock()
    return Progress({**jobs, 4: Job("plot_figure1")}, clock), jobs, clock


def test_how_cells_ended_is_counted(tmp_path):
    ends, worst = ends_of(write(tmp_path / "cells.nc", ENDED, [1e-9, 0.5, np.nan, 0.0]))
    assert ends == {"converged": 1, "stopped": 1, "diverged": 1, "collapsed_to_zero": 1}
    assert worst == 0.5


def test_progress_follows_the_jobs(run):
    progress, jobs, clock = run
    assert progress.plan == "5 jobs to run, 8 networks to train, 8 networks to measure"
    assert progress.look() == (0, "0/8 networks, 0 converged")
    progress.start([0])
    ProgressFile(ended=1, converged=1, share=0.5).tell(jobs[0].log)
    os.utime(ProgressFile.file(jobs[0].log), (clock.now, clock.now))
    done, words = progress.look()
    assert done == pytest.approx(jobs[0].work * 1.5 / 4), "one of four cells, and half of another"
    assert words == "1/8 networks, 1 converged"
    ProgressFile.remove(jobs[0].log)
    assert progress.look() == (done, words), "as long as it is not done"
    write(jobs[0].output, ENDED, [1e-9, 0.5, np.nan, 0.0])
    clock.now += 10
    progress.finish(0)
    done, words = progress.look()
    assert done == jobs[0].work
    left = duration(10 * (progress.work - done) / done)
    assert words == f"{left} left, 4/8 networks, 1 converged, 3 stopped (worst 5.0e-01)"
    clock.now += 5
    assert progress.look()[1].startswith(f"{duration(10 * (progress.work - done) / done - 5)} left")
    for number in (1, 2, 3, 4):
        if number == 2:
            assert progress.look()[1].endswith(", 0/8 measured")
        progress.start([number])
        write(jobs[1].output, [TerminationReason.TOLERANCE] * 4, [1e-9] * 4)
        progress.finish(number)
    done, words = progress.look()
    assert done == pytest.approx(progress.work)
    assert words == "8/8 networks, 5 converged, 3 stopped (worst 5.0e-01)"


def test_what_an_earlier_run_left_or_nobody_can_read_is_nothing(run):
    progress, jobs, clock = run
    ProgressFile(ended=3).tell(jobs[0].log)
    os.utime(ProgressFile.file(jobs[0].log), (clock.now - 100, clock.now - 100))
    ProgressFile.file(jobs[1].log).write_text('{"termination_reason": 1', encoding="utf-8")
    progress.start([0, 1])
    assert progress.look() == (0, "0/8 networks, 0 converged")


def test_other_runs_count_what_they_have():
    progress = Progress({1: Job(MEASURING, cells=3, numbers=9), 2: Job("collect")})
    progress.finish(1)
    assert progress.look()[1].startswith("3/3 networks measured")
    progress = Progress({1: Job("collect"), 2: Job("audit")})
    progress.finish(2)
    progress.finish(7)  # a target rule
    assert progress.look()[1].startswith("1/2 jobs")
    assert progress.plan == "2 jobs to run"


def test_a_training_that_cannot_tell_goes_on(tmp_path):
    ProgressFile(ended=1).tell(tmp_path / "nowhere/x.log")
    ProgressFile.remove(tmp_path / "nowhere/x.log")
    assert ProgressFile.told(tmp_path / "nowhere/x.log", since=0) == ProgressFile()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (8000, "2 h 13 min")]
)
def test_times_are_in_words(seconds, words):
    assert duration(seconds) == words
