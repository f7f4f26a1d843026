"""NetCDF files in and out. A file is either whole or not there."""

import hashlib
import io
import json
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nrc import __version__

__all__ = ["atomic", "count_flags", "describe", "flag_attributes", "flag_masks", "load", "provenance", "save"]

# The attribute sha256 of a file, as long as a digest, while the digest is computed.
PLACEHOLDER = b"the SHA-256 of this file with this sentence in its place".ljust(64)
# A write takes seconds: what is older was left by a process that was killed.
LEFT_BEHIND = 3600


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder that becomes `path` if the block succeeds.

    On any error the temporary file is removed and `path` is left as it was. The bytes are on the
    disk before they have the name, so that a crash of the machine leaves no hollow file.

    Raises
    ------
    OSError
        With the path and the remedy, if the disk is full or the folder cannot be written.
    """
    path = Path(path)
    # the suffix stays last: writers choose their format by it
    temporary = path.with_name(f".{path.stem}.partial-{secrets.token_hex(8)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.stem}.partial-*{path.suffix}"):
            if left.stat().st_mtime < time.time() - LEFT_BEHIND:
                left.unlink(missing_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(
            f"{path} could not be written ({error.strerror or error}), and is left as it was; make room or "
            "give write permission there, and run again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def save(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a dataset as NetCDF, compressed, the same bytes for the same contents.

    The attribute `sha256` holds the digest of the file's bytes, with `PLACEHOLDER` in its place.

    Raises
    ------
    ValueError
        If a variable has no long_name or no units.
    OSError
        As `atomic`.
    """
    for name, variable in dataset.variables.items():
        if missing := {"long_name", "units"} - set(variable.attrs):
            raise ValueError(f"variable {name} has no {' and no '.join(sorted(missing))}")
    encoding = {name: {"zlib": True, "complevel": 4} for name, v in dataset.data_vars.items() if v.ndim}
    unsigned = dataset.assign_attrs(sha256=PLACEHOLDER.decode())
    # in memory, where HDF5 cannot fail for want of room
    data = bytes(unsigned.to_netcdf(engine="h5netcdf", encoding=encoding))
    digest = hashlib.sha256(data).hexdigest().encode()
    with atomic(path) as temporary:
        temporary.write_bytes(data.replace(PLACEHOLDER, digest, 1))


def load(path: str | Path) -> xr.Dataset:
    """Read a whole NetCDF file into memory, and check it byte by byte.

    Raises
    ------
    OSError
        With the path and the remedy, if the file is missing, damaged, or was not written by `save`.
    """
    data = Path(path).read_bytes()
    if not _is_whole(data):
        raise OSError(
            f"{path} is damaged: its bytes are not those that were written; delete it and run again"
        )
    with xr.open_dataset(io.BytesIO(data), engine="h5netcdf") as dataset:
        dataset.load()
    del dataset.attrs["sha256"]
    return dataset


def _is_whole(data: bytes) -> bool:
    """Whether the bytes hold their digest. HDF5 may hang on damaged bytes, so it is not asked."""
    return any(
        hashlib.sha256(data.replace(digest, PLACEHOLDER, 1)).hexdigest().encode() == digest
        for digest in re.findall(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", data)
    )


def provenance(settings: Mapping[str, Any], **versions: str) -> dict[str, str]:
    """Global attributes of a file: the settings it was made from, and with what."""
    return {
        "experiment": settings["experiment"],
        "settings": json.dumps(settings, sort_keys=True),
        "python": platform.python_version(),
        "nrc": __version__,
        **versions,
    }


def describe(dataset: xr.Dataset, **attributes: dict[str, Any]) -> xr.Dataset:
    """The dataset with attributes for each variable named, in units of a pure number."""
    for name, about in attributes.items():
        dataset[name].attrs = {"units": "1", **about}
    return dataset


def flag_attributes(codes: type) -> dict[str, Any]:
    """CF attributes of a flag variable, from an IntEnum."""
    return {
        "flag_values": np.array([int(code) for code in codes], dtype=np.int8),
        "flag_meanings": " ".join(code.name.lower() for code in codes),
        "units": "1",
    }


def count_flags(cube: xr.Dataset) -> dict[str, int]:
    """How many cells have each status, and how many of the stopped ones diverged."""
    counts = {meaning: int(mask.sum()) for meaning, mask in flag_masks(cube["status"]).items()}
    return {**counts, "diverged": int(flag_masks(cube["ended"])["diverged"].sum())}


def flag_masks(flags: xr.DataArray) -> dict[str, xr.DataArray]:
    """A mask for each meaning of a flag variable."""
    codes = zip(flags.attrs["flag_meanings"].split(), flags.attrs["flag_values"], strict=True)
    return {meaning: flags == code for meaning, code in codes}
