"""The tail of each layer's spectrum, and beside it what clusters certify of it for every rank."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from nrc.figures.cube import endings, only, require, squeezed
from nrc.figures.style import Look, colours
from nrc.flags import flag_masks
from nrc.grid import notation

__all__ = ["draw", "rows", "summary"]

# Columns at most: more cannot be read.
COLUMNS = 8
CURVES = {
    "relative_tail": "tail beyond $r$",
    "certified_tail": "certified by $r$ clusters (Theorem 3.4, sharpened)",
}
CLUSTERS: Look = {"color": "0.6", "linestyle": ":", "linewidth": 0.8}


def rows(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> pd.DataFrame:
    """The numbers drawn: a row for each weight decay, sigma, layer and rank.

    Parameters
    ----------
    cubes : mapping
        One cube of measures with certified tails, of one width and one depth.
    options : mapping

    Returns
    -------
    DataFrame
        `weight_decay`, `sigma`, `layer`, `index` r; of `relative_tail` and `certified_tail`, the tail
        beyond r and the bound on it, the median over seeds, the least and the largest.

    Raises
    ------
    ValueError
        If the cube has no certified tails, several widths or depths, or too many cells.

    Examples
    --------
    >>> table = rows({"made up": cube}, {})
    >>> table[["layer", "index"]].drop_duplicates().shape
    (12, 2)
    """
    cube = _cube(cubes)
    table = {
        f"{name}{suffix}": getattr(cube[name], of)("seed")
        for name in CURVES
        for suffix, of in (("", "median"), ("_least", "min"), ("_largest", "max"))
    }
    order = ["weight_decay", "sigma", "layer", "index"]
    frame = xr.Dataset(table).to_dataframe(dim_order=order).reset_index()
    return frame[[*order, *table]].dropna(subset=list(CURVES)).reset_index(drop=True)


def draw(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> Figure:
    """Draw a column for each weight decay and sigma, a row for each layer, logarithmic.

    Parameters
    ----------
    cubes : mapping
        As in `rows`.
    options : mapping
        `colour_map`, of whose ends the two curves are.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube}, {"colour_map": "viridis"})
    >>> len(figure.axes)  # 3 layers, 2 weight decays by 3 sigmas
    18
    """
    cube, table = _cube(cubes), rows(cubes, options)
    shades = dict(zip(CURVES, colours(options["colour_map"], 2, 0.15, 0.75), strict=True))
    layers = cube["layer"].values
    cells = [(decay, sigma) for decay in cube["weight_decay"].values for sigma in cube["sigma"].values]
    figure = Figure(figsize=(0.8 + 1.45 * max(2, len(cells)), 1.0 + 1.25 * len(layers)))
    axes = figure.subplots(len(layers), len(cells), squeeze=False, sharex=True, sharey=True)
    for column, cell in zip(axes.T, cells, strict=True):
        of_cell = table[(table["weight_decay"] == cell[0]) & (table["sigma"] == cell[1])]
        column[0].set_title(_title(cube, *cell))
        for axis, layer in zip(column, layers, strict=True):
            _draw_layer(axis, of_cell[of_cell["layer"] == layer], cube.attrs["clusters"], shades)
        column[-1].set_xlabel("$r$")
    for axis, layer in zip(axes[:, 0], layers, strict=True):
        axis.set_ylabel(f"layer {layer}")
    axes[0, 0].set(yscale="log", ylim=(1e-4, 1.3))
    handles = [Line2D([], [], color=shades[name], label=label) for name, label in CURVES.items()]
    handles.append(Line2D([], [], label=f"$r=K={cube.attrs['clusters']}$", **CLUSTERS))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a caption tells: K, up to which rank tails are certified, and how much room there is.

    Returns
    -------
    dict
        That of `cube.endings`, `clusters`, `ranks`, the largest r certified; `room`, for each layer the
        median of bound over tail at r = K if it has both; `residual`, the least and the largest relative
        residual.

    Examples
    --------
    >>> facts = summary({"made up": cube}, {})
    >>> facts["ranks"], list(facts["room"])
    (4, [1, 2, 3])
    """
    cube, residual = _cube(cubes), only(cubes)["relative_residual"]
    at_k = cube.reindex(index=[cube.attrs["clusters"]]).squeeze("index")
    room = (at_k["certified_tail"] / at_k["relative_tail"].where(at_k["relative_tail"] > 0)).median(
        [dim for dim in ("weight_decay", "sigma", "seed") if dim in cube.dims]
    )
    known = cube["certified_tail"].notnull()
    return {
        **endings(only(cubes)),
        "clusters": cube.attrs["clusters"],
        "ranks": int(cube["index"].where(known).max()) if known.any() else 0,
        "room": {int(of["layer"]): float(of) for of in room if of.notnull()},
        "residual": (float(residual.min()), float(residual.max())),
    }


def _cube(cubes: Mapping[str, xr.Dataset]) -> xr.Dataset:
    cube = only(cubes)
    require(cube, ["certified_tail"], "tails are certified where measures.certified_ranks is set")
    cells = cube.sizes["weight_decay"] * cube.sizes["sigma"]
    if cells > COLUMNS:
        raise ValueError(
            f"the figure draws {COLUMNS} pairs of weight decay and sigma at most, but there are {cells}; "
            "choose some by at"
        )
    return squeezed(cube, "width", "depth").drop_vars(["width", "depth"])


def _title(cube: xr.Dataset, decay: float, sigma: float) -> str:
    """Weight decay and noise, if there is any, and how many seeds are stationary."""
    status = cube["status"].sel(weight_decay=decay, sigma=sigma)
    noise = rf", $\sigma={notation(sigma)}$" if cube["sigma"].values.any() else ""
    converged = int(flag_masks(status)["converged"].sum())
    return rf"$\lambda={notation(decay)}${noise}" + f"\n{converged} of {cube.sizes['seed']} converged"


def _draw_layer(axis: Axes, table: pd.DataFrame, clusters: int, shades: Mapping[str, ColorType]) -> None:
    """Tail and bound of one layer: the median over seeds, and from the least to the largest."""
    axis.axvline(clusters, zorder=0, **CLUSTERS)
    for name, colour in shades.items():
        axis.plot(table["index"], table[name], marker=".", linewidth=0.9, color=colour)
        ends = table[f"{name}_least"], table[f"{name}_largest"]
        axis.fill_between(table["index"], *ends, color=colour, alpha=0.25, linewidth=0)
