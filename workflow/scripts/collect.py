"""Collect the measures of all cells of an experiment in one cube.

The measured files are given on standard input, a path a line.
"""

import argparse
import json
import sys

import numpy as np
import xarray as xr

from nrc import store
from nrc.grid import AXES
from workflow.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON with experiment and its whole configuration"
    )
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    args = parser.parse_args()

    stacks = [store.load(path) for path in sys.stdin.read().splitlines()]
    cells = [stack.expand_dims([axis for axis in AXES if axis not in stack.dims]) for stack in stacks]
    cube = xr.combine_by_coords(
        alike(cells),
        data_vars="all",
        coords="minimal",
        compat="equals",
        join="exact",
        combine_attrs="drop_conflicts",
    ).transpose(*AXES, ...)
    versions = {name: cube.attrs[name] for name in ("torch", "device", "precision")}
    cube.attrs = store.provenance(args.settings, **versions)
    store.save(cube, args.output)


def alike(cells: list[xr.Dataset]) -> list[xr.Dataset]:
    """Give all cells the same layers, indices and so on; what some lack is missing there.

    Networks of different width or depth have spectra of different lengths and numbers of layers.
    """
    dims = {dim for cell in cells for dim in cell.dims if dim not in AXES}
    every = {
        dim: np.unique(np.concatenate([cell[dim] for cell in cells if dim in cell.dims])) for dim in dims
    }
    about = {dim: next(cell[dim].attrs for cell in cells if dim in cell.dims) for dim in dims}
    same = []
    for cell in cells:
        cell = cell.reindex({dim: values for dim, values in every.items() if dim in cell.dims})
        for dim in dims & set(cell.dims):
            cell[dim].attrs = about[dim]
        same.append(cell)
    return same


if __name__ == "__main__":
    run(main)
