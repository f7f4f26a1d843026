"""The spectra of all layers, and their class WCSS, through training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter
from numpy.typing import NDArray

from nrc.fields import ColourMap
from nrc.figures.cube import endings, only, require, squeezed
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.panels import floor, grid, layer_name, legend, of_cell, title
from nrc.figures.style import COLOURS, Colour, Look, StyledFigure, colours, from_zero, spread
from nrc.options import Requirement, given, one_value
from nrc.theory.spectra import EXACT, exact_rank, relative_tail

__all__ = ["Options", "draw", "rows", "summary"]

TAIL, EXACT_RANK, WCSS = "relative tail", "exact rank", "class WCSS"
# The space of the points: its WCSS does not change.
INPUTS = (0, "input")
# What snapshots may count, one and several.
UNITS = (("pass", "epochs"), ("call", "calls"), ("snapshot", "snapshots"))
# The largest WCSS of a network over its least, beyond which its axis is logarithmic.
SPREAD = 30
# Where the axis of tails ends of several networks; of one it ends there at least, for all of its tails.
FLOOR, FLOOR_OF_ONE = 1e-3, 1e-2
# Spectra in a panel at most: more cannot be told apart.
LOOKS = 21
# Where training goes on from another: the spectrum there, and the pass.
CHANGE: Look = {"color": COLOURS["orange"], "linewidth": 1.0}


class Options(FigureOptions):
    """Spectra and class WCSS during training."""

    requires = (
        Requirement({"training.snapshot_every": given, "grid.sigma": one_value}),
        one_architecture,
    )

    colour_map: ColourMap = "Blues"


def rows(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> pd.DataFrame:
    """The numbers drawn, medians over the seeds that have them.

    Parameters
    ----------
    cubes : mapping
        One cube of measures with snapshots, of one sigma, one width and one depth.
    options : mapping

    Returns
    -------
    DataFrame
        Rows of three kinds (`panel`): the relative tail of each layer (its number `layer`) for each
        `index`, at 21 snapshots at most, the first, the last and the one where training goes on from
        another among them; the exact rank of each layer, and the class WCSS of each space (`layer` k
        for z^k), at all snapshots; `value` for each weight decay and `snapshot`.

    Raises
    ------
    ValueError
        If there are several sigmas, widths or depths, or no snapshots.

    Examples
    --------
    >>> table = rows({"made up": cube.isel(sigma=[0])}, {})
    >>> table["panel"].unique().tolist()
    ['relative tail', 'exact rank', 'class WCSS']
    """
    cube = _cube(cubes)
    tail = _tails(cube["snapshot_singular_values"].isel(snapshot=_chosen(cube))).median("seed")
    rank = _exact_ranks(cube).median("seed")
    wcss = cube["snapshot_wcss"].median("seed")
    tables = {
        TAIL: tail.rename("value").to_dataframe().reset_index(),
        EXACT_RANK: rank.rename("value").to_dataframe().reset_index(),
        WCSS: wcss.rename("value").to_dataframe().reset_index().rename(columns={"source": "layer"}),
    }
    table = pd.concat(tables, names=["panel"]).droplevel(1).reset_index().dropna(subset="value")
    columns = ["panel", "weight_decay", "layer", "snapshot", "index", "value"]
    return table[columns].astype({"index": "Int64"}).reset_index(drop=True)


def draw(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> StyledFigure:
    """Draw a column for each weight decay: a row for each layer, and the class WCSS below; one in a grid.

    Where training goes on from another, epochs up to there are on a linear scale, and logarithmic
    beyond.

    Parameters
    ----------
    cubes : mapping
        As in `rows`.
    options : mapping
        `colour_map`: its light end is the start of training.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube.isel(sigma=[0])}, {"colour_map": "Blues"})
    >>> len(figure.axes)  # 2 weight decays, 3 layers and the class WCSS
    8
    """
    cube, table = _cube(cubes), rows(cubes, options)
    layers, decays = cube["layer"].values.tolist(), cube["weight_decay"].values.tolist()
    tails, ranks, wcss = (table[table["panel"] == panel] for panel in (TAIL, EXACT_RANK, WCSS))
    spaces = [space for space in cube["source"].values.tolist() if space not in INPUTS]
    spaces = [space for space in spaces if (wcss["layer"] == space).any()]
    start, looks = _start(cube), sorted(tails["snapshot"].unique())
    shades = dict(zip(looks, colours(options["colour_map"], len(looks), 0.2, 1.0), strict=True))
    ends = 1 / len(layers), min(1.0, len(spaces) / len(layers))
    hues = dict(zip(spaces, colours("viridis", len(spaces), *ends), strict=True))
    said = [title(cube.isel(weight_decay=place)) for place in range(len(decays))]
    if len(decays) == 1:
        figure, panels, last = grid(layers, said[0], below=bool(spaces))
        columns, below, least = [panels], [last] if last else [], floor(tails["value"], FLOOR_OF_ONE)
        panels[0].set_ylabel("tail beyond $r$")
    else:
        figure, columns, below = _columns(layers, said)
        least = FLOOR
    for column, decay in zip(columns, decays, strict=True):
        for axis, layer in zip(column, layers, strict=True):
            spectrum, rank = (of_cell(part, weight_decay=decay, layer=layer) for part in (tails, ranks))
            _draw_tails(axis, spectrum, rank, start, shades)
            # a tail is 1 at most; above it there is room for the rank
            axis.set_ylim(least, 5)
    for axis, decay in zip(below, decays, strict=False):
        _lines(axis, of_cell(wcss, weight_decay=decay), "snapshot", "layer", hues)
        axis.set_xlabel(_unit(cube)[1])
        if len(decays) == 1:
            _scale_wcss(axis)
        if start is not None:
            _scale_passes(axis, start, *cube["snapshot"].values[[0, -1]])
    shown = _legend(looks, shades, start, _unit(cube)[0])
    shown += [Line2D([], [], color=hue, label=_space_name(space)) for space, hue in hues.items()]
    if below:
        below[0].set_ylabel(WCSS)
    if len(decays) == 1:
        legend(figure, shown)
    else:
        from_zero(*below)
        figure.legend(handles=shown, loc="outside lower center", ncols=min(len(shown), len(decays) + 2))
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a caption tells: how many looks there are, and how the networks ended.

    Returns
    -------
    dict
        That of `cube.endings`; the numbers of `looks` and of those `drawn`; `start`, the pass at which
        training goes on from another, None from initial weights; `exact`, the tolerance of the exact
        rank, and `exact_ranks`, for each layer the least and the largest at the end; `residual`, the
        least and the largest relative residual.

    Examples
    --------
    >>> facts = summary({"made up": cube.isel(sigma=[0])}, {})
    >>> facts["looks"], facts["start"], facts["exact_ranks"]
    (3, None, {1: (4, 4), 2: (4, 4), 3: (4, 4)})
    """
    cube, residual = _cube(cubes), only(cubes)["relative_residual"]
    ranks = _exact_ranks(cube).isel(snapshot=-1).dropna("layer", how="all")
    return {
        **endings(cube),
        "looks": cube.sizes["snapshot"],
        "drawn": len(_chosen(cube)),
        "start": _start(cube),
        "exact": EXACT,
        "exact_ranks": {
            int(of["layer"]): (int(of.min()), int(of.max())) for of in ranks.transpose("layer", ...)
        },
        "residual": (float(residual.min()), float(residual.max())),
    }


