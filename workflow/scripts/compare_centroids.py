"""Compare linear networks trained on data with those trained on the centroids of the clusters."""

import argparse

import xarray as xr

from nrc import netcdf
from nrc.measures.linear import trained_shift
from nrc.metadata import provenance
from workflow.lib.program import add_file, program, run
from workflow.lib.provenance import origin

KEPT = ["shift_forecast", "shift_bound", "shift_bound_tcv", "noise_moment"]


def main(args: argparse.Namespace) -> None:
    on_data, on_centroids = netcdf.load(args.data), netcdf.load(args.centroids)
    shift = trained_shift(on_data, on_centroids)
    result = xr.merge([shift, on_data[KEPT]], join="exact", combine_attrs="override")
    origins = origin([on_data.attrs, on_centroids.attrs])
    netcdf.save(result.assign_attrs(provenance(args.settings, **origins)), args.output)


def arguments() -> argparse.ArgumentParser:
    parser = program(__doc__, "experiment, and its settings")
    add_file(parser, "--data", "NetCDF cube to read, of networks trained on data")
    add_file(parser, "--centroids", "NetCDF cube to read, of those trained on centroids")
    add_file(parser, "--output", "NetCDF file to write: distances")
    return parser


if __name__ == "__main__":
    run(main, arguments())
