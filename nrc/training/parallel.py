"""The cells of a stack in parts, over threads, under checkpoints."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc.networks.mlp import Architecture
from nrc.optimize.protocols import State
from nrc.training.checkpoint import Checkpoint
from nrc.training.out_of_memory import out_of_memory_error
from nrc.training.trained_file import Arrays, as_arrays

__all__ = ["Cells", "Report", "Train", "block_size", "part_size", "train_in_parts"]

logger = logging.getLogger(__name__)

Cells = NDArray[np.int64]
# To be called often while training, with a function that returns the state to go on from.
Report = Callable[[Callable[[], State]], None]
# Trains some cells, from a state on (empty at first), of a stack that has taken some seconds already.
Train = Callable[[Cells, State, Report, float], Arrays]

# Bytes of the features of a block: they stay in a core's caches from one operation to the next.
CACHE = 12e6
# Parts for each thread, so that one that is done finds another.
PARTS_OF_A_THREAD = 4


def part_size(cells: int, block: int, threads: int) -> int:
    """Cells of a part, of which a block at a time is trained."""
    if threads == 1:
        return cells
    return min(-(-cells // threads), max(block, -(-cells // (PARTS_OF_A_THREAD * threads))))


def block_size(architecture: Architecture, points: int, dtype: torch.dtype) -> int:
    """Cells that train at a time on a CPU, of which each evaluation sees so many points."""
    # features, derivatives in them, and one buffer more
    numbers = points * (2 * sum(architecture.sizes) + max(architecture.sizes))
    return max(1, int(CACHE / (numbers * dtype.itemsize)))


def train_in_parts(
    output: str,
    wanted: Cells,
    train: Train,
    checkpoint: Checkpoint,
    device: torch.device,
    *,
    size: int,
    threads: int,
    known: Callable[[Arrays], None] = lambda arrays: None,
) -> list[tuple[Cells, Arrays]]:
    """Train cells in parts, or in smaller ones where memory asks for them: cells and arrays of each.

    Cells are independent, so neither the parts nor the threads change a number.

    Parameters
    ----------
    output : path
    wanted : (cells,) integer array
    train : callable
    checkpoint : Checkpoint
    device : torch.device
    size : int
        Cells of a part.
    threads : int
        Parts that train at a time.
    known : callable, optional
        Told of the cells that a checkpoint has finished.

    Raises
    ------
    OSError
        If it is stopped by a signal, or the checkpoint that this asks for cannot be written.
    ValueError
        If memory does not hold a single cell.
    """
    parts = _Parts(output, wanted, checkpoint, device, size)
    for _, arrays in parts.finished.values():
        known(arrays)

    def work() -> None:
        torch.set_num_threads(1)
        while parts.next(train):
            pass

    failures = _failures(work, threads)
    for failure in failures:
        if not isinstance(failure, _Stopped):
            raise failure
    if failures:
        checkpoint.save(parts.state())
        raise OSError(f"{output}: stopped by a signal; run again to go on from the checkpoint")
    return list(parts.finished.values())


def _failures(work: Callable[[], None], threads: int) -> list[BaseException]:
    """What goes wrong where a piece of work is done by so many threads."""
    if threads == 1:
        try:
            work()
        except BaseException as failure:
            return [failure]
        return []
    with ThreadPoolExecutor(threads) as pool:  # this thread waits, and takes signals
        done = [pool.submit(work) for _ in range(threads)]
    return [each.exception() for each in done if each.exception() is not None]


class _Stopped(Exception):
    """A part must end before its time."""


class _Parts:
    """What is finished, what is under way, and what is to do."""

    def __init__(
        self, output: str, wanted: Cells, checkpoint: Checkpoint, device: torch.device, size: int
    ) -> None:
        self._output, self._checkpoint, self._size = output, checkpoint, size
        self._lock, self._failed = threading.RLock(), False
        state = checkpoint.open(device)
        if state:
            logger.info(f"{output}: going on from a checkpoint")
        self._start = time.monotonic() - float(state.get("seconds", 0))
        # parts by their first cell
        cells = as_arrays(state.get("cells", {}))
        self.finished = {
            part: (cells[part], as_arrays(arrays)) for part, arrays in state.get("finished", {}).items()
        }
        self._runs = {
            part: (run["cells"].cpu().numpy(), run.get("state", {}))
            for part, run in state.get("runs", {}).items()
        }
        known = [some for some, _ in (*self.finished.values(), *self._runs.values())]
        self._left = [*self._runs.values(), (np.setdiff1d(wanted, np.concatenate([[], *known])), {})]
        # parts whose state is as old as the last checkpoint
        self._old = set()

    @property
    def seconds(self) -> float:
        """Time that the stack has taken."""
        return time.monotonic() - self._start

    def state(self) -> State:
        return {
            "seconds": self.seconds,
            "runs": {part: {"cells": cells, "state": state} for part, (cells, state) in self._runs.items()},
            "cells": {part: cells for part, (cells, _) in self.finished.items()},
            "finished": {part: arrays for part, (_, arrays) in self.finished.items()},
        }

    def next(self, train: Train) -> bool:
        """Train a part, if there is one to do."""
        with self._lock:
            cells, state = self._take()
            if not len(cells):
                return False
            part = str(cells[0])
            self._runs[part] = cells, state
        try:
            arrays = train(cells, state, lambda run: self._report(part, run), self.seconds)
        except BaseException as error:
            if not (isinstance(error, Exception) and out_of_memory_error(error)):
                self._failed = True
                raise
            self._split(cells)
        else:
            with self._lock:
                self.finished[part] = cells, arrays
                self._runs.pop(part)
                self._old.discard(part)
        gc.collect()
        torch.cuda.empty_cache()
        return True

    def _take(self) -> tuple[Cells, State]:
        while self._left:
            cells, state = self._left.pop(0)
            if not state and len(cells) > self._size:
                self._left.insert(0, (cells[self._size :], {}))
                cells = cells[: self._size]
            if len(cells):
                return cells, state
        return np.empty(0, dtype=np.int64), {}

    def _split(self, cells: Cells) -> None:
        """Do some cells again, in parts of half the size, from the start."""
        if len(cells) == 1:
            self._failed = True
            raise ValueError(
                f"{self._output}: one network does not fit in memory; use fewer points or a smaller width"
            ) from None
        with self._lock:
            self._size = min(self._size, -(-len(cells) // 2))
            self._runs.pop(str(cells[0]))
            self._left.insert(0, (cells, {}))
            logger.warning(
                f"{self._output}: {len(cells)} cells do not fit in memory; training {self._size} at a time"
            )

    def _report(self, part: str, run: Callable[[], State]) -> None:
        """Keep the state of a part when it is time, and write that of all when each has been kept."""
        checkpoint = self._checkpoint
        if not checkpoint.due and not self._failed:
            return
        with self._lock:
            if self._failed and not checkpoint.asked:
                raise _Stopped
            if part not in self._old or checkpoint.asked:
                # the methods go on in the same memory
                self._runs[part] = self._runs[part][0], _copied(run())
                self._old.add(part)
            if checkpoint.asked:
                raise _Stopped
            if self._old >= self._runs.keys():
                self._old.clear()
                try:
                    checkpoint.save(self.state())
                except OSError as error:
                    logger.warning(f"{error}; training goes on without a checkpoint")


def _copied(state: State) -> State:
    """A tree with tensors of its own."""
    return {
        name: _copied(leaf)
        if isinstance(leaf, Mapping)
        else leaf.clone()
        if isinstance(leaf, Tensor)
        else leaf
        for name, leaf in state.items()
    }
