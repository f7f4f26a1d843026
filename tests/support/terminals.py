"""A command in a terminal of its own, and what stands there in the end."""

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Sequence
from pathlib import Path

__all__ = ["in_terminal", "lines_left"]

PIECES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\r\n\x1b]+")


def in_terminal(command: Sequence[str], folder: Path, columns: int = 80) -> tuple[int, str]:
    """Run a command in a terminal of some columns: its exit status, and all that it wrote."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ["TERM"] = "xterm"
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    written = b""
    try:
        while more := os.read(terminal, 65536):
            written += more
    except OSError:  # the end of a terminal
        pass
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), written.decode()


def lines_left(written: str) -> list[str]:
    """The lines that stand on a terminal, each without what was written over."""
    lines, line, at = [], "", 0
    for piece in PIECES.findall(written):
        if piece == "\n":
            lines.append(line.rstrip())
            line, at = "", 0
        elif piece == "\r":
            at = 0
        elif not piece.startswith("\x1b"):
            line, at = line[:at].ljust(at) + piece + line[at + len(piece) :], at + len(piece)
    return [*lines, line.rstrip()]
