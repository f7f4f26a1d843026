"""How a program reports an error: a line that begins with "Error: ", on the terminal or only in its log.

Programs write these lines; the logger plugin reads the last one in the log of a failed job and prints it.
"""

import os
from pathlib import Path

__all__ = ["are_left_in_logs", "error_line", "last_error", "leave_in_logs"]

BEGIN = "Error: "
# The environment variable that a run sets for its programs, and its value.
VARIABLE, ONLY_IN_LOGS = "NRC_ERRORS", "log"


def error_line(cause: object, log: object = None) -> str:
    """An error in one line, with the log in a second line if there is one.

    Examples
    --------
    >>> error_line("no room", log="a.log")
    'Error: no room\\n  log: a.log'
    """
    return f"{BEGIN}{cause}" + ("" if log is None else f"\n  log: {log}")


def last_error(log: str, since: float) -> str | None:
    """The cause of the last error in a log that was written since a time, or None if there is none."""
    try:
        file = Path(log)
        text = file.read_text(encoding="utf-8", errors="replace") if file.stat().st_mtime >= since else ""
    except OSError:
        return None
    _, found, cause = f"\n{text.rstrip()}".rpartition(f"\n{BEGIN}")
    return cause if found else None


def leave_in_logs() -> None:
    """Let the programs that this process starts report errors only in their logs."""
    os.environ[VARIABLE] = ONLY_IN_LOGS


def are_left_in_logs() -> bool:
    """Whether errors of this program are reported only in its log."""
    return os.environ.get(VARIABLE) == ONLY_IN_LOGS
