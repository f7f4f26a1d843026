"""What a run shows: a bar on a terminal, a line now and then elsewhere, and why a job failed."""

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import shorten
from typing import Self

from workflow.lib.progress import Progress

__all__ = ["DryRun", "Terminal", "why_failed"]

SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_LINES = 0.5, 30
# Letters of what Snakemake says of a job that says nothing itself.
LONGEST = 400

# What Snakemake tells of its own doings. The errors among it are told by why_failed and by the summary.
EVENTS = {
    *("job_info", "job_started", "job_finished", "shellcmd", "progress"),
    *("resources_info", "run_info", "workflow_started", "group_info"),
}
CHATTER = re.compile(
    r"Building DAG of jobs|Using shell: |Conda environments: ignored|Singularity containers: ignored"
    r"|Assuming unrestricted shared|Select jobs to execute|Execute \d+ jobs|Processed \d+ potential jobs"
    r"|Removing output files of failed job|Shutting down, this might|Exiting because a job execution failed"
    r"|Touching output|Complete log|Elapsed time: |WorkflowError:\nAt least one job did not complete"
    r"|Job \d+ has been submitted|Auto-selected partition|Cleaning up SLURM log"
)
FAILED = re.compile(r"returned non-zero exit status|died with <Signals\.(?P<signal>\w+)")
# Of a dry run: what the changed settings tell better.
ADVICE = re.compile(r"Reasons:\n|Some jobs were triggered by provenance|Rules with provenance triggered jobs")
PARAMETERS = re.compile(r"Params have changed since last execution: .*", re.DOTALL)
NOTHING_TO_DO = "Nothing to be done"


class _Instead(logging.Handler):
    """A handler in the place of another, which gets what this one leaves, and all in a fault of this one."""

    def __init__(self, inner: logging.StreamHandler) -> None:
        super().__init__(inner.level)
        self.name, self._inner = inner.name, inner

    @classmethod
    def of(cls, logger: logging.Logger, *arguments) -> Self | None:
        """Put one in the place of Snakemake's own, if it is there."""
        for inner in logger.handlers:
            if inner.name == "DefaultStreamHandler":
                handler = cls(inner, *arguments)
                logger.removeHandler(inner)
                logger.addHandler(handler)
                return handler
        return None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            shown = self.take(record)
        except Exception:
            shown = True
        if shown:
            self.show(record)

    def take(self, record: logging.LogRecord) -> bool:
        """Take a record in; whether it is to be shown as it is."""
        raise NotImplementedError

    def show(self, record: logging.LogRecord) -> None:
        self._inner.handle(record)

    def write(self, text: str) -> None:
        """Write lines."""
        self._inner.stream.write(f"{text}\n")
        self._inner.stream.flush()


class DryRun(_Instead):
    """Shows a plan, and which settings differ from those of what is to be made again.

    Parameters
    ----------
    inner : logging.StreamHandler
    changes : callable
        Lines for all jobs, and for one of a number.
    """

    def __init__(self, inner: logging.StreamHandler, changes: Callable[..., list[str]]) -> None:
        super().__init__(inner)
        self._changes, self._planned = changes, False

    def take(self, record: logging.LogRecord) -> bool:
        event = _event(record)
        if event == "run_info":
            if self._planned:  # the same table again
                return False
            self._planned = True
            self.show(record)
            if lines := self._changes():
                self.write("\n".join([*lines, ""]))
            return False
        if event == "job_info" and PARAMETERS.search(record.reason):
            told = [line.strip() for line in self._changes(record.jobid)[1:]]
            about = "; ".join(told) or "What it is made from has changed"
            record.reason = PARAMETERS.sub(lambda _: about, record.reason)
        return not ADVICE.match(str(record.msg))


