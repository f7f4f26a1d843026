"""Processes that tests start, and that are ended whatever a test does."""

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["end_all", "mounted", "start"]

STARTED: list[subprocess.Popen] = []


def start(command: Sequence[str | Path], **options) -> subprocess.Popen:
    """Start a process whose output is read as text."""
    STARTED.append(
        subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    )
    return STARTED[-1]


def end_all() -> None:
    """End what a failed test left running."""
    for process in STARTED:
        with process:
            process.kill()
    STARTED.clear()


@contextlib.contextmanager
def mounted(folder: Path, *options: str):
    """A small file system in memory over a folder; the test is skipped where a user may not mount."""
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not mount a file system: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
