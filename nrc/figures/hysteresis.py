"""Distances and objectives along sigma, of networks continued up and down and from initial weights."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator
from pydantic import Field

from nrc.figures import sweeps
from nrc.figures.cube import marked, over_seeds
from nrc.figures.options import SweepOptions
from nrc.figures.style import (
    COLOURS,
    MARKS,
    SADDLE,
    LineStyle,
    band,
    letters,
    log_axis,
    mark_handles,
    spread,
)
from nrc.figures.sweeps import DOWN, RANDOM, UP
from nrc.option_types import NonNegative, OneOrSeveral

__all__ = ["Options", "draw", "rows", "summary"]

STYLES: dict[str, LineStyle] = {
    RANDOM: {"color": "black", "marker": "o", "markersize": 2, "linewidth": 0.6},
    UP: {"color": COLOURS["blue"]},
    DOWN: {"color": COLOURS["orange"]},
}
FORECAST: LineStyle = {"color": "black", "linestyle": ":", "label": "forecast for a linear network"}
CROSSING: LineStyle = {
    "color": COLOURS["green"],
    "marker": "D",
    "markersize": 4,
    "linestyle": "",
    "label": "objectives of the sweeps cross, one per seed",
}
# The number of weight decays with curves if the options have none.
CURVES = 3
# The scale of relative differences of objectives is linear up to this value.
LINEAR = 0.01


class Options(SweepOptions):
    """Two branches of end points along sigma: distance to rank K, and difference of objectives."""

    weight_decays: Annotated[list[NonNegative], OneOrSeveral()] | None = Field(
        None,
        description="weight decays whose curves are drawn, the nearest values of the grid, or null for a few",
    )


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, for all weight decays, distinguished by the column `panel`.

    Parameters
    ----------
    cubes : mapping
        The cubes of `sweeps.load`.

    Returns
    -------
    DataFrame
        The panel `curves` has a row for each weight decay, sigma and start: median, minimum and maximum of
        `distance` over converged seeds, missing without one; `distance_stopped`, the mean over stopped
        seeds; the numbers of seeds that `converged`, `stopped`, `diverged` (also `stopped`),
        `collapsed_to_zero` and are at `saddles`.
        The panel `difference` has a row for each weight decay and sigma: median, minimum and maximum of
        `difference`, the objective of the sweep up over the objective of the sweep down, less 1, over seeds
        for which both converged.

    Examples
    --------
    >>> of = {"random start": "random", "sweep up": "up", "sweep down": "down"}
    >>> table = rows(branches, Options(of=of))
    >>> table["panel"].value_counts(sort=False).to_dict()
    {'curves': 180, 'difference': 60}
    """
    cells = sweeps.load(cubes, options)
    objective = cells["objective"]
    curves = {
        **over_seeds("distance", cells["distance"]),
        "distance_stopped": cells["distance_stopped"].mean("seed"),
        **{name: cells[name].sum("seed") for name in sweeps.COUNTS},
    }
    difference = over_seeds("difference", objective.sel(start=UP) / objective.sel(start=DOWN) - 1)
    order = ["weight_decay", "sigma", "start"]
    tables = {
        "curves": xr.Dataset(curves).to_dataframe(dim_order=order).reset_index()[[*order, *curves]],
        "difference": xr.Dataset(difference).to_dataframe(dim_order=order[:2]).reset_index(),
    }
    table = pd.concat(tables, names=["panel"]).droplevel(1).reset_index()
    return table[["panel", *order, *curves, *difference]].astype(dict.fromkeys(sweeps.COUNTS, "Int64"))


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw distances and, below, differences of objectives along sigma, with a column for each weight decay.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> of = {"random start": "random", "sweep up": "up", "sweep down": "down"}
    >>> with styled():
    ...     figure = draw(branches, Options(of=of))
    >>> len(figure.axes)  # two for each of 2 weight decays
    4
    """
    cells, table = sweeps.load(cubes, options), rows(cubes, options)
    places = sweeps.places(cells, options.apart)
    decays = cells["weight_decay"].values
    if options.weight_decays is None:
        chosen = decays[spread(len(decays), CURVES)]
    else:
        chosen = np.unique([decays[np.argmin(np.abs(decays - decay))] for decay in options.weight_decays])
    figure = Figure(figsize=(7.2, 4.6))
    axes = figure.subplots(2, len(chosen), sharex=True, sharey="row", squeeze=False)
    for (top, bottom), decay in zip(axes.T, chosen, strict=True):
        here = table[table["weight_decay"] == decay]
        at = places[places["weight_decay"] == decay]
        _distances(top, here[here["panel"] == "curves"], options.apart)
        _difference(bottom, here[here["panel"] == "difference"], at["crossing"].dropna())
        for axis in (top, bottom):
            axis.axvline(at["forecast"].median(), **FORECAST)
        top.set_title(rf"$\lambda={decay:.3g}$")
        bottom.set_xlabel(r"noise level $\sigma$")
    axes[0, 0].set_ylabel(f"relative distance to\nrank $K$, layer {int(cells['layer'])}")
    axes[1, 0].set_ylabel("objective:\n(up $-$ down) / down")
    letters(axes.flat)
    handles = [Line2D([], [], label=start, **style) for start, style in STYLES.items()]
    handles += [Line2D([], [], **FORECAST), Line2D([], [], **CROSSING)]
    drawn = table[table["weight_decay"].isin(chosen) & (table["panel"] == "curves")]
    handles += mark_handles(marked(drawn)) + [Line2D([], [], **SADDLE)] * bool(drawn["saddles"].any())
    figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.5)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption, which are in `sweeps.outcomes`.

    Examples
    --------
    >>> of = {"random start": "random", "sweep up": "up", "sweep down": "down"}
    >>> facts = summary(branches, Options(of=of))
    >>> facts["layer"], facts["cells"], facts["saddles"]
    (2, 120, {})
    """
    return sweeps.outcomes(cubes, sweeps.load(cubes, options), options.apart)


def _distances(axis: Axes, curves: pd.DataFrame, apart: float) -> None:
    for start, style in STYLES.items():
        curve = curves[curves["start"] == start]
        band(axis, curve["sigma"], curve["distance_minimum"], curve["distance_maximum"], style["color"])
        axis.plot(curve["sigma"], curve["distance"], **style)
        saddles = curve[curve["saddles"] > 0]
        axis.plot(saddles["sigma"], saddles["distance"], **SADDLE | {"color": style["color"]})
        for name, cells in marked(curve).items():
            axis.plot(cells["sigma"], cells["distance_stopped"].fillna(0), **MARKS[name])
    axis.axhline(apart, color="0.7", linewidth=0.6, zorder=0)
    axis.set(xscale="log", ylim=(-0.03, 1))


def _difference(axis: Axes, differences: pd.DataFrame, crossing: pd.Series) -> None:
    axis.axhline(0, color="black", linewidth=0.6)
    ends = differences["difference_minimum"], differences["difference_maximum"]
    band(axis, differences["sigma"], *ends, "0.35")
    axis.plot(differences["sigma"], differences["difference"], color="0.35")
    axis.plot(crossing, 0 * crossing, **CROSSING)
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=LINEAR)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
    log_axis(axis.xaxis, subs=(1, 2, 3, 5))
