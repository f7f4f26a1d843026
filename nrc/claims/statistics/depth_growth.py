"""Growth of rank with depth."""

from typing import Literal

import xarray as xr
from pydantic import Field

from nrc.claims.arrays import growth, ranks
from nrc.claims.options import NumberOptions
from nrc.option_types import RANK_LABELS, Ranks
from nrc.options import Requirement, equal, several_values

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Slope of the logarithm of the average rank over layers against log depth."""

    variables = tuple(RANK_LABELS)
    requires = (
        Requirement({"grid.depth": several_values(2)}),
        Requirement({"network.kind": equal("mlp")}, when={"layers": equal("middle")}),
    )

    rank: Ranks = Field(default=["stable_rank"])
    layers: Literal["all", "middle"] = Field(
        "all", description="layers in the average; a network of depth 2 has no middle layer"
    )


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Slope by least squares, for each measure of rank."""
    rank = ranks(cube, options.rank)
    if options.layers == "middle":
        rank = rank.where((rank["layer"] > 1) & (rank["layer"] < rank["depth"]))
    return growth(rank.mean("layer"), "depth")
