"""Singular values of every layer of linear networks: forecast before training, and values after training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from nrc.figures.cube import only, require, squeezed, status_counts
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.style import COLOURS, MARKS, UNKNOWN, LineStyle, LogScale, colour_map, letters, plane
from nrc.objectives.penalties import ridge
from nrc.option_types import linear_autoencoders
from nrc.options import Requirement
from nrc.status import status_masks

__all__ = ["Options", "draw", "rows", "summary"]

# Smaller values and errors are drawn here.
ROUNDING = 1e-16
NAMES = ("forecast", "singular_values", "at_minimum", "critical_rank", "forecast_rank")
ELSEWHERE: LineStyle = {
    **MARKS["stopped"],
    "label": "a seed not at the global minimum",
    "marker": "D",
    "markersize": 2.5,
}


class Options(FigureOptions):
    """Singular values of linear networks before and after training."""

    requires = (
        linear_autoencoders,
        one_architecture,
        Requirement({"training.penalty": ridge}),
    )


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, with a row for each cell, layer and position in the spectrum.

    Parameters
    ----------
    cubes : mapping
        One cube of measures of linear autoencoders, of one width and one depth.

    Returns
    -------
    DataFrame
        The axes, `layer`, `index`, the forecast and the trained singular values, whether the cell is
        `at_minimum`, the ranks of the trained and the forecast product, and the weight decay
        `transition` below which the forecast rank is above K, if the cube has it.

    Raises
    ------
    ValueError
        If there are several widths or depths, or no forecasts.

    Examples
    --------
    >>> table = rows({"made up": cube}, Options(of=["made_up"]))
    >>> len(table)  # 12 cells, 3 layers, 4 singular values
    144
    """
    cube = _cube(cubes)
    names = [*NAMES, *(["transition"] if "transition" in cube else [])]
    columns = ["weight_decay", "sigma", "seed", "layer", "index"]
    table = cube[names].drop_vars(["width", "depth"]).to_dataframe(dim_order=columns)
    return table.dropna(subset="forecast").reset_index()[[*columns, *names]]


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw the error of each forecast singular value, and the plane of trained ranks with the forecast.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube}, Options(of=["made_up"]))
    >>> len(figure.axes)  # dots, the plane and its colours
    3
    """
    cube = _cube(cubes)
    figure = Figure(figsize=(7.2, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
    handles = _errors(left, rows(cubes, options))
    scales = {axis: LogScale(cube[axis]) for axis in ("sigma", "weight_decay")}
    mesh, marks = _ranks(right, cube, scales, options.colour_map)
    if "transition" in cube:
        line = cube["transition"].max("weight_decay").mean("seed")
        right.plot(scales["sigma"](line["sigma"]), line.where(line > 0), color=COLOURS["red"])
        label = rf"forecast: below the line rank $>{cube.attrs['clusters']}$"
        handles.append(Line2D([], [], color=COLOURS["red"], label=label))
    plane(right, scales)
    letters((left, right))
    figure.colorbar(mesh, ax=right, label="rank of the trained product, mean over seeds")
    figure.legend(handles=[*handles, *marks], loc="outside lower center", ncols=3)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: numbers of cells by status, and the error of the forecast.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; `clusters`; the numbers of cells `at_minimum` and `elsewhere`,
        and of cells that learn fewer (`lower`) and more (`higher`) directions; the `largest_error` of a
        singular value at the minimum, and the `largest_distance` to a critical point, missing without
        such cells.

    Examples
    --------
    >>> facts = summary({"made up": cube}, Options(of=["made_up"]))
    >>> facts["at_minimum"], facts["elsewhere"]
    (12, 0)
    """
    cube = _cube(cubes)
    error = abs(cube["forecast"] - cube["singular_values"]).max(["layer", "index"])
    return {
        **status_counts(cube),
        "clusters": cube.attrs["clusters"],
        "at_minimum": int((cube["at_minimum"] == 1).sum()),
        "elsewhere": int((cube["at_minimum"] == 0).sum()),
        "lower": int((cube["critical_rank"] < cube["forecast_rank"]).sum()),
        "higher": int((cube["critical_rank"] > cube["forecast_rank"]).sum()),
        "largest_error": float(error.where(cube["at_minimum"] == 1).max()),
        "largest_distance": float(cube["critical_distance"].max()),
    }


def _cube(cubes: Mapping[str, xr.Dataset]) -> xr.Dataset:
    cube = squeezed(only(cubes), "width", "depth")
    require(
        cube,
        (*NAMES, "critical_distance"),
        "forecasts are for linear autoencoders trained on data with the penalty on the factors",
    )
    return cube


def _errors(axis: Axes, table: pd.DataFrame) -> list[Line2D | Patch]:
    """Draw the error of each forecast against the trained singular value; handles for a legend."""
    handles: list[Line2D | Patch] = []
    for value, colour, label in (
        (0, COLOURS["orange"], "singular values elsewhere"),
        (1, COLOURS["blue"], "singular values at the global minimum"),
    ):
        dots: LineStyle = {"color": colour, "marker": "o", "markersize": 2.5, "linestyle": "", "label": label}
        part = table[table["at_minimum"] == value]
        error = abs(part["singular_values"] - part["forecast"]).clip(lower=ROUNDING)
        style: LineStyle = {"alpha": 0.4, "markeredgewidth": 0, "rasterized": True}
        axis.plot(part["singular_values"].clip(lower=ROUNDING), error, **dots, **style)
        handles.append(Line2D([], [], **dots))
    axis.set(xscale="log", yscale="log", xlim=(ROUNDING / 3, None), ylim=(ROUNDING / 3, None))
    axis.xaxis.set_major_locator(LogLocator(numticks=6))
    axis.axline((1e-3, 1e-3), (1, 1), color="black", linewidth=0.6)
    handles.append(Line2D([], [], color="black", linewidth=0.6, label="the forecast is 0"))
    axis.set(xlabel="trained singular value, all layers", ylabel="|trained $-$ forecast|")
    return handles


def _ranks(
    axis: Axes, cube: xr.Dataset, scales: Mapping[str, LogScale], colours: str
) -> tuple[QuadMesh, list[Line2D | Patch]]:
    """Draw the plane of ranks with its marks; its mesh, and the handles of the marks."""
    rank = cube["critical_rank"].mean("seed").transpose("weight_decay", "sigma")
    edges = scales["sigma"].edges, scales["weight_decay"].edges
    mesh = axis.pcolormesh(
        *edges, np.ma.masked_invalid(rank.values), cmap=colour_map(colours), vmin=0, rasterized=True
    )
    axis.patch.set(**UNKNOWN)
    masks = status_masks(cube)
    marks = {
        "elsewhere": (ELSEWHERE, (cube["at_minimum"] == 0) & masks["converged"]),
        "stopped": (MARKS["stopped"], masks["stopped"] & ~masks["diverged"]),
        "diverged": (MARKS["diverged"], masks["diverged"]),
        "collapsed_to_zero": (MARKS["collapsed_to_zero"], masks["collapsed_to_zero"]),
    }
    handles: list[Line2D | Patch] = []
    for mark, cells in marks.values():
        marked = cells.any("seed").stack(cell=("weight_decay", "sigma"))
        marked = marked[marked.values]
        if len(marked):
            axis.plot(
                scales["sigma"](marked["sigma"]), scales["weight_decay"](marked["weight_decay"]), **mark
            )
            handles.append(Line2D([], [], **mark))
    if rank.isnull().any():
        handles.append(Patch(label="no seed has a rank", **UNKNOWN))
    return mesh, handles
