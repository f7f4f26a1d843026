"""Arrays from a file: x (points, features), labels (points) and, optionally, y (points, outputs).

Labels are whole numbers or texts. Their distinct values, in ascending order, are the classes 0 to K-1.
"""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from nrc.data import Size
from nrc.data.options import DataOptions
from nrc.options import HomePath
from nrc.text import one_line

if TYPE_CHECKING:
    from nrc.data.points import Points

__all__ = ["Options", "check", "draw", "read_arrays", "size"]

NAMES = {"x": "(points, features)", "labels": "(points,)", "y": "(points, outputs)"}
KINDS = {"x": "fiu", "labels": "iuSU", "y": "fiu"}
SUFFIXES = ".npz, .npy, .nc"

# Errors that a damaged file or a file of another format may raise.
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


class Options(DataOptions):
    """Arrays from a file; the noise is standard normal, drawn by the seed."""

    # only the noise depends on the seed
    seeded: ClassVar[bool] = False
    places: ClassVar[tuple[str, ...]] = ("file",)
    rule: ClassVar[str] = "import_arrays"

    file: HomePath = Field(
        description=".npz, .npy or NetCDF with x (points, features), labels (points), whole numbers or "
        "texts, and for the task regress y (points, outputs); ~ at its beginning is the home directory"
    )

    @field_validator("file")
    @classmethod
    def _path(cls, file: str) -> str:
        if "{" in file or "}" in file:
            raise ValueError("must be a path without braces")
        return file


def check(options: Options) -> None:
    """Check the header of the file: its arrays exist, with shapes and types that fit.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> np.savez("points.npz", x=np.eye(3), labels=[0, 1])
    >>> check(Options(file="points.npz"))
    Traceback (most recent call last):
        ...
    ValueError: file is 'points.npz', but labels in it has shape (2,); it must be (points,),
    with as many points as x, 3
    """
    try:
        _check_headers(_headers(options.file))
    except UNREADABLE as error:
        raise ValueError(f"file is {options.file!r}, but {_reason(error)}") from None


def size(options: Options) -> Size:
    """Sizes by the header of the file, which does not have the number of clusters.

    Examples
    --------
    >>> np.savez("points.npz", x=np.zeros((3, 2)), labels=[0, 1, 1])
    >>> size(Options(file="points.npz"))
    Size(points=3, features=2, clusters=None, outputs=None)
    """
    headers = _headers(options.file)
    outputs = headers["y"][0][1] if "y" in headers else None
    points, features = headers["x"][0]
    return Size(points, features, None, outputs)


def draw(options: Options, seed: int, files: Sequence[str]) -> "Points":
    """Read the first of the files, which has the points without noise; the noise is drawn by the seed.

    Examples
    --------
    >>> np.savez("points.npz", x=np.zeros((3, 2)), labels=[0, 1, 1])
    >>> draw(Options(file="points.npz"), seed=0, files=["points.npz"]).sizes.tolist()
    [1, 2]
    """
    from nrc.data.points import Points

    arrays = read_arrays(files[0])
    return Points(seed, arrays["x"], arrays["labels"], y=arrays.get("y"))


