"""Where two branches of end points begin, cross and end on the plane of sigma and weight decay."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator, NullLocator

from nrc.figures import sweeps
from nrc.figures.cube import by_value, marked
from nrc.figures.options import SweepOptions
from nrc.figures.style import (
    COLOURS,
    MARKS,
    LineStyle,
    LogScale,
    band,
    colour_map,
    letters,
    mark_handles,
    plane,
)
from nrc.option_types import ColourMap
from nrc.student_interval import student_interval

__all__ = ["Options", "draw", "rows", "summary"]

FORECAST: LineStyle = {"color": "black", "linestyle": ":", "label": "forecast for a linear network"}
# Shares of seeds, at most 1, have the colours up to a third of the colour map.
DARKEST = 3
STYLES: dict[str, LineStyle] = {
    "down_ends": {"color": COLOURS["orange"], "marker": "<", "label": "sweep down returns to rank $K$"},
    "random_jumps": {"color": "black", "marker": "o", "label": "random start leaves rank $K$"},
    "overtaken": {"color": COLOURS["red"], "marker": "D", "label": "higher rank has the lower objective"},
    "crossing": {"color": COLOURS["green"], "marker": "s", "label": "objectives of the sweeps cross"},
    "up_ends": {"color": COLOURS["blue"], "marker": ">", "label": "sweep up leaves rank $K$"},
}


class Options(SweepOptions):
    """Two branches of end points on the plane of sigma and weight decay: where they begin, cross and end."""

    colour_map: ColourMap = "Blues"


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, distinguished by the column `panel`.

    Parameters
    ----------
    cubes : mapping
        The cubes of `sweeps.load`.

    Returns
    -------
    DataFrame
        The panel `plane` has a row for each weight decay and sigma: the number of seeds with `both` branches,
        the sweep up at rank K and the sweep down not; `transition`, the weight decay below which a linear
        network learns more than K directions, mean over seeds; the largest numbers over the three starts of
        seeds that `converged`, `stopped`, `diverged`, `collapsed_to_zero` and are at `saddles`.
        The panel `places` is the table of `sweeps.places`.

    Examples
    --------
    >>> of = {"random start": "random", "sweep up": "up", "sweep down": "down"}
    >>> table = rows(branches, Options(of=of))
    >>> table["panel"].value_counts(sort=False).to_dict()
    {'plane': 60, 'places': 4}
    """
    cells = sweeps.load(cubes, options)
    table = {
        "both": sweeps.rivals(cells, options.apart).sel(start=sweeps.DOWN).sum("seed"),
        "transition": cells["transition"].max("start").mean("seed"),
        **{name: cells[name].sum("seed").max("start") for name in sweeps.COUNTS},
    }
    order = ["weight_decay", "sigma"]
    frame = xr.Dataset(table).to_dataframe(dim_order=order).reset_index()[[*order, *table]]
    tables = {"plane": frame, "places": sweeps.places(cells, options.apart)}
    joined = pd.concat(tables, names=["panel"]).droplevel(1).reset_index()
    return joined.astype(dict.fromkeys(("both", "seed", *sweeps.COUNTS), "Int64"))


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw the plane of both branches and, beside it, the places relative to the forecast.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> of = {"random start": "random", "sweep up": "up", "sweep down": "down"}
    >>> with styled():
    ...     figure = draw(branches, Options(of=of))
    >>> len(figure.axes)
    2
    """
    table = rows(cubes, options)
    cells, places = (table[table["panel"] == panel] for panel in ("plane", "places"))
    figure = Figure(figsize=(7.2, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=[1.3, 1])
    _plane(left, cells, places, options.colour_map)
    _ratios(right, places)
    letters((left, right))
    shade = colour_map(options.colour_map)(1 / DARKEST)
    handles: list[Line2D | Patch] = [Line2D([], [], linewidth=0.8, **style) for style in STYLES.values()]
    handles.insert(0, Line2D([], [], **FORECAST))
    handles.append(Patch(facecolor=shade, label="both branches in all seeds"))
    handles += mark_handles(marked(cells))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.5)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: numbers of cells by status, and where branches begin, cross and end.

    Returns
    -------
    dict
        The facts of `sweeps.outcomes`; `places`, for each weight decay and each place and the forecast its
        median, minimum, maximum and count over seeds; `ratios`, for each place the ratio of its sigma to the
        forecast: geometric `mean` with the ends `low` and `high` of its 95% interval over seeds, `minimum`,
        `maximum` and `count` over seeds and weight decays.

    Examples
    --------
    >>> of = {"random start": "random", "sweep up": "up", "sweep down": "down"}
    >>> facts = summary(branches, Options(of=of))
    >>> facts["layer"], facts["cells"]
    (2, 120)
    >>> round(facts["ratios"]["up_ends"]["mean"], 1)
    2.0
    """
    cells = sweeps.load(cubes, options)
    places = sweeps.places(cells, options.apart)
    logs = places[list(STYLES)].div(places["forecast"], axis=0).transform(np.log)
    return {
        **sweeps.outcomes(cubes, cells, options.apart),
        "places": {
            weight_decay: {name: _range(table[name]) for name in (*STYLES, "forecast")}
            for weight_decay, table in by_value(places, "weight_decay")
        },
        "ratios": {name: _ratio(logs[name], places["seed"]) for name in STYLES},
    }


