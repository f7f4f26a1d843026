"""Figure 3: the spectra of all layers, and their class WCSS, through training."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nrc.grid import notation
from nrc.spectra import relative_tail
from nrc.store import count_flags

__all__ = ["draw", "numbers", "summary"]

TAIL, WCSS = "relative tail", "class WCSS"


def numbers(measures: xr.Dataset) -> pd.DataFrame:
    """The numbers drawn, medians over seeds.

    Parameters
    ----------
    measures : Dataset
        Cube of an experiment with snapshots, of one width and one depth.

    Returns
    -------
    DataFrame
        Rows of two panels: the relative tail of each layer (its number `layer`) for each `index`,
        and the class WCSS of each space (`layer` k for z^k); `value` for each weight decay and
        `snapshot`.

    Raises
    ------
    ValueError
        If there are several widths or depths.
    """
    cube = _one(measures)
    tail = _tails(cube).median("seed").rename("value").to_dataframe().dropna().reset_index()
    wcss = cube["snapshot_wcss"].median("seed").rename("value").to_dataframe().reset_index()
    tables = {TAIL: tail, WCSS: wcss.rename(columns={"source": "layer"})}
    table = pd.concat(tables, names=["panel"]).droplevel(1).reset_index()
    return table[["panel", "weight_decay", "layer", "snapshot", "index", "value"]].astype({"index": "Int64"})


def draw(measures: xr.Dataset, *, colour_map: str) -> Figure:
    """Draw a column for each weight decay: a row for each layer, and the class WCSS below.

    Parameters
    ----------
    measures : Dataset
        As in `numbers`.
    colour_map : str
        Name of a matplotlib colour map: its light end is the start of training.
    """
    table = numbers(measures)
    decays, layers = sorted(table["weight_decay"].unique()), sorted(measures["layer"].values)
    figure = Figure(figsize=(1.0 + 1.6 * len(decays), 1.0 + 1.15 * (len(layers) + 1)))
    axes = figure.subplots(len(layers) + 1, len(decays), squeeze=False, sharey="row")
    epochs = sorted(table["snapshot"].unique())
    shades = dict(zip(epochs, colormaps[colour_map](np.linspace(0.2, 1, len(epochs))), strict=True))
    for column, weight_decay in zip(axes.T, decays, strict=True):
        of_decay = table[table["weight_decay"] == weight_decay]
        column[0].set_title(rf"$\lambda={notation(weight_decay)}$")
        for axis, layer in zip(column[:-1], layers, strict=True):
            part = of_decay[(of_decay["panel"] == TAIL) & (of_decay["layer"] == layer)]
            for epoch, curve in part.groupby("snapshot"):
                # the tail beyond the last singular value is 0
                axis.plot(curve["index"][:-1], curve["value"][:-1], color=shades[epoch], linewidth=0.7)
            axis.set(yscale="log", ylim=(1e-3, 1.2))
        for source, curve in of_decay[of_decay["panel"] == WCSS].groupby("layer"):
            if source > 0:
                colour = colormaps["viridis"](source / len(layers))
                column[-1].plot(curve["snapshot"], curve["value"], color=colour, label=rf"$z^{source}$")
        column[-1].set(xlabel="epoch")
        column[-2].set_xlabel(r"$r$")
    axes[-1, 0].set_ylim(0, None)
    for axis, layer in zip(axes[:-1, 0], layers, strict=True):
        axis.set_ylabel(f"layer {layer}\ntail beyond $r$")
    axes[-1, 0].set_ylabel("class WCSS")
    handles = [
        Line2D([], [], color=shades[epoch], label=f"epoch {epoch}") for epoch in (epochs[0], epochs[-1])
    ]
    figure.legend(
        handles=[*handles, *axes[-1, 0].get_legend_handles_labels()[0]],
        loc="outside lower center",
        ncols=len(layers) + 2,
    )
    return figure


def summary(measures: xr.Dataset) -> dict[str, object]:
    """What a caption tells: sizes, accuracies, and how far from stationary the networks end."""
    cube = _one(measures)
    return {
        "width": int(cube["width"]),
        "depth": int(cube["depth"]),
        "seeds": cube.sizes["seed"],
        "cells": cube["status"].size,
        **count_flags(cube),
        **{
            f"{name}_accuracy": (float(cube[f"{name}_accuracy"].min()), float(cube[f"{name}_accuracy"].max()))
            for name in ("train", "test")
        },
        "residual": (float(cube["relative_residual"].min()), float(cube["relative_residual"].max())),
    }


def _one(measures: xr.Dataset) -> xr.Dataset:
    for axis in ("width", "depth"):
        if measures.sizes[axis] != 1:
            raise ValueError(
                f"figure 3 draws one {axis}, but the grid has {measures.sizes[axis]}; give it one"
            )
    return measures.squeeze(["width", "depth", "sigma"])


def _tails(cube: xr.Dataset) -> xr.DataArray:
    s = cube["snapshot_singular_values"]
    order = [*(dim for dim in s.dims if dim != "index"), "index"]
    s = s.transpose(*order)
    return s.copy(data=relative_tail(s.fillna(0).values)).where(s.notnull())