def read_arrays(file: str | Path) -> dict[str, NDArray[Any]]:
    """Read the arrays x (float), labels (int) and, if the file has it, y (float).

    Parameters
    ----------
    file : path
        .npz, NetCDF (.nc), or .npy with a structured array of fields x, labels and y.

    Raises
    ------
    ValueError
        If an array is missing, a shape or type does not fit, a value is not finite, or a label is negative;
        with the file, the array and what it must be.

    Examples
    --------
    >>> np.savez("points.npz", x=[[0, 1], [2, 3]], labels=["dog", "cat"])
    >>> arrays = read_arrays("points.npz")
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
        arrays["labels"] = _classes(arrays["labels"])
    except UNREADABLE as error:
        raise ValueError(f"{file}: {_reason(error)}") from None
    return arrays


def _check_finite(name: str, array: NDArray[Any]) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(f"its {name} is {array[at]} at {list(at)}; every number must be finite")


def _classes(labels: NDArray[Any]) -> NDArray[np.int64]:
    """The class of each point, 0 to K-1: the place of its label among all labels in ascending order."""
    values, classes = np.unique(labels, return_inverse=True)
    if values.dtype.kind == "i" and values[0] < 0:
        raise ValueError(f"one of its labels is {values[0]}; leave out points without a class")
    return classes.astype(np.int64)


def _reason(error: Exception) -> str:
    """The error in one line that follows the name of the file."""
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read ({error.strerror})"
    return one_line(error) if isinstance(error, ValueError) else f"it is damaged ({one_line(error)})"


Headers = dict[str, tuple[tuple[int, ...], np.dtype]]


def _headers(file: str | Path) -> Headers:
    """Shape and type of the arrays x, labels and y of the file."""
    path = Path(file)
    if not path.is_file():
        raise ValueError("there is no such file (a relative path starts at the working directory)")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return {
                name: _member_header(archive, name) for name in NAMES if f"{name}.npy" in archive.namelist()
            }
    if suffix == ".npy":
        with path.open("rb") as stream:
            shape, dtype = _npy_header(stream)
        if dtype.fields is None:
            raise ValueError(
                "it has a single array, but must have arrays x and labels; "
                "use numpy.savez(FILE, x=x, labels=labels)"
            )
        fields = {name: dtype[name] for name in NAMES if name in dtype.fields}
        if any(dtype[name].hasobject for name in dtype.fields.keys() - fields.keys()):
            raise ValueError("it has Python objects besides x, labels and y; save the file without them")
        return {name: ((*shape, *field.shape), field.base) for name, field in fields.items()}
    if suffix in (".nc", ".nc4", ".h5"):
        with _netcdf(path) as dataset:
            found = {name: dataset[name] for name in NAMES if name in dataset}
            # texts are the only objects that a NetCDF file may have
            return {
                name: (array.shape, np.dtype(str) if array.dtype == object else array.dtype)
                for name, array in found.items()
            }
    raise ValueError(
        f"its suffix is {path.suffix!r}; it must be one of {SUFFIXES}, such as numpy.savez('mine.npz', x=x, "
        "labels=labels) writes"
    )


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
            without = "; without classes, use clusters of sklearn.cluster.KMeans" if name == "labels" else ""
            raise ValueError(
                f"it has no {name}; it must contain x {NAMES['x']} and labels {NAMES['labels']}{without}"
            )
    for name, (shape, dtype) in headers.items():
        if dtype.kind not in KINDS[name]:
            kind = "whole numbers or texts" if name == "labels" else "numbers"
            raise ValueError(f"its {name} has values of type {dtype}; they must be {kind}")
        wanted = f"{name} in it has shape {shape}; it must be {NAMES[name]}"
        if len(shape) != (1 if name == "labels" else 2) or 0 in shape:
            raise ValueError(f"{wanted}, at least one of each")
        if shape[0] != headers["x"][0][0]:
            raise ValueError(f"{wanted}, with as many points as x, {headers['x'][0][0]}")


def _contents(file: str | Path, headers: Headers) -> dict[str, NDArray[Any]]:
    path = Path(file)
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in headers}
    if path.suffix.lower() == ".npy":
        table = np.load(path, allow_pickle=False)
        return {name: table[name] for name in headers}
    with _netcdf(path) as dataset:
        return {name: dataset[name].values.astype(dtype) for name, (_, dtype) in headers.items()}


def _netcdf(path: Path) -> Any:
    import xarray as xr

    try:
        with path.open("rb") as file:
            netcdf3 = file.read(3) == b"CDF"
        return xr.open_dataset(path, engine="scipy" if netcdf3 else "h5netcdf", decode_times=False)
    except Exception as error:
        raise ValueError(
            f"it is not a NetCDF file ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
        ) from None
