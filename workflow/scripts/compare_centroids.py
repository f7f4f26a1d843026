"""Compare linear networks trained on data with those trained on the centroids of the clusters."""

import argparse

import xarray as xr

from nrc import store
from nrc.labels import provenance
from nrc.measures.linear import trained_shift
from pipeline.origin import origin
from pipeline.program import add_file, program, run

KEPT = ["shift_forecast", "shift_bound", "shift_bound_tcv", "noise_moment"]


def main(args: argparse.Namespace) -> None:
    on_data, on_centroids = store.load(args.data), store.load(args.centroids)
    shift = trained_shift(on_data, on_centroids)
    result = xr.merge([shift, on_data[KEPT]], join="exact", combine_attrs="override")
    origins = origin([on_data.attrs, on_centroids.attrs])
    store.save(result.assign_attrs(provenance(args.settings, **origins)), args.output)


def arguments() -> argparse.ArgumentParser:
    parser = program(__doc__, "experiment, and its settings")
    add_file(parser, "--data", "NetCDF cube to read, of networks trained on data")
    add_file(parser, "--centroids", "NetCDF cube to read, of those trained on centroids")
    add_file(parser, "--output", "NetCDF file to write: distances")
    return parser


if __name__ == "__main__":
    run(main, arguments())
