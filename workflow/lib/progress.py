"""How far a run is: cells trained and measured of all, how they ended, and the time that is left."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nrc.status import Status, TerminationReason
from workflow.lib.progress_file import ProgressFile

__all__ = ["Job", "Progress", "duration", "ends_of"]

TRAINING, MEASURING = "train_stack", "measure"
SECONDS_OF_A_JOB, MEASURING_OVER_TRAINING = 3, 0.4
# Shares of the work and seconds before which no time left is told: it would be a guess.
LEAST_SHARE, LEAST_SECONDS = 0.02, 3


class Job(NamedTuple):
    """A job of a run.

    Attributes
    ----------
    rule : str
    output, log : str
        Paths, empty where it has none.
    cells : int
        Cells of its stack, 0 where it has none.
    numbers : int
        Of the points that one of the cells sees, in its widest layer.
    """

    rule: str
    output: str = ""
    log: str = ""
    cells: int = 0
    numbers: int = 0

    @property
    def work(self) -> float:
        """A guess of the seconds it takes, on which the pace of the bar depends and nothing else.

        Near enough at the desk scale, for networks of 1 to 1,000 inputs and every method.
        """
        cell = self.numbers**0.5 / 300
        return SECONDS_OF_A_JOB + self.cells * cell * (
            MEASURING_OVER_TRAINING if self.rule == MEASURING else 1
        )


class Progress:
    """The jobs of a run, and how far each is.

    Parameters
    ----------
    jobs : mapping
        All jobs to run, by number.
    clock : callable
        Seconds, of which differences count.
    """

    def __init__(self, jobs: Mapping[int, Job], clock=time.time) -> None:
        self._jobs, self._clock = jobs, clock
        self._running: dict[int, float] = {}
        self._done: set[int] = set()
        # what each that runs told last: at its end it is silent before it counts as done
        self._told: dict[int, ProgressFile] = {}
        self.began = clock()
        self._ends, self._worst = Counter(), 0.0
        # work done, and seconds that all of it will take, when the last of it was done
        self._last, self._expected = 0.0, 0.0
        self.work = sum(job.work for job in jobs.values())

    def start(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._running[number], self._told[number] = self._clock(), ProgressFile()

    def finish(self, number: int) -> None:
        """Take a job as done, and count how the cells that it trained have ended."""
        self._running.pop(number, None)
        self._done.add(number)
        if (job := self._jobs.get(number)) and job.rule == TRAINING:
            ends, worst = ends_of(job.output)
            self._ends += ends
            self._worst = max(self._worst, worst)

    def fail(self, number: int) -> None:
        self._running.pop(number, None)

    @property
    def plan(self) -> str:
        """What there is to do."""
        cells = [(self._cells(rule), word) for rule, word in ((TRAINING, "train"), (MEASURING, "measure"))]
        told = [f"{_counted(count, 'network')} to {word}" for count, word in cells if count]
        return ", ".join([f"{_counted(len(self._jobs), 'job')} to run", *told])

    @property
    def cells(self) -> int:
        """Number of cells to train, or if none is, to measure."""
        return self._cells(TRAINING) or self._cells(MEASURING)

    def look(self) -> tuple[float, str]:
        """Work done, and the same in words."""
        training = {n: job for n in self._running if (job := self._jobs.get(n)) and job.rule == TRAINING}
        for number, job in training.items():
            told = ProgressFile.told(job.log, self._running[number])
            self._told[number] = told if told != ProgressFile() else self._told[number]
        running = [(job, self._told[number]) for number, job in training.items()]
        done = sum(self._jobs[number].work for number in self._done if number in self._jobs)
        done += sum(job.work * (told.ended + told.share) / job.cells for job, told in running)
        words = self._in_words([told for _, told in running])
        # first, for a narrow terminal cuts the rest
        return done, ", ".join([left, *words] if (left := self._left(done)) else words)

    def _in_words(self, running: list[ProgressFile]) -> list[str]:
        if not self.cells:
            return [f"{len(self._done & self._jobs.keys())}/{len(self._jobs)} jobs"]
        if not self._cells(TRAINING):
            return [f"{self._cells(MEASURING, self._done)}/{self.cells} networks measured"]
        converged = self._ends["converged"] + sum(told.converged for told in running)
        trained = self._cells(TRAINING, self._done) + sum(told.ended for told in running)
        words = [f"{trained}/{self.cells} networks", f"{converged} converged"]
        stopped, worst = trained - converged, f"{self._worst:.1e}" if self._worst else ""
        if stopped:
            words.append(f"{stopped} stopped" + (f" (worst {worst})" if worst else ""))
        elif worst:
            words.append(f"worst {worst}")
        measured, to_measure = self._cells(MEASURING, self._done), self._cells(MEASURING)
        if trained == self.cells and measured < to_measure:
            words.append(f"{measured}/{to_measure} measured")
        return words

    def _cells(self, rule: str, among: Iterable[int] | None = None) -> int:
        numbers = self._jobs if among is None else among
        return sum(job.cells for n in numbers if (job := self._jobs.get(n)) and job.rule == rule)

    def _left(self, done: float) -> str:
        """The time that is left, if the rest takes as long as what is done; less while a job says nothing."""
        seconds = self._clock() - self.began
        if done < LEAST_SHARE * self.work or seconds < LEAST_SECONDS:
            return ""
        if done != self._last:
            self._last, self._expected = done, seconds * self.work / done
        left = self._expected - seconds
        return f"{duration(left)} left" if left >= 1 else ""


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def ends_of(path: str) -> tuple[Counter, float]:
    """How many cells of a file ended in which way, and the worst relative residual.

    The file is one of trained networks, or a cube of measures.
    """
    import h5py
    import numpy as np

    with h5py.File(path) as file:
        status, ended, residual = (
            file[name][()] for name in ("status", "termination_reason", "relative_residual")
        )
    diverged = np.asarray(ended == TerminationReason.DIVERGED)
    ends = Counter({code.name.lower(): int((status == code).sum()) for code in Status})
    ends["diverged"] = int(diverged.sum())
    ends["stopped"] -= ends["diverged"]
    return ends, float(np.nanmax(residual, initial=0.0, where=np.isfinite(residual)))


def duration(seconds: float) -> str:
    """A time in words, to two digits or so.

    Examples
    --------
    >>> duration(48.3), duration(262), duration(8000)
    ('48 s', '4 min', '2 h 13 min')
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
