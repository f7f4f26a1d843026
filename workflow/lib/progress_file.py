"""How far a training under way is: a hidden file beside its log, which is gone when the training is."""

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

__all__ = ["ProgressFile"]


class ProgressFile(NamedTuple):
    """What a training tells of its cells.

    Attributes
    ----------
    ended, converged : int
        Numbers of cells.
    share : float
        Of the budgets of those that have not ended, what is spent: 1 for each cell.
    """

    ended: int = 0
    converged: int = 0
    share: float = 0

    @staticmethod
    def file(log: str | Path) -> Path:
        return Path(log).with_name(f".{Path(log).stem}.progress")

    def tell(self, log: str | Path) -> None:
        """Write it; where it cannot be written the training goes on untold."""
        with suppress(OSError):
            self.file(log).write_text(json.dumps(self), encoding="utf-8")

    @classmethod
    def told(cls, log: str | Path, since: float) -> Self:
        """Read what was written since a time, nothing done if there is nothing, or half of it."""
        with suppress(OSError, ValueError, TypeError):
            file = cls.file(log)
            if file.stat().st_mtime >= since - 1:  # clocks differ
                return cls(*json.loads(file.read_text(encoding="utf-8")))
        return cls()

    @classmethod
    def remove(cls, log: str | Path) -> None:
        with suppress(OSError):
            cls.file(log).unlink(missing_ok=True)
