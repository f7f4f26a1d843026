"""NetCDF files in and out. A file is either whole or not there."""

import hashlib
import io
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import xarray as xr
from numpy.typing import NDArray

__all__ = ["atomic", "load", "load_arrays", "save"]

# The attribute sha256 of a file, as long as a digest, while the digest is computed.
PLACEHOLDER = b"the SHA-256 of this file with this sentence in its place".ljust(64)
# A write takes seconds: what is older was left by a process that was killed.
LEFT_BEHIND = 3600
# Bytes from which a variable is compressed: smaller ones load faster, and are smaller, as they are.
LARGE = 2**16


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder that becomes `path` if the block succeeds.

    On any error the temporary file is removed and `path` is left as it was. The bytes are on the
    disk before they have the name, so that a crash of the machine leaves no hollow file.

    Raises
    ------
    OSError
        With the path and the remedy, if the disk is full or the folder cannot be written.

    Examples
    --------
    >>> with atomic("table.csv") as temporary:
    ...     written = temporary.write_text("r,tail")
    >>> Path("table.csv").read_text()
    'r,tail'
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
    """Write a dataset as NetCDF, the same bytes for the same contents, large variables compressed.

    The attribute `sha256` holds the digest of the file's bytes, with `PLACEHOLDER` in its place.

    Raises
    ------
    ValueError
        If a variable has no long_name or no units.
    OSError
        As `atomic`.

    Examples
    --------
    >>> dataset = xr.Dataset({"loss": ("seed", [0.5, 0.25], {"long_name": "loss", "units": "1"})})
    >>> save(dataset, "measures.nc")
    >>> load("measures.nc").equals(dataset)
    True
    """
    for name, variable in dataset.variables.items():
        if missing := {"long_name", "units"} - set(variable.attrs):
            raise ValueError(f"variable {name} has no {' and no '.join(sorted(missing))}")
    encoding = {
        name: {"zlib": True, "complevel": 4}
        for name, variable in dataset.data_vars.items()
        if variable.nbytes >= LARGE
    }
    unsigned = dataset.drop_encoding().assign_attrs(sha256=PLACEHOLDER.decode())
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

    Examples
    --------
    >>> save(xr.Dataset({"loss": ((), 0.5, {"long_name": "loss", "units": "1"})}), "measures.nc")
    >>> float(nrc.load("measures.nc")["loss"])
    0.5
    >>> half = Path("measures.nc").read_bytes()[:2000]
    >>> size = Path("half.nc").write_bytes(half)
    >>> nrc.load("half.nc")
    Traceback (most recent call last):
        ...
    OSError: half.nc is damaged: its bytes are not those that were written; delete it and run again
    """
    with xr.open_dataset(io.BytesIO(_checked_bytes(path)), engine="h5netcdf") as dataset:
        dataset.load()
    del dataset.attrs["sha256"]
    return dataset


def load_arrays(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays of a file by name, without their dimensions, and its attributes: as `load`, but fast.

    Raises
    ------
    OSError
        As `load`.

    Examples
    --------
    >>> save(xr.Dataset({"loss": ((), 0.5, {"long_name": "loss", "units": "1"})}), "measures.nc")
    >>> arrays, attributes = load_arrays("measures.nc")
    >>> float(arrays["loss"]), len(attributes["sha256"])
    (0.5, 64)
    """
    with h5py.File.in_memory(_checked_bytes(path)) as file:
        return {name: array[()] for name, array in file.items()}, dict(file.attrs)


def _checked_bytes(path: str | Path) -> bytes:
    """All bytes of a file. HDF5 may hang on damaged ones, so it is asked only after they are checked."""
    data = Path(path).read_bytes()
    if _is_whole(data):
        return data
    if b"sha256" in data or not data:
        raise OSError(
            f"{path} is damaged: its bytes are not those that were written; delete it and run again"
        )
    raise OSError(
        f"{path} is damaged, or was not written by nrc: it holds no digest of its bytes; if a run wrote it, "
        "delete it and run again, and else open it with xarray.open_dataset"
    )


def _is_whole(data: bytes) -> bool:
    """Whether the bytes hold their digest."""
    return any(
        hashlib.sha256(data.replace(digest, PLACEHOLDER, 1)).hexdigest().encode() == digest
        for digest in re.findall(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", data)
    )
