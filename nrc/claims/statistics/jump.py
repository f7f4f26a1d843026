"""Jump of the relative distance to rank K."""

import xarray as xr

from nrc.claims.arrays import named
from nrc.claims.options import NumberOptions
from nrc.status import flag_masks
from nrc.theory.ranks import NEAR

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Decades of the relative distance to rank K, around 0.1, in which there is no network."""

    variables = ("relative_distance", "status")


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """log10 of the smallest distance above `NEAR` over the largest one up to it, for each layer.

    Weight decay and noise vary together, so the networks fill the range if the distance is continuous.
    """
    distance = cube["relative_distance"].where(flag_masks(cube["status"])["converged"])
    plane = ["weight_decay", "sigma"]
    above, below = distance.where(distance > NEAR).min(plane), distance.where(distance <= NEAR).max(plane)
    return named(xr.ufuncs.log10(above / below.where(below > 0)), "layer", "layer {}")
