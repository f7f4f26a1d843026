"""NetCDF files in and out. A file is either whole or not there."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nrc import __version__

__all__ = ["atomic", "describe", "flag_attributes", "flag_masks", "load", "provenance", "save"]


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder that becomes `path` if the block succeeds.

    On any error the temporary file is removed and `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the suffix stays last: writers choose their format by it
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a dataset as NetCDF, compressed, the same bytes for the same contents.

    Raises
    ------
    ValueError
        If a variable has no long_name or no units.
    """
    for name, variable in dataset.variables.items():
        if missing := {"long_name", "units"} - set(variable.attrs):
            raise ValueError(f"variable {name} has no {' and no '.join(sorted(missing))}")
    encoding = {name: {"zlib": True, "complevel": 4} for name, v in dataset.data_vars.items() if v.ndim}
    with atomic(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)


def load(path: str | Path) -> xr.Dataset:
    """Read a whole NetCDF file into memory.

    Raises
    ------
    OSError
        If the file is missing or damaged.
    """
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            return dataset.load()
    except FileNotFoundError:
        raise
    except Exception as error:
        raise OSError(
            f"{path} is not a readable NetCDF file ({error}); delete it and make it again"
        ) from error


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


def flag_masks(flags: xr.DataArray) -> dict[str, xr.DataArray]:
    """A mask for each meaning of a flag variable."""
    codes = zip(flags.attrs["flag_meanings"].split(), flags.attrs["flag_values"], strict=True)
    return {meaning: flags == code for meaning, code in codes}
