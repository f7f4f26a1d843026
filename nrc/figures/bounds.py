"""Distance to rank K of every layer of every cell, against the bounds of Theorem 3.4."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, LogNorm
from matplotlib.lines import Line2D

from nrc.figures.cube import only, relative_bound, require, status_counts
from nrc.figures.options import FigureOptions
from nrc.figures.panels import layer_name, title
from nrc.figures.style import COLOURS, Colour, LineStyle, LogScale, StyledFigure, colour_map, colours, letters
from nrc.grid import AXES
from nrc.objectives.penalties import ridge
from nrc.options import Requirement
from nrc.status import flag_masks
from nrc.theory.ranks import NEAR

__all__ = ["Options", "draw", "rows", "summary"]

BOUNDS = {
    "bound_measured": r"measured bound $(\|r_\ell\| + \mathrm{gap})\,/\,\lambda$",
    "bound_projected": r"projected bound $\|(I-P)\,W_\ell\|$",
    "bound_segments": r"bound along segments $(\|r_\ell\| + \frac{1}{2}\sup\|g″\|)\,/\,\lambda$",
    "bound_analytic": r"analytic bound $(\|r_\ell\| + \frac{M}{2}\mathrm{WCSS})\,/\,\lambda$",
}
# The measured bound, and its control.
CERTIFIED = {"classes": "bound_measured", "permuted": "bound_measured_permuted"}
MARKERS = "osD^vPX*<>"
# The largest number of layers with a legend below the panels.
BELOW = 10


class Options(FigureOptions):
    """Distance to rank K of every layer against the bounds of Theorem 3.4."""

    requires = (Requirement({"training.penalty": ridge}),)


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, with a row for each cell and layer.

    Parameters
    ----------
    cubes : mapping
        One cube of measures.

    Returns
    -------
    DataFrame
        The axes, `layer`, `status`, empty if it is not known, `distance` to rank K, and each bound, the
        smallest over sources and partitions; missing if the theorem does not apply.

    Raises
    ------
    ValueError
        If the cube does not have the bounds.

    Examples
    --------
    >>> table = rows({"made up": cube}, Options(of=["made_up"]))
    >>> len(table), table["layer"].unique().tolist()
    (36, [1, 2, 3])
    """
    cube = only(cubes)
    require(cube, BOUNDS, "Theorem 3.4 is about the penalty on the factors")
    dataset = xr.Dataset(
        {
            "status": _status(cube),
            "distance": cube["distance"],
            **{name: cube[name].min("source") for name in BOUNDS},
        }
    )
    table = dataset.to_dataframe(dim_order=[*AXES, "layer"]).dropna(subset="distance").reset_index()
    return table[[*AXES, "layer", *dataset.data_vars]]


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> StyledFigure:
    """Draw distance against bound, with a panel for each bound and logarithmic axes.

    The colour is the noise level or, if there is only one, the weight decay; of a single cell, the layer.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube}, Options(of=["made_up"]))
    >>> [axis.get_visible() for axis in figure.axes[:4]]
    [True, True, True, True]
    """
    cube, full = only(cubes), rows(cubes, options)
    table = full[_drawn(full)]
    layers = [layer for layer in cube["layer"].values.tolist() if (table["layer"] == layer).any()]
    bounds = [name for name in BOUNDS if table[name].notna().any()] or ["bound_measured"]
    columns, lines = (len(bounds), 1) if len(bounds) < 3 else (2, -(-len(bounds) // 2))
    figure = StyledFigure(figsize=(1.2 + 3.0 * columns, 0.8 + 2.9 * lines))
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(bounds) :]:
        axis.set_visible(False)
    alone = all(cube.sizes[axis] == 1 for axis in AXES)
    shades = colours(options.colour_map, len(layers))
    for axis, name in zip(axes.flat, bounds, strict=False):
        if alone:
            _scatter_layers(axis, table, name, dict(zip(layers, shades, strict=True)))
        else:
            coloured = cube["sigma" if cube.sizes["sigma"] > 1 else "weight_decay"]
            points = _scatter(axis, table, name, coloured, layers, colour_map(options.colour_map))
        _diagonal(axis, table[["distance", *bounds]] if alone else table["distance"])
        axis.set_xlabel(BOUNDS[name])
        axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel(f"distance to rank $K={cube.attrs['clusters']}$")
    letters(axes.flat[: len(bounds)])
    if alone:
        count = f"{len(table)} of {len(full)} layers have a bound and a distance above 0"
        about = title(cube.isel(weight_decay=0, sigma=0)).split("\n")
        figure.suptitle("\n".join([", ".join(filter(None, about)), count][not any(about) :]), fontsize=8)
    else:
        label = {"sigma": r"noise level $\sigma$", "weight_decay": r"weight decay $\lambda$"}
        bar = figure.colorbar(points, ax=axes, label=label[str(coloured.name)], pad=0.01)
        LogScale(coloured).label(bar.ax.yaxis)
    handles = _legend(layers, shades if alone else ["0.4"] * len(layers), table["status"])
    if len(layers) > BELOW:
        figure.legend(handles=handles, loc="outside right upper", ncols=-(-len(handles) // 24))
    else:
        in_a_line = 3 if columns == 1 else min(len(handles), 6)
        figure.legend(handles=handles, loc="outside lower center", ncols=in_a_line, columnspacing=1.2)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: how many layers are drawn, and the ratio of each bound to the distance.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; `clusters`; the numbers of `layers`, of `drawn` layers and of
        layers without a bound (`void`); `ratio`, the median of bound over distance for each bound; and
        `certified`, the numbers of layers whose measured bound is at most `near` times their norm, with
        the classes and, if the cube has the control, with `permuted` labels.

    Examples
    --------
    >>> facts = summary({"made up": cube}, Options(of=["made_up"]))
    >>> facts["clusters"], facts["layers"], facts["void"]
    (2, 36, 0)
    """
    cube, table = only(cubes), rows(cubes, options)
    drawn = table[_drawn(table)]
    ratios = {name: (drawn[name] / drawn["distance"]).median() for name in BOUNDS}
    return {
        **status_counts(cube),
        "clusters": cube.attrs["clusters"],
        "layers": len(table),
        "drawn": len(drawn),
        "void": int(table["bound_measured"].isna().sum()),
        "ratio": {name: float(ratio) for name, ratio in ratios.items() if not np.isnan(ratio)},
        "near": NEAR,
        "certified": {
            word: int((relative_bound(cube, name) <= NEAR).sum())
            for word, name in CERTIFIED.items()
            if name in cube
        },
    }


def _drawn(table: pd.DataFrame) -> pd.Series:
    """Layers that are on logarithmic axes."""
    return (table["distance"] > 0) & (table["bound_measured"] > 0)


def _status(cube: xr.Dataset) -> xr.DataArray:
    """The status of each cell by name, empty if it is not known."""
    if "status" not in cube:
        return xr.full_like(cube["distance"].isel(layer=0, drop=True), "", dtype=object)
    masks = flag_masks(cube["status"])
    names = np.select(list(masks.values()), list(masks), default="")
    return xr.DataArray(names, dims=cube["status"].dims)


def _legend(layers: Sequence[int | str], shades: Sequence[Any], status: pd.Series) -> list[Line2D]:
    """Marks of the layers and of stopped cells, and the diagonal."""
    handles = [
        Line2D([], [], marker=MARKERS[place % 10], label=layer_name(layer), linestyle="", color=shade)
        for place, (layer, shade) in enumerate(zip(layers, shades, strict=True))
    ]
    if (status == "stopped").any():
        rim: LineStyle = {"markerfacecolor": "none", "markeredgecolor": COLOURS["red"], "linestyle": ""}
        handles.append(Line2D([], [], marker="o", label="stopped before it was stationary", **rim))
    return [*handles, Line2D([], [], color="black", linewidth=0.8, label="equality")]


def _scatter(
    axis: Axes,
    table: pd.DataFrame,
    bound: str,
    coloured: xr.DataArray,
    layers: Sequence[int | str],
    cmap: Colormap,
) -> PathCollection:
    """Points, coloured by an axis of the grid."""
    scale = LogScale(coloured)
    ends = scale(scale.values) if len(scale.values) > 1 else scale.edges
    style: LineStyle = {"norm": LogNorm(ends[0], ends[-1]), "cmap": cmap, "s": 9, "linewidths": 0.6}
    points = axis.scatter([], [], c=[], **style)
    for place, layer in enumerate(layers):
        of_layer = table[table["layer"] == layer]
        points = axis.scatter(
            of_layer[bound],
            of_layer["distance"],
            c=scale(of_layer[coloured.name]),
            marker=MARKERS[place % 10],
            edgecolors=_rims(of_layer),
            **style,
        )
    return points


def _scatter_layers(axis: Axes, table: pd.DataFrame, bound: str, shades: Mapping[int | str, Colour]) -> None:
    """Points of one network, a colour for each layer."""
    for place, (layer, shade) in enumerate(shades.items()):
        of_layer = table[table["layer"] == layer]
        style: LineStyle = {"marker": MARKERS[place % 10], "color": [shade], "s": 16, "linewidths": 0.6}
        axis.scatter(of_layer[bound], of_layer["distance"], edgecolors=_rims(of_layer), **style)


def _rims(table: pd.DataFrame) -> list[str]:
    """Edges of the points, red for stopped cells."""
    return [COLOURS["red"] if status == "stopped" else "none" for status in table["status"]]


def _diagonal(axis: Axes, values: pd.DataFrame | pd.Series) -> None:
    """Draw equality over the range of the values, which is also the range of axes with bounds."""
    if len(values):
        known = values.to_numpy(dtype=float)
        ends = [float(np.nanmin(known)), float(np.nanmax(known))]
        if known.ndim > 1:
            ends = [ends[0] / 1.5, ends[1] * 1.5]
            axis.set(xlim=ends, ylim=ends, aspect="equal")
        axis.plot(ends, ends, color="black", linewidth=0.8)
        axis.set(xscale="log", yscale="log")
    else:
        axis.text(0.5, 0.5, "no layer has both above 0", ha="center", transform=axis.transAxes)
