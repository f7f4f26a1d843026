"""Relative distance to rank K over the plane of sigma and weight decay, and the TCV of the data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke
from matplotlib.typing import LineStyleType
from pydantic import Field

from nrc.figures.cube import marked, only, relative_bound, squeezed, status_counts
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.style import COLOURS, MARKS, UNKNOWN, LineStyle, LogScale, colour_map, from_zero, log_axis
from nrc.status import flag_masks, status_masks

__all__ = ["Options", "draw", "rows", "summary"]

INPUTS = ("tcv_lower", "tcv_upper", "wcss_class", "wcss_bound", "wcss_quantile", "transition")
# Cells that other experiments of a joined cube have are white.
STOPPED = LineStyle(facecolor="none", edgecolor="white", hatch="////", linewidth=0, hatch_linewidth=0.5)
UNTRAINED: LineStyle = {"facecolor": "white", "edgecolor": "0.6"}
# For each bound of Theorem 3.4 its column, its name and the style of its line.
CERTIFIED: dict[str, tuple[str, str, LineStyleType]] = {
    "bound_measured": ("relative_bound", "Theorem 3.4", "dashed"),
    "bound_projected": ("relative_bound_projected", "Theorem 3.4, projected", "solid"),
}
# The class WCSS is drawn where Proposition 4.1, on Gaussian mixtures, does not apply.
LINES: dict[str, LineStyle] = {
    "wcss_bound": {"color": COLOURS["red"], "linestyle": "--", "label": "Proposition 4.1"},
    "wcss_class": {"color": "black", "linestyle": "-.", "label": "WCSS of the classes"},
    "wcss_quantile": {"color": "black", "linestyle": ":", "label": r"exact $\chi^2$ quantile"},
}
FORECAST: LineStyle = {
    "color": "white",
    "linestyle": (0, (1, 1)),
    "path_effects": [Stroke(linewidth=2.2, foreground="black"), Normal()],
}


class Options(FigureOptions):
    """Rank of each layer over the plane of sigma and weight decay, and the TCV of the data."""

    requires = (one_architecture,)

    certified: float = Field(
        0.1,
        gt=0,
        description="relative distance to rank K at which lines of Theorem 3.4's bounds are drawn",
    )


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers of the maps and, below, of the curves, distinguished by the column `panel`.

    Parameters
    ----------
    cubes : mapping
        One cube of measures, of one width and one depth.

    Returns
    -------
    DataFrame
        The panel `plane` has a row for each layer, sigma and weight decay: `relative_distance`, the
        mean over converged seeds, missing without one; `relative_distance_stopped`, the mean over
        stopped seeds; `relative_bound` and `relative_bound_projected`, the largest over seeds of the
        measured and the projected bound of Theorem 3.4 on the relative distance; the numbers of seeds
        that `converged`, `stopped`, `diverged` (a part of the stopped ones) and `collapsed_to_zero`; and
        the largest relative residual of seeds that did not collapse to zero.
        The panel `variation` has a row for each sigma, with means over seeds: the bracket of the TCV of
        inputs and targets, their class WCSS and its bounds, and the weight decay `transition` below
        which a linear network on these data learns more than K directions.
        Variables that the cube does not have, or without any number, are not columns.

    Raises
    ------
    ValueError
        If the cube has several widths or depths.

    Examples
    --------
    >>> table = rows({"made up": cube}, Options(of=["made_up"]))
    >>> table["panel"].value_counts(sort=False).to_dict()
    {'plane': 18, 'variation': 3}
    """
    cube = squeezed(only(cubes), "width", "depth")
    tables = {"plane": _maps(cube), "variation": _curves(cube)}
    return pd.concat(tables, names=["panel"]).droplevel(1).reset_index()


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw a map for each layer, and the TCV of the data beside them.

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
    cube = squeezed(only(cubes), "width", "depth")
    table, curves = _maps(cube), _curves(cube)
    scales = {axis: LogScale(cube[axis]) for axis in ("sigma", "weight_decay")}
    layers, trivial = sorted(table["layer"].unique()), _trivial(cube)
    columns = min(len(layers), max(2, -(-len(layers) // 2)))
    width = 1.75 * max(2, columns)
    figure = Figure(figsize=(1.6 + width + 2.2, 4.3))
    maps, right = figure.subfigures(1, 2, width_ratios=[0.6 + width, 2.5], squeeze=False).flat
    axes = maps.subplots(-(-len(layers) // columns), columns, sharex=True, sharey=True, squeeze=False)
    certified: dict[str, LineStyleType] = {}
    for axis, layer in zip(axes.flat, layers, strict=False):
        of_layer = table[table["layer"] == layer]
        mesh = _heat_map(axis, of_layer, scales, colour_map(options.colour_map))
        if layer not in trivial:
            certified |= _certified_lines(axis, of_layer, scales, options.certified)
        if "transition" in curves:
            line = curves["transition"].where(curves["transition"] > 0)
            axis.plot(scales["sigma"](curves["sigma"]), line, **FORECAST)
        # lines end with the plane
        axis.set(xlim=scales["sigma"].edges[[0, -1]], ylim=scales["weight_decay"].edges[[0, -1]])
        axis.set_title(f"layer {layer}" + (r" (rank $\leq K$ by shape)" if layer in trivial else ""))
        scales["sigma"].label(axis.xaxis)
        scales["weight_decay"].label(axis.yaxis)
    for axis in axes.flat[len(layers) :]:
        axis.set_visible(False)
    for axis in axes.flat[len(layers) - columns : len(layers)]:
        axis.set_xlabel(r"noise level $\sigma$")
        axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel(r"weight decay $\lambda$")
    clusters = cube.attrs["clusters"]
    label = (
        rf"relative distance to rank $K={clusters}$,  "
        rf"$\mathrm{{dist}}(W_\ell,\mathcal{{M}}_{{{clusters}}})\,/\,\|W_\ell\|$"
    )
    maps.colorbar(mesh, ax=axes, location="top", shrink=0.8, aspect=40, label=label)
    _explain(maps, table, "transition" in curves, certified, options.certified)
    _variation(right, curves, scales["sigma"], cube)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: K, numbers of cells by status, and the columns that are drawn.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; `clusters`; `columns`, the columns of `rows`; the number
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
    cube, table = only(cubes), rows(cubes, options)
    converged = flag_masks(cube["status"])["converged"] & ~cube["layer"].isin(_trivial(cube))
    distance = cube["relative_distance"].where(converged)
    return {
        **status_counts(cube),
        "clusters": cube.attrs["clusters"],
        "columns": list(table),
        "layers": int(distance.count()),
        "collapsed": int((distance <= options.certified).sum()),
        "certified": {
            bound: int((relative.where(converged) <= options.certified).sum())
            for bound, relative in _relative_bounds(cube).items()
        },
        "trivial": _trivial(cube),
        "noise": _noise(cube),
    }


def _trivial(cube: xr.Dataset) -> list[int]:
    """Layers with at most K rows or columns."""
    s = cube["singular_values"]
    sides = s.notnull().any([dim for dim in s.dims if dim not in ("layer", "index")]).sum("index")
    return [int(layer) for layer in s["layer"].values[(sides <= cube.attrs["clusters"]).values]]


def _maps(cube: xr.Dataset) -> pd.DataFrame:
    masks = status_masks(cube)
    counts = {name: masks[name] for name in ("converged", "stopped", "diverged", "collapsed_to_zero")}
    distance = cube["relative_distance"]
    table = {
        "relative_distance": distance.where(masks["converged"]).mean("seed"),
        "relative_distance_stopped": distance.where(masks["stopped"]).mean("seed"),
    }
    for bound, relative in _relative_bounds(cube).items():
        table[CERTIFIED[bound][0]] = relative.max("seed")
    table |= {name: mask.sum("seed") for name, mask in counts.items()}
    table["worst_relative_residual"] = (
        cube["relative_residual"].where(~masks["collapsed_to_zero"]).max("seed")
    )
    order = ["layer", "sigma", "weight_decay"]
    frame = xr.Dataset(table).drop_vars(["width", "depth"]).to_dataframe(dim_order=order).reset_index()
    return frame[[*order, *table]].astype(dict.fromkeys(("layer", *counts), "Int64"))


def _relative_bounds(cube: xr.Dataset) -> dict[str, xr.DataArray]:
    """Each bound that the cube has, on the relative distance of each layer."""
    return {name: relative_bound(cube, name) for name in CERTIFIED if _has(cube, name)}


def _curves(cube: xr.Dataset) -> pd.DataFrame:
    names = [name for name in INPUTS if _has(cube, name)]
    # inputs are the same for every weight decay; a joined cube may have them for some weight decays only
    inputs = cube[names].sel(source=0).max("weight_decay").mean("seed")
    return inputs.to_dataframe().reset_index()[["sigma", *names]]


def _has(cube: xr.Dataset, name: str) -> bool:
    return name in cube and bool(cube[name].notnull().any())


def _noise(cube: xr.Dataset) -> int:
    """Expected WCSS of the noise over sigma^2 d: targets of autoencoders have noise, classes do not."""
    return 1 if "train_accuracy" in cube else 2


def _heat_map(axis: Axes, table: pd.DataFrame, scales: Mapping[str, LogScale], colours: Colormap) -> QuadMesh:
    wide = table.pivot(index="weight_decay", columns="sigma")
    edges = scales["sigma"].edges, scales["weight_decay"].edges
    distance = np.ma.masked_invalid(wide["relative_distance"].to_numpy(dtype=float))
    mesh = axis.pcolormesh(*edges, distance, cmap=colours, vmin=0, vmax=1, rasterized=True)
    axis.set(xscale="log", yscale="log")
    axis.patch.set(**UNKNOWN)
    stopped = np.ma.masked_invalid(wide["relative_distance_stopped"].to_numpy(dtype=float))
    stopped = np.ma.masked_where(~distance.mask, stopped) if distance.mask.any() else stopped[:0]
    if stopped.count():
        axis.pcolormesh(*edges, stopped, cmap=colours, vmin=0, vmax=1, rasterized=True)
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
    """Draw lines left of and above which a bound is at most `certified`; the styles of the drawn lines."""
    drawn = {}
    for column, name, style in CERTIFIED.values():
        if column not in table:
            continue
        grid = table.pivot(index="weight_decay", columns="sigma", values=column).sort_index()
        bound = np.ma.masked_invalid(grid.to_numpy() / certified)
        logs = np.ma.log(np.ma.maximum(bound, np.finfo(float).tiny))
        if min(grid.shape) == 1 or not logs.min() < 0 < logs.max():
            continue
        places = scales["sigma"](grid.columns), scales["weight_decay"](grid.index)
        axis.contour(*places, logs, levels=[0], colors=COLOURS["orange"], linewidths=1.2, linestyles=style)
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
        label = f"at most {certified:g} by {name}"
        handles.append(Line2D([], [], color=COLOURS["orange"], linestyle=style, label=label))
    handles += [Line2D([], [], **MARKS[name]) for name, cells in marked(table).items() if len(cells)]
    if (table["converged"] == 0).any():
        handles.append(Patch(label="no seed converged: mean of stopped seeds", **UNKNOWN))
    if (_trained(table) == 0).any():
        handles.append(Patch(label="not trained", **UNTRAINED))
    maps.legend(handles=handles, loc="outside lower center", ncols=2, handletextpad=0.5, columnspacing=1.5)


def _variation(right: SubFigure, curves: pd.DataFrame, scale: LogScale, cube: xr.Dataset) -> None:
    """The TCV against sigma and, if Proposition 4.1 applies, below relative to the variance of the noise."""
    pure = "wcss_bound" in curves
    # sigma 0 is not on a logarithmic axis
    curves = curves[curves["sigma"] > 0] if (curves["sigma"] > 0).any() else curves
    axes = right.subplots(1 + pure, 1, sharex=True, squeeze=False, height_ratios=[1.25, 1][: 1 + pure]).flat
    _variation_curves(axes[0], curves, scale, 1.0)
    axes[0].set(xscale="log", yscale="log", ylabel=r"$\mathrm{TCV}_{K,0}$ of $(x,y)$")
    log_axis(axes[0].yaxis)
    right.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, columnspacing=1)
    if pure:
        variance = _noise(cube) * cube.attrs["dimension"] * curves["sigma"] ** 2
        _variation_curves(axes[1], curves, scale, variance.where(variance > 0))
        share = "2" if _noise(cube) == 2 else ""
        axes[1].set_ylabel(rf"relative to ${share}\sigma^2d$")
        from_zero(axes[1])
    axes[-1].set_xlabel(r"noise level $\sigma$")
    for axis in axes:
        scale.label(axis.xaxis)


def _variation_curves(axis: Axes, curves: pd.DataFrame, scale: LogScale, unit: pd.Series | float) -> None:
    sigma, blue = scale(curves["sigma"]), COLOURS["blue"]
    lower, upper = curves["tcv_lower"] / unit, curves["tcv_upper"] / unit
    axis.fill_between(sigma, lower, upper, color=blue, alpha=0.25, linewidth=0, label="bracket of the TCV")
    axis.plot(sigma, upper, color=blue, marker="o", label="best partition found")
    axis.plot(sigma, lower, color=blue, marker="v", label="lower bound")
    # a line through one point is not visible
    line: LineStyle = {"marker": "_", "markersize": 12} if len(curves) == 1 else {}
    for name, style in LINES.items():
        if name in curves and (name != "wcss_class" or "wcss_bound" not in curves):
            axis.plot(sigma, curves[name] / unit, **style, **line)
