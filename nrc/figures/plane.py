"""A measure of rank over the plane of sigma and weight decay, its histogram, and the TCV of the data."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke
from matplotlib.typing import LineStyleType
from pydantic import Field

from nrc.figures import variation
from nrc.figures.cube import (
    has_values,
    marked,
    only,
    relative_bound,
    require,
    require_layers,
    squeezed,
    status_counts,
)
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.panels import layer_name
from nrc.figures.style import (
    COLOURS,
    MARKS,
    UNKNOWN,
    LineStyle,
    LogScale,
    colour_map,
    letters,
    log_axis,
    mark_handles,
)
from nrc.figures.style import plane as plane_axes
from nrc.option_types import RANK_LABELS, OneOrSeveral, PositiveInteger, Rank
from nrc.status import flag_masks, status_masks

__all__ = ["Options", "draw", "rows", "summary"]

COUNTS = ("converged", "stopped", "diverged", "collapsed_to_zero")
# The largest number of bars of the histogram.
BARS = 50
# Cells that other experiments of a joined cube have are white.
STOPPED = LineStyle(facecolor="none", edgecolor="white", hatch="////", linewidth=0, hatch_linewidth=0.5)
UNTRAINED: LineStyle = {"facecolor": "white", "edgecolor": "0.6"}
# For each bound of Theorem 3.4 its column, its name and the style of its line.
CERTIFIED: dict[str, tuple[str, str, LineStyleType]] = {
    "bound_measured": ("relative_bound", "measured bound", "dashed"),
    "bound_projected": ("relative_bound_projected", "projected bound", "solid"),
}
FORECAST: LineStyle = {
    "color": "white",
    "linestyle": (0, (1, 1)),
    "path_effects": [Stroke(linewidth=2.2, foreground="black"), Normal()],
}


class Options(FigureOptions):
    """Rank of each layer over the plane of sigma and weight decay, and the TCV of the data."""

    requires = (one_architecture,)

    quantity: Rank = Field("relative_distance", description="the measure of rank that is drawn")
    layers: Annotated[list[PositiveInteger], OneOrSeveral()] | None = Field(
        None, description="layers to draw by their places from 1, or null for all"
    )
    certified: float = Field(
        0.1,
        gt=0,
        description="relative distance to rank K at which lines of Theorem 3.4's bounds are drawn",
    )


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers of the maps, the histogram and the curves, distinguished by the column `panel`.

    Parameters
    ----------
    cubes : mapping
        One cube of measures, of one width and one depth.

    Returns
    -------
    DataFrame
        The panel `plane` has a row for each layer, sigma and weight decay: the measure of rank, by its name,
        the mean over converged seeds, missing without one; the same with `_stopped`, the mean over
        stopped seeds; for the relative distance `relative_bound` and `relative_bound_projected`, the largest
        over seeds of the measured and the projected bound of Theorem 3.4; the numbers of seeds
        that `converged`, `stopped`, `diverged` (also `stopped`) and `collapsed_to_zero`; and
        the largest relative residual of seeds that did not collapse to zero.
        The panel `histogram` has the number of `networks` that converged for each layer and each range, from
        `low` to `high`, of the measure.
        The panel `variation` has a row for each sigma, with means over seeds: the bracket of the TCV of
        inputs and targets, their class WCSS and its bounds, and the weight decay `transition` below
        which a linear network on these data learns more than K directions.
        Variables that the cube does not have, or without any number, are not columns.

    Raises
    ------
    ValueError
        If the cube has several widths or depths, or no such layer or measure.

    Examples
    --------
    >>> table = rows({"made up": cube}, Options(of=["made_up"]))
    >>> table["panel"].value_counts(sort=False).to_dict()
    {'plane': 18, 'histogram': 150, 'variation': 3}
    """
    cube = _cube(cubes, options)
    tables = {
        "plane": _maps(cube, options.quantity),
        "histogram": _histogram(cube, options.quantity),
        "variation": variation.curves(cube),
    }
    return pd.concat(tables, names=["panel"]).droplevel(1).reset_index()


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw a map for each layer, and beside them the TCV of the data and the histogram of all layers.

    Notes
    -----
    A layer with at most K rows or columns has rank K by its shape, which is in its title.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube}, Options(of=["made_up"]))
    >>> [axis.get_title() for axis in figure.axes[:3]]
    ['layer 1', 'layer 2', 'layer 3']
    """
    cube, quantity = _cube(cubes, options), options.quantity
    table, curves = _maps(cube, quantity), variation.curves(cube)
    scales = {axis: LogScale(cube[axis]) for axis in ("sigma", "weight_decay")}
    layers, trivial = cube["layer"].values.tolist(), _trivial(cube)
    top = _largest(cube, quantity)
    columns = min(len(layers), max(2, -(-len(layers) // 2)))
    width = 1.75 * max(2, columns)
    figure = Figure(figsize=(1.6 + width + 2.2, 5.2))
    maps, right = figure.subfigures(1, 2, width_ratios=[0.6 + width, 2.5], squeeze=False).flat
    axes = maps.subplots(-(-len(layers) // columns), columns, sharex=True, sharey=True, squeeze=False)
    certified: dict[str, LineStyleType] = {}
    for axis, layer in zip(axes.flat, layers, strict=False):
        of_layer = table[table["layer"] == layer]
        mesh = _heat_map(axis, of_layer, scales, options, top)
        if layer not in trivial:
            certified |= _certified_lines(axis, of_layer, scales, options.certified)
        if "transition" in curves:
            line = curves["transition"].where(curves["transition"] > 0)
            axis.plot(scales["sigma"](curves["sigma"]), line, **FORECAST)
        plane_axes(axis, scales)
        axis.set_title(layer_name(layer) + (r" (rank $\leq K$ by shape)" if layer in trivial else ""))
        axis.label_outer()
    for axis in axes.flat[len(layers) :]:
        axis.set_visible(False)
    for axis in axes.flat[len(layers) - columns : len(layers)]:
        axis.set_xlabel(r"noise level $\sigma$")
        axis.tick_params(labelbottom=True)
    label = RANK_LABELS[quantity].replace("rank K", f"rank $K={cube.attrs['clusters']}$")
    maps.colorbar(mesh, ax=axes, location="top", shrink=0.8, aspect=40, label=label)
    _explain(maps, table, "transition" in curves, certified, options.certified)
    above, below = right.subfigures(2, 1, height_ratios=[2.4, 1])
    panels = variation.draw(above, cube, scales["sigma"])
    last = below.subplots()
    _bars(last, _histogram(cube, quantity), label, options.certified if certified else None)
    letters([*axes.flat[: len(layers)], *panels, last])
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: K, numbers of cells by status, and the columns that are drawn.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; `clusters`; `measure`, its name in words; `columns`, the columns
        of `rows`; the number
        of `layers` of converged networks, and how many of them are `collapsed`, with a relative distance of
        at most `options.certified`; `certified`, how many of them each bound certifies to be collapsed;
        `trivial`, the layers that have rank K by their shape and do not count; and `noise`, the expected
        WCSS of the noise over sigma^2 d.

    Examples
    --------
    >>> facts = summary({"made up": cube}, Options(of=["made_up"]))
    >>> facts["clusters"], facts["layers"], facts["trivial"]
    (2, 36, [])
    """
    cube, table = _cube(cubes, options), rows(cubes, options)
    converged = flag_masks(cube["status"])["converged"] & ~cube["layer"].isin(_trivial(cube))
    distance = cube["relative_distance"].where(converged)
    return {
        **status_counts(cube),
        "clusters": cube.attrs["clusters"],
        "measure": RANK_LABELS[options.quantity],
        "columns": list(table),
        "layers": int(distance.count()),
        "collapsed": int((distance <= options.certified).sum()),
        "certified": {
            bound: int((relative.where(converged) <= options.certified).sum())
            for bound, relative in _relative_bounds(cube).items()
        },
        "trivial": _trivial(cube),
        "noise": variation.noise(cube),
    }


