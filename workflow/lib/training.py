"""Training a stack: take over cells, train the rest under checkpoints, write the file."""

import logging
import platform
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nrc import netcdf
from nrc.grid import Stack
from nrc.metadata import provenance
from nrc.status import Status
from nrc.training.checkpoint import Checkpoint, Superseded
from nrc.training.parallel import Train, train_in_parts
from nrc.training.trained_file import Arrays, joined, trained_dataset
from nrc.training.warm_start import Start
from workflow.lib.cell_reuse import digest, fingerprints, keep, taken_over

__all__ = ["choose_device", "train_stack"]

logger = logging.getLogger(__name__)


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
    train: Train,
    *,
    size: int,
    threads: int,
    code: str,
    device: torch.device,
    start: Start,
    times: Sequence[int],
    interval: float,
    known: Callable[[Arrays], None],
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
        Trains some cells, given by number.
    size, threads : int
        Cells of a part, and parts that train at a time.
    code : str
        Digest of the program's code.
    device : torch.device
    start : Start
        Where the cells start.
    times : sequence of int
        Passes since the initial weights of the looks on the way, if there are any.
    interval : float
        Seconds between checkpoints.
    known : callable
        Told of the cells that need no training any more: those of an earlier file or of a checkpoint.
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
        known(arrays)

    wanted = np.setdiff1d(np.arange(len(stack)), found)
    checkpoint = Checkpoint(output, digest("".join(prints[cell] for cell in wanted)), interval)
    for request in (signal.SIGTERM, signal.SIGINT):
        signal.signal(request, checkpoint.ask)
    try:
        parts = train_in_parts(
            output, wanted, train, checkpoint, device, size=size, threads=threads, known=known
        )
        converged = sum(int((part["status"] == Status.CONVERGED).sum()) for _, part in parts)
        if len(wanted):
            logger.info(f"{output}: {converged} of {len(wanted)} cells converged")
        pieces = [(found, arrays), *parts]
        checkpoint.check()
    except Superseded:
        raise OSError(f"{output}: another process has begun to train this since, so this one ends") from None
    arrays = joined([piece for piece in pieces if len(piece[0])])
    arrays["fingerprint"] = np.array(prints, dtype="S64")
    trained = trained_dataset(stack, arrays, times, start.epochs)
    netcdf.save(trained.assign_attrs(provenance(settings, **versions)), output)
    keep(output)
    checkpoint.remove()
