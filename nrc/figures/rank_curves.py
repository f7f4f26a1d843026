"""Measures of rank against the width or the depth of networks, the noise in their data, or weight decay."""

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType
from pydantic import Field

from nrc.figures.cube import by_value, only, over_seeds, require, squeezed, status_counts
from nrc.figures.options import FigureOptions
from nrc.figures.panels import layer_name
from nrc.figures.style import LineStyle, band, colours, from_zero, letters
from nrc.grid import AXES as GRID
from nrc.grid import notation
from nrc.option_types import RANK_LABELS, Ranks
from nrc.options import Requirement, one_of, one_value, other_than
from nrc.status import flag_masks

__all__ = ["Options", "draw", "rows", "summary"]

# Axes to draw along.
AXES = {
    "width": "width of the network",
    "depth": "depth of the network",
    "sigma": r"noise level $\sigma$",
    "weight_decay": r"weight decay $\lambda$",
}


class Options(FigureOptions):
    """Rank against width, noise or weight decay (of the intermediate matrix), or depth (mean over layers)."""

    requires = (
        Requirement({"grid.width": one_value}, when={"along": one_of("depth", "sigma")}),
        Requirement({"grid.depth": one_value}, when={"along": other_than("depth")}),
        Requirement({"grid.sigma": one_value}, when={"along": other_than("sigma")}),
    )

    along: Literal["width", "depth", "sigma", "weight_decay"] = Field(
        description="the axis to draw along, with a curve for each weight decay, or for each width along "
        "weight_decay"
    )
    rank: Ranks = Field(default=["stable_rank"])


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, with a row for each measure, weight decay and width, depth or sigma.

    Parameters
    ----------
    cubes : mapping
        One cube of measures, with one value of each of width, depth and sigma other than `options.along`;
        along weight_decay several widths are curves.

    Returns
    -------
    DataFrame
        Median, minimum and maximum over seeds of the `rank`, along depth of its mean over layers,
        else of the rank of the intermediate matrix; the numbers of seeds that `converged`, `stopped`
        and `collapsed_to_zero`.

    Raises
    ------
    ValueError
        If another axis has several values, or the cube does not have the measure.

    Examples
    --------
    >>> table = rows({"made up": cube.isel(sigma=[0])}, Options(of=["made_up"], along="width"))
    >>> table[["measure", "weight_decay", "width", "converged"]]
           measure  weight_decay  width  converged
    0  stable_rank          0.01      4          2
    1  stable_rank          0.10      4          2
    """
    cube, along = _cube(cubes, options), options.along
    counts = {status: mask.sum("seed") for status, mask in flag_masks(cube["status"]).items()}
    order = [_hue(along), along]
    tables = []
    for name in options.rank:
        rank = _rank(cube, name, along)
        of_measure = xr.Dataset({**over_seeds("rank", rank), **counts})
        frame = of_measure.to_dataframe(dim_order=order).reset_index()
        tables.append(frame.assign(measure=name)[["measure", *order, *of_measure.data_vars]])
    table = pd.concat(tables, ignore_index=True)
    # joined experiments may have cells that no experiment has
    return table[table[list(counts)].sum(axis=1) > 0].reset_index(drop=True)


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw a panel for each measure, with a curve for each weight decay and bands over seeds.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube}, Options(of=["made_up"], along="sigma"))
    >>> figure.axes[0].get_ylabel()
    'stable rank'
    """
    cube, along, ranks = _cube(cubes, options), options.along, options.rank
    table = rows(cubes, options)
    columns = min(2, len(ranks))
    lines = -(-len(ranks) // columns)
    figure = Figure(figsize=(1.2 + 2.9 * columns, 0.6 + 2.3 * lines))
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    hue, values = _hue(along), sorted(table[along].unique())
    curves = sorted(table[hue].unique())
    palette = dict(zip(curves, colours(options.colour_map, len(curves)), strict=True))
    for axis, name in zip(axes, ranks, strict=False):
        if along == "width":
            axis.set_xscale("log", base=2)
        elif along in ("sigma", "weight_decay") and values[0] > 0:
            axis.set_xscale("log")
        _curves(axis, table[table["measure"] == name], along, palette)
        if along in ("width", "depth"):
            axis.set_xticks(values, [str(value) for value in values])
            axis.minorticks_off()
        axis.set(xlabel=AXES[along], ylabel=RANK_LABELS[name])
        from_zero(axis)
        axis.set_title("mean over layers" if along == "depth" else layer_name(_middle(cube)))
    letters(axes[: len(ranks)])
    for axis in axes[len(ranks) :]:
        axis.set_visible(False)
    handles = [
        Line2D([], [], color=colour, marker="o", label=f"${GRID[hue].symbol}={notation(value)}$")
        for value, colour in palette.items()
    ]
    if not _stationary(table).all():
        open_dot: LineStyle = {"color": "0.3", "marker": "o", "markerfacecolor": "white", "linestyle": ""}
        handles.append(Line2D([], [], label="a seed is not stationary", **open_dot))
    figure.legend(handles=handles, loc="outside lower center", ncols=5 if columns > 1 else 3)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: the measures of rank, and numbers of cells by status.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; `clusters`; `ranks`, the labels of the measures; and `middle`,
        the intermediate layer, None along depth.

    Examples
    --------
    >>> facts = summary({"made up": cube}, Options(of=["made_up"], along="sigma"))
    >>> facts["ranks"], facts["middle"]
    (['stable rank'], 2)
    """
    cube = _cube(cubes, options)
    return {
        **status_counts(cube),
        "clusters": cube.attrs["clusters"],
        "ranks": [RANK_LABELS[name] for name in options.rank],
        "middle": None if options.along == "depth" else _middle(cube),
    }


def _cube(cubes: Mapping[str, xr.Dataset], options: Options) -> xr.Dataset:
    free = {options.along, _hue(options.along)}
    cube = squeezed(only(cubes), *(axis for axis in AXES if axis not in free))
    require(cube, options.rank, f"rank must be among {', '.join(RANK_LABELS)}")
    return cube


def _rank(cube: xr.Dataset, name: str, along: str) -> xr.DataArray:
    """A measure of rank with the dimensions of the curves, `along` and seed."""
    # ranks of layers beyond the depth are missing, and not in the mean
    rank = cube[name].mean("layer") if along == "depth" else cube[name].sel(layer=_middle(cube))
    kept = (_hue(along), along, "seed")
    return rank.drop_vars(set(rank.coords) - set(kept)).transpose(*kept)


def _hue(along: str) -> str:
    """The axis with a curve for each value."""
    return "width" if along == "weight_decay" else "weight_decay"


def _middle(cube: xr.Dataset) -> int | str:
    """The layer of the intermediate matrix, the lower one of two in the middle."""
    layer: int | str = cube["layer"].values[(cube.sizes["layer"] - 1) // 2].item()
    return layer


def _stationary(table: pd.DataFrame) -> pd.Series:
    return (table["stopped"] == 0) & (table["collapsed_to_zero"] == 0)


def _curves(axis: Axes, table: pd.DataFrame, along: str, palette: Mapping[float, ColorType]) -> None:
    """Draw medians and ranges over seeds, with dots that are white if a seed is not stationary."""
    for value, curve in by_value(table, _hue(along)):
        colour = palette[value]
        band(axis, curve[along], curve["rank_minimum"], curve["rank_maximum"], colour)
        axis.plot(curve[along], curve["rank"], color=colour)
        dots: LineStyle = {"color": colour, "marker": "o", "linestyle": ""}
        for rows, face in ((_stationary(curve), colour), (~_stationary(curve), "white")):
            axis.plot(curve[along][rows], curve["rank"][rows], markerfacecolor=face, **dots)
