"""Snakemake in a forked process, whose jobs run in forked processes too."""

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

from support.forks import Fork, change_to, run_file, send_output_to

__all__ = ["run_snakemake"]

# The `python` of jobs: it asks the process of the tests for a fork that runs the program instead.
PYTHON = """#!{executable} -IS
import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    job = [os.getpid(), sys.argv[1:], os.getcwd(), dict(os.environ)]
    connection.sendall(json.dumps(job).encode() + b"\\n")
    status = int(connection.makefile().readline())
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def run_snakemake(arguments: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run Snakemake in a folder: its exit status, and the output of it and its jobs."""
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / "output"
        python = str(_python_of_jobs())
        status = Fork(_snakemake, list(arguments), str(folder), dict(os.environ), str(output), python).wait()
        return status, output.read_text(encoding="utf-8")


def _snakemake(
    arguments: Sequence[str], folder: str, environment: Mapping[str, str], output: str, python: str
) -> None:
    from snakemake.cli import main

    send_output_to(output)
    change_to(folder, environment)
    sys.dont_write_bytecode = False  # a checkout is compiled once
    sys.argv = ["snakemake", *arguments]
    sys.executable = python  # jobs find `python` beside it
    main()


@functools.cache
def _python_of_jobs() -> Path:
    """The `python` of jobs, and a thread that answers it."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address = str(folder / "socket")
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
        connection, _ = listener.accept()
        threading.Thread(target=_run_job, args=[connection], daemon=True).start()


def _run_job(connection: socket.socket) -> None:
    with connection:
        job = Fork(_job, *json.loads(connection.makefile().readline()))
        if job.sentinel not in wait([job.sentinel, connection]):  # the `python` was killed
            job.kill()
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(f"{job.wait()}\n".encode())


def _job(pid: int, words: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
    for stream, mode in enumerate((os.O_RDONLY, *[os.O_WRONLY | os.O_APPEND] * 2)):
        os.dup2(os.open(f"/proc/{pid}/fd/{stream}", mode), stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    change_to(folder, environment)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    run_file(words[0], words[1:])
