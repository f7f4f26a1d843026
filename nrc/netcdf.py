"""Reading and writing NetCDF files. A file is complete or does not exist."""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nrc.grid import AXES

__all__ = ["atomic", "load", "load_arrays", "save"]

# Value of the attribute sha256 while the digest is computed; it has the length of a digest.
PLACEHOLDER = b"the SHA-256 of this file with this sentence in its place".ljust(64)
# 64 hexadecimal digits between other bytes; in files of `save` the digest is among the first ones
DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
# Seconds after which a temporary file must be from a process that was killed: writing takes less.
LEFT_BEHIND = 3600
# Bytes from which a variable is compressed, such as images: measures have hardly anything to compress.
LARGE = 2**22
# Attributes of HDF5 and NetCDF about dimensions.
BOOKKEEPING = {
    "CLASS",
    "DIMENSION_LIST",
    "NAME",
    "REFERENCE_LIST",
    "_NCProperties",
    "_Netcdf4Coordinates",
    "_Netcdf4Dimid",
}


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path in the same folder, which replaces `path` if the block succeeds.

    On an error the temporary file is removed and `path` is not changed. The bytes are on the disk before the
    file is renamed, so a crash of the machine leaves no empty file.

    Raises
    ------
    OSError
        With the path and advice, if the disk is full or the folder is not writable.

    Examples
    --------
    >>> with atomic("table.csv") as temporary:
    ...     written = temporary.write_text("r,tail")
    >>> Path("table.csv").read_text()
    'r,tail'
    """
    path = Path(path).expanduser()
    # the suffix is kept because writers choose their format by it
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
            f"{path} could not be written ({error.strerror or error}) and was not changed; free disk space "
            "or make the folder writable, and run again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def save(dataset: xr.Dataset | xr.DataArray, path: str | Path) -> None:
    """Write a dataset as NetCDF, with the same bytes for the same contents.

    Large variables are compressed. The attribute `sha256` is the digest of the bytes of the file in which its
    value is `PLACEHOLDER`.

    Parameters
    ----------
    dataset : Dataset or DataArray
        An array is saved under its name. Axes of the grid without attributes, such as `xr.concat` makes them,
        get theirs.
    path : path
        A `~` at its beginning is the home directory.

    Raises
    ------
    TypeError
        If it is no dataset, and no array with a name.
    OSError
        As in `atomic`.

    Examples
    --------
    >>> runs = [xr.Dataset({"loss": loss}) for loss in (0.5, 0.25)]
    >>> sweep = xr.concat(runs, pd.Index([0.1, 0.2], name="weight_decay"))
    >>> nrc.save(sweep, "sweep.nc")
    >>> again = nrc.load("sweep.nc")
    >>> again.equals(sweep), again["weight_decay"].attrs["long_name"]
    (True, 'weight decay lambda')
    """
    if isinstance(dataset, xr.DataArray) and dataset.name is not None:
        dataset = dataset.to_dataset()
    if not isinstance(dataset, xr.Dataset):
        kind = "a DataArray without a name" if isinstance(dataset, xr.DataArray) else type(dataset).__name__
        raise TypeError(f"save writes a Dataset or a DataArray with a name, not {kind}")
    # compressed but not packed by scale_factor: `load_arrays` and the display of a run read values as stored
    encoding = {
        name: {"zlib": True, "complevel": 4}
        for name, variable in dataset.data_vars.items()
        if variable.nbytes >= LARGE
    }
    unsigned = dataset.drop_encoding().assign_attrs(sha256=PLACEHOLDER.decode())
    for axis in AXES.keys() & unsigned.coords.keys():
        unsigned[axis].attrs = {"long_name": AXES[axis].long_name, "units": "1"} | unsigned[axis].attrs
    # in memory, where HDF5 cannot run out of disk space
    data = bytes(unsigned.to_netcdf(engine="h5netcdf", encoding=encoding))
    digest = hashlib.sha256(data).hexdigest().encode()
    with atomic(path) as temporary:
        temporary.write_bytes(data.replace(PLACEHOLDER, digest, 1))


def load(path: str | Path) -> xr.Dataset:
    """Read a NetCDF file into memory and check its digest.

    Parameters
    ----------
    path : path
        A `~` at its beginning is the home directory.

    Raises
    ------
    OSError
        With the path and advice, if the file is missing, damaged, or was not written by `save`.

    Examples
    --------
    >>> save(xr.Dataset({"loss": 0.5}), "measures.nc")
    >>> float(nrc.load("measures.nc")["loss"])
    0.5
    >>> half = Path("measures.nc").read_bytes()[:2000]
    >>> size = Path("half.nc").write_bytes(half)
    >>> nrc.load("half.nc")
    Traceback (most recent call last):
        ...
    OSError: half.nc is damaged: its bytes have changed since it was written; delete it and run again
    """
    # by h5py, because h5netcdf takes ten times as long to find the dimensions of many variables
    with h5py.File.in_memory(_checked_bytes(path)) as file:
        arrays = dict(file.items())
        names = {array.id: name for name, array in arrays.items()}
        variables = {
            name: _variable(name, array, names)
            for name, array in arrays.items()
            if not _is_bare_dimension(array)
        }
        attributes = _attributes(file)
    del attributes["sha256"]
    # decoded now, because xarray cannot select from text that it would decode later
    return xr.decode_cf(xr.Dataset(variables, attrs=attributes)).load()


def load_arrays(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays of a file by name and its attributes, without dimensions; faster than `load`.

    Raises
    ------
    OSError
        As in `load`.

    Examples
    --------
    >>> save(xr.Dataset({"loss": 0.5}), "measures.nc")
    >>> arrays, attributes = load_arrays("measures.nc")
    >>> float(arrays["loss"]), len(attributes["sha256"])
    (0.5, 64)
    """
    with h5py.File.in_memory(_checked_bytes(path)) as file:
        return {name: array[()] for name, array in file.items()}, dict(file.attrs)


