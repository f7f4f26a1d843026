"""Order of rank with weight decay."""

import xarray as xr
from pydantic import Field

from nrc.claims.arrays import intermediate, ranks
from nrc.claims.options import OrderOptions
from nrc.option_types import RANK_LABELS, Ranks

__all__ = ["Options", "values"]


class Options(OrderOptions):
    """Order of the rank of the intermediate matrix, mean of its logarithm over widths, with weight decay."""

    variables = tuple(RANK_LABELS)

    rank: Ranks = Field(default=["stable_rank"])


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Mean of log rank over widths, for each measure of rank."""
    of_middle = intermediate(ranks(cube, options.rank))
    logs: xr.DataArray = xr.ufuncs.log(of_middle.where(of_middle > 0))
    return logs.mean("width")
