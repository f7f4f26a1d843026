"""The spectra of all layers, and their class WCSS, through training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from nrc.figures.cube import endings, only, require, squeezed
from nrc.figures.style import COLOURS, Look, colours, from_zero, spread
from nrc.flags import flag_masks
from nrc.grid import notation
from nrc.theory.spectra import EXACT, exact_rank, relative_tail

__all__ = ["draw", "rows", "summary"]

TAIL, EXACT_RANK, WCSS = "relative tail", "exact rank", "class WCSS"
# Spectra in a panel at most: more cannot be told apart.
LOOKS = 21
# Where training goes on from another: the spectrum there, and the pass.
CHANGE: Look = {"color": COLOURS["orange"], "linewidth": 1.0}


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


def draw(cubes: Mapping[str, xr.Dataset], options: Mapping[str, Any]) -> Figure:
    """Draw a column for each weight decay: a row for each layer, and the class WCSS below.

    Where training goes on from another, passes up to there are on a linear scale, and logarithmic
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
    decays, layers = cube["weight_decay"].values, cube["layer"].values
    tails, ranks, wcss = (table[table["panel"] == panel] for panel in (TAIL, EXACT_RANK, WCSS))
    start = _start(cube)
    wcss = wcss[wcss["layer"] > 0]
    looks, spaces = sorted(tails["snapshot"].unique()), sorted(wcss["layer"].unique())
    shades = dict(zip(looks, colours(options["colour_map"], len(looks), 0.2, 1.0), strict=True))
    hues = dict(
        zip(spaces, colours("viridis", len(spaces), 1 / len(layers), len(spaces) / len(layers)), strict=True)
    )
    figure = Figure(figsize=(1.0 + 1.6 * max(2, len(decays)), 1.0 + 1.15 * (len(layers) + 1)))
    axes = figure.subplots(len(layers) + 1, len(decays), squeeze=False, sharey="row")
    for column, weight_decay, said in zip(axes.T, decays, _titles(cube), strict=True):
        column[0].set_title(said)
        for axis, layer in zip(column[:-1], layers, strict=True):
            here = f"weight_decay == {weight_decay} and layer == {layer}"
            _draw_tails(axis, tails.query(here), ranks.query(here), start, shades)
        part = wcss[wcss["weight_decay"] == weight_decay]
        _lines(column[-1], part, "snapshot", "layer", hues)
        column[-1].set(xlabel="passes", ylabel="")
        if start is not None:
            _scale_passes(column[-1], start, *cube["snapshot"].values[[0, -1]])
        column[-2].set_xlabel(r"$r$")
    for axis, layer in zip(axes[:-1, 0], layers, strict=True):
        axis.set_ylabel(f"layer {layer}\ntail beyond $r$")
    axes[-1, 0].set_ylabel(WCSS)
    from_zero(*axes[-1])
    handles = [
        Line2D([], [], color=shades[look], label=f"pass {look}") for look in sorted({*looks[:1], *looks[-1:]})
    ]
    if start is not None:
        handles.insert(1, Line2D([], [], label=f"pass {start}: another method", **CHANGE))
    handles += [Line2D([], [], color=hues[space], label=rf"$z^{{{space}}}$") for space in spaces]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), len(decays) + 2))
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
    require(cube, names, "training takes snapshots where training.look_every is set")
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


def _draw_tails(
    axis: Axes, tails: pd.DataFrame, ranks: pd.DataFrame, start: int | None, shades: Mapping[int, ColorType]
) -> None:
    """The spectra of one layer, and its exact rank at the end."""
    # the tail beyond the last singular value is 0
    tails = tails[tails["index"] < tails["index"].max()].astype({"index": int})
    _lines(axis, tails, "index", "snapshot", shades, linewidth=0.7)
    changed = tails[tails["snapshot"] == start]
    axis.plot(changed["index"], changed["value"], **CHANGE)
    for value in ranks["value"].tail(1):
        at = Look(xy=(0.97, 0.96), xycoords="axes fraction", ha="right", va="top", fontsize=6)
        axis.annotate(f"exact rank {value:g}", **at)
    # a tail is 1 at most; above it there is room for the rank
    axis.set(yscale="log", ylim=(1e-3, 5), xlabel="", ylabel="")


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
    axis: Axes, table: pd.DataFrame, x: str, hue: str, palette: Mapping[int, ColorType], **look: Any
) -> None:
    # of no network left there is nothing to draw, and seaborn warns of a palette for nothing
    if len(table):
        sns.lineplot(
            table, x=x, y="value", hue=hue, palette=palette, estimator=None, legend=False, ax=axis, **look
        )


def _tails(s: xr.DataArray) -> xr.DataArray:
    s = s.transpose(..., "index")
    return s.copy(data=relative_tail(s.fillna(0).values)).where(s.notnull())


def _titles(cube: xr.Dataset) -> list[str]:
    """Of each column: the weight decay, and how many seeds are not stationary at the end."""
    converged = flag_masks(cube["status"])["converged"].sum("seed").values
    return [
        rf"$\lambda={notation(decay)}$" + f"\n{count} of {cube.sizes['seed']} converged"
        for decay, count in zip(cube["weight_decay"].values, converged, strict=True)
    ]
