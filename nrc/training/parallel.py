"""The cells of a stack in parts: over threads, with checkpoints, and smaller when memory runs out."""

import gc
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc.networks.mlp import Architecture
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.protocols import State, tree_map
from nrc.text import STOPPED
from nrc.training.checkpoint import Checkpoint
from nrc.training.out_of_memory import out_of_memory_error
from nrc.training.trained_file import Arrays, as_arrays

__all__ = ["Cells", "Parts", "TrainCells", "block_size", "in_blocks", "part_size", "useful_threads"]

logger = logging.getLogger(__name__)

Cells = NDArray[np.int64]
# Trains some cells from a state, which is empty at first; calls its last argument often, with a function that
# returns the state to continue from.
TrainCells = Callable[[Cells, State, Callable[[Callable[[], State]], None]], Arrays]

# Bytes of the features of a block of cells: they stay in the cache of a core from one operation to the next.
CACHE = 3e6
# A few cells are evaluated together even if their features have this size, and only stay in the cache of the
# processor: they share the overhead of a step.
SHARED_CACHE, FEW = 9e6, 3
# Blocks that run at a time, so that the steps between evaluations are shared by many cells.
BLOCKS = 4
# Operations of an evaluation of a cell below which threads wait longer for the interpreter than they compute.
SMALL = 1e7
# Parts per thread, so that a thread that is done finds another part.
PARTS_PER_THREAD = 4


