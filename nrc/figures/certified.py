"""The tail of the spectrum of each layer, and bounds on it by clusters and by groups of neurons."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType
from pydantic import Field

from nrc.figures.cube import (
    has_values,
    only,
    over_seeds,
    relative_bound,
    require,
    squeezed,
    status_counts,
)
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.panels import floor, layer_columns, legend, of_cell, title
from nrc.figures.style import COLOURS, Colour, LineStyle, StyledFigure, band, colours, letters
from nrc.objectives.penalties import ridge
from nrc.options import Requirement, at_least, equal, one_of

__all__ = ["Options", "draw", "rows", "summary"]

# The largest number of columns that is legible.
COLUMNS = 8
# The largest lower end of the axis.
FLOOR = 1e-2
# The largest number of ranks with dots.
DOTS = 40
CURVES = {
    "relative_tail": "tail beyond $r$",
    "tail_bound": "certified by $r$ directions of centroid gradients (Theorem 3.4, projected)",
}
# Drawn on request: the smaller of the bounds by the neurons before a layer and by the neurons of the layer.
OF_NEURONS = {
    "neurons": "certified by $r$ groups of neurons",
    "neurons_random": "certified by $r$ random groups of neurons",
}
# The control of the bound, at r = K.
PERMUTED = "permuted"
CONTROL: LineStyle = {
    "color": COLOURS["red"],
    "marker": "x",
    "linestyle": "",
    "label": "projected bound with permuted labels, at $r=K$",
}
ON_WHITE: LineStyle = {"facecolor": "white", "edgecolor": "none", "pad": 1}
CLUSTERS: LineStyle = {"color": "0.6", "linestyle": ":", "linewidth": 0.8}


class Options(FigureOptions):
    """Tails of spectra, and certified bounds on them; a column for each weight decay and sigma."""

    requires = (
        one_architecture,
        Requirement({"training.penalty": ridge, "measures.certified_ranks": at_least(1)}),
        # groups of neurons bound the next layer of a chain
        Requirement({"network.kind": one_of("mlp", "convolution", "module")}, when={"neurons": equal(True)}),
    )

    neurons: bool = Field(
        False, description="whether to also draw the bounds by groups of neurons and by random groups"
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
        maximum over seeds of `relative_tail`, the tail beyond r, of `tail_bound`, the bound on it, which may
        be missing, and at r = K of `permuted`, the projected bound with permuted labels, if the cube has it.
        With `options.neurons` also of the bounds `neurons` and `neurons_random`, and r is at least up to the
        largest number of distinct neurons that bounds a rank.

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
    cube = _cube(cubes, options)
    table = {
        column: values
        for name in (*CURVES, *OF_NEURONS, PERMUTED)
        if name in cube
        for column, values in over_seeds(name, cube[name]).items()
    }
    order = ["weight_decay", "sigma", "layer", "index"]
    frame = xr.Dataset(table).to_dataframe(dim_order=order).reset_index()
    bounded = frame.loc[frame["tail_bound"].notna(), "index"]
    last = (frame["index"] if bounded.empty else bounded).max()
    if options.neurons:
        last = max(last, cube["neuron_rank"].max().item() + 1)
    ranks = frame["index"] <= last
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
    cube, table = _cube(cubes, options), rows(cubes, options)
    shades = dict(zip(CURVES, colours(options.colour_map, 2, 0.15, 0.75), strict=True))
    shades |= dict.fromkeys(OF_NEURONS, to_rgba(COLOURS["orange"])) if options.neurons else {}
    layers = cube["layer"].values.tolist()
    cells = [
        cube.isel(weight_decay=row, sigma=column)
        for row in range(cube.sizes["weight_decay"])
        for column in range(cube.sizes["sigma"])
    ]
    titles = [title(cell, noise=bool(cube["sigma"].fillna(0).any())) for cell in cells]
    figure, columns, _ = layer_columns(layers, titles, "share of the norm")
    columns[0][0].set_ylim(floor(table[list(CURVES)].min(axis=1), FLOOR), 2)
    for column, cell in zip(columns, cells, strict=True):
        here = of_cell(table, weight_decay=cell["weight_decay"].item(), sigma=cell["sigma"].item())
        for axis, layer in zip(column, layers, strict=True):
            of_layer = of_cell(here, layer=layer)
            _draw_layer(axis, of_layer, cube.attrs.get("clusters"), shades)
            if len(of_layer) and table["tail_bound"].notna().any():
                _note_if_void(axis, of_layer.loc[of_layer["relative_tail"] > 0, "tail_bound"])
    letters(columns[0])
    legend(figure, _legend(cube, shades))
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: K, the largest rank with a bound, and the ratio of bound to tail.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; `clusters`; `ranks`, the largest r with a bound; `ratio`, the
        median of bound over tail at r = K for each layer that has both; `residual`, minimum and maximum
        of the relative residual; `permuted`, the median ratio of the bound with permuted labels to the bound
        at r = K, None without the control or without bounds at K; `neurons`, the medians of the bounds by
        groups of neurons and by random groups at r = the smaller number of distinct neurons on the two
        sides, None if not drawn.

    Examples
    --------
    >>> facts = summary({"made up": cube}, Options(of=["made_up"]))
    >>> facts["ranks"], list(facts["ratio"])
    (4, [1, 2, 3])
    """
    cube, residual = _cube(cubes, options), only(cubes)["relative_residual"]
    at_k = cube.reindex(index=[cube.attrs["clusters"]]).squeeze("index")
    ratio = (at_k["tail_bound"] / at_k["relative_tail"].where(at_k["relative_tail"] > 0)).median(
        [dim for dim in ("weight_decay", "sigma", "seed") if dim in cube.dims]
    )
    known = cube["tail_bound"].notnull()
    permuted = float((at_k[PERMUTED] / at_k["tail_bound"]).median()) if PERMUTED in cube else np.nan
    return {
        **status_counts(only(cubes)),
        "clusters": cube.attrs["clusters"],
        "ranks": int(cube["index"].where(known).max()) if known.any() else 0,
        "ratio": {value["layer"].item(): float(value) for value in ratio if value.notnull()},
        "residual": (float(residual.min()), float(residual.max())),
        "permuted": None if np.isnan(permuted) else permuted,
        "neurons": _at_distinct(cube) if options.neurons else None,
    }


