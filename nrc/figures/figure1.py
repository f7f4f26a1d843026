"""Figure 1: relative distance to rank K over the plane of sigma and weight decay, and TCV of the data."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke

from nrc.figures.style import COLOURS, cell_edges, log_axis
from nrc.store import count_flags, flag_masks

__all__ = ["draw", "numbers", "plane", "summary", "variation"]

INPUTS = ("tcv_lower", "tcv_upper", "wcss_class", "wcss_bound", "wcss_quantile", "transition")

# Where no seed converged there is no number to draw.
UNKNOWN = {"facecolor": "white", "edgecolor": "0.6", "hatch": "/////"}
CERTIFIED = COLOURS["orange"]
FORECAST = {
    "color": "white",
    "linestyle": (0, (1, 1)),
    "path_effects": [Stroke(linewidth=2.2, foreground="black"), Normal()],
}
MARKS = {
    "stopped": {
        "marker": "o",
        "markerfacecolor": "white",
        "markeredgecolor": "black",
        "markeredgewidth": 0.6,
        "linestyle": "",
    },
    "dead": {"marker": "x", "color": "black", "markersize": 4, "linestyle": ""},
}


def numbers(measures: xr.Dataset) -> pd.DataFrame:
    """All numbers drawn: `plane` above `variation`, told apart by the column `panel`."""
    tables = {"plane": plane(measures), "variation": variation(measures)}
    return pd.concat(tables, names=["panel"]).droplevel(1).reset_index()


def plane(measures: xr.Dataset) -> pd.DataFrame:
    """The numbers of the heat maps: a row for each layer, sigma and weight decay.

    Parameters
    ----------
    measures : Dataset
        Cube of an experiment with one width and one depth.

    Returns
    -------
    DataFrame
        `relative_distance` is the mean over converged seeds, missing where there is none;
        `relative_distance_stopped` the mean over stopped seeds; `relative_bound` what the measured
        bound of Theorem 3.4 certifies of it in every seed; then the numbers of seeds that
        converged, stopped and died, and the worst relative residual of the live ones.

    Raises
    ------
    ValueError
        If the cube has several widths or depths, or a sigma or weight decay of 0.
    """
    cube = _one_plane(measures)
    ended = flag_masks(cube["status"])
    distance = cube["relative_distance"]
    norm = np.sqrt((cube["singular_values"] ** 2).sum("index"))
    table = xr.Dataset(
        {
            "relative_distance": distance.where(ended["converged"]).mean("seed"),
            "relative_distance_stopped": distance.where(ended["stopped"]).mean("seed"),
            "relative_bound": (cube["bound_measured"].min("source") / norm).max("seed"),
            **{name: mask.sum("seed") for name, mask in ended.items()},
            "worst_relative_residual": cube["relative_residual"].where(~ended["dead"]).max("seed"),
        }
    )
    rows = table.to_dataframe(dim_order=["layer", "sigma", "weight_decay"]).reset_index()
    return rows[["layer", "sigma", "weight_decay", *table.data_vars]].astype(
        dict.fromkeys(("layer", *ended), "Int64")
    )


def variation(measures: xr.Dataset) -> pd.DataFrame:
    """The numbers of the curves, mean over seeds: TCV of the data (x, x), its bracket and bounds.

    `transition` is the weight decay below which a linear network on these data learns more than K
    directions.
    """
    inputs = _one_plane(measures)[list(INPUTS)].sel(source=0).isel(weight_decay=0, drop=True)
    return inputs.mean("seed").to_dataframe().reset_index()[["sigma", *INPUTS]]


def draw(measures: xr.Dataset, *, clusters: int, dimension: int, colour_map: str, certified: float) -> Figure:
    """Draw Figure 1.

    Parameters
    ----------
    measures : Dataset
        As in `plane`.
    clusters, dimension : int
        K and d.
    colour_map : str
        Name of a matplotlib colour map.
    certified : float
        Relative distance to rank K at which to draw the line of the measured bound.
    """
    table, curves = plane(measures), variation(measures)
    layers = sorted(table["layer"].unique())
    columns = -(-len(layers) // 2)
    figure = Figure(figsize=(1.6 + 1.75 * columns + 2.2, 4.3))
    maps, right = figure.subfigures(1, 2, width_ratios=[0.6 + 1.75 * columns, 2.5])
    axes = maps.subplots(2, columns, sharex=True, sharey=True, squeeze=False)
    for axis, layer in zip(axes.flat, layers, strict=False):
        mesh = _heat_map(axis, table[table["layer"] == layer], colour_map)
        _certified_line(axis, table[table["layer"] == layer], certified)
        axis.plot(curves["sigma"], curves["transition"], **FORECAST)
        # the plane alone: beyond it there are no networks
        axis.set(
            **{
                f"{side}lim": cell_edges(np.sort(table[name].unique()))[[0, -1]]
                for side, name in (("x", "sigma"), ("y", "weight_decay"))
            }
        )
        axis.set_title(rf"layer {layer}")
    for axis in axes.flat[len(layers) :]:
        axis.set_visible(False)
    for axis in axes.flat[len(layers) - columns : len(layers)]:
        axis.set_xlabel(r"noise level $\sigma$")
        axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel(r"weight decay $\lambda$")
    maps.colorbar(
        mesh,
        ax=axes,
        location="top",
        shrink=0.8,
        aspect=40,
        label=rf"relative distance to rank $K={clusters}$,  "
        rf"$\mathrm{{dist}}(W_\ell,\mathcal{{M}}_{{{clusters}}})\,/\,\|W_\ell\|$",
    )
    _explain_marks(maps, certified)
    upper, lower = right.subplots(2, 1, sharex=True, height_ratios=[1.25, 1])
    _variation_curves(upper, curves, scale=1.0)
    upper.set(xscale="log", yscale="log", ylabel=r"$\mathrm{TCV}_{K,0}$ of $(x,x)$")
    right.legend(*upper.get_legend_handles_labels(), loc="outside lower center", ncols=2, columnspacing=1)
    _variation_curves(lower, curves, scale=2 * dimension * curves["sigma"] ** 2)
    lower.set(xlabel=r"noise level $\sigma$", ylabel=r"the same over $2\sigma^2 d$", ylim=(0, None))
    for axis in (*axes.flat, upper, lower):
        log_axis(axis.xaxis)
    for axis in (*axes.flat, upper):
        log_axis(axis.yaxis)
    return figure


def summary(measures: xr.Dataset) -> dict[str, float]:
    """What a caption tells: the grid's width, depth and seeds, and how the cells ended."""
    cube = _one_plane(measures)
    ended = flag_masks(cube["status"])
    return {
        "width": int(cube["width"]),
        "depth": int(cube["depth"]),
        "seeds": cube.sizes["seed"],
        "cells": cube["status"].size,
        **count_flags(cube),
        "worst_stopped": float(cube["relative_residual"].where(ended["stopped"]).max()),
    }


