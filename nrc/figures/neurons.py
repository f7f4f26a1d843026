"""Distinct neurons of each hidden layer during training, against width or over layers, beside the rank."""

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from pydantic import Field

from nrc.figures.cube import by_value, marked, only, over_seeds, require, squeezed, status_counts
from nrc.figures.options import FigureOptions
from nrc.figures.panels import layer_name
from nrc.figures.style import (
    COLOURS,
    MARKS,
    Colour,
    LineStyle,
    band,
    colours,
    letters,
    log_axis,
    mark_handles,
)
from nrc.grid import notation
from nrc.options import Requirement, equal, given, one_value, other_than
from nrc.status import status_masks
from nrc.theory.ranks import exact_rank

__all__ = ["Options", "draw", "rows", "summary"]

# The variables of the numbers of neurons and of the spectra, after and during training.
AFTER = "distinct_neurons", "singular_values"
DURING = "snapshot_distinct_neurons", "snapshot_singular_values"
# For what is drawn along: the axis, the axis of the panels, and the label of the axis.
ALONG = {
    "training": ("snapshot", "layer", "epochs over the data"),
    "width": ("width", "layer", "width of the network"),
    "weight_decay": ("weight_decay", "layer", r"weight decay $\lambda$"),
    "layers": ("layer", "depth", "hidden layer"),
}
NEURONS, RANK = "neurons", "rank"
STYLES: dict[str, LineStyle] = {
    NEURONS: {"linestyle": "-", "label": "distinct neurons of the layer"},
    RANK: {"linestyle": (0, (2, 1.5)), "label": "exact rank of the layer"},
}
COLUMNS = 4
# Numbers within this factor have a linear axis, on which they are labelled.
SPREAD = 4
# Colours of the numbers of neurons and of the ranks, if there is a single curve.
ALONE = "0.3", COLOURS["red"]


