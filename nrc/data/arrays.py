"""Data of one's own: x (points, features), labels (points) and perhaps y (points, outputs) from a file."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from nrc.data import Size
from nrc.data.options import DataOptions

if TYPE_CHECKING:  # the Snakefile reads this module too, and should not wait for xarray
    from nrc.data.points import Points

__all__ = ["SEEDED", "Options", "check", "draw", "read_arrays", "size"]

# The file is the same for every seed; the noise is not.
SEEDED = False

NAMES = {"x": "(points, features)", "labels": "(points,)", "y": "(points, outputs)"}
KINDS = {"x": "fiu", "labels": "iu", "y": "fiu"}
SUFFIXES = ".npz, .npy, .nc"

# What a file that is damaged or of another kind may raise.
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


class Options(DataOptions):
    """Your own arrays; the noise is standard normal, drawn by the seed."""

    file: str = Field(
        description=".npz, .npy or NetCDF with x (points, features), labels (points) 0 to K-1, and for the "
        "task regress y (points, outputs)"
    )

    @field_validator("file")
    @classmethod
    def _without_braces(cls, file: str) -> str:
        if "{" in file or "}" in file:
            raise ValueError("must be a path without braces, which Snakemake takes for wildcards")
        return file


def check(options: Mapping[str, Any]) -> None:
    """Check the file's header: its arrays are there, of shapes and types that fit.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> np.savez("own.npz", x=np.eye(3), labels=[0, 1])
    >>> check({"file": "own.npz"})
    Traceback (most recent call last):
        ...
    ValueError: file is 'own.npz', but labels in it has shape (2,); it must be (points,), with as many points
    as x, 3
    """
    file = options["file"]
    try:
        _check_headers(_headers(file))
    except UNREADABLE as error:
        raise ValueError(f"file is {file!r}, but {_reason(error)}") from None


def size(options: Mapping[str, Any]) -> Size:
    """Sizes by the file's header; the number of clusters is in its contents.

    Examples
    --------
    >>> np.savez("own.npz", x=np.zeros((3, 2)), labels=[0, 1, 1])
    >>> size({"file": "own.npz"})
    Size(points=3, features=2, clusters=None, outputs=None)
    """
    headers = _headers(options["file"])
    outputs = headers["y"][0][1] if "y" in headers else None
    points, features = headers["x"][0]
    return Size(points, features, None, outputs)


def draw(options: Mapping[str, Any], seed: int, files: Sequence[str]) -> "Points":
    """Read the file, whose points are the base; the seed is that of the noise.

    Examples
    --------
    >>> np.savez("own.npz", x=np.zeros((3, 2)), labels=[0, 1, 1])
    >>> draw({}, seed=0, files=["own.npz"]).sizes.tolist()
    [1, 2]
    """
    from nrc.data.points import Points

    arrays = read_arrays(files[0])
    return Points(seed, arrays["x"], arrays["labels"], y=arrays.get("y"))


def read_arrays(file: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays x (float), labels (int) and, if there, y (float) of a file.

    Parameters
    ----------
    file : path
        .npz, NetCDF (.nc), or .npy with a structured array of fields x, labels and y.

    Raises
    ------
    ValueError
        With the file, the key and what is expected: a key is missing, a shape or type does not fit,
        a value is not finite, or labels leave a gap.

    Examples
    --------
    >>> np.savez("own.npz", x=[[0, 1], [2, 3]], labels=[1, 0])
    >>> arrays = read_arrays("own.npz")
    >>> arrays["x"].tolist(), arrays["labels"].tolist()
    ([[0.0, 1.0], [2.0, 3.0]], [1, 0])
    """
    try:
        headers = _headers(file)
        _check_headers(headers)
        arrays = _contents(file, headers)
        for name in ("x", "y"):
            if name in arrays:
                arrays[name] = arrays[name].astype(np.float64)
                _check_finite(name, arrays[name])
        arrays["labels"] = arrays["labels"].astype(np.int64)
        _check_labels(arrays["labels"])
    except UNREADABLE as error:
        raise ValueError(f"{file}: {_reason(error)}") from None
    return arrays


