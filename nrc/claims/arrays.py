"""Functions of arrays that several statistics share."""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import linregress

__all__ = ["along", "growth", "intermediate", "last_snapshot", "named", "ranks", "single", "tail_changes"]

Array = NDArray[np.float64]


def along(axis: str, function: Callable[..., float], *arrays: xr.DataArray) -> xr.DataArray:
    """A number for each row along an axis."""
    numbers: xr.DataArray = xr.apply_ufunc(
        function, *arrays, input_core_dims=[[axis]] * len(arrays), vectorize=True
    )
    return numbers


def growth(ranks: xr.DataArray, axis: str) -> xr.DataArray:
    """Slope of log rank against the logarithm of an axis, by least squares over two networks or more."""

    def slope(row: Array, place: Array) -> float:
        known = row > 0
        return linregress(place[known], np.log(row[known])).slope if known.sum() >= 2 else np.nan

    return along(axis, slope, ranks, xr.ufuncs.log(ranks[axis]))


def intermediate(ranks: xr.DataArray) -> xr.DataArray:
    """Ranks of the layer in the middle of each network, the lower one of two."""
    if ranks["layer"].dtype.kind not in "iu":  # layers of torch modules have names
        return ranks.isel(layer=(ranks.sizes["layer"] - 1) // 2)
    return ranks.sel(layer=(ranks["depth"] + 1) // 2)


def last_snapshot(values: xr.DataArray) -> xr.DataArray:
    """Values at the last snapshot that each network has."""
    return values.isel(snapshot=values.notnull().cumsum("snapshot").argmax("snapshot"))


def named(values: xr.DataArray, dim: str, words: str) -> xr.DataArray:
    """Values with a dimension renamed to `what`, and its coordinates in words."""
    names = [words.format(place) for place in values[dim].values]
    return values.rename({dim: "what"}).assign_coords(what=np.array(names, dtype=str))


def ranks(cube: xr.Dataset, names: Sequence[str]) -> xr.DataArray:
    """Measures of rank along the dimension `what`."""
    return xr.concat([cube[name].expand_dims(what=[name.replace("_", " ")]) for name in names], "what")


def single(values: xr.DataArray) -> xr.DataArray:
    """Values of a statistic that has one number at each weight decay."""
    return values.expand_dims(what=["all"])


def tail_changes(cube: xr.Dataset) -> xr.DataArray:
    """Relative tail beyond K at the last snapshot over the first one, for each layer."""
    s = cube["snapshot_singular_values"]
    beyond = s.where((s["index"] > cube.attrs["clusters"]) | s.isnull(), 0)
    tail: xr.DataArray = xr.ufuncs.sqrt(
        (beyond**2).sum("index", min_count=1) / (s**2).sum("index", min_count=1)
    )
    first = tail.isel(snapshot=0)
    return (last_snapshot(tail) / first).where(first > 0)