class Terminal(_Instead):
    """Shows how far a run is and why jobs failed, and nothing of what Snakemake tells of itself.

    Parameters
    ----------
    inner : logging.StreamHandler
    summary : callable
        What there is where nothing is to be done.
    progress : bool
        Whether to show any, beside errors.
    """

    def __init__(self, inner: logging.StreamHandler, summary: Callable[[], str], progress: bool) -> None:
        super().__init__(inner)
        self._summary, self._shows_progress = summary, progress
        self._bar, self._progress, self._ended = None, None, threading.Event()
        # errors by their log, until another job finishes
        self._told: dict[str, str] = {}
        # what killed the job that is told of next
        self._signal: str | None = None

    def begin(self, changes: Callable[[], list[str]], progress: Callable[[], Progress]) -> None:
        """Show what is to be done and why, and then how far it is."""
        if not self._shows_progress:
            return
        try:
            lines, self._progress = changes(), progress()
            self.write("\n".join([*lines, self._progress.plan]))
            self._show_bar(self._progress.work)
        except Exception as error:  # no reason to stop the run
            self.write(f"There is no progress to be shown: {type(error).__name__}: {error}")

    def _show_bar(self, work: float) -> None:
        if self._inner.stream.isatty() and os.environ.get("TERM") != "dumb":
            from tqdm import tqdm

            tqdm.monitor_interval = 0  # no thread beside the one here
            self._bar = tqdm(
                total=work,
                bar_format="{percentage:3.0f}%|{bar:12}| {desc}",
                dynamic_ncols=True,
                leave=False,
                file=self._inner.stream,
            )
        threading.Thread(target=self._look_on, daemon=True).start()

    def end(self) -> None:
        """Take the bar away."""
        self._ended.set()
        with self.lock:
            if self._bar is not None:
                self._bar.close()
            self._bar = self._progress = None

    def write(self, text: str) -> None:
        """Write lines, above the bar where there is one."""
        with self.lock:
            if self._bar is not None:
                self._bar.clear()
            super().write(text)
            if self._bar is not None:
                self._bar.refresh()

    def show(self, record: logging.LogRecord) -> None:
        if self._bar is not None:
            self._bar.clear()
        super().show(record)

    def close(self) -> None:
        self.end()
        super().close()

    def take(self, record: logging.LogRecord) -> bool:
        event, text = _event(record), str(record.msg)
        if event == "job_error":
            self._failed(record)
            return False
        if event == "job_started" and self._progress is not None:
            self._progress.start(record.jobs)
        if event == "job_finished" and self._progress is not None:
            self._told.clear()
            self._progress.finish(record.job_id)
        if text.startswith(NOTHING_TO_DO):
            self.show(record)
            if self._shows_progress:
                self.write(self._summary())
            return False
        failed = FAILED.search(text) if event == "error" else None
        if failed:
            self._signal = failed["signal"]
        return not (event in EVENTS or CHATTER.match(text) or failed)

    def _failed(self, record: logging.LogRecord) -> None:
        began = 0.0
        if self._progress is not None:
            began = self._progress.began
            self._progress.fail(record.jobid)
        why = why_failed(record.log[0], began) if record.log else None
        if why is None:
            killed = self._signal and (
                f"it was killed by {self._signal}, by hand or where memory is short; run again to go on"
            )
            said = shorten(str(record.rule_msg or killed or "its log does not say why"), LONGEST)
            why = f"{record.rule_name} of {', '.join(record.output)} failed: {said}"
        self._signal = None
        self.tell(", ".join(record.log) or "none", why)

    def tell(self, log: str, why: str) -> None:
        """An error and its log, unless no job has finished since it was told."""
        if self._told.get(log) != why:
            self._told[log] = why
            self.write(f"Error: {why}\n  log: {log}")

    def _look_on(self) -> None:
        """Show how far the run is, until it ends."""
        every = SECONDS_BETWEEN_LINES if self._bar is None else SECONDS_BETWEEN_LOOKS
        last = ""
        while not self._ended.wait(every):
            try:
                with self.lock:
                    if self._progress is None:
                        return
                    last = self._look(*self._progress.look(), last)
            except Exception:  # one look less
                continue

    def _look(self, done: float, words: str, last: str) -> str:
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_description_str(words)
        elif words != last:
            self.write(f"[{time.strftime('%H:%M:%S')}] {done / self._progress.work:.0%}: {words}")
        return words


def why_failed(log: str, since: float) -> str | None:
    """The error at the end of a log that was written since, if there is one."""
    try:
        if Path(log).stat().st_mtime < since:
            return None
        said = Path(log).read_text(encoding="utf-8", errors="replace").rstrip()
    except OSError:
        return None
    _, told, why = f"\n{said}".rpartition("\nError: ")
    return why if told else None


def _event(record: logging.LogRecord) -> str:
    return str(getattr(record, "event", None) or "")
