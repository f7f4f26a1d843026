"""Training a stack: take over cells, train the rest under checkpoints, write the file."""

import gc
import logging
import platform
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nrc import store
from nrc.checkpoint import Checkpoint, Superseded
from nrc.grid import Stack
from nrc.labels import provenance
from nrc.optimize.point import State
from nrc.start import Start
from nrc.trained import Arrays, as_arrays, joined, trained_dataset
from pipeline.earlier_cells import digest, fingerprints, keep, taken_over

__all__ = ["Report", "choose_device", "train_stack"]

logger = logging.getLogger(__name__)

# To be called often while training, with a function that returns the state to go on from.
Report = Callable[[Callable[[], State]], None]


def choose_device(name: str) -> torch.device:
    """The torch device for auto, cpu or cuda."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda is asked for, but torch finds no GPU here; use device: auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def train_stack(
    output: str,
    settings: Mapping[str, Any],
    files: Sequence[str],
    train: Callable[[NDArray[np.int64], State, Report], Arrays],
    *,
    code: str,
    device: torch.device,
    start: Start,
    times: Sequence[int],
    interval: float,
) -> None:
    """Train the cells of a stack that no earlier file has, and write the file of all.

    Killed at any moment and run again it goes on from its last checkpoint, to the same bytes. Where
    memory does not hold the stack it trains in parts.

    Parameters
    ----------
    output : path
    settings : mapping
        All that training depends on beside the data: experiment, stack and more.
    files : sequence of path
        Data files: one for each seed of the stack, or one for all.
    train : callable
        Trains some cells, given by number, from a state on (empty at first).
    code : str
        Digest of the program's code.
    device : torch.device
    start : Start
        Where the cells start.
    times : sequence of int
        Passes since the initial weights of the looks on the way, if there are any.
    interval : float
        Seconds between checkpoints.
    """
    stack = Stack(settings["stack"])
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    versions = {
        "torch": str(torch.__version__),
        "device": name,
        "precision": settings["training"]["precision"],
    }
    software = versions | {"python": platform.python_version()}
    prints = fingerprints(stack, settings, files, software, code, start.fingerprints)
    found, arrays = taken_over(output, prints)
    if len(found):
        logger.info(f"{output}: {len(found)} of {len(stack)} cells taken over from the earlier file")

    wanted = np.setdiff1d(np.arange(len(stack)), found)
    checkpoint = Checkpoint(output, digest("".join(prints[cell] for cell in wanted)), interval)
    for request in (signal.SIGTERM, signal.SIGINT):
        signal.signal(request, checkpoint.ask)
    try:
        pieces = [(found, arrays), *train_in_parts(output, wanted, train, checkpoint, device)]
        checkpoint.check()
    except Superseded:
        raise OSError(f"{output}: another process has begun to train this since, so this one ends") from None
    arrays = joined([piece for piece in pieces if len(piece[0])])
    arrays["fingerprint"] = np.array(prints, dtype="S64")
    trained = trained_dataset(stack, arrays, times, start.passes)
    store.save(trained.assign_attrs(provenance(settings, **versions)), output)
    keep(output)
    checkpoint.remove()


def train_in_parts(
    output: str,
    wanted: NDArray[np.int64],
    train: Callable[[NDArray[np.int64], State, Report], Arrays],
    checkpoint: Checkpoint,
    device: torch.device,
) -> list[tuple[NDArray[np.int64], Arrays]]:
    """Train cells, all at once or in as many parts as memory asks for: the cells and arrays of each."""
    state = checkpoint.open(device)
    cells = as_arrays(state.get("cells", {}))
    finished = {part: (cells[part], as_arrays(arrays)) for part, arrays in state.get("finished", {}).items()}
    size, run = int(state.get("size", len(wanted))), state.get("run", {})
    if state:
        logger.info(f"{output}: going on from a checkpoint")

    def here(run: State) -> State:
        return {
            "size": size,
            "run": run,
            "cells": {part: cells for part, (cells, _) in finished.items()},
            "finished": {part: arrays for part, (_, arrays) in finished.items()},
        }

    def report(run: Callable[[], State]) -> None:
        if checkpoint.due:
            try:
                checkpoint.save(here(run()))
            except OSError as error:
                if checkpoint.asked:
                    raise
                logger.warning(f"{error}; training goes on without a checkpoint")
        if checkpoint.asked:
            raise OSError(f"{output}: stopped by a signal; run again to go on from the checkpoint")

    while len(left := np.setdiff1d(wanted, [cell for cells, _ in finished.values() for cell in cells])):
        part = left[:size]
        try:
            finished[str(len(finished))] = part, train(part, run, report)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(part) == 1:
                raise ValueError(
                    f"{output}: one network does not fit in memory; use fewer points or a smaller width"
                ) from None
            size = -(-len(part) // 2)
            logger.warning(f"{output}: {len(part)} cells do not fit in memory; training {size} at a time")
        run = {}
        gc.collect()
        torch.cuda.empty_cache()
        if size < len(wanted):
            checkpoint.save(here(run))
    return list(finished.values())


def _is_out_of_memory(error: Exception) -> bool:
    # on a CPU torch has no class of its own for it
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
