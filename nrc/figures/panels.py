"""Panels of the layers of one network, in a grid that is legible for any number of layers."""

import re
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from nrc.figures.style import SMALLEST, StyledFigure
from nrc.grid import notation
from nrc.status import flag_masks

__all__ = ["floor", "halves", "layer_columns", "layer_name", "legend", "of_cell", "title"]

# Largest numbers of panels in a row, and of characters in a line of the title of a panel.
COLUMNS, LETTERS = 6, 22


def layer_columns(
    layers: Sequence[int | str], titles: Sequence[str], ylabel: str, *, below: bool = False
) -> tuple[StyledFigure, list[list[Axes]], list[SubplotSpec]]:
    """A figure with a column for each cell and a row for each layer, or of one cell a grid of its layers.

    All panels have a common logarithmic y-axis, without values of 0, and ranks r along x.

    Parameters
    ----------
    layers : sequence of int or str
    titles : sequence of str
        One for each cell.
    ylabel : str
    below : bool
        Whether each cell has another panel below.

    Returns
    -------
    StyledFigure
    list of list of Axes
        For each cell, in the order of the layers.
    list of SubplotSpec
        The place of the panel below, for each cell.
    """
    alone = len(titles) == 1
    lines = -(-len(layers) // COLUMNS) if alone else len(layers)
    columns = -(-len(layers) // lines) if alone else len(titles)
    figure = StyledFigure(figsize=(1.0 + 1.5 * max(3, columns), 1.0 + 1.3 * (lines + below)))
    # a panel takes two columns of the grid, of which the panel below can have halves
    places = figure.add_gridspec(lines + below, 2 * columns)
    axes: list[list[Axes]] = [[] for _ in titles]
    for place in range(len(layers) * len(titles)):
        row, column = divmod(place, columns)
        cell, layer = (0, layers[place]) if alone else (column, layers[row])
        first = axes[0][0] if axes[0] else None
        here = places[row, 2 * column : 2 * column + 2]
        axis = figure.add_subplot(here, sharey=first, sharex=None if alone else first)
        axis.set_yscale("log", nonpositive="mask")
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        bottom = place + columns >= len(layers) * len(titles)
        axis.tick_params(labelleft=column == 0, labelbottom=alone or bottom)
        axis.set(xlabel="$r$" if bottom else "")
        if alone:
            axis.set_title(layer_name(layer), fontsize=7)
        elif row == 0:
            axis.set_title(titles[column])
        if column == 0:
            axis.set_ylabel(ylabel if alone else f"{layer_name(layer)}\n{ylabel}")
        axes[cell].append(axis)
    if alone and titles[0]:
        figure.suptitle(titles[0].replace("\n", ", "), fontsize=8)
    widths = [slice(None)] if alone else [slice(k, k + 2) for k in range(0, 2 * columns, 2)]
    return figure, axes, [places[-1, width] for width in widths] if below else []


def halves(place: SubplotSpec) -> list[SubplotSpec]:
    """The left and the right half of a place in a grid, as places in this grid, so that panels are aligned.

    Examples
    --------
    >>> grid = StyledFigure().add_gridspec(2, 4)
    >>> [(half.colspan.start, half.colspan.stop) for half in halves(grid[1, 2:4])]
    [(2, 3), (3, 4)]
    """
    grid, row, columns = place.get_gridspec(), place.rowspan.start, place.colspan
    middle = (columns.start + columns.stop) // 2
    return [grid[row, columns.start : middle], grid[row, middle : columns.stop]]


def legend(figure: StyledFigure, handles: Sequence[Line2D]) -> None:
    """A legend below, in as many columns as there is room for."""
    widths = sorted((0.45 + 0.06 * len(str(handle.get_label())) for handle in handles), reverse=True)
    columns = sum(total <= figure.get_figwidth() for total in accumulate(widths))
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, columns))


def layer_name(layer: int | str) -> str:
    """The title of a panel: "layer 2", or the name of a module, in several lines if it is long.

    Examples
    --------
    >>> layer_name(2), layer_name("2")
    ('layer 2', 'module 2')
    >>> layer_name("layer1.0.conv1")
    'layer1.0.conv1'
    >>> layer_name("encoder.layers.0.self_attention.out_proj")
    'encoder.layers.0.\\nself_attention.\\nout_proj'
    >>> layer_name("projection_of_the_first_encoder")
    'projection_of_the_\\nfirst_encoder'
    """
    if not isinstance(layer, str):
        return f"layer {layer}"
    if layer.isdigit():
        return f"module {layer}"
    lines = [""]
    for part in layer.split("."):
        for piece in re.findall(r"[^_]*_*", part) if len(part) > LETTERS else [part]:
            if lines[-1] and len(lines[-1] + piece) > LETTERS:
                lines.append("")
            lines[-1] += piece
        lines[-1] += "."
    return "\n".join(lines)[:-1].replace("$", r"\$")  # it is no mathematics


def title(cube: xr.Dataset, *, noise: bool = False) -> str:
    """Weight decay and noise of a cell, and below the number of seeds that converged.

    Networks that were not trained by the pipeline have no status; the title then has the largest relative
    residual over seeds.

    Parameters
    ----------
    cube : Dataset
        With weight decay and sigma as scalars.
    noise : bool
        Whether the title has sigma.
    """
    known = [("weight_decay", r"\lambda"), *([("sigma", r"\sigma")] if noise else [])]
    named = [f"${symbol}={notation(cube[axis].item())}$" for axis, symbol in known if cube[axis].notnull()]
    status = []
    if "status" in cube:
        converged = int(flag_masks(cube["status"])["converged"].sum())
        status = [f"{converged} of {cube.sizes['seed']} converged"]
    elif "relative_residual" in cube and cube["relative_residual"].notnull().any():
        status = [f"relative residual {float(cube['relative_residual'].max()):.1e}"]
    return "\n".join(filter(None, [", ".join(named), *status]))


def of_cell(table: pd.DataFrame, **at: float | str) -> pd.DataFrame:
    """Rows with some values; the missing value of an unknown axis is a value like others."""
    for column, value in at.items():
        table = table[table[column].isna() if pd.isna(value) else table[column] == value]
    return table


def floor(values: pd.Series, largest: float) -> float:
    """The lower end of a logarithmic axis: the power of ten below all values above 0, at most `largest`.

    Examples
    --------
    >>> floor(pd.Series([0.5, 0.02, 0.0]), largest=0.1)
    0.01
    """
    smallest = values[values > SMALLEST].min()
    return largest if pd.isna(smallest) else float(min(largest, 10.0 ** np.floor(np.log10(smallest))))
