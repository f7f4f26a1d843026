"""Growth of rank with width."""

import xarray as xr
from pydantic import Field

from nrc.claims.arrays import growth, intermediate, ranks
from nrc.claims.options import NumberOptions
from nrc.option_types import RANK_LABELS, Ranks
from nrc.options import Requirement, several_values

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Slope of log rank of the intermediate matrix against log width."""

    variables = tuple(RANK_LABELS)
    requires = (Requirement({"grid.width": several_values(2)}),)

    rank: Ranks = Field(default=["stable_rank"])


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Slope by least squares, for each measure of rank."""
    return growth(intermediate(ranks(cube, options.rank)), "width")
