"""Two branches of minima: networks continued along sigma, up and down, beside those of a random start."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MultipleLocator, NullLocator
from numpy.typing import NDArray
from pydantic import Field

from nrc.fields import ColourMap, NonNegative, OneOrSeveral, TitledExperiments
from nrc.figures.cube import by_value, endings, marked, require, squeezed
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.style import COLOURS, MARKS, LogScale, Look, colour_map, spread
from nrc.options import Requirement, both, equal, positive, several_values
from nrc.statistics import student_interval
from nrc.status import status_masks

__all__ = ["Options", "draw", "rows", "summary"]

Array = NDArray[np.float64]

RANDOM, UP, DOWN = STARTS = ("random start", "sweep up", "sweep down")
NAMES = ("relative_distance", "singular_values", "loss", "transition")
LOOKS: dict[str, Look] = {
    RANDOM: {"color": "black", "marker": "o", "markersize": 2, "linewidth": 0.6},
    UP: {"color": COLOURS["blue"]},
    DOWN: {"color": COLOURS["orange"]},
}
# Curves are drawn for so many weight decays if none are named.
SHOWN = 3
# Weight decays on an axis are labelled each if there are no more.
FEW = 8
# Relative differences of objectives are drawn on a scale that is linear up to here.
LINEAR = 0.01
FORECAST: Look = {"color": "black", "linestyle": ":"}
# Of a colour map its lighter part, for shares of seeds.
DARKEST = 3
# In the order in which sigma reaches them where all is as in the trials.
PLACES: dict[str, Look] = {
    "down_ends": {"color": COLOURS["orange"], "marker": "<", "label": "sweep down returns to rank $K$"},
    "random_jumps": {"color": "black", "marker": "o", "label": "random start jumps"},
    "overtaken": {"color": COLOURS["red"], "marker": "D", "label": "up is no longer the lowest"},
    "crossing": {"color": COLOURS["green"], "marker": "s", "label": "objectives of the sweeps cross"},
    "up_ends": {"color": COLOURS["blue"], "marker": ">", "label": "sweep up leaves rank $K$"},
}  # fmt: skip


class Options(FigureOptions):
    """Two branches of minima over the plane, of networks continued along sigma, up and down."""

    requires = (
        one_architecture,
        Requirement(
            {
                "task": equal("autoencode"),
                "network.bias": equal(False),
                "training.loss_on": equal("data"),
                "training.penalty": equal("factors"),
                "grid.sigma": both(several_values(2), positive),
                "grid.weight_decay": positive,
            }
        ),
    )
    # from initial weights, from the neighbour of less noise, and from the neighbour of more noise
    titles: ClassVar[Mapping[str, Requirement]] = {
        "random start": Requirement({"training.warm_start": equal(None)}),
        "sweep up": Requirement({"training.warm_start": equal({"along": "sigma", "direction": "up"})}),
        "sweep down": Requirement({"training.warm_start": equal({"along": "sigma", "direction": "down"})}),
    }

    of: TitledExperiments = Field(  # type: ignore[assignment]
        description="experiments of the same networks that differ in where they start: {random start: ..., "
        "sweep up: ..., sweep down: ...}"
    )
    colour_map: ColourMap = "Blues"
    layer: int | None = Field(
        None, ge=1, description="layer whose relative distance to rank K is drawn, or null for the middle one"
    )
    apart: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="relative distance at which a network leaves rank K and two branches differ",
    )
    weight_decays: Annotated[list[NonNegative], OneOrSeveral()] | None = Field(
        None,
        description="weight decays whose curves are drawn, the nearest ones of the grid, or null for a few",
    )


def rows(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> pd.DataFrame:
    """The numbers drawn, told apart by the column `panel`.

    Parameters
    ----------
    cubes : mapping
        Measures of tanh autoencoders without biases, of one width and one depth and on the same grid, for
        each of `random start`, `sweep up` and `sweep down`.
    options : mapping
        `layer`, whose relative distance to rank K counts, None for the middle one; `apart`, the
        distance above which a network has left rank K, and by which two branches differ.

    Returns
    -------
    DataFrame
        In the panel `curves` a row for each weight decay, sigma and start: median, least and largest
        `distance` over converged seeds, missing where there is none; `distance_stopped`, the mean over
        stopped ones; the numbers of seeds that `converged`, `stopped`, `diverged` (of the stopped
        ones) and are `collapsed_to_zero`.
        In the panel `difference` a row for each weight decay and sigma: median, least and largest
        `difference` of the objectives, sweep up less sweep down over sweep down, of seeds where
        both converged; the number of seeds where `both` branches are, the sweep up at rank K and the
        sweep down not; and `transition`, the
        weight decay below which a linear network learns more than K directions, mean over seeds.
        In the panel `places` a row for each weight decay and seed: the sigma where the sweep down
        returns to rank K (`down_ends`), the random start leaves it for the first time
        (`random_jumps`), the network swept up, still of rank K, has no longer the lowest objective of
        all three (`overtaken`) and a higher one than that swept down (`crossing`), where it leaves rank K
        (`up_ends`), and where the line of the linear `forecast` is. Missing where it is not on the grid.

    Raises
    ------
    ValueError
        If there are several widths or depths, no such layer, or the grids differ.

    Examples
    --------
    >>> table = rows(branches, {"layer": None, "apart": 0.1})
    >>> table["panel"].value_counts(sort=False).to_dict()
    {'curves': 180, 'difference': 60, 'places': 4}
    """
    cells = _cells(cubes, options)
    tables = {
        "curves": _curves(cells),
        "difference": _differences(cells, options["apart"]),
        "places": _places(cells, options["apart"]),
    }
    return pd.concat(tables, names=["panel"]).droplevel(1).reset_index()


def draw(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> Figure:
    """Draw distances and difference of objectives along sigma, below them the plane and what it says.

    Parameters
    ----------
    cubes : mapping
        As in `rows`.
    options : mapping
        Those of `rows`; `colour_map`; and `weight_decays`, those whose curves are drawn: the
        nearest of the grid, or None for a few.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> options = {"layer": None, "apart": 0.1, "shown": None, "colour_map": "viridis"}
    >>> with styled():
    ...     figure = draw(branches, options)
    >>> len(figure.axes)  # two for each of 2 weight decays, and two below
    6
    """
    cells = _cells(cubes, options)
    curves, places = _curves(cells), _places(cells, options["apart"])
    differences = _differences(cells, options["apart"])
    shown = _shown(cells["weight_decay"].values, options["weight_decays"])
    figure = Figure(figsize=(7.2, 7.2))
    # of one height: with others the last places of the layout, and with them the bytes, may vary
    above, below = figure.subfigures(2, 1, squeeze=False).flat
    axes = above.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False)
    for (top, bottom), weight_decay in zip(axes.T, shown, strict=True):
        of_this = [table[table["weight_decay"] == weight_decay] for table in (curves, differences, places)]
        _distances(top, of_this[0])
        _difference(bottom, of_this[1], of_this[2])
        for axis in (top, bottom):
            axis.axvline(of_this[2]["forecast"].median(), **FORECAST)
        top.set_title(rf"$\lambda={weight_decay:.3g}$")
        bottom.set_xlabel(r"noise level $\sigma$")
    axes[0, 0].set_ylabel(f"relative distance to\nrank $K$, layer {int(cells['layer'])}")
    axes[1, 0].set_ylabel("objective of sweep up\nover that of sweep down, $-1$")
    left, right = below.subplots(1, 2, width_ratios=[1.3, 1])
    _plane(left, curves, differences, places, options["colour_map"])
    _ratios(right, places)
    _explain(below, curves, options["colour_map"])
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a caption tells: how networks ended, where branches begin, cross and end, and the forecast.

    Returns
    -------
    dict
        `clusters`, `layer`; `endings`, for each start that of `cube.endings`; of all `cells` those
        where `both` branches are, and of them those where the sweep up is `lower`; `step`, the
        median ratio of neighbours in sigma; `places`, for each weight decay and each place and the
        forecast median, least, largest and number of seeds; `ratios`, for each place that of its
        sigma to the forecast's: geometric `mean` with the ends `low` and `high` of its 95% interval over
        seeds, `least`, `largest` and `count` over seeds and weight decays.

    Examples
    --------
    >>> facts = summary(branches, {"layer": None, "apart": 0.1})
    >>> facts["layer"], facts["cells"]
    (2, 120)
    >>> round(facts["ratios"]["up_ends"]["mean"], 1)
    2.0
    """
    cells = _cells(cubes, options)
    apart, sigma = options["apart"], cells["sigma"].values
    both, places = _rivals(cells, apart).sel(start=DOWN), _places(cells, apart)
    lower = both & (cells["objective"].sel(start=UP) < cells["objective"].sel(start=DOWN))
    logs = places[list(PLACES)].div(places["forecast"], axis=0).transform(np.log)
    return {
        "clusters": next(iter(cubes.values())).attrs["clusters"],
        "layer": int(cells["layer"]),
        "endings": {start: endings(cubes[start]) for start in STARTS},
        "cells": both.size,
        "both": int(both.sum()),
        "lower": int(lower.sum()),
        "step": float(np.median(sigma[1:] / sigma[:-1])) if len(sigma) > 1 else np.nan,
        "places": {
            weight_decay: {name: _range(table[name]) for name in (*PLACES, "forecast")}
            for weight_decay, table in by_value(places, "weight_decay")
        },
        "ratios": {name: _ratio(logs[name], places["seed"]) for name in PLACES},
    }


