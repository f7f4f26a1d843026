"""Two runs side by side."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nrc.grid import notation
from nrc.netcdf import load

__all__ = ["compare"]

Row = dict[str, Any]
MISSING = "missing"


def compare(first: xr.Dataset | str | Path, second: xr.Dataset | str | Path) -> pd.DataFrame:
    """What differs between two runs, such as two results of `nrc.measure` or two files of the pipeline.

    Parameters
    ----------
    first, second : Dataset or path
        Variables are compared where their coordinates agree: in the cells, layers and so on of both.

    Returns
    -------
    DataFrame
        Without rows if the runs are equal. The index is `part` and `name`:

        - ``setting``: a setting or another attribute, such as the version of torch;
        - ``coordinate``: a dimension, with the values that only one of the runs has;
        - ``variable``: a variable with its two values where they differ most.

        The columns are `first`, `second` and, for variables, `difference` (second - first; infinite where
        only one of both is missing), its place (`at`), and the numbers of values that differ (`different`)
        and that were compared (`compared`).

    Raises
    ------
    TypeError, OSError
        If a run is something else, or as in `nrc.load`.

    Examples
    --------
    >>> runs = [
    ...     xr.Dataset({"loss": ("seed", loss)}, {"seed": seeds}, {"settings": f'{{"epochs": {epochs}}}'})
    ...     for loss, seeds, epochs in (([0.5, 0.25], [0, 1], 100), ([0.25, 0.5, 0.5], [1, 2, 0], 200))
    ... ]
    >>> nrc.compare(*runs)[["first", "second"]]
                     first second
    part       name
    setting    epochs  100    200
    coordinate seed            2
    >>> nrc.compare(runs[0], runs[0] * 3).loc["variable", ["difference", "at", "compared"]]
          difference      at  compared
    name
    loss         1.0  seed=0         2
    """
    for run in (first, second):
        if not isinstance(run, xr.Dataset | str | Path):
            raise TypeError(f"compare takes Datasets or paths of files, not {type(run).__name__}")
    one, other = (run if isinstance(run, xr.Dataset) else load(run) for run in (first, second))
    rows = [*_settings(one, other), *_coordinates(one, other), *_variables(one, other)]
    columns = ["part", "name", "first", "second", "difference", "at", "different", "compared"]
    counts = dict.fromkeys(columns[-2:], "Int64")
    return pd.DataFrame(rows, columns=columns).astype(counts).set_index(["part", "name"])


def _settings(first: xr.Dataset, second: xr.Dataset) -> Iterator[Row]:
    """Attributes and settings that differ, by dotted keys."""
    one, other = (dict(_leaves(_about(run))) for run in (first, second))
    for key in dict.fromkeys([*one, *other]):
        values = [settings.get(key, MISSING) for settings in (one, other)]
        if values[0] != values[1]:
            yield {"part": "setting", "name": key, "first": values[0], "second": values[1]}


def _about(run: xr.Dataset) -> dict[str, Any]:
    """Attributes, settings, and coordinates of a single value."""
    attributes = {str(key): value for key, value in run.attrs.items()}
    settings = json.loads(attributes.pop("settings", "{}"))
    return {**attributes, **settings, **{str(n): c.item() for n, c in run.coords.items() if not c.dims}}


def _leaves(value: Any, *keys: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, *keys, str(key))
    else:
        yield ".".join(keys), np.asarray(value).tolist()


def _coordinates(first: xr.Dataset, second: xr.Dataset) -> Iterator[Row]:
    """Values of dimensions that only one of the runs has."""
    for dim in dict.fromkeys([*first.indexes, *second.indexes]):
        values = [list(run.indexes.get(dim, [])) for run in (first, second)]
        only = [
            ", ".join(_word(value) for value in these if value not in set(others))
            for these, others in (values, values[::-1])
        ]
        if any(only):
            yield {"part": "coordinate", "name": dim, "first": only[0], "second": only[1]}


def _variables(first: xr.Dataset, second: xr.Dataset) -> Iterator[Row]:
    """Variables that differ in the cells of both runs, or that only one of them has."""
    shared = [dim for dim in first.indexes if dim in second.indexes]
    for dim in shared:
        both = first.indexes[dim].intersection(second.indexes[dim], sort=False)
        first, second = first.sel({dim: both}), second.sel({dim: both})
    for name in dict.fromkeys([*first.data_vars, *second.data_vars]):
        row: Row = {"part": "variable", "name": name}
        sizes = [dict(run[name].sizes) if name in run else MISSING for run in (first, second)]
        if sizes[0] != sizes[1]:
            yield {**row, "first": str(sizes[0]), "second": str(sizes[1])}
        elif first[name].size:
            yield from ({**row, **about} for about in _differences(first[name], second[name]))


def _differences(first: xr.DataArray, second: xr.DataArray) -> Iterator[Row]:
    """The largest difference of a variable, if there is any."""
    a, b = first.values, second.transpose(*first.dims).values
    numbers = a.dtype.kind in "biuf" and b.dtype.kind in "biuf"
    if numbers:
        a, b = a.astype(float), b.astype(float)
        with np.errstate(invalid="ignore"):  # infinity - infinity
            difference = np.where(np.isnan(a) & np.isnan(b) | (a == b), 0.0, b - a)
        difference = np.where(np.isnan(difference), np.inf, difference)
    else:
        difference = np.where(a == b, 0.0, np.nan)
    different = int((difference != 0).sum())
    if not different:
        return
    size = np.abs(np.where(np.isnan(difference), np.inf, difference))
    place = dict(zip(first.dims, np.unravel_index(size.argmax(), size.shape), strict=True))
    yield {
        "first": first.isel(place).item(),
        "second": second.isel(place).item(),
        "difference": difference[tuple(place.values())],
        "at": ", ".join(f"{dim}={_word(first[dim].values[index])}" for dim, index in place.items()),
        "different": different,
        "compared": difference.size,
    }


def _word(value: Any) -> str:
    return notation(float(value)) if isinstance(value, int | float | np.number) else str(value)
