"""Programs of the pipeline, run by tests."""

import io
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from support.checkout import PROJECT
from support.forks import Fork, run_file, send_output_to

__all__ = ["Program", "end_all"]

STARTED: list["Program"] = []


class Program(Fork):
    """A running program.

    Parameters
    ----------
    script : str
        Its name, without the suffix.
    arguments : sequence of str
    said : path
        File that takes its output.
    folder : path
        A checkout, whose program it is.
    given : str
        Its standard input.
    memory : int, optional
        MiB that it may take, beside what it has after its imports.
    """

    def __init__(
        self,
        script: str,
        arguments: Sequence[str],
        said: Path,
        *,
        folder: Path = PROJECT,
        given: str = "",
        memory: int | None = None,
    ) -> None:
        self._said = said
        super().__init__(_run, script, list(arguments), str(said), str(folder), given, memory)
        STARTED.append(self)

    def said(self) -> str:
        """What it has printed."""
        return self._said.read_text(encoding="utf-8") if self._said.exists() else ""

    def wait_for(self, file: Path, seconds: float = 60) -> None:
        """Until a file is there, or the program has ended."""
        end = time.monotonic() + seconds
        while self.running and not file.exists():
            assert time.monotonic() < end, f"no {file} after {seconds} s"
            time.sleep(0.005)


def end_all() -> None:
    """End what a failed test left running."""
    for program in STARTED:
        program.kill()
        program.wait()
    STARTED.clear()


def _run(script: str, arguments: list[str], said: str, folder: str, given: str, memory: int | None) -> None:
    send_output_to(said)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.stdin = io.StringIO(given)
    if memory is not None:
        _limit_memory(memory)
    run_file(f"{folder}/workflow/scripts/{script}.py", arguments)


def _limit_memory(more: int) -> None:
    import numpy as np
    import torch
    import torch._dynamo

    import nrc.training.run  # noqa: F401
    from nrc.determinism import make_deterministic

    make_deterministic()
    for library in (np, torch):  # the first product takes memory
        library.ones((300, 300)) @ library.ones((300, 300))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
