"""Slope of the logarithm of the shift along log sigma."""

from typing import Literal

import xarray as xr
from pydantic import Field

from nrc.claims.arrays import single
from nrc.claims.options import NumberOptions
from nrc.option_types import Saturation, linear_autoencoders
from nrc.options import Requirement, positive
from nrc.slopes import quadratic_slopes

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Slope of log shift against log sigma in the quadratic regime."""

    cube = "shift"
    variables = ("shift", "shift_forecast", "noise_moment", "at_minimum")
    requires = (linear_autoencoders, Requirement({"grid.sigma": positive}))

    saturation: Saturation = 0.02
    minima: Literal["all", "global"] = Field(
        "all", description="networks that count, all or only those at the global minimum"
    )


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Slope at each weight decay, by `nrc.slopes.quadratic_slopes`."""
    table = quadratic_slopes(cube, options.saturation, everywhere=options.minima == "all")
    slopes = table.set_index(["weight_decay", "seed"])["slope"].to_xarray()
    return single(slopes.reindex(weight_decay=cube["weight_decay"], seed=cube["seed"]).astype(float))
