"""Two branches of minima: networks continued along sigma, up and down, and networks from initial weights."""

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
from nrc.figures.cube import by_value, marked, require, squeezed, status_counts
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.style import COLOURS, MARKS, LineStyle, LogScale, colour_map, spread
from nrc.objectives.penalties import ridge
from nrc.options import Requirement, both, equal, positive, several_values
from nrc.status import status_masks
from nrc.student_interval import student_interval
from nrc.text import listed

__all__ = ["Options", "draw", "rows", "summary"]

Array = NDArray[np.float64]

RANDOM, UP, DOWN = STARTS = ("random start", "sweep up", "sweep down")
NAMES = ("relative_distance", "singular_values", "loss", "transition")
STYLES: dict[str, LineStyle] = {
    RANDOM: {"color": "black", "marker": "o", "markersize": 2, "linewidth": 0.6},
    UP: {"color": COLOURS["blue"]},
    DOWN: {"color": COLOURS["orange"]},
}
# The number of weight decays with curves if the options have none.
CURVES = 3
# The largest number of weight decays with a label each.
LABELS = 8
# The scale of relative differences of objectives is linear up to this value.
LINEAR = 0.01
FORECAST: LineStyle = {"color": "black", "linestyle": ":"}
# Shares of seeds, at most 1, have the colours up to a third of the colour map.
DARKEST = 3
# In the usual order along sigma.
PLACES: dict[str, LineStyle] = {
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
                "training.penalty": ridge,
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
        description="experiments of the same networks with different warm starts: {random start: ..., "
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


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, distinguished by the column `panel`.

    Parameters
    ----------
    cubes : mapping
        Measures of autoencoders without biases, of one width and one depth and on the same grid, for each
        of `random start`, `sweep up` and `sweep down`.

    Returns
    -------
    DataFrame
        The panel `curves` has a row for each weight decay, sigma and start: median, minimum and maximum of
        `distance` over converged seeds, missing without one; `distance_stopped`, the mean over stopped
        seeds; the numbers of seeds that `converged`, `stopped`, `diverged` (a part of the stopped ones) and
        `collapsed_to_zero`.
        The panel `difference` has a row for each weight decay and sigma: median, minimum and maximum of
        `difference`, the objective of the sweep up over the objective of the sweep down, less 1, over seeds
        for which both converged; the number of seeds with `both` branches, the sweep up at rank K and the
        sweep down not; and `transition`, the weight decay below which a linear network learns more than K
        directions, mean over seeds.
        The panel `places` has a row for each weight decay and seed, with the sigma at which the sweep down
        returns to rank K (`down_ends`), the random start leaves rank K for the first time (`random_jumps`),
        the sweep up, still at rank K, no longer has the lowest objective of all three (`overtaken`), its
        objective exceeds the objective of the sweep down (`crossing`), the sweep up leaves rank K
        (`up_ends`), and the `forecast` for a linear network lies; missing if it is not on the grid.

    Raises
    ------
    ValueError
        If there are several widths or depths, the layer does not exist, or the grids differ.

    Examples
    --------
    >>> of = {"random start": "random", "sweep up": "up", "sweep down": "down"}
    >>> table = rows(branches, Options(of=of))
    >>> table["panel"].value_counts(sort=False).to_dict()
    {'curves': 180, 'difference': 60, 'places': 4}
    """
    cells = _cells(cubes, options)
    tables = {
        "curves": _curves(cells),
        "difference": _differences(cells, options.apart),
        "places": _places(cells, options.apart),
    }
    return pd.concat(tables, names=["panel"]).droplevel(1).reset_index()


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw distances and differences of objectives along sigma and, below, the plane of both branches.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> of = {"random start": "random", "sweep up": "up", "sweep down": "down"}
    >>> with styled():
    ...     figure = draw(branches, Options(of=of))
    >>> len(figure.axes)  # two for each of 2 weight decays, and two below
    6
    """
    cells = _cells(cubes, options)
    curves, places = _curves(cells), _places(cells, options.apart)
    differences = _differences(cells, options.apart)
    chosen = _nearest(cells["weight_decay"].values, options.weight_decays)
    figure = Figure(figsize=(7.2, 7.2))
    # with two different heights the last digits of the layout, and with them the bytes, may vary
    above, below = figure.subfigures(2, 1, squeeze=False).flat
    axes = above.subplots(2, len(chosen), sharex=True, sharey="row", squeeze=False)
    for (top, bottom), weight_decay in zip(axes.T, chosen, strict=True):
        parts = [table[table["weight_decay"] == weight_decay] for table in (curves, differences, places)]
        _distances(top, parts[0])
        _difference(bottom, parts[1], parts[2])
        for axis in (top, bottom):
            axis.axvline(parts[2]["forecast"].median(), **FORECAST)
        top.set_title(rf"$\lambda={weight_decay:.3g}$")
        bottom.set_xlabel(r"noise level $\sigma$")
    axes[0, 0].set_ylabel(f"relative distance to\nrank $K$, layer {int(cells['layer'])}")
    axes[1, 0].set_ylabel("objective of sweep up over\nobjective of sweep down, $-1$")
    left, right = below.subplots(1, 2, width_ratios=[1.3, 1])
    _plane(left, curves, differences, places, options.colour_map)
    _ratios(right, places)
    _explain(below, curves, options.colour_map)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: numbers of cells by status, and where branches begin, cross and end.

    Returns
    -------
    dict
        `clusters`, `layer`; `status`, for each start the numbers of `cube.status_counts`; the number of
        `cells`, of cells with `both` branches, and of these the number in which the sweep up is `lower`;
        `step`, the median ratio of neighbours in sigma; `places`, for each weight decay and each place and
        the forecast its median, minimum, maximum and count over seeds; `ratios`, for each place the ratio
        of its sigma to the forecast: geometric `mean` with the ends `low` and `high` of its 95% interval
        over seeds, `minimum`, `maximum` and `count` over seeds and weight decays.

    Examples
    --------
    >>> of = {"random start": "random", "sweep up": "up", "sweep down": "down"}
    >>> facts = summary(branches, Options(of=of))
    >>> facts["layer"], facts["cells"]
    (2, 120)
    >>> round(facts["ratios"]["up_ends"]["mean"], 1)
    2.0
    """
    cells = _cells(cubes, options)
    apart, sigma = options.apart, cells["sigma"].values
    both, places = _rivals(cells, apart).sel(start=DOWN), _places(cells, apart)
    lower = both & (cells["objective"].sel(start=UP) < cells["objective"].sel(start=DOWN))
    logs = places[list(PLACES)].div(places["forecast"], axis=0).transform(np.log)
    return {
        "clusters": next(iter(cubes.values())).attrs["clusters"],
        "layer": int(cells["layer"]),
        "status": {start: status_counts(cubes[start]) for start in STARTS},
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
    numbers = {"mean": mean, "low": low, "high": high, "minimum": logs.min(), "maximum": logs.max()}
    return {**{name: float(np.exp(log)) for name, log in numbers.items()}, "count": int(logs.count())}


def _cells(cubes: Mapping[str, xr.Dataset], options: Options) -> xr.Dataset:
    """Distance and objective of converged cells, and the status of every cell, for each `start`."""
    parts = []
    for start in STARTS:
        cube = squeezed(cubes[start], "width", "depth").sortby(["weight_decay", "sigma"])
        require(cube, NAMES, "branches are of autoencoders without biases that are trained on data")
        depth = int(cube["depth"])
        layer = options.layer or (depth + 1) // 2
        if layer > depth:
            raise ValueError(f"layer is {layer}, but the networks have {depth} layers; choose one of them")
        masks = status_masks(cube)
        norms = (cube["singular_values"] ** 2).sum(["layer", "index"])
        distance, converged = cube["relative_distance"].sel(layer=layer), masks["converged"]
        part = {
            "distance": distance.where(converged),
            "distance_stopped": distance.where(masks["stopped"]),
            "objective": (cube["loss"] + cube["weight_decay"] / 2 * norms).where(converged),
            "transition": cube["transition"],
            **masks,
        }
        parts.append(xr.Dataset(part).drop_vars(["width", "depth"]))
    try:
        return xr.concat(parts, pd.Index(STARTS, name="start", dtype=object), join="exact")
    except ValueError:
        raise ValueError(
            f"the figure compares the cells of {listed(STARTS)}, but their grids differ; give them one grid"
        ) from None


def _rivals(cells: xr.Dataset, apart: float) -> xr.DataArray:
    """Cells in which the sweep up is at rank K and another start led to another branch, for each start."""
    up = cells["distance"].sel(start=UP)
    return (up <= apart) & (np.abs(cells["distance"] - up) > apart)


def _curves(cells: xr.Dataset) -> pd.DataFrame:
    distance, counts = cells["distance"], ["converged", "stopped", "diverged", "collapsed_to_zero"]
    table = {
        "distance": distance.median("seed"),
        "distance_minimum": distance.min("seed"),
        "distance_maximum": distance.max("seed"),
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
        "difference_minimum": difference.min("seed"),
        "difference_maximum": difference.max("seed"),
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
    """Where values that begin below 0 first exceed 0: the geometric mean of two neighbours."""
    known = ~np.isnan(values)
    sigma, above = sigma[known], np.flatnonzero(values[known] > 0)
    if not len(above) or above[0] == 0:
        return np.nan
    return float(np.sqrt(sigma[above[0] - 1] * sigma[above[0]]))


def _rise(sigma: Array, values: Array) -> float:
    """Where values first rise through 0, by linear interpolation in log sigma."""
    known = ~np.isnan(values)
    logs, values = np.log(sigma[known]), values[known]
    steps = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))
    if not len(steps):
        return np.nan
    at = slice(steps[0], steps[0] + 2)
    return float(np.exp(np.interp(0, values[at], logs[at])))


def _nearest(values: Array, wanted: list[float] | None) -> Array:
    """The values nearest to the wanted ones, or a few in even steps."""
    if wanted is None:
        return values[spread(len(values), CURVES)]
    return np.unique([values[np.argmin(np.abs(values - value))] for value in wanted])


def _distances(axis: Axes, curves: pd.DataFrame) -> None:
    for start, style in STYLES.items():
        curve = curves[curves["start"] == start]
        low, high = curve["distance_minimum"], curve["distance_maximum"]
        axis.fill_between(curve["sigma"], low, high, color=style["color"], alpha=0.2, linewidth=0)
        axis.plot(curve["sigma"], curve["distance"], **style)
        for name, cells in marked(curve).items():
            axis.plot(cells["sigma"], cells["distance_stopped"].fillna(0), **MARKS[name])
    axis.set(xscale="log", ylim=(-0.03, 1))


def _difference(axis: Axes, differences: pd.DataFrame, places: pd.DataFrame) -> None:
    sigma, grey = differences["sigma"], "0.35"
    low, high = differences["difference_minimum"], differences["difference_maximum"]
    axis.axhline(0, color="black", linewidth=0.6)
    axis.fill_between(sigma, low, high, color=grey, alpha=0.3, linewidth=0)
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
    """Draw the cells with both branches, the places of each weight decay and the line of the forecast."""
    scales = {name: LogScale(differences[name]) for name in ("sigma", "weight_decay")}
    edges = scales["sigma"].edges, scales["weight_decay"].edges
    seeds = max(1, places["seed"].nunique())
    both = differences.pivot(index="weight_decay", columns="sigma", values="both").to_numpy(float) / seeds
    both = np.ma.masked_equal(both, 0)
    axis.pcolormesh(*edges, both, cmap=colour_map(colours), vmin=0, vmax=DARKEST, rasterized=True)
    line = differences.groupby("sigma")["transition"].mean()
    axis.plot(line.index, line, **FORECAST)
    for name, style in PLACES.items():
        for weight_decay, table in by_value(places, "weight_decay"):
            at = table[name]
            axis.plot([at.min(), at.max()], [weight_decay] * 2, color=style["color"], linewidth=0.8)
        median = places.groupby("weight_decay")[name].median()
        axis.plot(median, median.index, **style, linewidth=0.5, zorder=3)
    for name, cells in marked(curves).items():
        axis.plot(cells["sigma"], cells["weight_decay"], **MARKS[name], zorder=4)
    axis.set(xscale="log", yscale="log", xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    axis.set(xlabel=r"noise level $\sigma$", ylabel=r"weight decay $\lambda$")
    _label(axis.xaxis)
    _label(axis.yaxis, differences["weight_decay"])


def _ratios(axis: Axes, places: pd.DataFrame) -> None:
    """Draw the ratio of each place to the forecast, in sigma."""
    axis.axhline(1, **FORECAST)
    for name, style in PLACES.items():
        ratio = (places[name] / places["forecast"]).groupby(places["weight_decay"])
        middle = ratio.median()
        axis.fill_between(
            middle.index, ratio.min(), ratio.max(), color=style["color"], alpha=0.2, linewidth=0
        )
        axis.plot(middle.index, middle, **style, linewidth=0.8)
    axis.set(xscale="log", yscale="log")
    axis.set(xlabel=r"weight decay $\lambda$", ylabel=r"$\sigma$ over $\sigma$ of the forecast")
    _label(axis.xaxis, places["weight_decay"])
    axis.yaxis.set_major_locator(MultipleLocator(0.2))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1f}"))
    axis.yaxis.set_minor_locator(NullLocator())


def _label(axis: Axis, values: pd.Series | None = None) -> None:
    """Label a short logarithmic axis: at each value if there are few, else in steps of about 1.6."""
    if values is not None and values.nunique() <= LABELS:
        axis.set_major_locator(FixedLocator(np.unique(values).tolist()))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axis.set_minor_locator(NullLocator())


def _explain(below: SubFigure, curves: pd.DataFrame, colours: str) -> None:
    """Draw a legend of the curves and marks that the figure has."""
    handles: list[Line2D | Patch] = [Line2D([], [], label=start, **style) for start, style in STYLES.items()]
    handles.append(Line2D([], [], label="forecast for a linear network", **FORECAST))
    handles.append(Patch(facecolor=colour_map(colours)(1 / DARKEST), label="both branches in all seeds"))
    handles += [Line2D([], [], linewidth=0.8, **style) for style in PLACES.values()]
    handles += [Line2D([], [], **MARKS[name]) for name, cells in marked(curves).items() if len(cells)]
    below.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.5)
