"""How the distance of collapsed layers to rank K grows with the noise and falls with weight decay."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType
from pydantic import Field

from nrc.claims.statistics import rate
from nrc.figures.cube import chosen_layer, only, over_seeds, require, squeezed, status_counts
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.style import OF_SIGMA, Colour, LineStyle, band, colours, letters, log_axis, spread
from nrc.options import Requirement, equal, positive
from nrc.student_interval import student_interval

__all__ = ["Options", "draw", "rows", "summary"]

# The largest number of curves in a panel.
CURVES = 5
# For each variable along x: its label, the expected slope, and the axis with a curve for each value.
ALONG = {
    "sigma": (r"noise level $\sigma$", 2, "weight_decay"),
    "tcv": ("TCV of the space before the layer", 1, "weight_decay"),
    "weight_decay": (r"weight decay $\lambda$", -1, "sigma"),
    "tcv_over_decay": (r"$\mathrm{TCV}\,/\,\lambda$", 1, "weight_decay"),
}


class Options(FigureOptions):
    """Distance of collapsed layers to rank K against sigma, TCV and weight decay, with expected slopes."""

    requires = (
        one_architecture,
        Requirement({"network.kind": equal("mlp"), "grid.sigma": positive, "grid.weight_decay": positive}),
    )

    layer: int | None = Field(None, ge=1, description="layer to draw, or null for the middle one")


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, for all layers, with a row for each layer, weight decay and sigma.

    Parameters
    ----------
    cubes : mapping
        One cube of measures, of one width and one depth.

    Returns
    -------
    DataFrame
        `tcv`, the TCV of the space before the layer for the best partition found, and `tcv_over_decay`, its
        ratio to weight decay, medians over seeds; median, minimum and maximum of `distance` to rank K over
        seeds; only where each seed is among the points of the statistic `rate`.

    Raises
    ------
    ValueError
        If there are several widths or depths, or a sigma or weight decay is 0.

    Examples
    --------
    >>> collapsed = cube.assign(relative_distance=0 * cube["distance"])
    >>> table = rows({"made up": collapsed}, Options(of=["made_up"]))
    >>> table.columns[:5].tolist()
    ['layer', 'weight_decay', 'sigma', 'tcv', 'tcv_over_decay']
    """
    cells = _points(cubes)
    cells = cells.where(cells["distance"].notnull().all("seed"))
    table = {
        **{name: cells[name].median("seed") for name in ("tcv", "tcv_over_decay")},
        **over_seeds("distance", cells["distance"]),
    }
    order = ["layer", "weight_decay", "sigma"]
    frame = xr.Dataset(table).to_dataframe(dim_order=order).reset_index()
    return frame.dropna(subset="distance")[[*order, *table]].reset_index(drop=True)


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw the distance of one layer, with a panel for each variable and lines of the expected slopes.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube}, Options(of=["made_up"]))
    >>> len(figure.axes)
    4
    """
    layer, table = chosen_layer(only(cubes), options.layer), rows(cubes, options)
    table = table[table["layer"] == layer]
    figure = Figure(figsize=(7.2, 5.6))
    axes = figure.subplots(2, 2, sharey=True)
    maps = {"weight_decay": options.colour_map, "sigma": OF_SIGMA}
    shades: dict[str, dict[float, Colour]] = {}
    for curve, name in maps.items():
        values = np.unique(table[curve])
        values = values[spread(len(values), CURVES)] if len(values) else values
        shades[curve] = dict(zip(values.tolist(), colours(name, len(values)), strict=True))
    for axis, (along, (label, slope, curve)) in zip(axes.flat, ALONG.items(), strict=True):
        axis.set(xscale="log", yscale="log", xlabel=label)
        _curves(axis, table, along, curve, shades[curve])
        _guide(axis, table, along, slope)
        log_axis(axis.xaxis)
    for axis in axes[:, 0]:
        axis.set_ylabel(f"distance to rank $K$, layer {layer}")
    letters(axes.flat)
    symbols = {"weight_decay": r"\lambda", "sigma": r"\sigma"}
    handles = [
        Line2D([], [], color=shade, marker="o", label=f"${symbols[curve]}={value:.2g}$")
        for curve in symbols
        for value, shade in shades[curve].items()
    ]
    guide = Line2D([], [], color="black", linestyle=":", label="expected slope: 2, 1, $-1$ and 1")
    figure.legend(handles=[*handles, guide], loc="outside lower center", ncols=CURVES, columnspacing=1.5)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: numbers of cells by status, and the slopes of every layer.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; `clusters`; `layer`, which is drawn; `points`, the number
        of layers of networks that count; `slopes`, for each layer and each of sigma, tcv and weight_decay
        (next to TCV) the mean exponent of the statistic `rate`, with the ends of its 95% interval over seeds.

    Examples
    --------
    >>> law = cube["sigma"] ** 2 / cube["weight_decay"] + 0 * cube["distance"]
    >>> collapsed = cube.assign(distance=law, relative_distance=0 * law)
    >>> facts = summary({"made up": collapsed}, Options(of=["made_up"]))
    >>> facts["points"], [round(end, 6) for end in facts["slopes"][2]["sigma"]]
    (24, [2.0, 2.0, 2.0])
    """
    cube = squeezed(only(cubes), "width", "depth")
    exponents = {
        "sigma": rate.exponents(cube, "sigma").sel(of_power="sigma"),
        **{name: rate.exponents(cube).sel(of_power=name) for name in ("tcv", "weight_decay")},
    }
    return {
        **status_counts(cube),
        "clusters": cube.attrs["clusters"],
        "layer": chosen_layer(only(cubes), options.layer),
        "points": int(_points(cubes)["distance"].count()),
        "slopes": {
            int(layer): {
                along: student_interval(values.sel(layer=layer)) for along, values in exponents.items()
            }
            for layer in cube["layer"].values
        },
    }


def _points(cubes: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Distance and TCV of each layer of each network, missing unless the layer has collapsed."""
    cube = squeezed(only(cubes), "width", "depth").drop_vars(["width", "depth"])
    require(cube, ("distance", "relative_distance", "tcv_upper"), "rates are of measured networks")
    for axis in ("sigma", "weight_decay"):
        if (cube[axis] <= 0).any():
            raise ValueError(f"the figure has logarithmic axes and cannot draw {axis} 0; select others by at")
    points = rate.points(cube)
    return points.assign(tcv_over_decay=points["tcv"] / points["weight_decay"])


def _curves(
    axis: Axes, table: pd.DataFrame, along: str, curve: str, shades: Mapping[float, ColorType]
) -> None:
    for value, colour in shades.items():
        part = table[table[curve] == value].sort_values(along)
        band(axis, part[along], part["distance_minimum"], part["distance_maximum"], colour)
        style: LineStyle = {"marker": "o", "linewidth": 0.8, "color": colour}
        axis.plot(part[along], part["distance"], **style)


def _guide(axis: Axes, table: pd.DataFrame, along: str, slope: int) -> None:
    """Draw a line of the expected slope below all points."""
    if len(table):
        x = np.array([table[along].min(), table[along].max()])
        below = (table["distance"] / table[along] ** slope).min() / 1.5
        axis.plot(x, below * x**slope, color="black", linestyle=":")
