"""The git commit of a folder."""

import subprocess
from pathlib import Path

__all__ = ["commit_of"]


def commit_of(folder: Path) -> str:
    """The commit of a working tree, and whether it has uncommitted changes; "unknown" without git.

    Parameters
    ----------
    folder : path
        The root of the working tree; for a folder inside another working tree the commit is unknown.
    """
    try:
        if Path(_git(folder, "rev-parse", "--show-toplevel")).resolve() != folder.resolve():
            return "unknown"
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}, {'with' if changes else 'without'} uncommitted changes"


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, text=True, capture_output=True, check=True)
    return done.stdout.strip()
