"""Joins of cubes, and selections from them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from nrc.grid import AXES, notation
from nrc.text import listed

__all__ = ["join_cubes", "of_network", "select"]

# K, N and d, which networks of one figure or one statistic must have in common.
SHARED = ("clusters", "points", "dimension")


def join_cubes(cubes: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join several cubes into one with all their cells.

    Parameters
    ----------
    cubes : sequence of Dataset
        Measures or shifts of experiments, with the dimensions of the grid and others.

    Returns
    -------
    Dataset
        The variables that all cubes have. Each dimension has the values of all cubes; cells that no cube
        has are missing. Attributes that differ are dropped.

    Raises
    ------
    ValueError
        If clusters, points or dimension differ, or two cubes have the same cell with different
        numbers.

    Examples
    --------
    >>> joined = join_cubes([cube.isel(sigma=[0]), cube.isel(sigma=[1, 2])])
    >>> joined["sigma"].values.tolist()
    [0.1, 0.3, 1.0]
    """
    for name in SHARED:
        values = {cube.attrs.get(name) for cube in cubes}
        if len(values) > 1:
            found = listed(f"{_label(cube)} has {cube.attrs.get(name)}" for cube in cubes)
            raise ValueError(f"experiments are joined only if their {name} are equal, but {found}")
    common = [name for name in map(str, cubes[0].data_vars) if all(name in cube for cube in cubes)]
    parts = [cube[common] for cube in cubes]
    try:
        joined = xr.merge(parts, join="outer", compat="no_conflicts", combine_attrs="drop_conflicts")
    except xr.MergeError:
        raise ValueError(
            f"{listed(map(_label, cubes))} have the same cells with different numbers and cannot be joined; "
            "remove one of them"
        ) from None
    # the merge makes whole numbers and codes floats, also if no number is missing
    for variable in common:
        kind = np.result_type(*(part[variable].dtype for part in parts))
        if kind.kind in "iub" and joined[variable].notnull().all():
            joined[variable] = joined[variable].astype(kind)
    return joined


def select(cube: xr.Dataset, at: Mapping[str, Any]) -> xr.Dataset:
    """The part of a cube at some values of its axes.

    Parameters
    ----------
    cube : Dataset
    at : mapping
        A value, or several, for any of the axes.

    Returns
    -------
    Dataset
        With all axes, restricted to these values, and without layers, indices and so on that no network
        of the part has.

    Raises
    ------
    ValueError
        If there is no such axis, or the axis does not have the value.

    Examples
    --------
    >>> dict(select(cube, {"sigma": 0.3}).sizes)["sigma"]
    1
    >>> select(cube, {"sigma": 0.5})
    Traceback (most recent call last):
        ...
    ValueError: at.sigma is 0.5, but must be one of 0.1, 0.3, 1
    """
    if not at:
        return cube
    chosen = {axis: np.atleast_1d(values) for axis, values in at.items()}
    for axis, values in chosen.items():
        if axis not in AXES:
            raise ValueError(f"at has {axis}, which is not an axis; the axes are {listed(AXES)}")
        known = cube[axis].values
        for value in values:
            if value not in known:
                raise ValueError(
                    f"at.{axis} is {notation(value)}, but must be one of {', '.join(map(notation, known))}"
                )
    part = cube.sel(chosen)
    for dim in set(part.dims) - set(AXES):
        part = part.dropna(dim, how="all")
    return part


def of_network(dataset: xr.Dataset) -> xr.Dataset:
    """Measures of one network or of several in the form of a cube, with all axes of the grid.

    Parameters
    ----------
    dataset : Dataset
        With any of the axes as dimensions. The value of another axis is a scalar coordinate, variable or
        attribute, or unknown.

    Returns
    -------
    Dataset
        With the other axes of length 1; unknown values are missing.

    Examples
    --------
    >>> one = of_network(xr.Dataset({"loss": 0.5}, attrs={"weight_decay": 0.01}))
    >>> one["loss"].dims
    ('weight_decay', 'sigma', 'width', 'depth', 'seed')
    >>> one["weight_decay"].item(), one["sigma"].item()
    (0.01, nan)
    """
    others = [axis for axis in AXES if axis not in dataset.dims]
    known = {
        **dataset.attrs,
        **{str(name): value.values.item() for name, value in dataset.variables.items() if not value.dims},
    }
    cube = dataset.drop_vars(others, errors="ignore")
    return cube.expand_dims({axis: [known.get(axis, np.nan)] for axis in others}, list(range(len(others))))


def _label(cube: xr.Dataset) -> str:
    return str(cube.attrs.get("experiment", "the cube"))
