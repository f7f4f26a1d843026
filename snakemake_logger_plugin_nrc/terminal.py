"""What a run prints on a terminal or in a file, from the events of Snakemake.

On a terminal it is a bar with the errors above it, elsewhere a line every half minute, and at the end a
summary of the results. A dry run prints the changed settings and an estimate of the time. With
``--printshellcmds`` each command is printed too. With ``--verbose`` or ``--debug-dag``, or without
``--quiet rules``, Snakemake's own text takes the place of the bar and the errors.
"""

import logging
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from nrc.text import STOPPED, shortened
from workflow.lib.error_lines import error_line, last_error, leave_in_logs

__all__ = ["LogHandler"]

SECONDS_BETWEEN_UPDATES, SECONDS_BETWEEN_LINES = 0.5, 30
# Letters of an error that is not from the log of a job.
LONGEST = 400


class LogHandler(LogHandlerBase):
    """Prints the events of a run.

    It also reads two records of the Snakefile, by their attribute `nrc`: the configuration (`settings`,
    `cores`, `stack_of`, `size_of`), and that the hook ``onerror`` runs (`unfinished`).
    """

    writes_to_stream = True
    writes_to_file = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        from rich.console import Console

        common = self.common_settings
        quiet = {word.name for word in common.quiet or ()}
        self._silent = "ALL" in quiet and not common.dryrun
        self._shows_progress = not quiet & {"ALL", "PROGRESS"} or common.dryrun
        self._plain = not self._silent and bool(
            common.verbose or common.debug_dag or not quiet & {"ALL", "RULES"}
        )
        file = sys.stdout if common.stdout else sys.stderr
        self._console = Console(
            file=file, no_color=common.nocolor, markup=False, highlight=False, emoji=False
        )
        self._began = time.time()
        self._configuration: dict[str, Any] = {}
        self._started = self._unfinished = self._closed = False
        self._early: list[str] = []
        self._table = ""  # of the jobs of a dry run
        self._plan: Any = None
        self._run: Any = None
        self._bar: Any = None
        self._ended, self._lock = threading.Event(), threading.RLock()
        self._errors: list[str] = []
        self._failed: dict[int, str] = {}
        if not self._plain:  # programs leave their errors in their logs, from which they are printed
            leave_in_logs()

    @property
    def has_filter(self) -> bool:
        return not self._plain

    @property
    def has_formatter(self) -> bool:
        return not self._plain

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage() if record.msg else ""
        try:
            with self._lock:
                self._take(record, text)
        except Exception as error:  # no reason to stop the run
            self._print(f"{text}\n(the display failed: {type(error).__name__}: {error})")
        if self._plain and (text := self.format(record)) not in ("", "None"):
            before = "\n" if getattr(record, "event", None) == LogEvent.JOB_INFO else ""
            self._print(f"{before}{text}")

    def close(self) -> None:
        """Remove the progress bar, and print the outcome of the run."""
        self._ended.set()
        if self._bar is not None:
            self._bar.stop()
        if not self._closed:
            self._closed = True
            if not self._silent:
                self._print_end()
        super().close()

    def _take(self, record: Any, text: str) -> None:
        """Follow an event, and print what it is about unless Snakemake's own text is printed."""
        dry, event = self.common_settings.dryrun, getattr(record, "event", None)
        if about := getattr(record, "nrc", None):
            self._unfinished = "unfinished" in about
            self._configuration |= about
        elif event == LogEvent.WORKFLOW_STARTED:
            self._started = True
            self._early.clear()
        elif event == LogEvent.RUN_INFO:
            if dry:
                self._table = text
            else:
                self._begin(record.stats)
        elif event == LogEvent.JOB_INFO:
            if dry:
                self._plan = self._plan or self._begin_plan()
                self._plan.add(record)
            elif self._run is not None:
                self._run.start(record)
        elif event == LogEvent.SHELLCMD and self.common_settings.printshellcmds:
            self._say(record.shellcmd)
        elif event == LogEvent.JOB_FINISHED:
            self._failed.pop(record.job_id, None)
            if self._run is not None:
                self._run.finish(record.job_id)
        elif event == LogEvent.JOB_ERROR:
            self._job_failed(record)
        elif event == LogEvent.ERROR:
            if self._run is None:
                self._say(self._in_a_line(text), "red")
            if self._run is None or not self._unfinished:  # else that the run is unfinished, which is known
                self._errors.append(text)
        elif event is None and record.levelno >= logging.WARNING:
            # errors without an event announce those with one
            if record.levelno < logging.ERROR or self._run is None or not self._failed:
                self._say(text)
        elif event is None and not self._started:
            self._early.append(text)

    def _in_a_line(self, text: str) -> str:
        """An error of Snakemake, with the right target instead of one that no rule makes."""
        found = re.match(r"MissingRuleException:\s+No rule to produce (.+) \(if you use input", text)
        if found is None or not self._configuration:
            return text
        from workflow.lib.paths import no_such_target

        return error_line(no_such_target(found[1], self._configuration["settings"]))

    def _begin_plan(self) -> Any:
        from snakemake_logger_plugin_nrc.dry_run import Plan

        of = self._configuration
        return Plan(of["settings"], of["stack_of"], of["cores"])

    def _begin(self, stats: dict[str, int]) -> None:
        from snakemake_logger_plugin_nrc.progress import Run, counted

        self._run = Run(stats, self._configuration)
        if self._plain or not self._shows_progress:
            return
        self._print(f"{counted(self._run.total, 'job')} to run")
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            from rich.progress import BarColumn, Progress, TextColumn
            from rich.table import Column

            columns = (
                TextColumn("{task.percentage:3.0f}%"),
                BarColumn(12),
                TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="crop")),
            )
            self._bar = Progress(*columns, console=self._console, auto_refresh=False, transient=True)
            self._bar.start()
            self._bar.add_task("", total=1.0)
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        """Show the progress until the run ends."""
        every, last = SECONDS_BETWEEN_LINES if self._bar is None else SECONDS_BETWEEN_UPDATES, ""
        while not self._ended.wait(every):
            with suppress(Exception), self._lock:
                share, words = self._run.progress()
                if self._bar is not None:
                    self._bar.update(self._bar.task_ids[0], completed=share, description=words, refresh=True)
                elif words != last:
                    self._print(f"[{time.strftime('%H:%M:%S')}] {share:.0%}: {words}")
                last = words

    def _job_failed(self, record: Any) -> None:
        """Print why a job failed, once for each cause."""
        raised = self._errors.pop() if self._errors else ""
        # as subprocess names it
        killed = next((number.name for number in signal.Signals if repr(number) in raised), None)
        if killed == "SIGINT":
            return
        if self._run is not None:
            self._run.fail(record.jobid)
        cause = last_error(record.log[0], self._began) if record.log else None
        if cause is None:
            if killed:
                killed = (
                    f"it was killed by {killed}, manually or because memory ran out; run again to continue"
                )
            why = shortened(
                str(record.rule_msg or killed or _end_of(raised) or "its log names no error"), LONGEST
            )
            cause = f"{record.rule_name} of {next(iter(record.output), 'no file')} failed: {why}"
        if cause.endswith(STOPPED):
            self._say(cause)
        elif self._failed.get(record.jobid) != cause:
            self._say(error_line(cause, ", ".join(record.log) or "none"), "red")
        self._failed[record.jobid] = cause

    def _print_end(self) -> None:
        from snakemake_logger_plugin_nrc.progress import counted, duration

        failures = sum(not cause.endswith(STOPPED) for cause in self._failed.values())
        if not self._started:
            for text in self._early:
                self._say(text)
        elif self.common_settings.dryrun and self._table:
            self._say(self._table)
            if self._plan is not None:
                self._print("\n".join(self._plan.lines()))
        elif self._run is None:
            if not self._errors and sys.exc_info()[0] is None:
                self._print_summary("Nothing to do: all requested files are up to date.")
        elif self._run.done >= self._run.total:
            self._print_summary(f"Done in {duration(time.time() - self._began)}.")
        elif failures or self._errors:
            for text in self._errors:
                self._say(text, "red")
            failed = f": {counted(failures, 'job')} failed" if failures else ""
            self._print(f"\nNot done{failed}. Fix the errors above; the same command then continues.")
        else:
            self._print("\nStopped; run again to continue.")

    def _print_summary(self, title: str) -> None:
        """Print that all is done, and what the results are, unless errors alone are printed."""
        from snakemake_logger_plugin_nrc.summary import summary

        if not self._shows_progress:
            return
        try:
            lines = summary(self._configuration["settings"])
        except Exception as error:  # damaged files are no reason to fail
            lines = [f"  There is no summary: {error}"]
        self._print("\n".join(["", title, *lines]))

    def _say(self, text: str, style: str | None = None) -> None:
        """Print text, unless Snakemake's own text is printed."""
        if text and not self._plain and not self._silent:
            self._print(text, style)

    def _print(self, text: str, style: str | None = None) -> None:
        """Print lines, above the bar if there is one."""
        if not self._silent:
            self._console.print(text, style=style, soft_wrap=True)


def _end_of(text: str) -> str:
    """The end of an error that begins with a command, whose status comes last."""
    return text if len(text) <= LONGEST else f"...{text.strip()[-LONGEST // 4 :]}"
