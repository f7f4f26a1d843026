"""Collect the measures of all cells of an experiment in one cube.

The measured files are given on standard input, a path a line.
"""

import argparse
import json
import sys

import xarray as xr

from nrc import store
from nrc.grid import AXES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON with experiment and its whole configuration"
    )
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    args = parser.parse_args()

    stacks = [store.load(path) for path in sys.stdin.read().splitlines()]
    cells = [stack.expand_dims([axis for axis in AXES if axis not in stack.dims]) for stack in stacks]
    # cells of different width or depth have layers that others lack: missing there
    cube = xr.combine_by_coords(
        cells,
        data_vars="all",
        coords="minimal",
        compat="equals",
        join="outer",
        combine_attrs="drop_conflicts",
    ).transpose(*AXES, ...)
    versions = {name: cube.attrs[name] for name in ("torch", "device", "precision")}
    cube.attrs = store.provenance(args.settings, **versions)
    store.save(cube, args.output)


if __name__ == "__main__":
    main()
