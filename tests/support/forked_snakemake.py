"""Snakemake as a fork, of which every job is a fork too."""

import atexit
import contextlib
import functools
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from support.forks import Fork, be_in, run_file, send_output_to

__all__ = ["run_snakemake"]

# The `python` of jobs: it asks the tests' process for a fork in its place.
PYTHON = """#!{executable} -IS
import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({address!r})
    asked.sendall(json.dumps([os.getpid(), sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n")
    status = int(asked.makefile().readline())
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def run_snakemake(arguments: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run Snakemake in a folder: its exit status, and what it and its jobs print."""
    with tempfile.TemporaryDirectory() as place:
        said = Path(place) / "said"
        how = list(arguments), str(folder), dict(os.environ), str(said), str(_python_of_jobs())
        status = Fork(_snakemake, *how).wait()
        return status, said.read_text(encoding="utf-8")


def _snakemake(
    arguments: Sequence[str], folder: str, environment: Mapping[str, str], said: str, python: str
) -> None:
    from snakemake.cli import main

    send_output_to(said)
    be_in(folder, environment)
    sys.argv = ["snakemake", *arguments]
    sys.executable = python  # jobs find `python` beside it
    main()


@functools.cache
def _python_of_jobs() -> Path:
    """The `python` of jobs, and a thread that answers it."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address = str(folder / "asked")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    threading.Thread(target=_answer, args=[listener], daemon=True).start()
    python = folder / "python"
    python.write_text(PYTHON.format(executable=sys.executable, address=address), encoding="utf-8")
    python.chmod(0o755)
    return python


def _answer(listener: socket.socket) -> None:
    while True:
        asked, _ = listener.accept()
        threading.Thread(target=_run_job, args=[asked], daemon=True).start()


def _run_job(asked: socket.socket) -> None:
    with asked:
        job = Fork(_job, *json.loads(asked.makefile().readline()))
        if job.sentinel not in wait([job.sentinel, asked]):  # whoever asked was killed
            job.kill()
        with contextlib.suppress(BrokenPipeError):
            asked.sendall(f"{job.wait()}\n".encode())


def _job(pid: int, words: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
    appended = os.O_WRONLY | os.O_APPEND
    for stream, how in enumerate((os.O_RDONLY, appended, appended)):
        os.dup2(os.open(f"/proc/{pid}/fd/{stream}", how), stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    be_in(folder, environment)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    run_file(words[0], words[1:])
