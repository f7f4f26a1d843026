"""Panels of the layers of one network, in a grid that is legible for any number of layers."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from nrc.figures.style import StyledFigure
from nrc.grid import notation
from nrc.status import flag_masks

__all__ = ["floor", "grid", "layer_name", "legend", "of_cell", "title"]

# Largest numbers of panels in a row, and of characters in a line of the title of a panel.
COLUMNS, LETTERS = 6, 22
# Values below are 0 up to rounding, and not on a logarithmic axis.
SMALLEST = 1e-6


def grid(
    layers: Sequence[int | str], heading: str, *, below: bool = False
) -> tuple[StyledFigure, list[Axes], Axes | None]:
    """A figure with a panel for each layer, with a common logarithmic y-axis and ranks r along x.

    Values of 0 are left out.

    Parameters
    ----------
    layers : sequence of int or str
    heading : str
        The title of the figure; no title if it is empty.
    below : bool
        Whether there is another panel below the grid, as wide as the grid.

    Returns
    -------
    StyledFigure
    list of Axes
        In the order of the layers.
    Axes or None
        The panel below.
    """
    lines = -(-len(layers) // COLUMNS)
    columns = -(-len(layers) // lines)
    figure = StyledFigure(figsize=(0.9 + 1.5 * max(3, columns), 1.0 + 1.45 * (lines + below)))
    if heading:
        figure.suptitle(heading.replace("\n", ", "), fontsize=8)
    places = figure.add_gridspec(lines + below, columns)
    axes: list[Axes] = []
    for place, layer in enumerate(layers):
        axis = figure.add_subplot(places[divmod(place, columns)], sharey=axes[0] if axes else None)
        axis.set_title(layer_name(layer), fontsize=7)
        axis.set_yscale("log", nonpositive="mask")
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(labelleft=place % columns == 0)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if place + columns >= len(layers):
            axis.set_xlabel("$r$")
        axes.append(axis)
    return figure, axes, figure.add_subplot(places[-1, :]) if below else None


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
    """
    if not isinstance(layer, str):
        return f"layer {layer}"
    if layer.isdigit():
        return f"module {layer}"
    lines = [""]
    for part in layer.replace(".", ".\0").split("\0"):
        if lines[-1] and len(lines[-1] + part) > LETTERS:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


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
