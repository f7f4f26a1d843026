"""Order of the number of collapsed layers with weight decay."""

import xarray as xr

from nrc.claims.arrays import named
from nrc.claims.options import OrderOptions
from nrc.status import flag_masks
from nrc.theory.ranks import NEAR

__all__ = ["Options", "values"]


class Options(OrderOptions):
    """Order of the share of noise levels at which a layer is within 0.1 of rank K with weight decay."""

    variables = ("relative_distance", "status")


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Share of noise levels, for each layer."""
    distance = cube["relative_distance"].where(flag_masks(cube["status"])["converged"])
    near = (distance <= NEAR).where(distance.notnull()).mean("sigma")
    return named(near, "layer", "layer {}")
