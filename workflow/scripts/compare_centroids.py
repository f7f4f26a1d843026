"""Compare linear networks trained on data with those trained on the centroids of the blobs."""

import argparse
import json

import xarray as xr

from nrc import store
from nrc.linear_measures import trained_shift
from workflow.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON with experiment")
    parser.add_argument("--data", required=True, help="NetCDF cube of the networks trained on data")
    parser.add_argument("--centroids", required=True, help="NetCDF cube of those trained on centroids")
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    args = parser.parse_args()

    on_data, on_centroids = store.load(args.data), store.load(args.centroids)
    kept = on_data[["shift_forecast", "shift_bound", "shift_bound_tcv", "noise_moment"]]
    result = xr.merge([trained_shift(on_data, on_centroids), kept], join="exact", combine_attrs="override")
    versions = {name: on_data.attrs[name] for name in ("torch", "device", "precision")}
    result.attrs = store.provenance(args.settings, **versions)
    store.save(result, args.output)


if __name__ == "__main__":
    run(main)
