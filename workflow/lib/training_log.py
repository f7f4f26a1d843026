"""The progress of a training, in its log and in the file that the progress bar reads."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nrc.optimize.minimise import RunProgress
from workflow.lib.progress_file import ProgressFile

__all__ = ["TrainingLog"]

SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_FILES = 10, 1

logger = logging.getLogger(__name__)


class TrainingLog:
    """Writes the progress of all parts of a stack from time to time.

    Parameters
    ----------
    name : str
        Name of the output.
    cells, epochs : int
        Number of cells of all parts, and the budget of each cell.
    log : path, optional
        The log, beside which the progress bar finds the progress file.
    """

    def __init__(self, name: str, cells: int, epochs: int, log: Path | None) -> None:
        self._name, self._cells, self._epochs, self._log = name, cells, epochs, log
        self._line = self._file = time.monotonic()
        self._parts: dict[int, Callable[[], RunProgress]] = {}

    def __call__(self, part: int, progress: Callable[[], RunProgress]) -> None:
        """Receive the progress of a part."""
        self._parts[part] = progress
        now = time.monotonic()
        if self._log and now - self._file >= SECONDS_BETWEEN_FILES:
            self._file = now
            parts = self._progress()
            ProgressFile(
                terminated=sum(part.cells - part.running for part in parts),
                converged=sum(part.converged for part in parts),
                share=sum(part.epochs for part in parts) / self._epochs,
            ).write(self._log)
        if now - self._line >= SECONDS_BETWEEN_LINES:
            self._line = now
            logger.info(self._text(self._progress()))

    def close(self) -> None:
        if self._log:
            ProgressFile.remove(self._log)

    def _progress(self) -> list[RunProgress]:
        return [progress() for progress in list(self._parts.values())]

    def _text(self, parts: list[RunProgress]) -> str:
        worst = np.nanmax([0.0, *(part.worst_residual for part in parts)])
        terminated = sum(part.cells - part.running for part in parts)
        return (
            f"{self._name}: {terminated} of {self._cells} cells terminated, of which "
            f"{sum(part.converged for part in parts)} converged; "
            f"{sum(part.running for part in parts)} running"
            + (f", worst relative residual {worst:.1e}" if worst else "")
        )
