"""Cells that need no training, because the earlier file of a stack has them."""

import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrc import store
from nrc.grid import Stack
from workflow.trained_file import Arrays

__all__ = ["digest", "fingerprints", "keep", "taken_over"]

logger = logging.getLogger(__name__)


def _earlier_of(output: str | Path) -> Path:
    """The hidden file that holds the last complete output: Snakemake removes the output of a job to come."""
    output = Path(output)
    return output.with_name(f".{output.stem}.earlier{output.suffix}")


def keep(output: str | Path) -> None:
    """Keep the output as the earlier file of the next time, without taking room where links are possible."""
    with store.atomic(_earlier_of(output)) as temporary:
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
        earlier = store.load(path)
    except OSError as error:
        logger.warning(f"{error}: its cells are trained again")
        return nothing
    cells = len(Stack.of(earlier))
    flat = {
        name: variable.values.reshape(cells, *variable.shape[len(Stack.of(earlier).dims) :])
        for name, variable in earlier.data_vars.items()
    }
    at = {text: place for place, text in enumerate(flat.pop("fingerprint").astype(str))}
    found = np.array([cell for cell, text in enumerate(prints) if text in at], dtype=np.int64)
    places = [at[prints[cell]] for cell in found]
    return found, {name: values[places] for name, values in flat.items()}


def fingerprints(
    stack: Stack,
    settings: Mapping[str, Any],
    sources: Sequence[Sequence[str]],
    provenance: Mapping[str, str],
) -> list[str]:
    """For each cell the SHA-256 of all that its training depends on: settings, data, code, versions."""
    common = {name: value for name, value in settings.items() if name != "stack"}
    versions = {name: value for name, value in provenance.items() if name != "settings"}
    digests = {file: _file_digest(file) for file in {file for files in sources for file in files}}
    code = sorted(
        _file_digest(module.__file__)
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ("nrc", "workflow", "__main__") and getattr(module, "__file__", None)
    )
    return [
        digest(json.dumps([common, versions, code, cell, [digests[file] for file in files]], sort_keys=True))
        for cell, files in zip(stack.cells(), sources, strict=True)
    ]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file_digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