def _check_finite(name: str, array: NDArray[Any]) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(f"its {name} is {array[at]} at {list(at)}; every number must be finite")


def _check_labels(labels: NDArray[np.int64]) -> None:
    there = np.unique(labels)
    gaps = np.flatnonzero(there != np.arange(len(there)))
    if len(gaps):
        what = f"{there[0]} is one of them" if there[0] < 0 else f"{gaps[0]} is missing"
        raise ValueError(f"its labels must be 0, 1, ..., K-1, each with a point, and {what}")


def _reason(error: Exception) -> str:
    """What is wrong, in one line that follows the file's name."""
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read ({error.strerror})"
    said = " ".join(str(error).split())
    return said if isinstance(error, ValueError) else f"it is damaged ({said})"


Headers = dict[str, tuple[tuple[int, ...], np.dtype]]


def _headers(file: str | Path) -> Headers:
    """Shape and type of each array of the file that has one of the names."""
    path = Path(file)
    if not path.is_file():
        raise ValueError("there is no such file (a relative path starts at the working folder)")
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return {
                name: _member_header(archive, name) for name in NAMES if f"{name}.npy" in archive.namelist()
            }
    if path.suffix == ".npy":
        with path.open("rb") as stream:
            shape, dtype = _npy_header(stream)
        if dtype.fields is None:
            raise ValueError(
                "it holds one plain array; save x and labels by numpy.savez(FILE, x=x, labels=labels)"
            )
        fields = {name: dtype[name] for name in NAMES if name in dtype.fields}
        if any(dtype[name].hasobject for name in dtype.fields.keys() - fields.keys()):
            raise ValueError("it holds objects beside x, labels and y, which are not read; leave them out")
        return {name: ((*shape, *field.shape), field.base) for name, field in fields.items()}
    if path.suffix in (".nc", ".nc4", ".h5"):
        with _netcdf(path) as dataset:
            return {name: (dataset[name].shape, dataset[name].dtype) for name in NAMES if name in dataset}
    raise ValueError(f"its suffix is {path.suffix!r}; it must be one of {SUFFIXES}")


def _member_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(f"{name}.npy") as stream:
        return _npy_header(stream)


def _npy_header(stream: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version, np.lib.format.read_array_header_2_0)
    shape, _, dtype = read(stream)
    return shape, dtype


def _check_headers(headers: Headers) -> None:
    for name in ("x", "labels"):
        if name not in headers:
            raise ValueError(f"it has no {name}; it must hold x {NAMES['x']} and labels {NAMES['labels']}")
    for name, (shape, dtype) in headers.items():
        if dtype.kind not in KINDS[name]:
            kind = "whole numbers" if name == "labels" else "numbers"
            raise ValueError(f"its {name} holds values of type {dtype}; they must be {kind}")
        wanted = f"{name} in it has shape {shape}; it must be {NAMES[name]}"
        if len(shape) != (1 if name == "labels" else 2) or 0 in shape:
            raise ValueError(f"{wanted}, at least one of each")
        if shape[0] != headers["x"][0][0]:
            raise ValueError(f"{wanted}, with as many points as x, {headers['x'][0][0]}")


def _contents(file: str | Path, headers: Headers) -> dict[str, NDArray[Any]]:
    path = Path(file)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in headers}
    if path.suffix == ".npy":
        table = np.load(path, allow_pickle=False)
        return {name: table[name] for name in headers}
    with _netcdf(path) as dataset:
        return {name: dataset[name].values for name in headers}


def _netcdf(path: Path) -> Any:
    import xarray as xr

    try:
        return xr.open_dataset(path, engine="h5netcdf", decode_times=False)
    except Exception as error:
        raise ValueError(
            f"it is no NetCDF file ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
        ) from None
