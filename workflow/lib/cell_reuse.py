"""Cells that need no training, because the earlier file of the stack has them."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrc import netcdf
from nrc.grid import Stack
from nrc.training.trained_file import Arrays, cell_arrays

__all__ = ["checkpoint_fingerprint", "fingerprints", "keep", "reused_cells"]

logger = logging.getLogger(__name__)


def _earlier_of(output: str | Path) -> Path:
    """The hidden file with the last complete output, because Snakemake removes the output before a job."""
    output = Path(output)
    return output.with_name(f".{output.stem}.earlier{output.suffix}")


def keep(output: str | Path) -> None:
    """Keep the output as the earlier file of the next run; a link, if possible, takes no space."""
    with netcdf.atomic(_earlier_of(output)) as temporary:
        try:
            os.link(output, temporary)
        except OSError:
            shutil.copyfile(output, temporary)


def reused_cells(output: str | Path, prints: Sequence[str]) -> tuple[NDArray[np.int64], Arrays]:
    """The cells that an earlier file has with the same fingerprints, and their arrays."""
    none: tuple[NDArray[np.int64], Arrays] = np.array([], dtype=np.int64), {}
    path = _earlier_of(output)
    if not path.exists():
        return none
    try:
        earlier = netcdf.load(path)
    except OSError as error:
        logger.warning(f"{error}; its cells are trained again")
        return none
    flat = cell_arrays(earlier)
    at = {text: place for place, text in enumerate(flat.pop("fingerprint").astype(str))}
    found = np.array([cell for cell, text in enumerate(prints) if text in at], dtype=np.int64)
    places = [at[prints[cell]] for cell in found]
    if len(found):
        logger.info(f"{output}: {len(found)} of {len(prints)} cells reused from the earlier file")
    return found, {name: values[places] for name, values in flat.items()}


def fingerprints(
    stack: Stack,
    settings: Mapping[str, Any],
    files: Iterable[str],
    versions: Mapping[str, str],
    code: str,
    start: Sequence[str] = (),
) -> list[str]:
    """For each cell the SHA-256 of everything that its training depends on: settings, data, versions, code.

    Parameters
    ----------
    stack : Stack
    settings : mapping
    files : iterable of path
        Data files: one for each seed of the stack, or one for all seeds.
    versions : mapping
        Of software, and the device.
    code : str
        Digest of the program's code.
    start : sequence of str
        Fingerprint of the network that each cell starts from; empty for initial weights.
    """
    common = {name: value for name, value in settings.items() if name not in ("experiment", "stack")}
    data = [_file_digest(file) for file in files]
    of_seed = dict(zip(stack.seeds, data if len(data) > 1 else data * len(stack.seeds), strict=True))
    before: list[str | None] = [*start] or [None] * len(stack)
    return [
        _digest(
            json.dumps([common, dict(versions), code, cell, of_seed[cell["seed"]], start], sort_keys=True)
        )
        for cell, start in zip(stack.cells(), before, strict=True)
    ]


def checkpoint_fingerprint(prints: Sequence[str], reused: NDArray[np.int64]) -> str:
    """The SHA-256 of the fingerprints of all cells that are not reused."""
    return _digest("".join(text for cell, text in enumerate(prints) if cell not in reused))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file_digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