def _range(values: pd.Series) -> tuple[float, float, float, int]:
    return float(values.median()), float(values.min()), float(values.max()), int(values.count())


def _ratio(logs: pd.Series, seed: pd.Series) -> dict[str, float]:
    mean, low, high = student_interval(logs.groupby(seed).mean())
    numbers = {"mean": mean, "low": low, "high": high, "least": logs.min(), "largest": logs.max()}
    return {**{name: float(np.exp(log)) for name, log in numbers.items()}, "count": int(logs.count())}


def _cells(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> xr.Dataset:
    """Distance and objective of every cell that converged, and how the others ended, for each `start`."""
    parts = []
    for start in STARTS:
        cube = squeezed(cubes[start], "width", "depth").sortby(["weight_decay", "sigma"])
        require(cube, NAMES, "branches are those of autoencoders without biases trained on data")
        depth = int(cube["depth"])
        layer = options["layer"] or (depth + 1) // 2
        if layer > depth:
            raise ValueError(f"layer is {layer}, but the networks have {depth} layers; choose one of them")
        ended = status_masks(cube)
        norms = (cube["singular_values"] ** 2).sum(["layer", "index"])
        distance, converged = cube["relative_distance"].sel(layer=layer), ended["converged"]
        part = {
            "distance": distance.where(converged),
            "distance_stopped": distance.where(ended["stopped"]),
            "objective": (cube["loss"] + cube["weight_decay"] / 2 * norms).where(converged),
            "transition": cube["transition"],
            **ended,
        }
        parts.append(xr.Dataset(part).drop_vars(["width", "depth"]))
    try:
        return xr.concat(parts, pd.Index(STARTS, name="start", dtype=object), join="exact")
    except ValueError:
        raise ValueError(
            f"the figure compares {', '.join(STARTS)} cell by cell, but their grids differ; give all the same"
        ) from None


def _rivals(cells: xr.Dataset, apart: float) -> xr.DataArray:
    """Where the sweep up is at rank K and another start led to another branch, for each start."""
    up = cells["distance"].sel(start=UP)
    return (up <= apart) & (np.abs(cells["distance"] - up) > apart)


def _curves(cells: xr.Dataset) -> pd.DataFrame:
    distance, counts = cells["distance"], ["converged", "stopped", "diverged", "collapsed_to_zero"]
    table = {
        "distance": distance.median("seed"),
        "distance_least": distance.min("seed"),
        "distance_largest": distance.max("seed"),
        "distance_stopped": cells["distance_stopped"].mean("seed"),
        **{name: cells[name].sum("seed") for name in counts},
    }
    order = ["weight_decay", "sigma", "start"]
    frame = xr.Dataset(table).to_dataframe(dim_order=order).reset_index()
    return frame[[*order, *table]].astype(dict.fromkeys(counts, "Int64"))


def _differences(cells: xr.Dataset, apart: float) -> pd.DataFrame:
    objective = cells["objective"]
    difference = objective.sel(start=UP) / objective.sel(start=DOWN) - 1
    table = {
        "difference": difference.median("seed"),
        "difference_least": difference.min("seed"),
        "difference_largest": difference.max("seed"),
        "both": _rivals(cells, apart).sel(start=DOWN).sum("seed"),
        "transition": cells["transition"].max("start").mean("seed"),
    }
    order = ["weight_decay", "sigma"]
    frame = xr.Dataset(table).to_dataframe(dim_order=order).reset_index()
    return frame[[*order, *table]].astype({"both": "Int64"})


def _places(cells: xr.Dataset, apart: float) -> pd.DataFrame:
    sigma = cells["sigma"].values
    rivals = cells["objective"].where(_rivals(cells, apart))
    lowest = {"crossing": rivals.sel(start=DOWN), "overtaken": rivals.min("start")}
    over = {name: xr.ufuncs.log(cells["objective"].sel(start=UP) / rival) for name, rival in lowest.items()}
    line = cells["transition"].max(["start", "weight_decay"])
    line = line.where(line > 0)
    table = []
    for weight_decay in cells["weight_decay"].values:
        for seed in cells["seed"].values:
            cell = {"weight_decay": weight_decay, "seed": seed}
            distance = cells["distance"].sel(cell)
            curves = {start: distance.sel(start=start).values for start in STARTS}
            table.append(
                cell
                | {
                    "down_ends": _step(sigma[::-1], apart - curves[DOWN][::-1]),
                    "random_jumps": _step(sigma, curves[RANDOM] - apart),
                    **{name: _rise(sigma, ratio.sel(cell).values) for name, ratio in over.items()},
                    "up_ends": _step(sigma, curves[UP] - apart),
                    "forecast": _rise(sigma, np.log(line.sel(seed=seed).values / weight_decay)),
                }
            )
    frame = pd.DataFrame(table)
    return frame[["weight_decay", "seed", *PLACES, "forecast"]]


def _step(sigma: Array, values: Array) -> float:
    """Where values that begin below 0 are above it for the first time: in the middle between neighbours."""
    there = ~np.isnan(values)
    sigma, above = sigma[there], np.flatnonzero(values[there] > 0)
    if not len(above) or above[0] == 0:
        return np.nan
    return float(np.sqrt(sigma[above[0] - 1] * sigma[above[0]]))


def _rise(sigma: Array, values: Array) -> float:
    """Where values pass from below 0 to above for the first time: straight against log sigma."""
    there = ~np.isnan(values)
    logs, values = np.log(sigma[there]), values[there]
    steps = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))
    if not len(steps):
        return np.nan
    at = slice(steps[0], steps[0] + 2)
    return float(np.exp(np.interp(0, values[at], logs[at])))


