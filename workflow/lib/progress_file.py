"""Progress of a running training: a hidden file beside its log, which is removed when the job ends."""

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

__all__ = ["ProgressFile"]


class ProgressFile(NamedTuple):
    """The progress that a training reports.

    Attributes
    ----------
    terminated, converged : int
        Numbers of cells.
    share : float
        Sum over running cells of the share of their budget that they have used.
    """

    terminated: int = 0
    converged: int = 0
    share: float = 0

    @staticmethod
    def file(log: str | Path) -> Path:
        return Path(log).with_name(f".{Path(log).stem}.progress")

    def write(self, log: str | Path) -> None:
        """Write the file. A file that cannot be written does not stop the training."""
        with suppress(OSError):
            self.file(log).write_text(json.dumps(self), encoding="utf-8")

    @classmethod
    def read(cls, log: str | Path, since: float) -> Self:
        """Read a report that was written since a time; all zeros if it is missing or incomplete."""
        with suppress(OSError, ValueError, TypeError):
            file = cls.file(log)
            if file.stat().st_mtime >= since - 1:  # clocks differ
                return cls(*json.loads(file.read_text(encoding="utf-8")))
        return cls()

    @classmethod
    def remove(cls, log: str | Path) -> None:
        with suppress(OSError):
            cls.file(log).unlink(missing_ok=True)