def _cube(cubes: Mapping[str, xr.Dataset], options: Options) -> xr.Dataset:
    cube = squeezed(only(cubes), "width", "depth")
    require(cube, [options.quantity, "relative_distance"], "it is a measure of rank")
    require_layers(cube, "layers", options.layers or [])
    return cube if options.layers is None else cube.isel(layer=[l - 1 for l in sorted(options.layers)])


def _trivial(cube: xr.Dataset) -> list[int | str]:
    """Layers with at most K rows or columns."""
    s = cube["singular_values"]
    sides = s.notnull().any([dim for dim in s.dims if dim not in ("layer", "index")]).sum("index")
    found: list[int | str] = s["layer"].values[(sides <= cube.attrs["clusters"]).values].tolist()
    return found


def _maps(cube: xr.Dataset, quantity: str) -> pd.DataFrame:
    masks, values = status_masks(cube), cube[quantity]
    table = {
        quantity: values.where(masks["converged"]).mean("seed"),
        f"{quantity}_stopped": values.where(masks["stopped"]).mean("seed"),
    }
    # the bounds are on this distance only
    for bound, relative in _relative_bounds(cube).items() if quantity == "relative_distance" else ():
        table[CERTIFIED[bound][0]] = relative.max("seed")
    table |= {name: masks[name].sum("seed") for name in COUNTS}
    table["worst_relative_residual"] = (
        cube["relative_residual"].where(~masks["collapsed_to_zero"]).max("seed")
    )
    order = ["layer", "sigma", "weight_decay"]
    frame = xr.Dataset(table).drop_vars(["width", "depth"]).to_dataframe(dim_order=order).reset_index()
    return _whole(frame[[*order, *table]], *COUNTS)


