"""Order of the change of the tails of spectra with weight decay."""

import xarray as xr

from nrc.claims.arrays import named, tail_changes
from nrc.claims.options import OrderOptions
from nrc.options import Requirement, given

__all__ = ["Options", "values"]


class Options(OrderOptions):
    """Order of the change of the relative tail beyond K with weight decay, for each layer."""

    variables = ("snapshot_singular_values",)
    requires = (Requirement({"training.snapshot_every": given}),)


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Change of the tail of each layer with a tail."""
    return named(tail_changes(cube).dropna("layer", how="all"), "layer", "layer {}")