def _range(values: pd.Series) -> tuple[float, float, float, int]:
    return float(values.median()), float(values.min()), float(values.max()), int(values.count())


def _ratio(logs: pd.Series, seed: pd.Series) -> dict[str, float]:
    mean, low, high = student_interval(logs.groupby(seed).mean())
    numbers = {"mean": mean, "low": low, "high": high, "minimum": logs.min(), "maximum": logs.max()}
    return {**{name: float(np.exp(log)) for name, log in numbers.items()}, "count": int(logs.count())}


def _plane(axis: Axes, cells: pd.DataFrame, places: pd.DataFrame, colours: str) -> None:
    """Draw the cells with both branches, the places of each weight decay and the line of the forecast."""
    scales = {name: LogScale(cells[name]) for name in ("sigma", "weight_decay")}
    edges = scales["sigma"].edges, scales["weight_decay"].edges
    both = cells.pivot(index="weight_decay", columns="sigma", values="both").to_numpy(float)
    both = np.ma.masked_equal(both / max(1, places["seed"].nunique()), 0)
    axis.pcolormesh(*edges, both, cmap=colour_map(colours), vmin=0, vmax=DARKEST, rasterized=True)
    line = cells.groupby("sigma")["transition"].mean()
    axis.plot(line.index, line, **FORECAST)
    for name, style in STYLES.items():
        for weight_decay, table in by_value(places, "weight_decay"):
            ends = table[name].min(), table[name].max()
            axis.plot(ends, [weight_decay] * 2, color=style["color"], linewidth=0.8)
        median = places.groupby("weight_decay")[name].median()
        axis.plot(median, median.index, **style, linewidth=0.5, zorder=3)
    for name, there in marked(cells).items():
        axis.plot(there["sigma"], there["weight_decay"], **MARKS[name], zorder=4)
    plane(axis, scales)


def _ratios(axis: Axes, places: pd.DataFrame) -> None:
    """Draw the ratio of each place to the forecast, in sigma."""
    axis.axhline(1, **FORECAST)
    axis.set(xscale="log", yscale="log")
    for name, style in STYLES.items():
        ratio = (places[name] / places["forecast"]).groupby(places["weight_decay"])
        middle = ratio.median()
        band(axis, middle.index, ratio.min(), ratio.max(), style["color"])
        axis.plot(middle.index, middle, **style, linewidth=0.8)
    axis.set(xlabel=r"weight decay $\lambda$", ylabel=r"$\sigma$ over $\sigma$ of the forecast")
    LogScale(places["weight_decay"]).label(axis.xaxis)
    axis.yaxis.set_major_locator(MultipleLocator(0.2))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1f}"))
    axis.yaxis.set_minor_locator(NullLocator())
