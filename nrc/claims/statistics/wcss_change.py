"""Change of the class WCSS during training."""

import xarray as xr

from nrc.claims.arrays import last_snapshot, named
from nrc.claims.options import NumberOptions
from nrc.options import Requirement, given

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Class WCSS at the last snapshot over its peak during training, for each hidden space."""

    variables = ("snapshot_wcss",)
    requires = (Requirement({"training.snapshot_every": given}),)


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Last value over the largest one after the initial weights."""
    wcss = cube["snapshot_wcss"].isel(source=slice(1, None))
    trained = wcss.shift(snapshot=-1)
    return named(last_snapshot(wcss) / trained.max("snapshot"), "source", "z^{}")
