"""The tail of the spectrum of each layer, and the bound on it that clusters certify for every rank."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from nrc.figures.cube import only, require, squeezed, status_counts
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.panels import floor, grid, layer_name, legend, of_cell, title
from nrc.figures.style import Colour, LineStyle, StyledFigure, colours
from nrc.objectives.penalties import ridge
from nrc.options import Requirement, at_least

__all__ = ["Options", "draw", "rows", "summary"]

# The largest number of columns that is legible.
COLUMNS = 8
# The lower end of the axis of several cells, and the largest lower end of the axis of one cell.
FLOOR, FLOOR_OF_ONE = 1e-4, 1e-2
# The largest number of ranks with dots.
DOTS = 40
CURVES = {
    "relative_tail": "tail beyond $r$",
    "tail_bound": "certified by $r$ directions of centroid gradients (Theorem 3.4, projected)",
}
ON_WHITE: LineStyle = {"facecolor": "white", "edgecolor": "none", "pad": 1}
CLUSTERS: LineStyle = {"color": "0.6", "linestyle": ":", "linewidth": 0.8}


class Options(FigureOptions):
    """Tails of spectra, and what clusters certify of them; a column for each weight decay and sigma."""

    requires = (
        one_architecture,
        Requirement({"training.penalty": ridge, "measures.certified_ranks": at_least(1)}),
    )


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, with a row for each weight decay, sigma, layer and rank.

    Parameters
    ----------
    cubes : mapping
        One cube of measures with bounds on tails, of one width and one depth.

    Returns
    -------
    DataFrame
        `weight_decay`, `sigma`, `layer`, `index` r, up to the largest with a bound; median, minimum and
        maximum over seeds of `relative_tail`, the tail beyond r, and of `tail_bound`, the bound on it,
        which may be missing.

    Raises
    ------
    ValueError
        If the cube has no bounds on tails, several widths or depths, or too many cells.

    Examples
    --------
    >>> table = rows({"made up": cube}, Options(of=["made_up"]))
    >>> table[["layer", "index"]].drop_duplicates().shape
    (12, 2)
    """
    cube = _cube(cubes)
    table = {
        f"{name}{suffix}": getattr(cube[name], statistic)("seed")
        for name in CURVES
        for suffix, statistic in (("", "median"), ("_minimum", "min"), ("_maximum", "max"))
    }
    order = ["weight_decay", "sigma", "layer", "index"]
    frame = xr.Dataset(table).to_dataframe(dim_order=order).reset_index()
    bounded = frame.loc[frame["tail_bound"].notna(), "index"]
    ranks = frame["index"] <= (frame["index"] if bounded.empty else bounded).max()
    drawn: pd.DataFrame = frame.loc[ranks, [*order, *table]].dropna(subset="relative_tail")
    return drawn.reset_index(drop=True)


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> StyledFigure:
    """Draw a column for each pair of weight decay and sigma and a row for each layer, or a grid of one cell.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube}, Options(of=["made_up"]))
    >>> len(figure.axes)  # 3 layers, 2 weight decays by 3 sigmas
    18
    """
    cube, table = _cube(cubes), rows(cubes, options)
    shades = dict(zip(CURVES, colours(options.colour_map, 2, 0.15, 0.75), strict=True))
    layers = cube["layer"].values.tolist()
    cells = [
        cube.isel(weight_decay=row, sigma=column)
        for row in range(cube.sizes["weight_decay"])
        for column in range(cube.sizes["sigma"])
    ]
    titles = [title(cell, noise=bool(cube["sigma"].fillna(0).any())) for cell in cells]
    if len(cells) == 1:
        figure, panels, _ = grid(layers, titles[0])
        columns, lower = [panels], floor(table[list(CURVES)].min(axis=1), FLOOR_OF_ONE)
        panels[0].set_ylabel("share of the norm")
    else:
        figure, columns = _columns(layers, titles)
        lower = FLOOR
    columns[0][0].set_ylim(lower, 1.3)
    for column, cell in zip(columns, cells, strict=True):
        here = of_cell(table, weight_decay=cell["weight_decay"].item(), sigma=cell["sigma"].item())
        for axis, layer in zip(column, layers, strict=True):
            of_layer = of_cell(here, layer=layer)
            _draw_layer(axis, of_layer, cube.attrs.get("clusters"), shades)
            if len(of_layer) and table["tail_bound"].notna().any():
                _note_if_void(axis, of_layer.loc[of_layer["relative_tail"] > 0, "tail_bound"])
    legend(figure, _legend(cube, shades))
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: K, the largest rank with a bound, and the ratio of bound to tail.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; `clusters`; `ranks`, the largest r with a bound; `ratio`, the
        median of bound over tail at r = K for each layer that has both; `residual`, minimum and maximum
        of the relative residual.

    Examples
    --------
    >>> facts = summary({"made up": cube}, Options(of=["made_up"]))
    >>> facts["ranks"], list(facts["ratio"])
    (4, [1, 2, 3])
    """
    cube, residual = _cube(cubes), only(cubes)["relative_residual"]
    at_k = cube.reindex(index=[cube.attrs["clusters"]]).squeeze("index")
    ratio = (at_k["tail_bound"] / at_k["relative_tail"].where(at_k["relative_tail"] > 0)).median(
        [dim for dim in ("weight_decay", "sigma", "seed") if dim in cube.dims]
    )
    known = cube["tail_bound"].notnull()
    return {
        **status_counts(only(cubes)),
        "clusters": cube.attrs["clusters"],
        "ranks": int(cube["index"].where(known).max()) if known.any() else 0,
        "ratio": {int(value["layer"]): float(value) for value in ratio if value.notnull()},
        "residual": (float(residual.min()), float(residual.max())),
    }


def _cube(cubes: Mapping[str, xr.Dataset]) -> xr.Dataset:
    cube = only(cubes)
    require(cube, ["tail_bound"], "tails are bounded for the penalty on the factors")
    cells = cube.sizes["weight_decay"] * cube.sizes["sigma"]
    if cells > COLUMNS:
        raise ValueError(
            f"the figure draws at most {COLUMNS} pairs of weight decay and sigma, but there are {cells}; "
            "choose some, by `at` in a configuration or by cube.sel"
        )
    return squeezed(cube, "width", "depth").drop_vars(["width", "depth"])


def _columns(layers: Sequence[int | str], titles: Sequence[str]) -> tuple[StyledFigure, list[list[Axes]]]:
    """A figure with a column for each cell, and its axes in columns."""
    figure = StyledFigure(figsize=(0.8 + 1.45 * len(titles), 1.0 + 1.25 * len(layers)))
    axes = figure.subplots(len(layers), len(titles), squeeze=False, sharex=True, sharey=True)
    axes[0, 0].set_yscale("log")
    for column, heading in zip(axes.T, titles, strict=True):
        column[0].set_title(heading)
        column[-1].set_xlabel("$r$")
    for axis, layer in zip(axes[:, 0], layers, strict=True):
        axis.set_ylabel(layer_name(layer))
    return figure, axes.T.tolist()


def _legend(cube: xr.Dataset, shades: Mapping[str, Colour]) -> list[Line2D]:
    """The curves that the figure has, and K if it is known."""
    drawn = [name for name in CURVES if cube[name].notnull().any()]
    handles = [Line2D([], [], color=shades[name], label=CURVES[name]) for name in drawn]
    if clusters := cube.attrs.get("clusters"):
        handles.append(Line2D([], [], label=f"$r=K={clusters}$", **CLUSTERS))
    return handles


def _draw_layer(axis: Axes, table: pd.DataFrame, clusters: int | None, shades: Mapping[str, Colour]) -> None:
    """Tail and bound of one layer: the median over seeds, and the range."""
    if clusters:
        axis.axvline(clusters, zorder=0, **CLUSTERS)
    for name, colour in shades.items():
        marker = "." if len(table) <= DOTS else ""
        axis.plot(table["index"], table[name], marker=marker, linewidth=0.9, color=colour)
        ends = table[f"{name}_minimum"], table[f"{name}_maximum"]
        axis.fill_between(table["index"], *ends, color=colour, alpha=0.25, linewidth=0)


def _note_if_void(axis: Axes, bound: pd.Series) -> None:
    """No tail is above 1, so that a bound above 1 is void, and not on the axis."""
    if not (bound <= 1).any():
        note = "no bound" if bound.isna().all() else "bound above 1: void"
        axis.text(0.04, 0.05, note, fontsize=6, transform=axis.transAxes, bbox=ON_WHITE)