def _shown(values: Array, wanted: list[float] | None) -> Array:
    if wanted is None:
        return values[spread(len(values), SHOWN)]
    return np.unique([values[np.argmin(np.abs(values - value))] for value in np.atleast_1d(wanted)])


def _distances(axis: Axes, curves: pd.DataFrame) -> None:
    for start, look in LOOKS.items():
        curve = curves[curves["start"] == start]
        least, largest = curve["distance_least"], curve["distance_largest"]
        axis.fill_between(curve["sigma"], least, largest, color=look["color"], alpha=0.2, linewidth=0)
        axis.plot(curve["sigma"], curve["distance"], **look)
        for name, cells in marked(curve).items():
            axis.plot(cells["sigma"], cells["distance_stopped"].fillna(0), **MARKS[name])
    axis.set(xscale="log", ylim=(-0.03, 1))


def _difference(axis: Axes, differences: pd.DataFrame, places: pd.DataFrame) -> None:
    sigma, grey = differences["sigma"], "0.35"
    least, largest = differences["difference_least"], differences["difference_largest"]
    axis.axhline(0, color="black", linewidth=0.6)
    axis.fill_between(sigma, least, largest, color=grey, alpha=0.3, linewidth=0)
    axis.plot(sigma, differences["difference"], color=grey)
    at = places["crossing"].dropna()
    axis.plot(at, 0 * at, **PLACES["crossing"], linestyle="", markersize=4)
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=LINEAR)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
    _label(axis.xaxis)


