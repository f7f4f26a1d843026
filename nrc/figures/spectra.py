"""The spectra of all layers, and the class WCSS of all spaces, during training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from nrc.figures.cube import only, relative_tails, require, squeezed, status_counts
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.panels import floor, halves, layer_columns, layer_name, legend, of_cell, title
from nrc.figures.style import (
    COLOURS,
    Colour,
    LineStyle,
    StyledFigure,
    colours,
    from_zero,
    letters,
    log_axis,
    spread,
)
from nrc.option_types import ColourMap
from nrc.options import Requirement, given, one_value
from nrc.theory.ranks import EXACT, exact_rank

__all__ = ["Options", "draw", "rows", "summary"]

TAIL, EXACT_RANK, WCSS = "relative tail", "exact rank", "class WCSS"
# Names of the space of the inputs, with a constant WCSS.
INPUTS = (0, "input")
# What snapshots may count, singular and plural.
UNITS = (("epoch", "epochs"), ("call", "calls"), ("snapshot", "snapshots"))
# The ratio of the largest to the smallest WCSS of a network above which the axis is logarithmic.
SPREAD = 30
# The largest lower end of the axis of tails.
FLOOR = 1e-2
# The largest number of spectra in a panel that readers can distinguish.
SPECTRA = 21
# The spectrum and the epoch at which training continues another one.
CHANGE: LineStyle = {"color": COLOURS["orange"], "linewidth": 1.2}


class Options(FigureOptions):
    """Spectra and class WCSS during training."""

    requires = (
        Requirement({"training.snapshot_every": given, "grid.sigma": one_value}),
        one_architecture,
    )

    colour_map: ColourMap = "Blues"


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, medians over the seeds that have them.

    Parameters
    ----------
    cubes : mapping
        One cube of measures with snapshots, of one sigma, one width and one depth.

    Returns
    -------
    DataFrame
        A `value` for each weight decay and `snapshot`, in three panels (`panel`): the relative tail of each
        `layer` for each `index`, at no more than 21 snapshots, with the first, the last and the one at which
        training continues another one; the exact rank of each layer, and the class WCSS of each space
        (`layer` k for z^k), at all snapshots.

    Raises
    ------
    ValueError
        If there are several sigmas, widths or depths, or no snapshots.

    Examples
    --------
    >>> table = rows({"made up": cube.isel(sigma=[0])}, Options(of=["made_up"]))
    >>> table["panel"].unique().tolist()
    ['relative tail', 'exact rank', 'class WCSS']
    """
    cube = _cube(cubes)
    tail = relative_tails(cube["snapshot_singular_values"].isel(snapshot=_chosen(cube))).median("seed")
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


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> StyledFigure:
    """Draw a column for each weight decay, with a row for each layer, or a grid of one; below the class WCSS.

    If training continues another one, the class WCSS has two panels, along the epochs up to there, and along
    the evaluations of the other method, on a logarithmic scale.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": cube.isel(sigma=[0])}, Options(of=["made_up"]))
    >>> len(figure.axes)  # 2 weight decays, 3 layers and the class WCSS
    8
    """
    cube, table = _cube(cubes), rows(cubes, options)
    layers, decays = cube["layer"].values.tolist(), cube["weight_decay"].values.tolist()
    tails, ranks, wcss = (table[table["panel"] == panel] for panel in (TAIL, EXACT_RANK, WCSS))
    spaces = [space for space in cube["source"].values.tolist() if space not in INPUTS]
    spaces = [space for space in spaces if (wcss["layer"] == space).any()]
    start, snapshots = _start(cube), sorted(tails["snapshot"].unique())
    shades = dict(zip(snapshots, colours(options.colour_map, len(snapshots), 0.2, 1.0), strict=True))
    ends = 1 / len(layers), min(1.0, len(spaces) / len(layers))
    hues = dict(zip(spaces, colours("viridis", len(spaces), *ends), strict=True))
    titles = [title(cube.isel(weight_decay=place)) for place in range(len(decays))]
    figure, columns, below = layer_columns(layers, titles, "tail beyond $r$", below=bool(spaces))
    # the tail beyond the last singular value is 0
    inner = tails[tails["index"] < tails["index"].max()].astype({"index": int})
    lower, last = floor(inner["value"], FLOOR), None
    for column, decay in zip(columns, decays, strict=True):
        for axis, layer in zip(column, layers, strict=True):
            spectrum, rank = (of_cell(part, weight_decay=decay, layer=layer) for part in (inner, ranks))
            _draw_tails(axis, spectrum, rank, start, shades)
            # tails are at most 1; the rank is written above
            axis.set_ylim(lower, 8)
    for place, decay in zip(below, decays, strict=False):
        last = _draw_wcss(figure, place, of_cell(wcss, weight_decay=decay), cube, hues, last)
    curves = [axis for axis in figure.axes if axis.get_label() == WCSS]
    if curves:
        _scale_wcss(curves)
    letters([*columns[0], *curves[:1]])
    handles = _legend(snapshots, shades, start, _unit(cube)[0])
    handles += [Line2D([], [], color=hue, label=_space_name(space)) for space, hue in hues.items()]
    legend(figure, handles)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: the number of snapshots, exact ranks, and numbers of cells by status.

    Returns
    -------
    dict
        The numbers of `cube.status_counts`; the numbers of `snapshots` and of snapshots that are `drawn`;
        `start`, the epoch at which training continues another one, None from initial weights; `exact`,
        the tolerance of the exact rank, and `exact_ranks`, minimum and maximum for each layer after
        training; `residual`, minimum and maximum of the relative residual.

    Examples
    --------
    >>> facts = summary({"made up": cube.isel(sigma=[0])}, Options(of=["made_up"]))
    >>> facts["snapshots"], facts["start"], facts["exact_ranks"]
    (3, None, {1: (4, 4), 2: (4, 4), 3: (4, 4)})
    """
    cube, residual = _cube(cubes), only(cubes)["relative_residual"]
    ranks = _exact_ranks(cube).isel(snapshot=-1).dropna("layer", how="all")
    return {
        **status_counts(cube),
        "snapshots": cube.sizes["snapshot"],
        "drawn": len(_chosen(cube)),
        "start": _start(cube),
        "exact": EXACT,
        "exact_ranks": {
            rank["layer"].item(): (int(rank.min()), int(rank.max())) for rank in ranks.transpose("layer", ...)
        },
        "residual": (float(residual.min()), float(residual.max())),
    }


def _cube(cubes: Mapping[str, xr.Dataset]) -> xr.Dataset:
    cube = only(cubes)
    names = ("snapshot_singular_values", "snapshot_wcss")
    require(cube, names, "networks have snapshots if training.snapshot_every is set")
    return squeezed(cube, "sigma", "width", "depth").drop_vars(["sigma", "width", "depth"])


def _start(cube: xr.Dataset) -> int | None:
    """The epoch at which training continues another one, if it does."""
    start = cube["snapshot"].attrs.get("start")
    return None if start is None else int(start)


def _chosen(cube: xr.Dataset) -> NDArray[np.int64]:
    """Positions of the snapshots with a spectrum in the figure.

    If training continues another one, half of them are before that epoch, in even steps, and half after it,
    in increasing steps, because spectra change most at the beginning.
    """
    snapshots, start = cube["snapshot"].values, _start(cube)
    last = len(snapshots) - 1
    if start is None:
        return spread(len(snapshots), SPECTRA)
    change = int(np.searchsorted(snapshots, start))
    before = np.unique(np.linspace(0, change, (SPECTRA + 1) // 2).round())
    after = change + np.geomspace(1, max(1, last - change), SPECTRA - len(before)).round()
    return np.unique(np.concatenate([before, after]).astype(int).clip(max=last))


def _exact_ranks(cube: xr.Dataset) -> xr.DataArray:
    """Exact rank of each layer at each snapshot."""
    s = cube["snapshot_singular_values"].transpose(..., "index")
    return s.isel(index=0, drop=True).copy(data=exact_rank(s.fillna(0).values))


def _legend(
    snapshots: Sequence[int], shades: Mapping[int, Colour], start: int | None, unit: str
) -> list[Line2D]:
    """The first and the last spectrum, and the spectrum at which training continues another one."""
    ends = {snapshot: f"{unit} {snapshot}" for snapshot in (*snapshots[:1], *snapshots[-1:])}
    if start is not None:
        ends[snapshots[-1]] = f"{snapshots[-1] - start} evaluations later"
    handles = [Line2D([], [], color=shades[snapshot], label=label) for snapshot, label in ends.items()]
    if start is not None:
        handles.insert(1, Line2D([], [], label=f"{unit} {start}: another method", **CHANGE))
    return handles


def _scale_wcss(axes: Sequence[Axes]) -> None:
    """Scale the common axis of the WCSS: from 0, or logarithmic if its values vary widely."""
    values = [np.asarray(line.get_ydata(), dtype=float) for axis in axes for line in axis.lines]
    positive = np.concatenate([line[line > 0] for line in values])
    if len(positive) and positive.max() > SPREAD * positive.min():
        axes[0].set_yscale("log")
        log_axis(axes[0].yaxis)
    else:
        from_zero(*axes)


def _unit(cube: xr.Dataset) -> tuple[str, str]:
    """The unit of snapshots, singular and plural, by the first word of the description of the coordinate."""
    plural = str(cube["snapshot"].attrs.get("long_name", "")).split(" ")[0]
    return next((unit for unit in UNITS if plural in unit), UNITS[-1])


def _space_name(space: int | str) -> str:
    """The name of a space: the features z^k, or the features that enter a module."""
    return "into " + layer_name(space).replace("\n", "") if isinstance(space, str) else rf"$z^{{{space}}}$"


def _draw_tails(
    axis: Axes, tails: pd.DataFrame, ranks: pd.DataFrame, start: int | None, shades: Mapping[int, Colour]
) -> None:
    """Draw the spectra of one layer, and write its exact rank after training."""
    _lines(axis, tails, "index", "snapshot", shades, linewidth=0.7)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    changed = tails[tails["snapshot"] == start]
    axis.plot(changed["index"], changed["value"], **CHANGE)
    for value in ranks["value"].tail(1):
        note = f"exact rank {value:g}"
        axis.text(0.97, 0.96, note, ha="right", va="top", fontsize=6, transform=axis.transAxes)


def _draw_wcss(
    figure: StyledFigure,
    place: SubplotSpec,
    wcss: pd.DataFrame,
    cube: xr.Dataset,
    hues: Mapping[Any, Colour],
    beside: Axes | None,
) -> Axes:
    """Draw the class WCSS of a weight decay, in two panels if epochs become evaluations; the last one."""
    start, unit = _start(cube), _unit(cube)[1]
    if start is None:
        parts = [(wcss, unit)]
    else:
        after = wcss[wcss["snapshot"] > start]
        after = after.assign(snapshot=after["snapshot"] - start)
        parts = [(wcss[wcss["snapshot"] <= start], unit), (after, "evaluations")]
    parts = [(part, label) for part, label in parts if len(part)]
    label = WCSS if beside is None else ""
    places = halves(place) if len(parts) > 1 else [place]
    for here, (part, unit) in zip(places, parts, strict=False):
        axis = figure.add_subplot(here, sharey=beside, label=WCSS)
        _lines(axis, part, "snapshot", "layer", hues)
        axis.set(xlabel=unit, ylabel=label)
        axis.tick_params(labelleft=beside is None)
        if unit == "evaluations":
            axis.set_xscale("log")
            log_axis(axis.xaxis, (1,))
            axis.spines["left"].set(**CHANGE)
        beside, label = axis, ""
    return axis


def _lines(
    axis: Axes, table: pd.DataFrame, x: str, hue: str, palette: Mapping[Any, Colour], **style: Any
) -> None:
    """Draw a curve for each value of a column that has a colour."""
    for value, colour in palette.items():
        part = table[table[hue] == value]
        axis.plot(part[x], part["value"], color=colour, **style)
