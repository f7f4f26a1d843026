"""Distance to rank K of every layer of every cell, against the bounds of Theorem 3.4."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nrc.figures.cube import endings, only, require
from nrc.figures.style import COLOURS, LogScale, Look, colour_map
from nrc.flags import flag_masks
from nrc.grid import AXES

__all__ = ["draw", "rows", "summary"]

BOUNDS = {
    "bound_measured": r"measured bound $(\|r_\ell\| + \mathrm{gap})\,/\,\lambda$",
    "bound_projected": r"sharpened bound $\|(I-P)\,W_\ell\|$",
    "bound_segments": r"bound along segments $(\|r_\ell\| + \frac{1}{2}\sup\|g''\|)\,/\,\lambda$",
    "bound_analytic": r"analytic bound $(\|r_\ell\| + \frac{M}{2}\mathrm{WCSS})\,/\,\lambda$",
}
MARKERS = "osD^vPX*<>"


def rows(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> pd.DataFrame:
    """The numbers drawn: a row for each cell and layer.

    Parameters
    ----------
    cubes : mapping
        One cube of measures.
    options : mapping

    Returns
    -------
    DataFrame
        The axes, `layer`, `status`, `distance` to rank K, and each bound, the least over sources and
        partitions; missing where the theorem is void.

    Raises
    ------
    ValueError
        If the cube has no bounds.

    Examples
    --------
    >>> table = rows({"made up": cube}, {})
    >>> len(table), table["layer"].unique().tolist()
    (36, [1, 2, 3])
    """
    cube = only(cubes)
    require(cube, BOUNDS, "Theorem 3.4 is about a penalty on the factors")
    ended = flag_masks(cube["status"])
    status = np.select(list(ended.values()), list(ended), default="")
    dataset = xr.Dataset(
        {
            "status": (cube["status"].dims, status),
            "distance": cube["distance"],
            **{name: cube[name].min("source") for name in BOUNDS},
        }
    )
    table = dataset.to_dataframe(dim_order=[*AXES, "layer"]).dropna(subset="distance").reset_index()
    return table[[*AXES, "layer", *dataset.data_vars]]


def draw(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> Figure:
    """Draw distance against bound, a panel for each bound that there is, logarithmic on both axes.

    The colour is the noise level or, where there is one alone, the weight decay.

    Parameters
    ----------
    cubes : mapping
        As in `rows`.
    options : mapping
        `colour_map`.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube}, {"colour_map": "viridis"})
    >>> [axis.get_visible() for axis in figure.axes[:4]]
    [True, True, True, True]
    """
    cube, table = only(cubes), rows(cubes, options)
    table = table[_drawn(table)]
    coloured = "sigma" if cube.sizes["sigma"] > 1 else "weight_decay"
    bounds = [name for name in BOUNDS if table[name].notna().any()] or ["bound_measured"]
    columns, lines = (len(bounds), 1) if len(bounds) < 3 else (2, -(-len(bounds) // 2))
    figure = Figure(figsize=(1.2 + 3.0 * columns, 0.8 + 2.9 * lines))
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(bounds) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, bounds, strict=False):
        points = _scatter(axis, table, name, cube[coloured], colour_map(options["colour_map"]))
        _diagonal(axis, table["distance"])
        axis.set_xlabel(BOUNDS[name])
        axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel(rf"$\mathrm{{dist}}(W_\ell,\mathcal{{M}}_{{{cube.attrs['clusters']}}})$")
    label = {"sigma": r"noise level $\sigma$", "weight_decay": r"weight decay $\lambda$"}[coloured]
    bar = figure.colorbar(points, ax=axes, label=label, pad=0.01)
    LogScale(cube[coloured]).label(bar.ax.yaxis)
    marker: Look = {"linestyle": "", "color": "0.4"}
    layers = [
        Line2D([], [], marker=MARKERS[place % 10], label=f"layer {layer}", **marker)
        for place, layer in enumerate(_layers(table))
    ]
    stopped = (table["status"] == "stopped").any()
    rim: Look = {"markerfacecolor": "none", "markeredgecolor": COLOURS["red"], "linestyle": ""}
    handles = [
        *layers,
        *([Line2D([], [], marker="o", label="stopped, not stationary", **rim)] if stopped else []),
        Line2D([], [], color="black", linewidth=0.8, label="equality"),
    ]
    in_a_line = 3 if columns == 1 else min(len(handles), 6)
    figure.legend(handles=handles, loc="outside lower center", ncols=in_a_line, columnspacing=1.2)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a caption tells: how many layers are drawn and how many not, and the room in each bound.

    Returns
    -------
    dict
        That of `cube.endings`, `clusters`, the numbers of `layers`, `drawn` and `void` ones, and
        `room`, the median of bound over distance for each bound that there is.

    Examples
    --------
    >>> facts = summary({"made up": cube}, {})
    >>> facts["clusters"], facts["layers"], facts["void"]
    (2, 36, 0)
    """
    cube, table = only(cubes), rows(cubes, options)
    drawn = table[_drawn(table)]
    room = {name: (drawn[name] / drawn["distance"]).median() for name in BOUNDS}
    return {
        **endings(cube),
        "clusters": cube.attrs["clusters"],
        "layers": len(table),
        "drawn": len(drawn),
        "void": int(table["bound_measured"].isna().sum()),
        "room": {name: float(ratio) for name, ratio in room.items() if not np.isnan(ratio)},
    }


def _drawn(table: pd.DataFrame) -> pd.Series:
    """Logarithmic axes have no place for 0."""
    return (table["distance"] > 0) & (table["bound_measured"] > 0)


def _layers(table: pd.DataFrame) -> list[int]:
    return sorted(table["layer"].unique())


def _scatter(
    axis: Axes, table: pd.DataFrame, bound: str, coloured: xr.DataArray, colours: Colormap
) -> PathCollection:
    """Points, coloured by an axis of the grid."""
    scale = LogScale(coloured)
    ends = scale(scale.values) if len(scale.values) > 1 else scale.edges
    look: Look = {"norm": LogNorm(ends[0], ends[-1]), "cmap": colours, "s": 9, "linewidths": 0.6}
    points = axis.scatter([], [], c=[], **look)
    for place, layer in enumerate(_layers(table)):
        of_layer = table[table["layer"] == layer]
        points = axis.scatter(
            of_layer[bound],
            of_layer["distance"],
            c=scale(of_layer[coloured.name]),
            marker=MARKERS[place % 10],
            edgecolors=np.where(of_layer["status"] == "stopped", COLOURS["red"], "none").tolist(),
            **look,
        )
    return points


def _diagonal(axis: Axes, distance: pd.Series) -> None:
    if len(distance):
        ends = [distance.min(), distance.max()]
        axis.plot(ends, ends, color="black", linewidth=0.8)
        axis.set(xscale="log", yscale="log")
    else:
        axis.text(0.5, 0.5, "no layer has both above 0", ha="center", transform=axis.transAxes)