class Options(FigureOptions):
    """Distinct neurons and exact rank of each hidden layer, with a curve for each weight decay."""

    requires = (
        Requirement({"grid.sigma": one_value}),
        Requirement({"training.snapshot_every": given}, when={"along": equal("training")}),
        Requirement({"grid.width": one_value}, when={"along": other_than("width")}),
        Requirement({"grid.depth": one_value}, when={"along": other_than("layers")}),
    )

    along: Literal["training", "width", "weight_decay", "layers"] = Field(
        "training",
        description="what to draw along: training, width or weight decay, with a panel for each layer, or "
        "the layers, with a panel for each depth",
    )


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn.

    Parameters
    ----------
    cubes : mapping
        One cube of measures of one sigma, with several widths only along `width`, and several depths only
        along `layers`.

    Returns
    -------
    DataFrame
        A row for each weight decay, `width`, `depth`, hidden `layer` and, along training, `snapshot`:
        `neurons` and `rank`, medians over seeds of the number of distinct neurons and of the exact rank, with
        `_minimum` and `_maximum`. Without snapshots, also the numbers of seeds that `converged`, `stopped`,
        `diverged` (also `stopped`) and `collapsed_to_zero`.

    Raises
    ------
    ValueError
        If another axis has several values, or numbers of distinct neurons are missing.

    Examples
    --------
    >>> table = rows({"made up": cube.isel(sigma=[0])}, Options(of=["made_up"], along="layers"))
    >>> table["layer"].unique().tolist()  # of three layers, two are hidden
    [1, 2]
    """
    cube, during = _cube(cubes, options), options.along == "training"
    found = _found(cube, DURING if during else AFTER)
    statistics = {
        column: numbers
        for name, values in found.items()
        for column, numbers in over_seeds(str(name), values).items()
    }
    if not during and "status" in cube:
        statistics |= {name: mask.sum("seed") for name, mask in status_masks(cube).items()}
    along = [axis for axis in ("snapshot",) if axis in found.dims]
    order = ["weight_decay", "width", "depth", "layer", *along]
    table = xr.Dataset(statistics).to_dataframe(dim_order=order).reset_index()
    counted = table.groupby(["depth", "layer"], sort=False)[NEURONS].transform("count") > 0
    hidden = counted | (not counted.any())  # all layers of networks that all failed
    return table.loc[hidden, [*order, *statistics]].reset_index(drop=True)


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw a panel for each hidden layer, or along layers for each depth, with bands over seeds.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube.isel(sigma=[0])}, Options(of=["made_up"]))
    >>> [axis.get_title() for axis in figure.axes]
    ['layer 1', 'layer 2']
    """
    table, start = rows(cubes, options), _start(only(cubes))
    x, of_panel, label = ALONG[options.along]
    panels = list(table[of_panel].unique())
    several = {} if x == "weight_decay" else dict(by_value(table, "weight_decay"))
    palette = dict(zip(several, colours(options.colour_map, len(several)), strict=True))
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(0.9 + 1.9 * max(2, columns), 1.0 + 1.9 * lines))
    axes = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for axis, panel in zip(axes, panels, strict=False):
        here = table[table[of_panel] == panel]
        for decay, colour in palette.items():
            _curve(axis, here[here["weight_decay"] == decay], x, colour, colour)
        if not palette:
            _curve(axis, here, x, *ALONE)
        for name, cells in _marked(here).items():
            axis.plot(cells[x], cells[NEURONS], **MARKS[name])
        _scale(axis, x, list(table[x].unique()), start)
        axis.set(xlabel=label, title=layer_name(panel) if of_panel == "layer" else f"depth {panel}")
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    limits = [axis.dataLim for axis in axes[: len(panels)]]
    if max(box.y1 for box in limits) < SPREAD * min(box.y0 for box in limits):
        axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes[0].set_yscale("log", base=2)
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("number")
    letters(axes[: len(panels)])
    handles = [
        Line2D([], [], color=colour, label=rf"$\lambda={notation(decay)}$")
        for decay, colour in palette.items()
    ]
    grey = ALONE[:1] * 2 if palette else ALONE
    handles += [
        Line2D([], [], color=colour, **style) for colour, style in zip(grey, STYLES.values(), strict=True)
    ]
    handles += mark_handles(_marked(table))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, columns + 1))
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: numbers of neurons after training, and numbers of cells by status.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; `neurons`, minimum and maximum number of distinct neurons after
        training of each hidden layer; `start`, the epoch at which training continues another one, None from
        initial weights; `residual`, minimum and maximum of the relative residual.

    Examples
    --------
    >>> facts = summary({"made up": cube.isel(sigma=[0])}, Options(of=["made_up"]))
    >>> list(facts["neurons"])
    [1, 2]
    """
    cube, residual = _cube(cubes, options), only(cubes)["relative_residual"]
    counts = cube["distinct_neurons"].dropna("layer", how="all")
    return {
        **status_counts(only(cubes)),
        "neurons": {
            of_layer["layer"].item(): (int(of_layer.min()), int(of_layer.max()))
            for of_layer in counts.transpose("layer", ...)
        },
        "start": _start(cube),
        "residual": (float(residual.min()), float(residual.max())),
    }


def _cube(cubes: Mapping[str, xr.Dataset], options: Options) -> xr.Dataset:
    cube = only(cubes)
    wanted = [*AFTER, *(DURING if options.along == "training" else ())]
    require(cube, wanted, "networks have numbers during training if training.snapshot_every is set")
    one = {"width", "depth"} - {{"width": "width", "layers": "depth"}.get(options.along)}
    for axis in sorted(one):  # an axis of one value stays
        squeezed(cube, axis)
    return squeezed(cube, "sigma").drop_vars("sigma")


def _start(cube: xr.Dataset) -> int | None:
    """The epoch at which training continues another one, if it does."""
    start = cube["snapshot"].attrs.get("start") if "snapshot" in cube else None
    return None if start is None else int(start)


def _found(cube: xr.Dataset, variables: tuple[str, str]) -> xr.Dataset:
    """Numbers of distinct neurons, and exact ranks where they are known."""
    counts, s = cube[variables[0]], cube[variables[1]].transpose(..., "index")
    rank = s.isel(index=0, drop=True).copy(data=exact_rank(s.fillna(0).values))
    return xr.Dataset({NEURONS: counts, RANK: rank.where(counts.notnull())})


def _marked(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows with a seed that did not converge; none along training, whose end alone has a status."""
    return {name: cells for name, cells in marked(table).items() if len(cells)} if "stopped" in table else {}


def _curve(axis: Axes, table: pd.DataFrame, x: str, colour: Colour | str, of_rank: Colour | str) -> None:
    """Medians of neurons and ranks, with a band from the smallest to the largest number of neurons."""
    marker = "" if x == "snapshot" else "o"
    for name, shade in ((NEURONS, colour), (RANK, of_rank)):
        axis.plot(table[x], table[name], color=shade, marker=marker, **STYLES[name])
    band(axis, table[x], table[f"{NEURONS}_minimum"], table[f"{NEURONS}_maximum"], colour)


def _scale(axis: Axes, x: str, values: list[Any], start: int | None) -> None:
    """Epochs, linear up to the epoch at which training continues another one; else a tick for each value."""
    if x == "weight_decay":
        if min(values) > 0:  # numbers may be missing at some of them
            axis.set(xscale="log", xlim=(min(values) / 1.1, max(values) * 1.1))
            log_axis(axis.xaxis, subs=(1, 2, 5))
    elif x != "snapshot":
        if x == "width":
            axis.set_xscale("log", base=2)
        # matplotlib counts names from 0
        named = isinstance(values[0], str)
        places, names = (range(len(values)), map(layer_name, values)) if named else (values, map(str, values))
        axis.set_xticks(places, list(names), rotation=90 if named else 0)
        axis.minorticks_off()
    elif start is not None:
        axis.set_xscale("symlog", linthresh=start)
        axis.axvline(start, color="0.6", linestyle=":", linewidth=0.8, zorder=0)
        axis.set_xlim(values[0], values[-1])
        ticks = sorted({values[0], int(start), values[-1]})
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