def _one_plane(measures: xr.Dataset) -> xr.Dataset:
    """The cube without its axes width and depth, fit for logarithmic axes."""
    for axis in ("width", "depth"):
        if measures.sizes[axis] != 1:
            values = ", ".join(map(str, measures[axis].values))
            raise ValueError(
                f"figure 1 draws one {axis}, but the grid has {values}; give the grid one {axis}"
            )
    for axis in ("sigma", "weight_decay"):
        if (measures[axis] <= 0).any():
            raise ValueError(f"figure 1 has logarithmic axes and cannot draw {axis} 0; take it off the grid")
    return measures.squeeze(["width", "depth"])


def _heat_map(axis: Axes, table: pd.DataFrame, colour_map: str):
    grid = table.pivot(index="weight_decay", columns="sigma", values="relative_distance").sort_index()
    mesh = axis.pcolormesh(
        cell_edges(grid.columns.to_numpy()),
        cell_edges(grid.index.to_numpy()),
        np.ma.masked_invalid(grid.to_numpy()),
        cmap=colour_map,
        vmin=0,
        vmax=1,
        rasterized=True,
    )
    axis.set(xscale="log", yscale="log")
    axis.patch.set(**UNKNOWN)
    for name, mark in MARKS.items():
        marked = table[table[name] > 0]
        axis.plot(marked["sigma"], marked["weight_decay"], **mark)
    return mesh


def _certified_line(axis: Axes, table: pd.DataFrame, certified: float) -> None:
    """The line left of and above which the measured bound is at most `certified`."""
    grid = table.pivot(index="weight_decay", columns="sigma", values="relative_bound").sort_index()
    logs = np.log(np.ma.masked_invalid(grid.to_numpy()) / certified)
    if min(grid.shape) > 1 and logs.min() < 0 < logs.max():
        axis.contour(grid.columns, grid.index, logs, levels=[0], colors=CERTIFIED, linewidths=1.2)


def _explain_marks(figure, certified: float) -> None:
    handles = [
        Line2D([], [], label="forecast for a linear network", **FORECAST),
        Line2D([], [], color=CERTIFIED, label=f"left of it, at most {certified:g} by Theorem 3.4"),
        Line2D([], [], label="a seed stopped, not stationary", **MARKS["stopped"]),
        Line2D([], [], label="a seed dead", **MARKS["dead"]),
        Patch(label="no seed converged", **UNKNOWN),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handletextpad=0.5, columnspacing=1.5)


def _variation_curves(axis: Axes, curves: pd.DataFrame, scale) -> None:
    sigma = curves["sigma"]
    lower, upper = curves["tcv_lower"] / scale, curves["tcv_upper"] / scale
    axis.fill_between(
        sigma, lower, upper, color=COLOURS["blue"], alpha=0.25, linewidth=0, label="TCV is in here"
    )
    axis.plot(sigma, upper, color=COLOURS["blue"], marker="o", label="best partition found")
    axis.plot(sigma, lower, color=COLOURS["blue"], marker="v", label="lower bound")
    axis.plot(
        sigma, curves["wcss_bound"] / scale, color=COLOURS["red"], linestyle="--", label="Proposition 4.1"
    )
    if curves["wcss_quantile"].notna().all():
        axis.plot(
            sigma,
            curves["wcss_quantile"] / scale,
            color=COLOURS["black"],
            linestyle=":",
            label=r"exact $\chi^2$ quantile",
        )
