"""Slopes of the shift from data to centroids against noise, for figures and claims."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import linregress

__all__ = ["quadratic", "quadratic_slopes"]


def quadratic(shift: xr.Dataset, saturation: float) -> xr.DataArray:
    """Cells in the quadratic regime, where log shift against log sigma must have slope 2.

    The shift depends on the noise through the eigenvalues c of its second moment, at most c_{K+1}. The
    shift of a direction is c / (c + lambda) up to a constant (penalty on the product). Its logarithm
    has slope 2 lambda / (c + lambda) in log sigma, which is at least 2 (1 - saturation) in the quadratic
    regime, c_{K+1} <= saturation lambda / (1 - saturation).

    Parameters
    ----------
    shift : Dataset
        With `noise_moment`, c_{K+1} of each cell.
    saturation : float
        Share of the slope that may be lost, below 1.

    Returns
    -------
    DataArray
        A mask of the shape of `noise_moment`.

    Examples
    --------
    >>> shift = xr.Dataset({"noise_moment": ("sigma", [1e-4, 0.1])}, {"weight_decay": 0.01})
    >>> quadratic(shift, saturation=0.5).values.tolist()
    [True, False]
    """
    return shift["noise_moment"] <= saturation / (1 - saturation) * shift["weight_decay"]


def quadratic_slopes(shift: xr.Dataset, saturation: float, *, everywhere: bool = False) -> pd.DataFrame:
    """Slope of log shift against log sigma in the quadratic regime, for each weight decay and seed.

    The slope is fitted by least squares. Cells without noise are left out, and cells that are not at their
    global minimum unless `everywhere` is set.

    Parameters
    ----------
    shift : Dataset
        Shifts of one width and one depth, with `shift`, `shift_forecast`, `noise_moment`, `at_minimum`.
    saturation : float
        As in `quadratic`.
    everywhere : bool
        Whether cells at other stationary points count.

    Returns
    -------
    DataFrame
        A row for each weight decay and seed with at least three such cells: `weight_decay`, `seed`, `slope`,
        `forecast` (the slope of the closed form) and the number of `cells`.

    Raises
    ------
    ValueError
        If there are several widths or depths.

    Examples
    --------
    >>> slopes = quadratic_slopes(shifts, saturation=0.5)
    >>> slopes[slopes["weight_decay"] == 0.1].round(2)
       weight_decay  seed  slope  forecast  cells
    0           0.1     0   2.00      2.00      4
    2           0.1     1   2.01      2.01      4
    4           0.1     2   2.02      2.02      4
    """
    for axis in ("width", "depth"):
        if shift.sizes.get(axis, 1) != 1:
            raise ValueError(
                f"slopes are fitted for one {axis}, but the cube has {shift.sizes[axis]}; select one"
            )
    shift = shift.squeeze([axis for axis in ("width", "depth") if axis in shift.dims], drop=True)
    used = quadratic(shift, saturation) & (shift["sigma"] > 0)
    if not everywhere:
        used &= shift["at_minimum"] == 1
    rows = []
    for seed in shift["seed"].values:
        for weight_decay in shift["weight_decay"].values:
            cells = {"seed": seed, "weight_decay": weight_decay}
            curve = shift.sel(cells).isel(sigma=used.sel(cells).values)
            if curve.sizes["sigma"] >= 3:
                fits = [
                    linregress(np.log(curve["sigma"]), np.log(curve[name])).slope
                    for name in ("shift", "shift_forecast")
                ]
                rows.append((weight_decay, seed, *fits, curve.sizes["sigma"]))
    return pd.DataFrame(rows, columns=["weight_decay", "seed", "slope", "forecast", "cells"])
