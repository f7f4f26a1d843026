"""Compare linear networks trained on data with linear networks trained on the centroids of the clusters."""

from pathlib import Path
from typing import Annotated

from workflow.lib.program import Settings, run

import xarray as xr

from nrc import netcdf
from nrc.measures.linear import trained_shift
from nrc.metadata import provenance
from workflow.lib.provenance import origin

KEPT = ["shift_forecast", "shift_bound", "shift_bound_tcv", "noise_moment"]


def main(
    settings: Annotated[Settings, "experiment, and its settings"],
    data: Annotated[Path, "NetCDF cube to read: networks trained on data"],
    centroids: Annotated[Path, "NetCDF cube to read: the same networks trained on centroids"],
    output: Annotated[Path, "NetCDF file to write: the distances between both networks"],
) -> None:
    on_data, on_centroids = netcdf.load(data), netcdf.load(centroids)
    shift = trained_shift(on_data, on_centroids)
    result = xr.merge([shift, on_data[KEPT]], join="exact", combine_attrs="override")
    origins = origin([on_data.attrs, on_centroids.attrs])
    netcdf.save(result.assign_attrs(provenance(settings, **origins)), output)


if __name__ == "__main__":
    run(main)
