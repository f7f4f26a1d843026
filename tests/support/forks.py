"""Processes forked from one that has imported what they import, so that they start at once."""

import multiprocessing
import multiprocessing.connection
import os
import runpy
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Fork", "be_in", "run_file", "send_output_to"]

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch",
        "torch._dynamo",  # imported by torch.optim, in 3 s
        "h5netcdf",
        "xarray",
        "pandas",
        "scipy.stats",
        "sklearn.cluster",
        "seaborn",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_pdf",
        "matplotlib.backends.backend_svg",
        "docutils.core",
        "plotly.offline",
        "jinja2",
        "snakemake.cli",
    ]
)
# Whoever starts a process, or asks for its status, looks at all others: not two threads at a time.
LOCK = threading.Lock()


class Fork:
    """A process in which a function runs.

    Parameters
    ----------
    function : callable
    *arguments
    """

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
        """Wait for the end: the exit status, None if it still runs."""
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
    """Be `python FILE ARGUMENTS`, which finds modules beside the file first."""
    sys.path.insert(0, str(Path(file).resolve().parent))
    sys.argv = [file, *arguments]
    runpy.run_path(file, run_name="__main__")


def send_output_to(file: str) -> None:
    """Let all that this process prints go into a file."""
    with Path(file).open("wb") as opened:
        os.dup2(opened.fileno(), 1)
        os.dup2(opened.fileno(), 2)


def be_in(folder: str, environment: Mapping[str, str]) -> None:
    """Be in a folder, with other variables of the environment."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
