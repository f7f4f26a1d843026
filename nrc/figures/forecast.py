"""Linear networks: the singular values of every layer forecast before training, against those trained."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nrc.figures.style import COLOURS, cell_edges, log_axis
from nrc.store import count_flags

__all__ = ["draw", "numbers", "summary"]


def numbers(measures: xr.Dataset) -> pd.DataFrame:
    """The numbers drawn: a row for each cell, layer and position in the spectrum."""
    cube = measures.squeeze(["width", "depth"], drop=True)
    names = ["forecast", "singular_values", "at_minimum", "critical_rank", "forecast_rank", "transition"]
    columns = ["weight_decay", "sigma", "seed", "layer", "index"]
    rows = cube[names].to_dataframe(dim_order=columns).dropna(subset="forecast").reset_index()
    return rows[[*columns, *names]]


def draw(measures: xr.Dataset, *, clusters: int, colour_map: str) -> Figure:
    """Draw forecast against trained singular values, and the plane of trained ranks with the forecast line.

    Parameters
    ----------
    measures : Dataset
        Cube of linear networks with the penalty on the factors, of one width and one depth.
    clusters : int
        K.
    colour_map : str
        Name of a matplotlib colour map.

    Raises
    ------
    ValueError
        If the grid has a sigma or weight decay of 0: the plane's axes are logarithmic.
    """
    for axis in ("sigma", "weight_decay"):
        if (measures[axis] <= 0).any():
            raise ValueError(
                f"the figure of forecasts has logarithmic axes and cannot draw {axis} 0; take it off the grid"
            )
    rows = numbers(measures)
    figure = Figure(figsize=(7.2, 3.6))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
    for value, colour, label in (
        (0, COLOURS["orange"], "at another critical point"),
        (1, COLOURS["blue"], "at the global minimum"),
    ):
        part = rows[rows["at_minimum"] == value]
        left.plot(
            part["forecast"], part["singular_values"], color=colour, marker="o", markersize=2.5, linestyle="",
            alpha=0.4, markeredgewidth=0, rasterized=True, label=label,
        )  # fmt: skip
    left.axline((0, 0), slope=1, color="black", linewidth=0.6)
    left.set(xlabel="singular values forecast, all layers", ylabel="trained")
    left.set_aspect("equal")
    left.legend(loc="upper left", markerscale=2)

    cube = measures.squeeze(["width", "depth"], drop=True)
    rank = cube["critical_rank"].mean("seed").transpose("weight_decay", "sigma")
    mesh = right.pcolormesh(
        cell_edges(rank["sigma"].values), cell_edges(rank["weight_decay"].values), rank.values,
        cmap=colour_map, vmin=0, rasterized=True,
    )  # fmt: skip
    line = cube["transition"].isel(weight_decay=0).mean("seed")
    right.plot(line["sigma"], line, color=COLOURS["red"])
    elsewhere = (cube["at_minimum"] == 0).any("seed").stack(cell=("weight_decay", "sigma"))
    marked = elsewhere[elsewhere.values]
    right.plot(
        marked["sigma"], marked["weight_decay"], marker="o", color="black", markerfacecolor="white",
        markeredgewidth=0.6, linestyle="",
    )  # fmt: skip
    limits = cell_edges(rank["weight_decay"].values)
    right.set(xscale="log", yscale="log", ylim=(limits[0], limits[-1]), xlabel=r"noise level $\sigma$")
    right.set_ylabel(r"weight decay $\lambda$")
    log_axis(right.xaxis)
    log_axis(right.yaxis)
    figure.colorbar(mesh, ax=right, label="rank of the trained product, mean over seeds")
    handles = [
        Line2D([], [], color=COLOURS["red"], label=rf"forecast: below the line rank $>{clusters}$"),
        Line2D([], [], marker="o", color="black", markerfacecolor="white", markeredgewidth=0.6, linestyle="",
               label="a seed not at the global minimum"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower right", ncols=2)
    return figure


def summary(measures: xr.Dataset) -> dict[str, object]:
    """What a caption tells: how the cells ended, and how far the forecast is off."""
    error = np.abs(measures["forecast"] - measures["singular_values"]).max(["layer", "index"])
    at_minimum = measures["at_minimum"] == 1
    return {
        "cells": measures["status"].size,
        **count_flags(measures),
        "elsewhere": int((~at_minimum).sum()),
        "lower": int((measures["critical_rank"] < measures["forecast_rank"]).sum()),
        "higher": int((measures["critical_rank"] > measures["forecast_rank"]).sum()),
        "largest_error": float(error.where(at_minimum).max()),
        "largest_distance": float(measures["critical_distance"].max()),
    }
