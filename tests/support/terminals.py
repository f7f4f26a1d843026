"""A command in a terminal of its own, and the lines that are left on it."""

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


def in_terminal(
    command: Sequence[str], folder: Path, columns: int = 80, interrupt_at: bytes | None = None
) -> tuple[int, str]:
    """Run a command in a terminal, with Ctrl-C when some text is written: its exit status and its output."""
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
            if interrupt_at and interrupt_at in written:
                interrupt_at = os.write(terminal, b"\x03") and None
    except OSError:  # the end of a terminal
        pass
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), written.decode()


def lines_left(written: str) -> list[str]:
    """The lines that are left on a terminal, without what was overwritten or erased."""
    lines, row, at = [""], 0, 0
    for piece in PIECES.findall(written):
        if piece == "\n":
            row, at = row + 1, 0
            lines += [""] * (row == len(lines))
        elif piece == "\r":
            at = 0
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif piece == "\x1b[1A":
            row -= 1
        elif not piece.startswith("\x1b"):
            lines[row] = lines[row][:at].ljust(at) + piece + lines[row][at + len(piece) :]
            at += len(piece)
    return [line.rstrip() for line in lines]