def _variable(name: str, array: h5py.Dataset, names: dict[h5py.h5d.DatasetID, str]) -> xr.Variable:
    """A variable as `save` has stored it; a coordinate along its own dimension has no list of dimensions."""
    lists = array.attrs.get("DIMENSION_LIST", ())
    # the names are known, and HDF5 takes twenty times as long to look them up
    dims = [names[h5py.h5r.dereference(of_axis[0], array.id)] for of_axis in lists]
    values = np.asarray(array.asstr()[()], dtype=str) if array.dtype.hasobject else array[()]
    return xr.Variable(dims or (name if array.ndim else ()), values, _attributes(array))


def _is_bare_dimension(array: h5py.Dataset) -> bool:
    return bytes(array.attrs.get("NAME", b"")).startswith(
        b"This is a netCDF dimension but not a netCDF variable"
    )


def _attributes(of: h5py.Dataset | h5py.File) -> dict[str, Any]:
    """Attributes of a file or a variable, without those in which HDF5 and NetCDF store dimensions."""
    found = {name: of.attrs[name] for name in of.attrs if name not in BOOKKEEPING}
    return {name: value[0] if np.shape(value) == (1,) else value for name, value in found.items()}


def _checked_bytes(path: str | Path) -> bytes:
    """The bytes of a file, checked before HDF5 reads them, which may hang on damaged files."""
    data = Path(path).expanduser().read_bytes()
    if _is_whole(data):
        return data
    if b"sha256" in data or not data:
        raise OSError(
            f"{path} is damaged: its bytes have changed since it was written; delete it and run again"
        )
    raise OSError(
        f"{path} is damaged or was not written by nrc, because it has no digest; delete it and run again, or "
        "open a file of another program with xarray.open_dataset"
    )


def _is_whole(data: bytes) -> bool:
    """Whether the bytes contain their digest."""
    view = memoryview(data)
    for found in DIGEST.finditer(data):
        digest = hashlib.sha256(view[: found.start()])
        digest.update(PLACEHOLDER)
        digest.update(view[found.end() :])
        if digest.hexdigest().encode() == found[0]:
            return True
    return False
