"""The commit that a folder is at."""

import subprocess
from pathlib import Path

__all__ = ["commit_of"]


def commit_of(folder: Path) -> str:
    """The commit of a working tree and whether it has changes since, in words; unknown where there is no git.

    Parameters
    ----------
    folder : path
        The root of the working tree. Of a copy inside another one's the commit is unknown.
    """
    try:
        if Path(_git(folder, "rev-parse", "--show-toplevel")).resolve() != folder.resolve():
            return "unknown"
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}, {'with changes that are not committed' if changes else 'the tree clean'}"


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, text=True, capture_output=True, check=True)
    return done.stdout.strip()
