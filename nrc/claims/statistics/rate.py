"""Rate at which the distance to rank K falls with variability and with weight decay."""

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from nrc.claims.arrays import named
from nrc.claims.options import NumberOptions
from nrc.options import Requirement, equal, positive
from nrc.status import flag_masks
from nrc.theory.ranks import NEAR

__all__ = ["Options", "exponents", "points", "values"]

# Only noise up to this share of the largest one at which a layer has collapsed: near the transition, the
# distance grows faster.
DEEP = 0.5
# A smaller distance is due to the residual.
ROUNDING = 1e-9

Array = NDArray[np.float64]
Variability = Literal["tcv", "sigma"]


class Options(NumberOptions):
    """Exponent of TCV, noise level or weight decay in the distance to rank K of collapsed layers."""

    variables = ("distance", "relative_distance", "tcv_upper", "status")
    requires = (
        Requirement({"network.kind": equal("mlp"), "grid.sigma": positive, "grid.weight_decay": positive}),
    )

    of_power: Literal["tcv", "sigma", "weight_decay"] = Field(
        description="quantity whose exponent is the number: TCV of the space before the layer, noise level, "
        "or weight decay (next to TCV)"
    )


def points(cube: xr.Dataset) -> xr.Dataset:
    """The collapsed layers that rates are fitted to.

    A layer counts if it and all layers of less noise have a relative distance of at most `NEAR`, and if its
    noise is at most the share `DEEP` of the largest such noise.

    Parameters
    ----------
    cube : Dataset
        With `distance`, `relative_distance`, `tcv_upper` and `status` over `weight_decay` and `sigma`.

    Returns
    -------
    Dataset
        For each cell and layer the `distance` to rank K, missing where the layer does not count, and `tcv`,
        the TCV of the space before the layer (the class WCSS is an upper end of it).

    Examples
    --------
    >>> collapsed = cube.assign(relative_distance=0 * cube["distance"])
    >>> counts = points(collapsed)["distance"].notnull().all(["weight_decay", "seed", "layer"])
    >>> counts.squeeze(drop=True).to_series().to_dict()
    {0.1: True, 0.3: True, 1.0: False}
    """
    cube = cube.sortby("sigma")
    near = (cube["relative_distance"] <= NEAR) & flag_masks(cube["status"])["converged"]
    collapsed = near.cumprod("sigma").astype(bool)
    largest = cube["sigma"].where(collapsed).max("sigma")
    counts = collapsed & (cube["sigma"] <= DEEP * largest) & (cube["distance"] > ROUNDING)
    before = cube["tcv_upper"].rename(source="layer")
    tcv = before.assign_coords(layer=before["layer"] + 1)
    return xr.Dataset({"distance": cube["distance"].where(counts), "tcv": tcv.sel(layer=cube["layer"])})


def exponents(cube: xr.Dataset, variability: Variability = "tcv") -> xr.DataArray:
    """Exponents of a power law of the distance in variability and weight decay, by least squares.

    log distance = constant + p log variability + q log weight decay

    over the `points` of each layer and seed. The bound of Theorem 3.4 has p = 1 for TCV, which is 2 for the
    noise level, and q = -1.

    Parameters
    ----------
    cube : Dataset
        As in `points`.
    variability : {"tcv", "sigma"}
        Measure of variability.

    Returns
    -------
    DataArray
        Exponents along the dimension `of_power`, whose values are the measure of variability and
        "weight_decay"; missing with fewer than four points, or without two values of each variable.

    Examples
    --------
    >>> law = cube["sigma"] ** 2 / cube["weight_decay"] + 0 * cube["distance"]
    >>> collapsed = cube.assign(distance=law, relative_distance=0 * law)
    >>> exponents(collapsed, "sigma").isel(seed=0, layer=0).squeeze(drop=True).round(6).to_series().to_dict()
    {'sigma': 2.0, 'weight_decay': -1.0}
    """
    used = points(cube)
    measure = used["tcv"] if variability == "tcv" else cube["sigma"]
    logs = [xr.ufuncs.log(values) for values in (used["distance"], measure, cube["weight_decay"])]
    stacked = [table.stack(cell=["weight_decay", "sigma"]) for table in xr.broadcast(*logs)]
    found: xr.DataArray = xr.apply_ufunc(
        _powers, *stacked, input_core_dims=[["cell"]] * 3, output_core_dims=[["of_power"]], vectorize=True
    )
    return found.assign_coords(of_power=[variability, "weight_decay"])


def _powers(distance: Array, *others: Array) -> Array:
    known = ~np.isnan(distance)
    design = np.stack([np.ones(known.sum()), *(other[known] for other in others)], axis=1)
    if len(design) <= design.shape[1] or np.linalg.matrix_rank(design) < design.shape[1]:
        return np.full(len(others), np.nan)
    powers: Array = np.linalg.lstsq(design, distance[known])[0][1:]
    return powers


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Exponent for each layer."""
    variability: Variability = "sigma" if options.of_power == "sigma" else "tcv"
    return named(exponents(cube, variability).sel(of_power=options.of_power, drop=True), "layer", "layer {}")
