"""Collect the measures of all cells of an experiment in one cube.

The measured files are given on standard input, a path a line.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nrc import netcdf
from nrc.grid import AXES
from nrc.metadata import provenance
from workflow.lib.program import Settings, run
from workflow.lib.provenance import origin


class Piece(NamedTuple):
    """A measured file: arrays and attributes, and a dataset of the same form with dimensions and labels."""

    arrays: dict[str, NDArray]
    attributes: dict[str, Any]
    form: xr.Dataset


def main(
    settings: Annotated[Settings, "experiment, and all its settings"],
    output: Annotated[Path, "NetCDF file to write: the cube of all cells"],
) -> None:
    pieces = read(sys.stdin.read().splitlines())
    cube = collect(pieces)
    origins = origin(piece.attributes for piece in pieces)
    netcdf.save(cube.assign_attrs(provenance(settings, **origins)), output)


def read(paths: Iterable[str]) -> list[Piece]:
    """Read files: of each form one whole, of the others the arrays, which is faster."""
    pieces, forms = [], {}
    for path in paths:
        arrays, attributes = netcdf.load_arrays(path)
        form = tuple((name, array.shape, array.dtype) for name, array in arrays.items())
        if form not in forms:
            forms[form] = netcdf.load(path)
        pieces.append(Piece(arrays, attributes, forms[form]))
    return pieces


def collect(pieces: Sequence[Piece]) -> xr.Dataset:
    """Join pieces along all axes; what some cells lack is missing there.

    Networks of different width or depth have spectra of different lengths and numbers of layers.

    Raises
    ------
    ValueError
        If the pieces are not all cells of a grid.
    """
    forms = list({id(piece.form): piece.form for piece in pieces}.values())
    coords = _joined_coordinates(pieces, forms)
    variables = _empty_variables(forms, coords)
    cells = 0
    for arrays, _, form in pieces:
        at = {dim: np.searchsorted(coords[dim], np.atleast_1d(arrays[dim])) for dim in (*AXES, *form.dims)}
        cells += math.prod(len(at[axis]) for axis in AXES)
        for name, variable in form.data_vars.items():
            target = variables[name]
            order = [variable.dims.index(dim) for dim in target.dims if dim in variable.dims]
            shape = [len(at[dim]) if dim in variable.dims else 1 for dim in target.dims]
            values = arrays[name].transpose(order).reshape(shape)
            target.values[np.ix_(*(at[dim] for dim in target.dims))] = values
    grid = [len(coords[axis]) for axis in AXES]
    if cells != math.prod(grid):
        raise ValueError(
            f"{cells} cells were given, but {' x '.join(map(str, grid))} are on the grid of their axes; "
            "give all measured files of one experiment"
        )
    return xr.Dataset({name: _as_stored(name, v, forms) for name, v in variables.items()}, coords)


def _joined_coordinates(pieces: Sequence[Piece], forms: Sequence[xr.Dataset]) -> dict[str, xr.Variable]:
    """Every value that occurs on each dimension, ascending."""
    labels = {dim: form[dim].attrs for form in forms for dim in (*AXES, *form.dims)}
    return {
        dim: xr.Variable(
            dim, np.unique(np.hstack([p.arrays[dim] for p in pieces if dim in p.arrays])), attributes
        )
        for dim, attributes in labels.items()
    }


def _empty_variables(
    forms: Sequence[xr.Dataset], coords: Mapping[str, xr.Variable]
) -> dict[str, xr.Variable]:
    """Every variable that occurs, along all axes and then its other dimensions, missing everywhere."""
    variables = {}
    for name, like in {name: v for form in forms for name, v in form.data_vars.items()}.items():
        dims = (*AXES, *(dim for dim in like.dims if dim not in AXES))
        dtype = np.result_type(like.dtype, np.float16)
        values = np.full([len(coords[dim]) for dim in dims], np.nan, dtype)
        variables[name] = xr.Variable(dims, values, like.attrs)
    return variables


def _as_stored(name: str, variable: xr.Variable, forms: Sequence[xr.Dataset]) -> xr.Variable:
    """A variable of whole numbers as such, if it is missing nowhere."""
    dtype = np.result_type(*(form[name].dtype for form in forms if name in form))
    return variable if variable.isnull().any() else variable.astype(dtype)


if __name__ == "__main__":
    run(main)
