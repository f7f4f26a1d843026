"""Figures 4 and 5: a measure of rank against the width or the depth of the networks."""

import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure

from nrc.grid import notation
from nrc.store import count_flags

__all__ = ["NAMES", "draw", "numbers", "rank_of", "summary"]

NAMES = {
    "stable_rank": "stable rank",
    "numerical_rank": "numerical rank",
    "effective_rank": "effective rank",
    "relative_distance": "relative distance to rank K",
    "mp_soft_rank": "Marchenko-Pastur soft rank",
}


def rank_of(measures: xr.Dataset, name: str, along: str) -> xr.DataArray:
    """The rank of the intermediate matrix against width, or its mean over layers against depth.

    Parameters
    ----------
    measures : Dataset
        Cube of an experiment.
    name : str
        A key of `NAMES`.
    along : {"width", "depth"}

    Returns
    -------
    DataArray
        Dimensions weight_decay, `along`, seed.

    Raises
    ------
    ValueError
        If the other of width and depth has several values.
    """
    other = {"width": "depth", "depth": "width"}[along]
    if measures.sizes[other] != 1:
        raise ValueError(f"ranks are drawn against {along} for one {other}; give the grid one {other}")
    ranks = measures[name].squeeze([other, "sigma"], drop=True)
    # networks of fewer layers have none beyond: missing, and not in the mean
    ranks = ranks.mean("layer") if along == "depth" else ranks.sel(layer=middle(measures))
    return ranks.transpose("weight_decay", along, "seed")


def middle(measures: xr.Dataset) -> int:
    """The intermediate matrix: the layer in the middle, the lower of two."""
    return (int(measures.sizes["layer"]) + 1) // 2


def numbers(measures: xr.Dataset, along: str, ranks: list[str]) -> pd.DataFrame:
    """The numbers drawn: median, least and largest over seeds for each measure and weight decay."""
    tables = []
    for name in ranks:
        rank = rank_of(measures, name, along)
        table = xr.Dataset(
            {"median": rank.median("seed"), "least": rank.min("seed"), "largest": rank.max("seed")}
        )
        tables.append(table.to_dataframe().reset_index().assign(measure=name))
    return pd.concat(tables, ignore_index=True)[
        ["measure", "weight_decay", along, "median", "least", "largest"]
    ]


def draw(measures: xr.Dataset, *, along: str, ranks: list[str], colour_map: str) -> Figure:
    """Draw a panel for each measure: a curve for each weight decay, seeds as bands.

    Parameters
    ----------
    measures, along
        As in `rank_of`.
    ranks : list of str
        Keys of `NAMES`.
    colour_map : str
        Name of a matplotlib colour map.
    """
    table = numbers(measures, along, ranks)
    columns = min(2, len(ranks))
    rows = -(-len(ranks) // columns)
    figure = Figure(figsize=(1.2 + 2.9 * columns, 0.6 + 2.3 * rows))
    axes = figure.subplots(rows, columns, squeeze=False).flat
    decays = sorted(table["weight_decay"].unique())
    for axis, name in zip(axes, ranks, strict=False):
        for number, weight_decay in enumerate(decays):
            colour = colormaps[colour_map](0.85 * number / max(1, len(decays) - 1))
            curve = table[(table["measure"] == name) & (table["weight_decay"] == weight_decay)]
            axis.fill_between(
                curve[along], curve["least"], curve["largest"], color=colour, alpha=0.25, linewidth=0
            )
            axis.plot(
                curve[along], curve["median"], color=colour, marker="o",
                label=rf"$\lambda={notation(weight_decay)}$",
            )  # fmt: skip
        values = sorted(table[along].unique())
        if along == "width":
            axis.set_xscale("log", base=2)
        axis.set_xticks(values, [str(value) for value in values])
        axis.minorticks_off()
        axis.set(xlabel=f"{along} of the network", ylabel=NAMES[name], ylim=(0, None))
    for axis in list(axes)[len(ranks) :]:
        axis.set_visible(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(decays))
    return figure


def summary(measures: xr.Dataset) -> dict[str, object]:
    """What a caption tells: how the networks ended."""
    residual = measures["relative_residual"]
    return {
        "cells": measures["status"].size,
        **count_flags(measures),
        "seeds": measures.sizes["seed"],
        "middle": middle(measures),
        "residual": (float(residual.min()), float(residual.max())),
        "test_accuracy": (float(measures["test_accuracy"].min()), float(measures["test_accuracy"].max())),
    }
