"""Change of the tails of spectra during training."""

import xarray as xr

from nrc.claims.arrays import named, tail_changes
from nrc.claims.options import NumberOptions
from nrc.options import Requirement, given

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Relative tail beyond K, last over first snapshot, for each layer."""

    variables = ("snapshot_singular_values",)
    requires = (Requirement({"training.snapshot_every": given}),)


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Change of the tail of each layer with a tail."""
    return named(tail_changes(cube).dropna("layer", how="all"), "layer", "layer {}")
