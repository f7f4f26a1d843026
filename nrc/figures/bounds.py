"""Distance to rank K of every layer of every cell, against the bounds of Theorem 3.4."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nrc.figures.style import COLOURS, log_axis
from nrc.grid import AXES
from nrc.store import flag_masks

__all__ = ["draw", "numbers", "summary"]

BOUNDS = {
    "bound_measured": r"measured bound $(\|r_\ell\| + \mathrm{gap})\,/\,\lambda$",
    "bound_analytic": r"analytic bound $(\|r_\ell\| + \frac{M}{2}\mathrm{WCSS})\,/\,\lambda$",
}
MARKERS = "osD^vPX*<>"


def numbers(measures: xr.Dataset) -> pd.DataFrame:
    """The numbers drawn: a row for each cell and layer.

    Parameters
    ----------
    measures : Dataset
        Cube of an experiment.

    Returns
    -------
    DataFrame
        The axes, `layer`, `status`, `distance` to rank K, and both bounds, the least over sources and
        partitions; missing where the theorem is void.
    """
    ended = flag_masks(measures["status"])
    status = np.select(list(ended.values()), list(ended), default="")
    dataset = xr.Dataset(
        {
            "status": (measures["status"].dims, status),
            "distance": measures["distance"],
            **{name: measures[name].min("source") for name in BOUNDS},
        }
    )
    rows = dataset.to_dataframe(dim_order=[*AXES, "layer"]).dropna(subset="distance").reset_index()
    return rows[[*AXES, "layer", *dataset.data_vars]]


def draw(measures: xr.Dataset, *, clusters: int, colour_map: str) -> Figure:
    """Draw distance against bound, a panel for each bound, logarithmic on both axes.

    Parameters
    ----------
    measures : Dataset
        As in `numbers`.
    clusters : int
        K.
    colour_map : str
        Name of a matplotlib colour map.

    Raises
    ------
    ValueError
        If sigma 0 is on the grid: its colour is on a logarithmic scale.
    """
    rows = numbers(measures)
    if (rows["sigma"] <= 0).any():
        raise ValueError("the figure of bounds has a logarithmic scale of sigma and cannot draw sigma 0")
    rows = rows[_drawn(rows)]
    figure = Figure(figsize=(7.2, 3.7))
    axes = figure.subplots(1, len(BOUNDS), sharey=True)
    for axis, (name, label) in zip(axes, BOUNDS.items(), strict=True):
        points = _scatter(axis, rows, name, colour_map)
        _diagonal(axis, rows["distance"])
        axis.set(xscale="log", yscale="log", xlabel=label)
    axes[0].set_ylabel(rf"$\mathrm{{dist}}(W_\ell,\mathcal{{M}}_{{{clusters}}})$")
    log_axis(figure.colorbar(points, ax=axes, label=r"noise level $\sigma$", pad=0.01).ax.yaxis)
    marker = {"linestyle": "", "color": "0.4"}
    handles = [
        *(Line2D([], [], marker=MARKERS[l % 10], label=f"layer {l + 1}", **marker) for l in _layers(rows)),
        Line2D([], [], marker="o", markerfacecolor="none", markeredgecolor=COLOURS["red"], linestyle="",
               label="stopped, not stationary"),
        Line2D([], [], color="black", linewidth=0.8, label="equality"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
    return figure


def summary(measures: xr.Dataset) -> dict[str, object]:
    """What a caption tells: how many layers are drawn and how many not, and the room in each bound."""
    rows = numbers(measures)
    drawn = rows[_drawn(rows)]
    return {
        "layers": len(rows),
        "drawn": len(drawn),
        "void": int(rows["bound_measured"].isna().sum()),
        "room": {name: float((drawn[name] / drawn["distance"]).median()) for name in BOUNDS},
    }


def _drawn(rows: pd.DataFrame) -> pd.Series:
    """Logarithmic axes have no place for 0."""
    return (rows["distance"] > 0) & (rows["bound_measured"] > 0)


def _layers(rows: pd.DataFrame) -> list[int]:
    """Layers, from 0."""
    return sorted(int(layer) - 1 for layer in rows["layer"].unique())


def _scatter(axis: Axes, rows: pd.DataFrame, bound: str, colour_map: str):
    norm = LogNorm(rows["sigma"].min(), rows["sigma"].max())
    for l in _layers(rows):
        of_layer = rows[rows["layer"] == l + 1]
        stopped = np.where(of_layer["status"] == "stopped", COLOURS["red"], "none")
        points = axis.scatter(
            of_layer[bound],
            of_layer["distance"],
            c=of_layer["sigma"],
            norm=norm,
            cmap=colour_map,
            marker=MARKERS[l % 10],
            s=9,
            edgecolors=stopped,
            linewidths=0.6,
        )
    return points


def _diagonal(axis: Axes, distance: pd.Series) -> None:
    ends = [distance.min(), distance.max()]
    axis.plot(ends, ends, color="black", linewidth=0.8)