def _cube(cubes: Mapping[str, xr.Dataset]) -> xr.Dataset:
    cube = only(cubes)
    names = ("snapshot_singular_values", "snapshot_wcss")
    require(cube, names, "training takes snapshots where training.snapshot_every is set")
    return squeezed(cube, "sigma", "width", "depth").drop_vars(["sigma", "width", "depth"])


def _start(cube: xr.Dataset) -> int | None:
    """The pass at which training goes on from another, if it does."""
    start = cube["snapshot"].attrs.get("start")
    return None if start is None else int(start)


def _chosen(cube: xr.Dataset) -> NDArray[np.int64]:
    """Places of the snapshots whose spectra are drawn.

    Where training goes on from another half of them are before, evenly, and half after, ever farther
    apart: most happens at once.
    """
    snapshots, start = cube["snapshot"].values, _start(cube)
    last = len(snapshots) - 1
    if start is None:
        return spread(len(snapshots), LOOKS)
    change = int(np.searchsorted(snapshots, start))
    before = np.unique(np.linspace(0, change, (LOOKS + 1) // 2).round())
    after = change + np.geomspace(1, max(1, last - change), LOOKS - len(before)).round()
    return np.unique(np.concatenate([before, after]).astype(int).clip(max=last))


def _exact_ranks(cube: xr.Dataset) -> xr.DataArray:
    """Exact rank of each layer at each snapshot."""
    s = cube["snapshot_singular_values"].transpose(..., "index")
    return s.isel(index=0, drop=True).copy(data=exact_rank(s.fillna(0).values))


def _columns(
    layers: Sequence[int | str], said: Sequence[str]
) -> tuple[StyledFigure, list[list[Axes]], list[Axes]]:
    """A figure with a column for each weight decay, its axes in columns, and those below."""
    figure = StyledFigure(figsize=(1.0 + 1.6 * len(said), 1.0 + 1.15 * (len(layers) + 1)))
    axes = figure.subplots(len(layers) + 1, len(said), squeeze=False, sharey="row")
    for axis in axes[:-1].flat:
        axis.set_yscale("log")
    for column, of_column in zip(axes.T, said, strict=True):
        column[0].set_title(of_column)
        column[-2].set_xlabel(r"$r$")
    for axis, layer in zip(axes[:-1, 0], layers, strict=True):
        axis.set_ylabel(f"{layer_name(layer)}\ntail beyond $r$")
    return figure, axes[:-1].T.tolist(), axes[-1].tolist()


def _legend(looks: Sequence[int], shades: Mapping[int, Colour], start: int | None, unit: str) -> list[Line2D]:
    """The first spectrum and the last, and that where training goes on from another."""
    handles = [
        Line2D([], [], color=shades[look], label=f"{unit} {look}")
        for look in sorted({*looks[:1], *looks[-1:]})
    ]
    if start is not None:
        handles.insert(1, Line2D([], [], label=f"{unit} {start}: another method", **CHANGE))
    return handles


def _scale_wcss(axis: Axes) -> None:
    """Of one network: from 0, but logarithmic where that would flatten curves."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axis.lines])
    positive = values[values > 0]
    if len(positive) and positive.max() > SPREAD * positive.min():
        axis.set_yscale("log")
        axis.yaxis.set_minor_formatter(NullFormatter())
    else:
        from_zero(axis)


def _unit(cube: xr.Dataset) -> tuple[str, str]:
    """What snapshots count, one and several, by the first word of what the coordinate says it is."""
    several = str(cube["snapshot"].attrs.get("long_name", "")).split(" ")[0]
    return next((unit for unit in UNITS if several in unit), UNITS[-1])


def _space_name(space: int | str) -> str:
    """The features z^k, or those that enter a module."""
    return "into " + layer_name(space).replace("\n", "") if isinstance(space, str) else rf"$z^{{{space}}}$"


def _draw_tails(
    axis: Axes, tails: pd.DataFrame, ranks: pd.DataFrame, start: int | None, shades: Mapping[int, Colour]
) -> None:
    """The spectra of one layer, and its exact rank at the end."""
    # the tail beyond the last singular value is 0
    tails = tails[tails["index"] < tails["index"].max()].astype({"index": int})
    _lines(axis, tails, "index", "snapshot", shades, linewidth=0.7)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    changed = tails[tails["snapshot"] == start]
    axis.plot(changed["index"], changed["value"], **CHANGE)
    for value in ranks["value"].tail(1):
        said = f"exact rank {value:g}"
        axis.text(0.97, 0.96, said, ha="right", va="top", fontsize=6, transform=axis.transAxes)


def _scale_passes(axis: Axes, start: int, first: int, last: int) -> None:
    """Passes linear up to where training goes on from another, then logarithmic, with a line between."""
    axis.set_xscale("symlog", linthresh=start)
    axis.set_xlim(first, last)
    axis.axvline(start, zorder=0, **CHANGE)
    powers = [mark for mark in (10**power for power in range(12)) if 2 * start <= mark <= last / 3]
    axis.xaxis.set_major_locator(FixedLocator(sorted({first, start, *powers, last})))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(ScalarFormatter())


def _lines(
    axis: Axes, table: pd.DataFrame, x: str, hue: str, palette: Mapping[Any, Colour], **look: Any
) -> None:
    """A curve for each value of a column that has a colour."""
    for value, colour in palette.items():
        part = table[table[hue] == value]
        axis.plot(part[x], part["value"], color=colour, **look)


def _tails(s: xr.DataArray) -> xr.DataArray:
    s = s.transpose(..., "index")
    return s.copy(data=relative_tail(s.fillna(0).values)).where(s.notnull())
