"""Order of the within-class variability with weight decay."""

from typing import get_args

import xarray as xr
from pydantic import Field

from nrc.claims.arrays import named
from nrc.claims.options import OrderOptions
from nrc.option_types import Variabilities, Variability

__all__ = ["Options", "values"]


class Options(OrderOptions):
    """Order of the within-class variability after training with weight decay, for each hidden space."""

    variables = get_args(Variability)

    measure: Variabilities = Field(default=["wcss_class"])


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Within-class variability of each hidden space, by each measure."""
    spaces = [
        named(cube[name].isel(source=slice(1, None)), "source", f"{name} of z^{{}}")
        for name in options.measure
    ]
    return xr.concat(spaces, "what")
