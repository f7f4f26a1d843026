"""The progress of a run: jobs done, networks trained and converged, and the time that is left."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any, NamedTuple

from nrc import text
from workflow.lib.progress_file import ProgressFile

__all__ = ["MEASURING", "TRAINING", "Run", "counted", "duration", "status_counts"]

TRAINING, MEASURING = "train_stack", "measure"
# numbers of jobs and networks may have many digits
counted = partial(text.counted, form=",")
SECONDS_PER_JOB, MEASURING_OVER_TRAINING = 3, 0.4
# No time left is printed before this share of the work and these seconds, because it would be a guess.
SMALLEST_SHARE, SMALLEST_SECONDS = 0.02, 3


class _Job(NamedTuple):
    rule: str
    output: str
    log: str
    networks: int
    work: float
    began: float


class _Stacks(NamedTuple):
    """Stacks of the configuration that have not started: their number, networks and seconds.

    They are alike if all stacks have the same number of networks.
    """

    number: int
    networks: int
    seconds: float
    alike: bool

    def without(self, networks: int, seconds: float) -> "_Stacks":
        return self._replace(
            number=self.number - 1, networks=self.networks - networks, seconds=self.seconds - seconds
        )


class Run:
    """The jobs of a run.

    Parameters
    ----------
    stats : mapping
        Number of jobs of each rule, and in total.
    configuration : mapping
        `settings`, and the functions `stack_of` (experiment, cells) and `size_of` (data set); may be empty.
    clock : callable
        Time in seconds.
    """

    def __init__(
        self,
        stats: Mapping[str, int],
        configuration: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._waiting = Counter({rule: count for rule, count in stats.items() if rule != "total"})
        self.total, self.done, self._stats = stats["total"], 0, stats
        self._configuration, self._clock, self._began = configuration, clock, clock()
        self._known = {
            rule: self._configured(rule)
            for rule in (TRAINING, MEASURING)
            if configuration and stats.get(rule)
        }
        self._running: dict[int, _Job] = {}
        self._failed: set[int] = set()
        # the last report of each training: it removes the file before its job counts as done
        self._reports: dict[int, ProgressFile] = {}
        self._started = Counter[str]()
        self._networks = Counter[str]()
        self._work_done = 0.0
        # share of the work, and seconds that all of it takes, when the share was new
        self._last, self._expected = 0.0, 0.0

    def start(self, job: Any) -> None:
        """Take up a job, by the event that describes it."""
        networks, work = 0, float(SECONDS_PER_JOB)
        if job.rule_name in self._known:
            experiment, cells = job.wildcards["experiment"], job.wildcards["cells"]
            networks = len(self._configuration["stack_of"](experiment, cells))
            work += networks * self._seconds(job.rule_name, experiment)
        if job.jobid not in self._failed:
            self._waiting[job.rule_name] -= 1
            self._started[job.rule_name] += networks
            if job.rule_name in self._known:
                self._known[job.rule_name] = self._known[job.rule_name].without(networks, work)
        self._failed.discard(job.jobid)
        output, log = (next(iter(files), "") for files in (job.output, job.log))
        self._running[job.jobid] = _Job(job.rule_name, output, log, networks, work, self._clock())
        self._reports[job.jobid] = ProgressFile()

    def finish(self, number: int) -> None:
        """Count a job as done, and the networks that it trained by their status."""
        self.done += 1
        if job := self._running.pop(number, None):
            self._work_done += job.work
            self._networks[job.rule] += job.networks
            if job.rule == TRAINING:
                self._networks["converged"] += status_counts(job.output)[0]["converged"]

    def fail(self, number: int) -> None:
        """Count a job as failed, until it starts again."""
        if self._running.pop(number, None):
            self._failed.add(number)

    def progress(self) -> tuple[float, str]:
        """Share of the work that is done, and the progress in words, which begin with the time left."""
        trained, converged, done = self._networks[TRAINING], self._networks["converged"], self._work_done
        for number, job in self._running.items():
            if job.rule == TRAINING:
                report = ProgressFile.read(job.log, job.began)
                self._reports[number] = report = report if report != ProgressFile() else self._reports[number]
                trained, converged = trained + report.terminated, converged + report.converged
                done += job.work * (report.terminated + report.share) / job.networks
        left = sum(job.work for job in self._running.values()) + self._work_waiting()
        share = min(done / (self._work_done + left or 1), 1.0)
        words = [self._time_left(share)]
        if TRAINING in self._known:
            words.append(f"{trained:,} of {self._networks_of(TRAINING)} trained, {converged:,} converged")
        elif MEASURING in self._known:
            words.append(f"{self._networks[MEASURING]:,} of {self._networks_of(MEASURING)} measured")
        words.append(f"{self.done:,}/{self.total:,} jobs")
        if self._failed:
            words.append(f"{len(self._failed):,} failed")
        return share, ", ".join(filter(None, words))

    def _networks_of(self, rule: str) -> str:
        """The networks of all jobs of a rule; about, if it is not known which stacks are among them."""
        waiting, stacks = max(self._waiting[rule], 0), self._known[rule]
        mean = stacks.networks / stacks.number if stacks.number > 0 else 0.0
        about = "" if stacks.alike or waiting in (0, stacks.number) else "about "
        return f"{about}{counted(self._started[rule] + round(waiting * mean), 'network')}"

    def _work_waiting(self) -> float:
        """Seconds of the jobs that have not started: of a stack the mean of those that may be among them."""
        work = 0.0
        for rule, count in self._waiting.items():
            stacks = self._known.get(rule)
            mean = stacks.seconds / stacks.number if stacks and stacks.number > 0 else 0.0
            work += max(count, 0) * max(mean, SECONDS_PER_JOB)
        return work

    def _configured(self, rule: str) -> _Stacks:
        """All stacks of the configuration."""
        count, networks, seconds, sizes_of_stacks = 0, 0, 0.0, set[int]()
        for name, experiment in self._configuration["settings"]["experiments"].items():
            sizes = {axis: len(values) for axis, values in experiment["grid"].items()}
            stacks = prod(size for axis, size in sizes.items() if axis not in experiment["stack"])
            of_all = prod(sizes.values())
            count += stacks
            networks += of_all
            seconds += SECONDS_PER_JOB * stacks + of_all * self._seconds(rule, name)
            sizes_of_stacks.add(of_all // stacks)
        return _Stacks(count, networks, seconds, len(sizes_of_stacks) == 1)

    def _seconds(self, rule: str, name: str) -> float:
        """A guess of the seconds that a network takes, near enough for 1 to 1,000 inputs and every method."""
        experiment = self._configuration["settings"]["experiments"][name]
        size = self._configuration["size_of"](experiment["data"])
        numbers = size.points * max(*experiment["grid"]["width"], size.features)
        return float(numbers**0.5 / 300) * (MEASURING_OVER_TRAINING if rule == MEASURING else 1)

    def _time_left(self, share: float) -> str:
        """The time left if the rest takes as long as what is done; less while no work is reported."""
        seconds = self._clock() - self._began
        if share < SMALLEST_SHARE or seconds < SMALLEST_SECONDS:
            return ""
        if share != self._last:
            self._last, self._expected = share, seconds / share
        left = self._expected - seconds
        return f"{duration(left)} left" if left >= 1 else ""


def status_counts(path: str) -> tuple[Counter[str], float]:
    """Number of networks in a file by their status, and the largest relative residual.

    The file is one of trained networks, or a cube of measures. Networks that diverged are counted as such,
    and not among the stopped.
    """
    import h5py
    import numpy as np

    from nrc.status import Status, TerminationReason

    with h5py.File(path) as file:
        status, reason, residual = (
            np.asarray(file[name][()]) for name in ("status", "termination_reason", "relative_residual")
        )
    counts = Counter({code.name.lower(): int((status == code).sum()) for code in Status})
    counts["diverged"] = int((reason == TerminationReason.DIVERGED).sum())
    counts["stopped"] -= counts["diverged"]
    return counts, float(np.nanmax(residual, initial=0.0, where=np.isfinite(residual)))


def duration(seconds: float) -> str:
    """A time in words, to about two digits.

    Examples
    --------
    >>> duration(48.3), duration(262), duration(8000)
    ('48 s', '4 min', '2 h 13 min')
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
