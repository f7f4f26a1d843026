"""Width of the transition of the relative distance along sigma."""

from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from nrc.claims.arrays import along, named
from nrc.claims.options import NumberOptions
from nrc.status import flag_masks

__all__ = ["Options", "lower_ends", "values"]

Array = NDArray[np.float64]
# Of log sigma, and the places where a transition begins and ends.
Width = Callable[[Array, np.intp, np.intp], float]

# A row of the plane has a transition where the relative distance changes by more than this.
TRANSITION = 0.3
# The transition begins at this share of the range of the relative distance.
BEGINS = 0.1


class Options(NumberOptions):
    """Decades of sigma in which the relative distance goes from 10% of its range to the share `to`."""

    variables = ("relative_distance", "status")

    to: float = Field(
        0.9,
        gt=0.1,
        le=1,
        description="share of the range of the relative distance at which the transition ends",
    )


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Upper end of the width of the transition, in decades of sigma, for each layer.

    The width over which the relative distance goes from a tenth to the share `to` of its range, between
    the last network that converged before the first of these levels and the first network beyond the second
    one. On a finer grid the upper end is smaller, never larger.
    """
    return _widths(cube, lambda place, leaves, arrives: place[arrives] - place[leaves - 1], options)


def lower_ends(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Lower end of the width: between the first network beyond one level and the last before the other."""
    return _widths(cube, lambda place, leaves, arrives: max(0.0, place[arrives - 1] - place[leaves]), options)


def _widths(cube: xr.Dataset, width: Width, options: Options) -> xr.DataArray:
    distance = cube["relative_distance"].where(flag_masks(cube["status"])["converged"])
    log_sigma = xr.ufuncs.log10(cube["sigma"].where(cube["sigma"] > 0))
    widths = along("sigma", lambda row, place: _width(row, place, width, options.to), distance, log_sigma)
    return named(widths, "layer", "layer {}")


def _width(row: Array, place: Array, width: Width, to: float) -> float:
    known = ~np.isnan(row) & ~np.isnan(place)
    row, place = row[known], place[known]
    if len(row) < 3 or np.ptp(row) <= TRANSITION:
        return np.nan
    share = (row - row.min()) / np.ptp(row)
    leaves, arrives = np.argmax(share > BEGINS), np.argmax(share >= to)
    # the transition of a row that is above the level at the first sigma began before the grid
    return width(place, leaves, arrives) if leaves else np.nan
