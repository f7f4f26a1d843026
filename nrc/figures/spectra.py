"""The spectra of all layers, and their class WCSS, through training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nrc.figures.cube import endings, only, require, squeezed
from nrc.figures.style import colours, from_zero
from nrc.flags import flag_masks
from nrc.grid import notation
from nrc.theory.spectra import relative_tail

__all__ = ["draw", "rows", "summary"]

TAIL, WCSS = "relative tail", "class WCSS"
# Spectra in a panel at most: more cannot be told apart.
LOOKS = 21


def rows(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> pd.DataFrame:
    """The numbers drawn, medians over the seeds that have them.

    Parameters
    ----------
    cubes : mapping
        One cube of measures with snapshots, of one sigma, one width and one depth.
    options : mapping

    Returns
    -------
    DataFrame
        Rows of two panels: the relative tail of each layer (its number `layer`) for each `index`, at
        21 snapshots at most, the first and the last among them; and the class WCSS of each space
        (`layer` k for z^k) at all snapshots; `value` for each weight decay and `snapshot`.

    Raises
    ------
    ValueError
        If there are several sigmas, widths or depths, or no snapshots.
    """
    cube = _cube(cubes)
    chosen = np.unique(np.linspace(0, cube.sizes["snapshot"] - 1, LOOKS).round().astype(int))
    tail = _tails(cube["snapshot_singular_values"].isel(snapshot=chosen)).median("seed")
    wcss = cube["snapshot_wcss"].median("seed")
    tables = {
        TAIL: tail.rename("value").to_dataframe().reset_index(),
        WCSS: wcss.rename("value").to_dataframe().reset_index().rename(columns={"source": "layer"}),
    }
    table = pd.concat(tables, names=["panel"]).droplevel(1).reset_index().dropna(subset="value")
    columns = ["panel", "weight_decay", "layer", "snapshot", "index", "value"]
    return table[columns].astype({"index": "Int64"}).reset_index(drop=True)


def draw(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> Figure:
    """Draw a column for each weight decay: a row for each layer, and the class WCSS below.

    Parameters
    ----------
    cubes : mapping
        As in `rows`.
    options : mapping
        `colour_map`: its light end is the start of training.
    """
    cube, table = _cube(cubes), rows(cubes, options)
    decays, layers = cube["weight_decay"].values, cube["layer"].values
    tails, wcss = (table[table["panel"] == panel] for panel in (TAIL, WCSS))
    wcss = wcss[wcss["layer"] > 0]
    looks, spaces = sorted(tails["snapshot"].unique()), sorted(wcss["layer"].unique())
    shades = dict(zip(looks, colours(options["colour_map"], len(looks), 0.2, 1.0), strict=True))
    hues = dict(
        zip(spaces, colours("viridis", len(spaces), 1 / len(layers), len(spaces) / len(layers)), strict=True)
    )
    figure = Figure(figsize=(1.0 + 1.6 * max(2, len(decays)), 1.0 + 1.15 * (len(layers) + 1)))
    axes = figure.subplots(len(layers) + 1, len(decays), squeeze=False, sharey="row")
    for column, weight_decay, said in zip(axes.T, decays, _titles(cube), strict=True):
        column[0].set_title(said)
        for axis, layer in zip(column[:-1], layers, strict=True):
            part = tails[(tails["weight_decay"] == weight_decay) & (tails["layer"] == layer)]
            # the tail beyond the last singular value is 0
            part = part[part["index"] < part["index"].max()].astype({"index": int})
            _lines(axis, part, "index", "snapshot", shades, linewidth=0.7)
            axis.set(yscale="log", ylim=(1e-3, 1.2), xlabel="", ylabel="")
        part = wcss[wcss["weight_decay"] == weight_decay]
        _lines(column[-1], part, "snapshot", "layer", hues)
        column[-1].set(xlabel="passes", ylabel="")
        column[-2].set_xlabel(r"$r$")
    for axis, layer in zip(axes[:-1, 0], layers, strict=True):
        axis.set_ylabel(f"layer {layer}\ntail beyond $r$")
    axes[-1, 0].set_ylabel(WCSS)
    from_zero(*axes[-1])
    handles = [
        Line2D([], [], color=shades[look], label=f"pass {look}") for look in sorted({*looks[:1], *looks[-1:]})
    ]
    handles += [Line2D([], [], color=hues[space], label=rf"$z^{{{space}}}$") for space in spaces]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3 * len(decays)))
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a caption tells: how many looks there are, and how the networks ended.

    Returns
    -------
    dict
        That of `cube.endings`; the numbers of `looks` and of those `drawn`; `residual`, the least
        and the largest relative residual.
    """
    cube, residual = _cube(cubes), only(cubes)["relative_residual"]
    return {
        **endings(cube),
        "looks": cube.sizes["snapshot"],
        "drawn": min(LOOKS, cube.sizes["snapshot"]),
        "residual": (float(residual.min()), float(residual.max())),
    }


def _cube(cubes: Mapping[str, xr.Dataset]) -> xr.Dataset:
    cube = only(cubes)
    names = ("snapshot_singular_values", "snapshot_wcss")
    require(cube, names, "training takes snapshots where training.look_every is set")
    return squeezed(cube, "sigma", "width", "depth").drop_vars(["sigma", "width", "depth"])


def _lines(axis: Axes, table: pd.DataFrame, x: str, hue: str, palette: Mapping, **look) -> None:
    # of no network left there is nothing to draw, and seaborn warns of a palette for nothing
    if len(table):
        sns.lineplot(
            table, x=x, y="value", hue=hue, palette=palette, estimator=None, legend=False, ax=axis, **look
        )


def _tails(s: xr.DataArray) -> xr.DataArray:
    s = s.transpose(..., "index")
    return s.copy(data=relative_tail(s.fillna(0).values)).where(s.notnull())


def _titles(cube: xr.Dataset) -> list[str]:
    """Of each column: the weight decay, and how many seeds are not stationary at the end."""
    converged = flag_masks(cube["status"])["converged"].sum("seed").values
    return [
        rf"$\lambda={notation(decay)}$" + f"\n{count} of {cube.sizes['seed']} converged"
        for decay, count in zip(cube["weight_decay"].values, converged, strict=True)
    ]
