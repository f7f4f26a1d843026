"""Panels of the layers of one network, in a grid that can be read however many layers there are."""

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

# Panels beside each other, and characters in a line of a panel's title, at most.
COLUMNS, LETTERS = 6, 22
# The least that a logarithmic axis shows: what is below is 0 but for rounding.
LEAST = 1e-6


def grid(
    layers: Sequence[int | str], said: str, *, below: bool = False
) -> tuple[StyledFigure, list[Axes], Axes | None]:
    """A figure with a panel for each layer, of one logarithmic y-axis and of ranks r along x.

    What is 0 is left out.

    Parameters
    ----------
    layers : sequence of int or str
    said : str
        The title of the figure; none where it is empty.
    below : bool
        Whether to leave a line below for a panel of another kind, as wide as the grid.

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
    if said:
        figure.suptitle(said.replace("\n", ", "), fontsize=8)
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
    """A legend below, in as many columns as there is room for the longest names."""
    widths = sorted((0.45 + 0.06 * len(str(handle.get_label())) for handle in handles), reverse=True)
    columns = sum(total <= figure.get_figwidth() for total in accumulate(widths))
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, columns))


def layer_name(layer: int | str) -> str:
    """What stands on a panel: "layer 2", or the name of a module, in lines if it is long.

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
    """What is known of one cell: weight decay and noise, if there is any, and below it how its seeds ended.

    Networks of one's own have no status: of these it is the relative residual, the largest of the seeds.

    Parameters
    ----------
    cube : Dataset
        With one value of weight decay and of sigma, as scalars.
    noise : bool
        Whether to name sigma.
    """
    known = [("weight_decay", r"\lambda"), *([("sigma", r"\sigma")] if noise else [])]
    named = [f"${symbol}={notation(cube[axis].item())}$" for axis, symbol in known if cube[axis].notnull()]
    ended = []
    if "status" in cube:
        converged = int(flag_masks(cube["status"])["converged"].sum())
        ended = [f"{converged} of {cube.sizes['seed']} converged"]
    elif "relative_residual" in cube and cube["relative_residual"].notnull().any():
        ended = [f"relative residual {float(cube['relative_residual'].max()):.1e}"]
    return "\n".join(filter(None, [", ".join(named), *ended]))


def of_cell(table: pd.DataFrame, **at: float | str) -> pd.DataFrame:
    """Rows with some values; a missing one, of an axis of which nothing is known, is like another."""
    for column, value in at.items():
        table = table[table[column].isna() if pd.isna(value) else table[column] == value]
    return table


def floor(values: pd.Series, most: float) -> float:
    """Where a logarithmic axis begins: at the power of ten below all that is not 0, `most` at most.

    Examples
    --------
    >>> floor(pd.Series([0.5, 0.02, 0.0]), most=0.1)
    0.01
    """
    least = values[values > LEAST].min()
    return most if pd.isna(least) else float(min(most, 10.0 ** np.floor(np.log10(least))))
