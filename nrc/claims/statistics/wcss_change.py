"""Change of the class WCSS during training."""

import xarray as xr

from nrc.claims.arrays import last_snapshot, single
from nrc.claims.options import NumberOptions
from nrc.options import Requirement, given

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Class WCSS, last over second snapshot, of the hidden space where it falls least."""

    variables = ("snapshot_wcss",)
    requires = (Requirement({"training.snapshot_every": given}),)


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Largest change over the hidden spaces, from the first snapshot after the initial weights."""
    wcss = cube["snapshot_wcss"].sel(source=slice(1, None))
    early = wcss.shift(snapshot=-1).isel(snapshot=0)
    return single((last_snapshot(wcss) / early).max("source"))
