"""Collect the measures of all cells of an experiment in one cube.

The paths of the measured files are read from standard input, one per line.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from workflow.lib.program import Settings, run

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nrc import netcdf
from nrc.grid import AXES
from nrc.metadata import provenance
from workflow.lib.provenance import origin


class Piece(NamedTuple):
    """A measured file: arrays, attributes, and a dataset of the same form for dimensions and labels."""

    arrays: dict[str, NDArray[Any]]
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
    """Read files; only the first file of each form is read as a dataset, which is slow."""
    pieces, forms = [], {}
    for path in paths:
        arrays, attributes = netcdf.load_arrays(path)
        form = tuple((name, array.shape, array.dtype) for name, array in arrays.items())
        if form not in forms:
            forms[form] = netcdf.load(path)
        pieces.append(Piece(arrays, attributes, forms[form]))
    return pieces


def collect(pieces: Sequence[Piece]) -> xr.Dataset:
    """Join pieces along all axes, with missing values where cells have no number.

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
        at = {dim: _places(_values(arrays, form, dim), coords[dim].values) for dim in _dims(form)}
        cells += math.prod(len(at[axis]) for axis in AXES)
        for name, variable in _variables(form):
            target = variables[name]
            dims = [str(dim) for dim in target.dims]
            order = [variable.dims.index(dim) for dim in dims if dim in variable.dims]
            shape = [len(at[dim]) if dim in variable.dims else 1 for dim in dims]
            target.values[np.ix_(*(at[dim] for dim in dims))] = arrays[name].transpose(order).reshape(shape)
    grid = [len(coords[axis]) for axis in AXES]
    if cells != math.prod(grid):
        raise ValueError(
            f"{cells} cells were given, but {' x '.join(map(str, grid))} are on the grid of their axes; "
            "give all measured files of one experiment"
        )
    return xr.Dataset({name: _as_stored(name, v, forms) for name, v in variables.items()}, coords)


def _dims(form: xr.Dataset) -> list[str]:
    """The axes, and the dimensions of a dataset."""
    return [*AXES, *(str(dim) for dim in form.dims if dim not in AXES)]


def _variables(form: xr.Dataset) -> list[tuple[str, xr.Variable]]:
    # not as arrays with coordinates, which take longer to make than to copy
    return [(str(name), form.variables[name]) for name in form.data_vars]


def _values(arrays: Mapping[str, NDArray[Any]], form: xr.Dataset, dim: str) -> NDArray[Any]:
    """The values of a piece on a dimension; names are those of its form."""
    known = form.variables[dim]
    return known.values if known.dtype.kind in "UO" else np.atleast_1d(arrays[dim])


def _places(values: NDArray[Any], among: NDArray[Any]) -> NDArray[np.intp]:
    """The place of each value."""
    order = np.argsort(among)
    return order[np.searchsorted(among, values, sorter=order)]


def _joined_coordinates(pieces: Sequence[Piece], forms: Sequence[xr.Dataset]) -> dict[str, xr.Variable]:
    """All values on each dimension, ascending; names are in the order of the networks."""
    labels = {dim: form[dim].attrs for form in forms for dim in _dims(form)}
    joined = {}
    for dim, attributes in labels.items():
        found = [_values(piece.arrays, piece.form, dim) for piece in pieces if dim in piece.form.coords]
        values = np.unique(np.hstack(found))
        if values.dtype.kind in "UO":
            longest_first = sorted((list(names) for names in found), key=len, reverse=True)
            values = np.array(list(dict.fromkeys(chain.from_iterable(longest_first))))
        joined[dim] = xr.Variable(dim, values, attributes)
    return joined


def _empty_variables(
    forms: Sequence[xr.Dataset], coords: Mapping[str, xr.Variable]
) -> dict[str, xr.Variable]:
    """All variables, along all axes and then their other dimensions, with missing values."""
    variables = {}
    for name, like in {name: v for form in forms for name, v in _variables(form)}.items():
        dims = (*AXES, *(str(dim) for dim in like.dims if dim not in AXES))
        dtype = np.result_type(like.dtype, np.float16)
        values = np.full([len(coords[dim]) for dim in dims], np.nan, dtype)
        variables[name] = xr.Variable(dims, values, like.attrs)
    return variables


def _as_stored(name: str, variable: xr.Variable, forms: Sequence[xr.Dataset]) -> xr.Variable:
    """A variable with its own type, such as integers, if no value is missing."""
    dtype = np.result_type(*(form[name].dtype for form in forms if name in form))
    return variable if variable.isnull().any() else variable.astype(dtype)


if __name__ == "__main__":
    run(main)