def _plane(
    axis: Axes, curves: pd.DataFrame, differences: pd.DataFrame, places: pd.DataFrame, colours: str
) -> None:
    """Where both branches are, what lies where on each row, and the line of the forecast."""
    scales = {name: LogScale(differences[name]) for name in ("sigma", "weight_decay")}
    edges = scales["sigma"].edges, scales["weight_decay"].edges
    seeds = max(1, places["seed"].nunique())
    both = differences.pivot(index="weight_decay", columns="sigma", values="both").to_numpy(float) / seeds
    both = np.ma.masked_equal(both, 0)
    axis.pcolormesh(*edges, both, cmap=colour_map(colours), vmin=0, vmax=DARKEST, rasterized=True)
    line = differences.groupby("sigma")["transition"].mean()
    axis.plot(line.index, line, **FORECAST)
    for name, look in PLACES.items():
        for weight_decay, table in by_value(places, "weight_decay"):
            at = table[name]
            axis.plot([at.min(), at.max()], [weight_decay] * 2, color=look["color"], linewidth=0.8)
        median = places.groupby("weight_decay")[name].median()
        axis.plot(median, median.index, **look, linewidth=0.5, zorder=3)
    for name, cells in marked(curves).items():
        axis.plot(cells["sigma"], cells["weight_decay"], **MARKS[name], zorder=4)
    axis.set(xscale="log", yscale="log", xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    axis.set(xlabel=r"noise level $\sigma$", ylabel=r"weight decay $\lambda$")
    _label(axis.xaxis)
    _label(axis.yaxis, differences["weight_decay"])


def _ratios(axis: Axes, places: pd.DataFrame) -> None:
    """How far each place is from the forecast, in sigma."""
    axis.axhline(1, **FORECAST)
    for name, look in PLACES.items():
        ratio = (places[name] / places["forecast"]).groupby(places["weight_decay"])
        middle = ratio.median()
        axis.fill_between(middle.index, ratio.min(), ratio.max(), color=look["color"], alpha=0.2, linewidth=0)
        axis.plot(middle.index, middle, **look, linewidth=0.8)
    axis.set(xscale="log", yscale="log")
    axis.set(xlabel=r"weight decay $\lambda$", ylabel=r"$\sigma$ over $\sigma$ of the forecast")
    _label(axis.xaxis, places["weight_decay"])
    axis.yaxis.set_major_locator(MultipleLocator(0.2))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1f}"))
    axis.yaxis.set_minor_locator(NullLocator())


def _label(axis: Axis, values: pd.Series | None = None) -> None:
    """Label a logarithmic axis that may be short: a few values each, else in steps of about 1.6."""
    if values is not None and values.nunique() <= FEW:
        axis.set_major_locator(FixedLocator(np.unique(values).tolist()))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axis.set_minor_locator(NullLocator())


def _explain(below: SubFigure, curves: pd.DataFrame, colours: str) -> None:
    """A legend of what there is."""
    handles: list[Line2D | Patch] = [Line2D([], [], label=start, **look) for start, look in LOOKS.items()]
    handles.append(Line2D([], [], label="forecast for a linear network", **FORECAST))
    handles.append(Patch(facecolor=colour_map(colours)(1 / DARKEST), label="both branches in all seeds"))
    handles += [Line2D([], [], linewidth=0.8, **look) for look in PLACES.values()]
    handles += [Line2D([], [], **MARKS[name]) for name, cells in marked(curves).items() if len(cells)]
    below.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.5)
