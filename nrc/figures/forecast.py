"""Singular values of every layer of linear networks, forecast before training, against the trained ones."""

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

from nrc.fields import linear_autoencoders
from nrc.figures.cube import only, require, squeezed, status_counts
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.style import COLOURS, MARKS, UNKNOWN, LineStyle, LogScale, colour_map
from nrc.objectives.penalties import ridge
from nrc.options import Requirement
from nrc.status import status_masks

__all__ = ["Options", "draw", "rows", "summary"]

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
    """Draw forecast against trained singular values, and the plane of trained ranks with the forecast line.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube}, Options(of=["made_up"]))
    >>> len(figure.axes)  # dots, the plane and its colours
    3
    """
    cube = _cube(cubes)
    figure = Figure(figsize=(7.2, 3.6))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
    _singular_values(left, rows(cubes, options))
    scales = {axis: LogScale(cube[axis]) for axis in ("sigma", "weight_decay")}
    mesh, handles = _ranks(right, cube, scales, options.colour_map)
    if "transition" in cube:
        line = cube["transition"].max("weight_decay").mean("seed")
        right.plot(scales["sigma"](line["sigma"]), line.where(line > 0), color=COLOURS["red"])
        label = rf"forecast: below the line rank $>{cube.attrs['clusters']}$"
        handles = [Line2D([], [], color=COLOURS["red"], label=label), *handles]
    right.set(xlim=scales["sigma"].edges[[0, -1]], ylim=scales["weight_decay"].edges[[0, -1]])
    right.set(xlabel=r"noise level $\sigma$", ylabel=r"weight decay $\lambda$")
    scales["sigma"].label(right.xaxis)
    scales["weight_decay"].label(right.yaxis)
    figure.colorbar(mesh, ax=right, label="rank of the trained product, mean over seeds")
    figure.legend(handles=handles, loc="outside lower right", ncols=2)
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


def _singular_values(axis: Axes, table: pd.DataFrame) -> None:
    dots: LineStyle = {"marker": "o", "markersize": 2.5, "linestyle": "", "alpha": 0.4, "markeredgewidth": 0}
    for value, colour, label in (
        (0, COLOURS["orange"], "not at the global minimum"),
        (1, COLOURS["blue"], "at the global minimum"),
    ):
        part = table[table["at_minimum"] == value]
        axis.plot(
            part["forecast"], part["singular_values"], color=colour, label=label, rasterized=True, **dots
        )
    axis.axline((0, 0), slope=1, color="black", linewidth=0.6)
    axis.set(xlabel="singular values forecast, all layers", ylabel="trained")
    axis.set_aspect("equal")
    axis.legend(loc="upper left", markerscale=2)


def _ranks(
    axis: Axes, cube: xr.Dataset, scales: Mapping[str, LogScale], colours: str
) -> tuple[QuadMesh, list[Line2D | Patch]]:
    """Draw the plane of ranks with its marks; its mesh, and the handles of the marks."""
    rank = cube["critical_rank"].mean("seed").transpose("weight_decay", "sigma")
    edges = scales["sigma"].edges, scales["weight_decay"].edges
    mesh = axis.pcolormesh(
        *edges, np.ma.masked_invalid(rank.values), cmap=colour_map(colours), vmin=0, rasterized=True
    )
    axis.set(xscale="log", yscale="log")
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
