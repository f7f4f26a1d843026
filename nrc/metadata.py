"""Attributes of files: descriptions of variables, the settings, and the software."""

import json
import platform
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
import xarray as xr

import nrc

__all__ = ["describe", "flag_attributes", "provenance"]


def describe(dataset: xr.Dataset, **attributes: Mapping[str, Any]) -> xr.Dataset:
    """The dataset with attributes for the named variables, which have the units of pure numbers by default.

    Examples
    --------
    >>> dataset = describe(xr.Dataset({"loss": 0.5}), loss={"long_name": "loss without the penalty"})
    >>> dataset["loss"].attrs
    {'units': '1', 'long_name': 'loss without the penalty'}
    """
    for name, about in attributes.items():
        dataset[name].attrs = {"units": "1", **about}
    return dataset


def flag_attributes(codes: type[IntEnum]) -> dict[str, Any]:
    """CF attributes of a flag variable with these codes.

    Examples
    --------
    >>> from nrc.status import Status
    >>> flag_attributes(Status)["flag_meanings"]
    'converged stopped collapsed_to_zero'
    """
    return {
        "flag_values": np.array([int(code) for code in codes], dtype=np.int8),
        "flag_meanings": " ".join(code.name.lower() for code in codes),
        "units": "1",
    }


def provenance(settings: Mapping[str, Any], **versions: str) -> dict[str, str]:
    """Global attributes of a file: its settings and the software that wrote it.

    Parameters
    ----------
    settings : mapping
        With the key `experiment`, the name of the experiment.
    **versions : str
        Versions of other software, and the device.

    Examples
    --------
    >>> provenance({"experiment": "plane", "seed": 0}, torch="2.11")["settings"]
    '{"experiment": "plane", "seed": 0}'
    """
    return {
        "experiment": settings["experiment"],
        "settings": json.dumps(settings, sort_keys=True),
        "python": platform.python_version(),
        "nrc": nrc.__version__,
        **versions,
    }
