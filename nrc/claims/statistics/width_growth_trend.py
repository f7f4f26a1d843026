"""Order of the growth of rank with width."""

import xarray as xr
from pydantic import Field

from nrc.claims.arrays import growth, intermediate, ranks
from nrc.claims.options import OrderOptions
from nrc.option_types import RANK_LABELS, Ranks
from nrc.options import Requirement, several_values

__all__ = ["Options", "values"]


class Options(OrderOptions):
    """Order of the absolute slope of log rank of the intermediate matrix in log width with weight decay."""

    variables = tuple(RANK_LABELS)
    requires = (Requirement({"grid.width": several_values(2)}),)

    rank: Ranks = Field(default=["stable_rank"])


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Absolute value of the slope, for each measure of rank."""
    return abs(growth(intermediate(ranks(cube, options.rank)), "width"))
