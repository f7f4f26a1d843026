"""Growth of rank with depth."""

from typing import get_args

import xarray as xr
from pydantic import Field

from nrc.claims.arrays import growth, ranks
from nrc.claims.options import NumberOptions
from nrc.fields import DirectionCount, DirectionCounts
from nrc.options import Requirement, several_values

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Slope of the logarithm of the average rank over layers against log depth."""

    variables = get_args(DirectionCount)
    requires = (Requirement({"grid.depth": several_values(2)}),)

    rank: DirectionCounts = Field(default=list(get_args(DirectionCount)))


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Slope by least squares, for each measure of rank."""
    return growth(ranks(cube, options.rank).mean("layer"), "depth")
