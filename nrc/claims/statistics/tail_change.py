"""Change of the tails of spectra during training."""

import xarray as xr

from nrc.claims.arrays import single, tail_changes
from nrc.claims.options import NumberOptions
from nrc.options import Requirement, given

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Relative tail beyond K, last over first snapshot, of the layer where it falls least."""

    variables = ("snapshot_singular_values",)
    requires = (Requirement({"training.snapshot_every": given}),)


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Largest change over the layers."""
    return single(tail_changes(cube).max("layer"))
