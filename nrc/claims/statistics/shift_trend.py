"""Order of the shift with weight decay."""

from typing import Literal

import xarray as xr
from pydantic import Field

from nrc.claims.arrays import single
from nrc.claims.options import OrderOptions
from nrc.option_types import linear_autoencoders

__all__ = ["Options", "values"]


class Options(OrderOptions):
    """Order of the shift, mean of its logarithm over sigma, with weight decay."""

    cube = "shift"
    variables = ("shift", "at_minimum")
    requires = (linear_autoencoders,)

    minima: Literal["all", "global"] = Field(
        "all", description="networks that count, all or only those at the global minimum"
    )


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Mean of log shift over the noise levels at which it is known for every weight decay."""
    shift = cube["shift"] if options.minima == "all" else cube["shift"].where(cube["at_minimum"] == 1)
    logs = xr.ufuncs.log(shift.where(shift > 0))
    return single(logs.where(logs.notnull().all("weight_decay")).mean("sigma"))