def part_size(cells: int, window: int, threads: int) -> int:
    """Number of cells of a part, in which a window of cells runs at a time.

    Examples
    --------
    >>> part_size(100, window=8, threads=1), part_size(100, window=8, threads=2)
    (100, 13)
    """
    if threads == 1:
        return cells
    return min(-(-cells // threads), max(window, -(-cells // (PARTS_PER_THREAD * threads))))


def useful_threads(threads: int, parameters: int, points: int) -> int:
    """Number of threads that are faster than one: 1 for small networks, whose operations are too short.

    Examples
    --------
    >>> useful_threads(8, parameters=1_600, points=200), useful_threads(8, parameters=10_000, points=500)
    (1, 8)
    """
    return threads if 6 * parameters * points >= SMALL else 1


def block_size(architecture: Architecture, points: int, dtype: torch.dtype) -> int:
    """Number of cells that are evaluated at a time on a CPU, on a number of points.

    Examples
    --------
    >>> block_size(Architecture((20, 20, 20)), points=200, dtype=torch.float64)
    13
    >>> block_size(Architecture((50, 50, 50, 50, 50)), points=500, dtype=torch.float64)
    3
    """
    # features, derivatives in them, and one more buffer
    numbers = points * (2 * sum(architecture.sizes) + max(architecture.sizes))
    size = numbers * dtype.itemsize
    return max(1, min(FEW, int(SHARED_CACHE / size)), int(CACHE / size))


def in_blocks(loss: RegularisedLoss, points: int) -> tuple[RegularisedLoss, int]:
    """The losses for evaluations on a number of points on a CPU, in blocks, and the cells that run at a time.

    Examples
    --------
    >>> x, architecture = torch.zeros(1, 200, 20).double(), Architecture((20, 20, 20))
    >>> loss, window = in_blocks(RegularisedLoss(architecture, x, x, torch.ones(100).double()), points=200)
    >>> loss.block, window
    (13, 52)
    """
    block = block_size(loss.architecture, points, loss.x.dtype)
    return replace(loss, block=block), BLOCKS * block


class Parts:
    """The parts of a training: finished, running and waiting ones.

    Cells are independent, so neither the parts nor the threads change a number.

    Parameters
    ----------
    cells : (cells,) integer array
    size : int
        Number of cells of a part.
    checkpoint : Checkpoint, optional
        Continue from its state, and save states in it.
    device : torch.device
        Where cells are trained.
    name : str
        Name of the output, for messages.

    Attributes
    ----------
    finished : dict
        Cells and arrays of each finished part.

    Examples
    --------
    >>> parts = Parts(np.arange(5), size=2)
    >>> parts.run(lambda cells, state, report: {"square": cells**2})
    >>> [(cells.tolist(), arrays["square"].tolist()) for cells, arrays in parts.finished.values()]
    [([0, 1], [0, 1]), ([2, 3], [4, 9]), ([4], [16])]
    """

    def __init__(
        self,
        cells: Cells,
        size: int,
        checkpoint: Checkpoint | None = None,
        device: torch.device | str = "cpu",
        name: str = "training",
    ) -> None:
        self._size, self._checkpoint, self._name = size, checkpoint, name
        self._lock, self._failed = threading.RLock(), False
        state = checkpoint.open(device) if checkpoint else {}
        if state:
            logger.info(f"{name}: continuing from a checkpoint")
        # parts by their first cell
        self.finished: dict[str, tuple[Cells, Arrays]] = {
            part: (_cells_of(saved), as_arrays(saved["arrays"]))
            for part, saved in state.get("finished", {}).items()
        }
        self._running: dict[str, tuple[Cells, State]] = {
            part: (_cells_of(saved), saved.get("state", {}))
            for part, saved in state.get("running", {}).items()
        }
        known = [some for some, _ in (*self.finished.values(), *self._running.values())]
        self._waiting = [*self._running.values(), (np.setdiff1d(cells, np.concatenate([[], *known])), {})]
        # parts whose state has been taken since the last checkpoint
        self._taken: set[str] = set()

    def run(self, train: TrainCells, threads: int = 1) -> None:
        """Train all parts.

        Raises
        ------
        InterruptedError
            If a signal requests a checkpoint and the end of training.
        OSError
            If this checkpoint cannot be written.
        ValueError
            If a single network does not fit in memory.
        """

        def work() -> None:
            torch.set_num_threads(1)
            # OpenBLAS takes memory in its first product, and ends the process if there is none
            np.ones((64, 64)) @ np.ones((64, 64))
            while self._run_next(train):
                pass

        errors = _errors(work, threads)
        for error in errors:
            if not isinstance(error, _Stopped):
                raise error
        if errors and self._checkpoint:
            self._checkpoint.save(self._state())
            raise InterruptedError(f"{self._name}: {STOPPED}")

    def _state(self) -> State:
        return {
            "running": {part: {"cells": cells, "state": s} for part, (cells, s) in self._running.items()},
            "finished": {part: {"cells": cells, "arrays": a} for part, (cells, a) in self.finished.items()},
        }

    def _run_next(self, train: TrainCells) -> bool:
        """Train the next part, if one is waiting."""
        with self._lock:
            cells, state = self._take()
            if not len(cells):
                return False
            part = str(cells[0])
            self._running[part] = cells, state
        try:
            arrays = train(cells, state, lambda state: self._report(part, state))
        except BaseException as error:
            if not (isinstance(error, Exception) and out_of_memory_error(error)):
                self._failed = True
                raise
            self._split(cells)
        else:
            with self._lock:
                self.finished[part] = cells, arrays
                self._running.pop(part)
                self._taken.discard(part)
        gc.collect()
        torch.cuda.empty_cache()
        return True

    def _take(self) -> tuple[Cells, State]:
        while self._waiting:
            cells, state = self._waiting.pop(0)
            if not state and len(cells) > self._size:
                self._waiting.insert(0, (cells[self._size :], {}))
                cells = cells[: self._size]
            if len(cells):
                return cells, state
        return np.empty(0, dtype=np.int64), {}

    def _split(self, cells: Cells) -> None:
        """Train some cells again from the beginning, in parts of half the size."""
        if len(cells) == 1:
            self._failed = True
            raise ValueError(
                f"{self._name}: one network does not fit in memory; use fewer points or a smaller width"
            ) from None
        with self._lock:
            self._size = min(self._size, -(-len(cells) // 2))
            self._running.pop(str(cells[0]))
            self._waiting.insert(0, (cells, {}))
            logger.warning(
                f"{self._name}: {len(cells)} cells do not fit in memory; training {self._size} at a time"
            )

    def _report(self, part: str, state: Callable[[], State]) -> None:
        """Take the state of a part if a checkpoint is due, and save it when all parts have been taken."""
        checkpoint = self._checkpoint
        requested = checkpoint is not None and checkpoint.requested
        if self._failed and not requested:
            raise _Stopped
        if checkpoint is None or not checkpoint.due:
            return
        with self._lock:
            if part not in self._taken or requested:
                # a copy, because the method continues in the same memory
                copy = tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, state())
                self._running[part] = self._running[part][0], copy
                self._taken.add(part)
            if requested:
                raise _Stopped
            if self._taken >= self._running.keys():
                self._taken.clear()
                try:
                    checkpoint.save(self._state())
                except OSError as error:
                    logger.warning(f"{error}; training continues without a checkpoint")


class _Stopped(Exception):
    """A part ends early."""


def _cells_of(saved: State) -> Cells:
    cells: Cells = saved["cells"].cpu().numpy()
    return cells


def _errors(work: Callable[[], None], threads: int) -> list[BaseException]:
    """The errors of work that a number of threads do."""
    if threads == 1:
        try:
            work()
        except BaseException as error:
            return [error]
        return []
    with ThreadPoolExecutor(threads) as pool:  # this thread waits, and receives signals
        done = [pool.submit(work) for _ in range(threads)]
    return [error for error in (each.exception() for each in done) if error is not None]
