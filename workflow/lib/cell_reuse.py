"""Cells that need no training, because the earlier file of a stack has them."""

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
from nrc.training.trained_file import Arrays, cells_of

__all__ = ["digest", "fingerprints", "keep", "taken_over"]

logger = logging.getLogger(__name__)


def _earlier_of(output: str | Path) -> Path:
    """The hidden file that holds the last complete output: Snakemake removes the output of a job to come."""
    output = Path(output)
    return output.with_name(f".{output.stem}.earlier{output.suffix}")


def keep(output: str | Path) -> None:
    """Keep the output as the earlier file of the next time, without taking room where links are possible."""
    with netcdf.atomic(_earlier_of(output)) as temporary:
        try:
            os.link(output, temporary)
        except OSError:
            shutil.copyfile(output, temporary)


def taken_over(output: str | Path, prints: Sequence[str]) -> tuple[NDArray[np.int64], Arrays]:
    """The cells that an earlier file holds with the same fingerprints, and their arrays."""
    nothing = np.array([], dtype=np.int64), {}
    path = _earlier_of(output)
    if not path.exists():
        return nothing
    try:
        earlier = netcdf.load(path)
    except OSError as error:
        logger.warning(f"{error}: its cells are trained again")
        return nothing
    flat = cells_of(earlier)
    at = {text: place for place, text in enumerate(flat.pop("fingerprint").astype(str))}
    found = np.array([cell for cell, text in enumerate(prints) if text in at], dtype=np.int64)
    places = [at[prints[cell]] for cell in found]
    return found, {name: values[places] for name, values in flat.items()}


def fingerprints(
    stack: Stack,
    settings: Mapping[str, Any],
    files: Iterable[str],
    versions: Mapping[str, str],
    code: str,
    start: Sequence[str] = (),
) -> list[str]:
    """For each cell the SHA-256 of all that its training depends on: settings, data, versions, code.

    Parameters
    ----------
    stack : Stack
    settings : mapping
    files : iterable of path
        Data files: one for each seed of the stack, or one for all.
    versions : mapping
        Of software, and the device.
    code : str
        Digest of the program's code.
    start : sequence of str
        Fingerprint of the network that each cell starts from; empty at initial weights.
    """
    common = {name: value for name, value in settings.items() if name not in ("experiment", "stack")}
    data = [_file_digest(file) for file in files]
    of_seed = dict(zip(stack.seeds, data if len(data) > 1 else data * len(stack.seeds), strict=True))
    before = list(start) or [None] * len(stack)
    return [
        digest(json.dumps([common, dict(versions), code, cell, of_seed[cell["seed"]], start], sort_keys=True))
        for cell, start in zip(stack.cells(), before, strict=True)
    ]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file_digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
