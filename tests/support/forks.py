"""Processes forked from one that has imported the libraries already, so that they start at once."""

import multiprocessing
import multiprocessing.connection
import os
import runpy
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Fork", "change_to", "run_file", "send_output_to"]

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = ["torch", "h5netcdf", "xarray", "pandas", "scipy.stats", "sklearn.cluster", "seaborn", "jinja2"]
# Snakemake imports these late, in each run
SNAKEMAKE = ["cli", "profiles", "report.html_reporter", "storage"]
CONTEXT.set_forkserver_preload([*PRELOADED, *(f"snakemake.{name}" for name in SNAKEMAKE)])
# multiprocessing starts and polls processes in one thread at a time
LOCK = threading.Lock()


class Fork:
    """A process in which a function runs with some arguments."""

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        with LOCK:
            self._process = CONTEXT.Process(target=function, args=arguments)
            self._process.start()
        self.pid, self.sentinel = self._process.pid, self._process.sentinel

    @property
    def running(self) -> bool:
        with LOCK:
            return self._process.is_alive()

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the end: the exit status, None if the process still runs."""
        if not multiprocessing.connection.wait([self.sentinel], seconds):
            return None
        with LOCK:
            self._process.join()
            return self._process.exitcode

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def run_file(file: str, arguments: Sequence[str]) -> None:
    """Run `python FILE ARGUMENTS` in this process."""
    sys.dont_write_bytecode = False  # a checkout is compiled once
    sys.path.insert(0, str(Path(file).resolve().parent))
    sys.argv = [file, *arguments]
    runpy.run_path(file, run_name="__main__")


def send_output_to(file: str) -> None:
    """Send all output of this process to a file."""
    with Path(file).open("wb") as opened:
        os.dup2(opened.fileno(), 1)
        os.dup2(opened.fileno(), 2)


def change_to(folder: str, environment: Mapping[str, str]) -> None:
    """Give this process another working directory and environment."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
