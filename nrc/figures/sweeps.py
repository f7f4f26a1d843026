"""Two branches of end points: networks continued along sigma, up and down, and from initial weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from nrc.figures.cube import chosen_layer, require, squeezed, status_counts
from nrc.figures.options import SweepOptions
from nrc.status import flag_masks, status_masks
from nrc.text import listed

__all__ = ["COUNTS", "DOWN", "PLACES", "RANDOM", "STARTS", "UP", "load", "outcomes", "places", "rivals"]

Array = NDArray[np.float64]

RANDOM, UP, DOWN = STARTS = ("random start", "sweep up", "sweep down")
COUNTS = ("converged", "stopped", "diverged", "collapsed_to_zero", "saddles")
NAMES = ("relative_distance", "singular_values", "loss", "transition")
# In the usual order along sigma.
PLACES = ("down_ends", "random_jumps", "overtaken", "crossing", "up_ends")


def load(cubes: Mapping[str, xr.Dataset], options: SweepOptions) -> xr.Dataset:
    """Distance and objective of converged cells, and the status of every cell, for each `start`.

    Parameters
    ----------
    cubes : mapping
        Measures of autoencoders without biases, of one width and one depth and on the same grid, for each
        of `random start`, `sweep up` and `sweep down`.

    Raises
    ------
    ValueError
        If there are several widths or depths, the layer does not exist, or the grids differ.
    """
    parts = []
    for start in STARTS:
        cube = squeezed(cubes[start], "width", "depth").sortby(["weight_decay", "sigma"])
        require(cube, NAMES, "branches are of autoencoders without biases that are trained on data")
        layer = chosen_layer(cube, options.layer)
        masks = status_masks(cube)
        norms = (cube["singular_values"] ** 2).sum(["layer", "index"])
        distance, converged = cube["relative_distance"].sel(layer=layer), masks["converged"]
        part = {
            "distance": distance.where(converged),
            "distance_stopped": distance.where(masks["stopped"]),
            "objective": (cube["loss"] + cube["weight_decay"] / 2 * norms).where(converged),
            "transition": cube["transition"],
            # without curvatures no saddle is known
            "saddles": flag_masks(cube["extremum"])["saddle"] if "extremum" in cube else converged & False,
            **masks,
        }
        parts.append(xr.Dataset(part).drop_vars(["width", "depth"]))
    try:
        return xr.concat(parts, pd.Index(STARTS, name="start", dtype=object), join="exact")
    except ValueError:
        raise ValueError(
            f"the figure compares the cells of {listed(STARTS)}, but their grids differ; give them one grid"
        ) from None


def rivals(cells: xr.Dataset, apart: float) -> xr.DataArray:
    """Cells in which the sweep up is at rank K and another start led to another branch, for each start."""
    up = cells["distance"].sel(start=UP)
    return (up <= apart) & (np.abs(cells["distance"] - up) > apart)


def outcomes(cubes: Mapping[str, xr.Dataset], cells: xr.Dataset, apart: float) -> dict[str, Any]:
    """Facts of the captions: numbers of cells by status, with both branches, and at saddles.

    Returns
    -------
    dict
        `clusters`, `layer`; `status`, for each start the numbers of `cube.status_counts`; the number of
        `cells`, of cells with `both` branches, and of these the number in which the sweep up is `lower`;
        `saddles`, for each start the numbers of end points at saddles and of known curvatures, if any are
        known; `step`, the median ratio of neighbours in sigma.
    """
    both, sigma = rivals(cells, apart).sel(start=DOWN), cells["sigma"].values
    lower = both & (cells["objective"].sel(start=UP) < cells["objective"].sel(start=DOWN))
    return {
        "clusters": next(iter(cubes.values())).attrs["clusters"],
        "layer": int(cells["layer"]),
        "status": {start: status_counts(cubes[start]) for start in STARTS},
        "cells": both.size,
        "both": int(both.sum()),
        "lower": int(lower.sum()),
        "saddles": {
            start: (int(cells["saddles"].sel(start=start).sum()), int(cubes[start]["curvature"].count()))
            for start in STARTS
            if "curvature" in cubes[start]
        },
        "step": float(np.median(sigma[1:] / sigma[:-1])) if len(sigma) > 1 else np.nan,
    }


def places(cells: xr.Dataset, apart: float) -> pd.DataFrame:
    """Where branches begin, cross and end, with a row for each weight decay and seed.

    Returns
    -------
    DataFrame
        The sigma at which the sweep down returns to rank K (`down_ends`), the random start leaves rank K for
        the first time (`random_jumps`), the objective of the sweep up, still at rank K, exceeds the objective
        of another start at higher rank (`overtaken`), and of the sweep down (`crossing`), the sweep up leaves
        rank K (`up_ends`), and the `forecast` for a linear network lies; missing if it is not on the grid.
    """
    sigma = cells["sigma"].values
    other = cells["objective"].where(rivals(cells, apart))
    lowest = {"crossing": other.sel(start=DOWN), "overtaken": other.min("start")}
    over = {name: xr.ufuncs.log(cells["objective"].sel(start=UP) / rival) for name, rival in lowest.items()}
    line = cells["transition"].max(["start", "weight_decay"])
    line = line.where(line > 0)
    table = []
    for weight_decay in cells["weight_decay"].values:
        for seed in cells["seed"].values:
            cell = {"weight_decay": weight_decay, "seed": seed}
            distance = cells["distance"].sel(cell)
            curves = {start: distance.sel(start=start).values for start in STARTS}
            table.append(
                cell
                | {
                    "down_ends": _step(sigma[::-1], apart - curves[DOWN][::-1]),
                    "random_jumps": _step(sigma, curves[RANDOM] - apart),
                    **{name: _rise(sigma, ratio.sel(cell).values) for name, ratio in over.items()},
                    "up_ends": _step(sigma, curves[UP] - apart),
                    "forecast": _rise(sigma, np.log(line.sel(seed=seed).values / weight_decay)),
                }
            )
    return pd.DataFrame(table)[["weight_decay", "seed", *PLACES, "forecast"]]


def _step(sigma: Array, values: Array) -> float:
    """Where values that begin below 0 first exceed 0: the geometric mean of two neighbours."""
    known = ~np.isnan(values)
    sigma, above = sigma[known], np.flatnonzero(values[known] > 0)
    if not len(above) or above[0] == 0:
        return np.nan
    return float(np.sqrt(sigma[above[0] - 1] * sigma[above[0]]))


def _rise(sigma: Array, values: Array) -> float:
    """Where values first rise through 0, by linear interpolation in log sigma."""
    known = ~np.isnan(values)
    logs, values = np.log(sigma[known]), values[known]
    steps = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))
    if not len(steps):
        return np.nan
    at = slice(steps[0], steps[0] + 2)
    return float(np.exp(np.interp(0, values[at], logs[at])))
