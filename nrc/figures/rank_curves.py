"""Measures of rank against the width or the depth of the networks, or the noise in their data."""

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType
from pydantic import Field

from nrc.fields import Ranks
from nrc.figures.cube import by_value, endings, only, require, squeezed
from nrc.figures.options import FigureOptions
from nrc.figures.style import Look, colours, from_zero
from nrc.grid import notation
from nrc.options import Requirement, one_value, other_than
from nrc.statistics import RANKS
from nrc.status import flag_masks

__all__ = ["Options", "draw", "rows", "summary"]

# against one of them for one value of the others
AXES = {"width": "width of the network", "depth": "depth of the network", "sigma": r"noise level $\sigma$"}


class Options(FigureOptions):
    """Rank against width or noise (of the intermediate matrix), or depth (mean over layers)."""

    requires = (
        Requirement({"grid.width": one_value}, when={"along": other_than("width")}),
        Requirement({"grid.depth": one_value}, when={"along": other_than("depth")}),
        Requirement({"grid.sigma": one_value}, when={"along": other_than("sigma")}),
    )

    along: Literal["width", "depth", "sigma"] = Field(description="the axis to draw along")
    rank: Ranks = Field(default=["stable_rank"])


def rows(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> pd.DataFrame:
    """The numbers drawn: a row for each measure, weight decay and width, depth or sigma.

    Parameters
    ----------
    cubes : mapping
        One cube of measures, of one value of the axes of `AXES` that it is not drawn along.
    options : mapping
        `along`, width, depth or sigma; `rank`, a measure of rank or a list of them.

    Returns
    -------
    DataFrame
        `median`, `least` and `largest` over seeds of the rank: against depth its mean over layers,
        else that of the intermediate matrix; then the numbers of seeds that `converged`, `stopped`
        and are `collapsed_to_zero`.

    Raises
    ------
    ValueError
        If another axis has several values, or there is no such measure.

    Examples
    --------
    >>> table = rows({"made up": cube.isel(sigma=[0])}, {"along": "width", "rank": "stable_rank"})
    >>> table[["measure", "weight_decay", "width", "converged"]]
           measure  weight_decay  width  converged
    0  stable_rank          0.01      4          2
    1  stable_rank          0.10      4          2
    """
    cube, along = _cube(cubes, options), options["along"]
    ended = {meaning: mask.sum("seed") for meaning, mask in flag_masks(cube["status"]).items()}
    order = ["weight_decay", along]
    tables = []
    for name in _ranks(options):
        rank = _rank(cube, name, along)
        of_measure = xr.Dataset(
            {"median": rank.median("seed"), "least": rank.min("seed"), "largest": rank.max("seed"), **ended}
        )
        frame = of_measure.to_dataframe(dim_order=order).reset_index()
        tables.append(frame.assign(measure=name)[["measure", *order, *of_measure.data_vars]])
    table = pd.concat(tables, ignore_index=True)
    # of joined experiments there are cells that none of them has
    return table[table[list(ended)].sum(axis=1) > 0].reset_index(drop=True)


def draw(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> Figure:
    """Draw a panel for each measure: a curve for each weight decay, seeds as bands.

    Parameters
    ----------
    cubes : mapping
        As in `rows`.
    options : mapping
        Those of `rows`, and `colour_map`.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> options = {"along": "sigma", "rank": "stable_rank", "colour_map": "viridis"}
    >>> with styled():
    ...     figure = draw({"made up": cube}, options)
    >>> figure.axes[0].get_ylabel()
    'stable rank'
    """
    cube, along, ranks = _cube(cubes, options), options["along"], _ranks(options)
    table = rows(cubes, options)
    columns = min(2, len(ranks))
    lines = -(-len(ranks) // columns)
    figure = Figure(figsize=(1.2 + 2.9 * columns, 0.6 + 2.3 * lines))
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    decays = sorted(table["weight_decay"].unique())
    palette = dict(zip(decays, colours(options["colour_map"], len(decays)), strict=True))
    values = sorted(table[along].unique())
    for axis, name in zip(axes, ranks, strict=False):
        if along == "width":
            axis.set_xscale("log", base=2)
        elif along == "sigma" and values[0] > 0:
            axis.set_xscale("log")
        seeds = _rank(cube, name, along).rename(name).to_dataframe().reset_index()
        sns.lineplot(
            seeds, x=along, y=name, hue="weight_decay", palette=palette, estimator="median",
            errorbar=("pi", 100), err_kws={"alpha": 0.25, "linewidth": 0}, legend=False, ax=axis,
        )  # fmt: skip
        _dots(axis, table[table["measure"] == name], along, palette)
        if along != "sigma":
            axis.set_xticks(values, [str(value) for value in values])
            axis.minorticks_off()
        axis.set(xlabel=AXES[along], ylabel=RANKS[name])
        from_zero(axis)
        axis.set_title("mean over layers" if along == "depth" else f"layer {_middle(cube)}")
    for axis in axes[len(ranks) :]:
        axis.set_visible(False)
    handles = [
        Line2D([], [], color=colour, marker="o", label=rf"$\lambda={notation(decay)}$")
        for decay, colour in palette.items()
    ]
    if not _settled(table).all():
        open_dot: Look = {"color": "0.3", "marker": "o", "markerfacecolor": "white", "linestyle": ""}
        handles.append(Line2D([], [], label="a seed not stationary", **open_dot))
    figure.legend(handles=handles, loc="outside lower center", ncols=5 if columns > 1 else 3)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a caption tells: what is drawn, and how the networks ended.

    Returns
    -------
    dict
        That of `cube.endings`, `clusters`, `ranks` in words, and `middle`, the intermediate layer,
        None against depth.

    Examples
    --------
    >>> facts = summary({"made up": cube}, {"along": "sigma", "rank": "stable_rank"})
    >>> facts["ranks"], facts["middle"]
    (['stable rank'], 2)
    """
    cube = _cube(cubes, options)
    return {
        **endings(cube),
        "clusters": cube.attrs["clusters"],
        "ranks": [RANKS[name] for name in _ranks(options)],
        "middle": None if options["along"] == "depth" else _middle(cube),
    }


def _cube(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> xr.Dataset:
    cube = squeezed(only(cubes), *(axis for axis in AXES if axis != options["along"]))
    require(cube, _ranks(options), f"rank must be any of {', '.join(RANKS)}")
    return cube


def _ranks(options: Mapping[str, Any]) -> list[str]:
    return [options["rank"]] if isinstance(options["rank"], str) else list(options["rank"])


def _rank(cube: xr.Dataset, name: str, along: str) -> xr.DataArray:
    """A measure of rank with the dimensions weight_decay, `along` and seed."""
    # networks of fewer layers have none beyond: missing, and not in the mean
    rank = cube[name].mean("layer") if along == "depth" else cube[name].isel(layer=_middle(cube) - 1)
    kept = ("weight_decay", along, "seed")
    return rank.drop_vars(set(rank.coords) - set(kept)).transpose(*kept)


def _middle(cube: xr.Dataset) -> int:
    """The intermediate matrix: the layer in the middle, the lower of two."""
    return (cube.sizes["layer"] + 1) // 2


def _settled(table: pd.DataFrame) -> pd.Series:
    return (table["stopped"] == 0) & (table["collapsed_to_zero"] == 0)


def _dots(axis: Axes, table: pd.DataFrame, along: str, palette: Mapping[float, ColorType]) -> None:
    """Medians, white inside where a seed is not stationary."""
    for weight_decay, curve in by_value(table, "weight_decay"):
        dots: Look = {"color": palette[weight_decay], "marker": "o", "linestyle": ""}
        for rows, face in ((_settled(curve), palette[weight_decay]), (~_settled(curve), "white")):
            axis.plot(curve[along][rows], curve["median"][rows], markerfacecolor=face, **dots)