def _at_distinct(cube: xr.Dataset) -> list[float]:
    """Medians of the bounds by groups of neurons at the smaller number of distinct neurons."""
    there = cube["index"] == cube["neuron_rank"]
    return [float(cube[name].where(there).median()) for name in OF_NEURONS]


def _cube(cubes: Mapping[str, xr.Dataset], options: Options) -> xr.Dataset:
    cube = only(cubes)
    require(cube, ["tail_bound"], "tails are bounded for the penalty on the factors")
    cells = cube.sizes["weight_decay"] * cube.sizes["sigma"]
    if cells > COLUMNS:
        raise ValueError(
            f"the figure draws at most {COLUMNS} pairs of weight decay and sigma, but there are {cells}; "
            "choose some, by `at` in a configuration or by cube.sel"
        )
    if has_values(cube, "bound_permuted"):
        at_k = cube["index"] == cube.attrs["clusters"]
        cube = cube.assign({PERMUTED: relative_bound(cube, "bound_permuted").where(at_k)})
    if options.neurons:
        for name in OF_NEURONS:
            pair = [name.replace("neurons", kind) for kind in ("neuron_bound", "neuron_scatter")]
            require(
                cube, [*pair, "neuron_rank"], "networks with weight decay have bounds by groups of neurons"
            )
            cube = cube.assign({name: np.fmin(cube[pair[0]], cube[pair[1]])})
    return squeezed(cube, "width", "depth").drop_vars(["width", "depth"])


def _legend(cube: xr.Dataset, shades: Mapping[str, Colour]) -> list[Line2D]:
    """The curves that the figure has, and K if it is known."""
    names = {name: label for name, label in (CURVES | OF_NEURONS).items() if name in shades}
    handles = [
        Line2D([], [], color=shades[name], linestyle=_line(name), label=label)
        for name, label in names.items()
        if has_values(cube, name)
    ]
    if PERMUTED in cube:
        handles.append(Line2D([], [], **CONTROL))
    if clusters := cube.attrs.get("clusters"):
        handles.append(Line2D([], [], label=f"$r=K={clusters}$", **CLUSTERS))
    return handles


def _draw_layer(axis: Axes, table: pd.DataFrame, clusters: int | None, shades: Mapping[str, Colour]) -> None:
    """Tail and bound of one layer: the median over seeds, and the range."""
    if clusters:
        axis.axvline(clusters, zorder=0, **CLUSTERS)
    for name, colour in shades.items():
        marker = "." if len(table) <= DOTS else ""
        style: LineStyle = {"marker": marker, "linestyle": _line(name), "linewidth": 0.9}
        axis.plot(table["index"], table[name], color=colour, **style)
        band(axis, table["index"], table[f"{name}_minimum"], table[f"{name}_maximum"], colour)
    if PERMUTED in table:
        control = table.dropna(subset=PERMUTED)
        axis.vlines(
            control["index"], control[f"{PERMUTED}_minimum"], control[f"{PERMUTED}_maximum"], CONTROL["color"]
        )
        axis.plot(control["index"], control[PERMUTED], **CONTROL)


def _line(name: str) -> LineStyleType:
    return ":" if name == "neurons_random" else "-"


def _note_if_void(axis: Axes, bound: pd.Series) -> None:
    """No tail is above 1, so that a bound above 1 is void, and not on the axis."""
    if not (bound <= 1).any():
        note = "no bound" if bound.isna().all() else "bound above 1: void"
        axis.text(0.04, 0.05, note, fontsize=6, transform=axis.transAxes, bbox=ON_WHITE)