def _whole(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Columns, and the layers if they have no names, as whole numbers, some of which may be missing."""
    numbered = ["layer"] if table["layer"].dtype.kind == "i" else []
    return table.astype(dict.fromkeys([*numbered, *columns], "Int64"))


def _largest(cube: xr.Dataset, quantity: str) -> float:
    """The upper end of the scale of the measure: 1 for shares, else its largest value."""
    most = float(cube[quantity].max())
    return most if most > 1 else 1.0


def _histogram(cube: xr.Dataset, quantity: str) -> pd.DataFrame:
    """Numbers of converged networks in equal ranges of the measure, for each layer.

    If all values are whole numbers, the ranges are centred on them.
    """
    values, largest = cube[quantity].where(flag_masks(cube["status"])["converged"]), _largest(cube, quantity)
    edges = np.linspace(0, largest, BARS + 1)
    if largest > 1 and (values.fillna(0) % 1 == 0).all():
        step = -(-(int(largest) + 1) // BARS)
        edges = np.arange(0, largest + 1 + step, step) - 0.5
    tables = []
    for layer in cube["layer"].values.tolist():
        of_layer = values.sel(layer=layer).values
        counts, _ = np.histogram(of_layer[np.isfinite(of_layer)], edges)
        tables.append(
            pd.DataFrame({"layer": layer, "low": edges[:-1], "high": edges[1:], "networks": counts})
        )
    return _whole(pd.concat(tables, ignore_index=True), "networks")


def _relative_bounds(cube: xr.Dataset) -> dict[str, xr.DataArray]:
    """Each bound that the cube has, on the relative distance of each layer."""
    return {name: relative_bound(cube, name) for name in CERTIFIED if has_values(cube, name)}


def _heat_map(
    axis: Axes, table: pd.DataFrame, scales: Mapping[str, LogScale], options: Options, top: float
) -> QuadMesh:
    """Draw the measure, hatched where it is of stopped seeds only, with the marks of cells; its mesh."""
    wide, quantity = table.pivot(index="weight_decay", columns="sigma"), options.quantity
    edges = scales["sigma"].edges, scales["weight_decay"].edges
    style: LineStyle = {"cmap": colour_map(options.colour_map), "vmin": 0, "vmax": top, "rasterized": True}
    measure = np.ma.masked_invalid(wide[quantity].to_numpy(dtype=float))
    mesh = axis.pcolormesh(*edges, measure, **style)
    axis.patch.set(**UNKNOWN)
    stopped = np.ma.masked_invalid(wide[f"{quantity}_stopped"].to_numpy(dtype=float))
    stopped = np.ma.masked_where(~measure.mask, stopped) if measure.mask.any() else stopped[:0]
    if stopped.count():
        axis.pcolormesh(*edges, stopped, **style)
    for row, column in np.argwhere(~np.ma.getmaskarray(stopped)):
        (left, right), (low, high) = edges[0][column : column + 2], edges[1][row : row + 2]
        axis.fill([left, right, right, left], [low, low, high, high], **STOPPED)
    trained = _trained(wide).to_numpy(dtype=int)
    if (trained == 0).any():
        white = np.ma.masked_where(trained > 0, np.zeros(trained.shape))
        axis.pcolormesh(*edges, white, cmap="Greys", vmin=0, vmax=1, rasterized=True)
    for line, scale in ((axis.axvline, scales["sigma"]), (axis.axhline, scales["weight_decay"])):
        if scale.gap is not None:
            line(scale.gap, color="white", linewidth=1.5)
    for name, cells in marked(table).items():
        places = scales["sigma"](cells["sigma"]), scales["weight_decay"](cells["weight_decay"])
        axis.plot(*places, **MARKS[name])
    return mesh


def _trained(table: pd.DataFrame) -> pd.DataFrame | pd.Series:
    return table["converged"] + table["stopped"] + table["collapsed_to_zero"]


def _certified_lines(
    axis: Axes, table: pd.DataFrame, scales: Mapping[str, LogScale], certified: float
) -> dict[str, LineStyleType]:
    """Draw lines around the cells in which a bound is at most `certified`; the styles of the drawn lines."""
    drawn = {}
    # each cell by its four corners, so that the lines run along the edges of cells
    corners = [scales[name].edges.repeat(2)[1:-1] for name in ("sigma", "weight_decay")]
    for column, name, style in CERTIFIED.values():
        if column not in table:
            continue
        bound = table.pivot(index="weight_decay", columns="sigma", values=column).sort_index()
        inside = (bound <= certified).to_numpy()
        if inside.all() or not inside.any():
            continue
        of_corners = inside.repeat(2, axis=0).repeat(2, axis=1)
        axis.contour(*corners, of_corners, [0.5], colors=COLOURS["orange"], linewidths=1.2, linestyles=style)
        drawn[name] = style
    return drawn


def _explain(
    maps: SubFigure, table: pd.DataFrame, forecast: bool, lines: Mapping[str, LineStyleType], certified: float
) -> None:
    """Draw a legend of the lines and marks that the maps have."""
    handles: list[Line2D | Patch] = []
    if forecast:
        handles.append(Line2D([], [], label="forecast for a linear network", **FORECAST))
    for name, style in lines.items():
        label = f"certified to be at most {certified:g} (Theorem 3.4, {name})"
        handles.append(Line2D([], [], color=COLOURS["orange"], linestyle=style, label=label))
    handles += mark_handles(marked(table))
    if (table["converged"] == 0).any():
        handles.append(Patch(label="no seed converged: mean of stopped seeds", **UNKNOWN))
    if (_trained(table) == 0).any():
        handles.append(Patch(label="not trained", **UNTRAINED))
    maps.legend(handles=handles, loc="outside lower center", ncols=1)


def _bars(axis: Axes, histogram: pd.DataFrame, label: str, certified: float | None) -> None:
    """Draw the numbers of layers in each range of the measure, and the value that lines on the maps have."""
    bars = histogram.groupby("low").agg({"high": "first", "networks": "sum"}).reset_index()
    axis.stairs(bars["networks"], [*bars["low"], bars["high"].iloc[-1]], fill=True, color="0.5")
    top = 1.5 * max(1, bars["networks"].max())
    axis.set(xlabel=label, ylabel="layers of networks", ylim=(0.5, top), yscale="log")
    log_axis(axis.yaxis, (1,))
    if certified is not None:
        axis.axvline(certified, color=COLOURS["orange"], linewidth=1.2)
