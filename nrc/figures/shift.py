"""Distance between linear networks trained on data and on centroids, against noise and weight decay."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from nrc.figures.cube import over_seeds, require, squeezed
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.style import OF_SIGMA, LineStyle, band, colours, letters, log_axis, spread
from nrc.option_types import Saturation, TitledExperiments, linear_autoencoders
from nrc.options import Requirement, positive
from nrc.slopes import quadratic, quadratic_slopes
from nrc.status import flag_masks
from nrc.student_interval import student_interval

__all__ = ["Options", "draw", "rows", "summary"]

NAMES = ("shift", "shift_forecast", "shift_bound", "noise_moment", "at_minimum")
# The largest number of curves in a panel.
CURVES = 4
# Of the columns with curves of these axes.
LEGENDS: tuple[tuple[Literal["outside upper left", "outside upper right"], str], ...] = (
    ("outside upper left", "weight_decay"),
    ("outside upper right", "sigma"),
)
# Along x in this order.
SYMBOLS = {"sigma": ("noise level", r"\sigma"), "weight_decay": ("weight decay", r"\lambda")}


class Options(FigureOptions):
    """From data to centroids, for linear networks; a row of panels for each experiment."""

    cube = "shift"
    requires = (
        linear_autoencoders,
        one_architecture,
        Requirement({"grid.sigma": positive, "grid.weight_decay": positive}),
    )

    of: TitledExperiments = Field(  # type: ignore[assignment]
        min_length=1, description="the title of each row and its experiment, such as {factors: linear}"
    )
    saturation: Saturation = 0.02


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, with a row for each panel, weight decay and sigma.

    Parameters
    ----------
    cubes : mapping
        For each row of panels, by its title, shifts of linear networks of one width and one depth.

    Returns
    -------
    DataFrame
        Median, minimum and maximum of `shift` over the seeds that converged to the global minimum, and of
        `shift_elsewhere` over the other seeds, missing without such a seed; the medians over all seeds of the
        forecast and of the bound of Theorem 5.3; the numbers of seeds that are in the `quadratic` regime,
        did not converge (`stopped`) or are at a critical point that is not the global minimum (`elsewhere`).

    Raises
    ------
    ValueError
        If there are several widths or depths, or a sigma or weight decay of 0, which is not on a
        logarithmic axis.

    Examples
    --------
    >>> table = rows({"made up": shifts}, Options(of={"made up": "linear"}, saturation=0.5))
    >>> len(table), table.columns[:3].tolist()
    (8, ['panel', 'weight_decay', 'sigma'])
    """
    tables = [_table(_cube(shift), options.saturation).assign(panel=title) for title, shift in cubes.items()]
    table = pd.concat(tables, ignore_index=True)
    return table[["panel", *table.columns.drop("panel")]]


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw a row of panels for each cube, along sigma on the left and along weight decay on the right.

    Examples
    --------
    >>> from nrc.figures.style import styled
    >>> with styled():
    ...     figure = draw({"made up": shifts}, Options(of={"made up": "linear"}))
    >>> len(figure.axes)
    2
    """
    table = rows(cubes, options)
    figure = Figure(figsize=(7.2, 1.1 + 2.4 * len(cubes)))
    axes = figure.subplots(len(cubes), 2, sharey=True, sharex="col", squeeze=False)
    maps = {"weight_decay": options.colour_map, "sigma": OF_SIGMA}
    values = {axis: _with_curves(table[axis]) for axis in SYMBOLS}
    shades = {
        axis: dict(zip(values[axis], colours(maps[axis], len(values[axis])), strict=True)) for axis in SYMBOLS
    }
    for row, title in zip(axes, cubes, strict=True):
        part = table[table["panel"] == title]
        for axis, along, curve in zip(row, SYMBOLS, reversed(SYMBOLS), strict=True):
            axis.set(xscale="log", yscale="log")
            log_axis(axis.xaxis)
            _curves(axis, part, along, curve, shades[curve])
            axis.set_title(title)
        row[0].set_ylabel(r"$\|W_\mathrm{data}-W_\mathrm{centroids}\|$")
    for axis, along in zip(axes[-1], SYMBOLS, strict=True):
        axis.set_xlabel(rf"{SYMBOLS[along][0]} ${SYMBOLS[along][1]}$")
    letters(axes.flat)
    _guide(axes[0, 0], table[table["panel"] == next(iter(cubes))])
    for place, curve in LEGENDS:
        handles = [
            Line2D([], [], color=shade, marker="o", label=rf"${SYMBOLS[curve][1]}={value:.2g}$")
            for value, shade in shades[curve].items()
        ]
        figure.legend(handles=handles, loc=place, ncols=CURVES, columnspacing=1)
    grey: LineStyle = {"color": "0.3"}
    dot: LineStyle = {"marker": "o", "linestyle": "", **grey}
    handles = [
        Line2D([], [], label="median of seeds at the global minimum", **dot),
        Line2D([], [], label="median of the other seeds", markerfacecolor="white", **dot),
        Line2D([], [], label="closed form", **grey),
        Line2D([], [], linestyle="--", label="Theorem 5.3, for the product", **grey),
        Line2D([], [], linestyle=":", label="slope 2", color="black"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: slopes with intervals over seeds, and numbers of cells by status.

    Returns
    -------
    dict
        `panels`, for each title numbers of pairs (`cells`; `converged`, `stopped`, `collapsed_to_zero`,
        `elsewhere`, `unknown` without a number, and `above` the bound), the `largest_ratio` of shift to
        bound; for the closed form `above_forecast`, `largest_forecast` and the weight decays `above_at`;
        `curves`, the values of both axes that have a curve; mean `slope` over seeds with the ends `low`
        and `high` of its 95% interval, `slope_forecast` and the number of `slope_cells`.

    Examples
    --------
    >>> facts = summary({"made up": shifts}, Options(of={"made up": "linear"}, saturation=0.5))
    >>> round(facts["panels"]["made up"]["slope"], 3), facts["panels"]["made up"]["above"]
    (2.01, 0)
    """
    return {"panels": {title: _facts(_cube(shift), options.saturation) for title, shift in cubes.items()}}


def _cube(shift: xr.Dataset) -> xr.Dataset:
    require(shift, NAMES, "only linear autoencoders are compared with networks trained on centroids")
    for axis in ("sigma", "weight_decay"):
        if (shift[axis] <= 0).any():
            raise ValueError(
                f"the figure has logarithmic axes and cannot draw {axis} 0 of "
                f"{shift.attrs.get('experiment', 'the cube')}; remove it from the grid, or select by at"
            )
    return squeezed(shift, "width", "depth").drop_vars(["width", "depth"])


def _table(shift: xr.Dataset, saturation: float) -> pd.DataFrame:
    converged = flag_masks(shift["status"])["converged"]
    at_minimum = converged & (shift["at_minimum"] == 1)
    table = {
        **over_seeds("shift", shift["shift"].where(at_minimum)),
        **over_seeds("shift_elsewhere", shift["shift"].where(~at_minimum)),
        "shift_forecast": shift["shift_forecast"].median("seed"),
        "shift_bound": shift["shift_bound"].median("seed"),
        "quadratic": quadratic(shift, saturation).sum("seed"),
        "stopped": (~converged).sum("seed"),
        "elsewhere": (shift["at_minimum"] == 0).sum("seed"),
    }
    return xr.Dataset(table).to_dataframe(dim_order=["weight_decay", "sigma"]).reset_index()


def _facts(shift: xr.Dataset, saturation: float) -> dict[str, Any]:
    counts = {status: int(mask.sum()) for status, mask in flag_masks(shift["status"]).items()}
    ratio, forecast = (shift[name] / shift["shift_bound"] for name in ("shift", "shift_forecast"))
    above = (forecast > 1).any(["sigma", "seed"])
    fits = quadratic_slopes(shift, saturation)
    slope, low, high = student_interval(fits.groupby("seed")["slope"].mean())
    return {
        "cells": shift["status"].size,
        **counts,
        "elsewhere": int((shift["at_minimum"] == 0).sum()),
        "unknown": int(shift["shift"].isnull().sum()),
        "above": int((ratio > 1).sum()),
        "largest_ratio": float(ratio.max()),
        "above_forecast": int((forecast > 1).sum()),
        "largest_forecast": float(forecast.max()),
        "above_at": shift["weight_decay"].values[above.values].tolist(),
        "curves": {axis: _with_curves(shift[axis]).tolist() for axis in SYMBOLS},
        "slope": slope,
        "low": low,
        "high": high,
        "slope_forecast": float(fits["forecast"].mean()),
        "slope_cells": int(fits["cells"].sum()),
    }


def _curves(
    axis: Axes, table: pd.DataFrame, along: str, curve: str, shades: Mapping[float, ColorType]
) -> None:
    for value, colour in shades.items():
        rows = table[table[curve] == value].sort_values(along)
        axis.plot(rows[along], rows["shift_forecast"], color=colour, linewidth=0.8)
        axis.plot(rows[along], rows["shift_bound"], color=colour, linewidth=0.8, linestyle="--")
        for name, face in (("shift", colour), ("shift_elsewhere", "white")):
            band(axis, rows[along], rows[f"{name}_minimum"], rows[f"{name}_maximum"], colour)
            dots: LineStyle = {"color": colour, "marker": "o", "linestyle": "", "markerfacecolor": face}
            known = rows.dropna(subset=name)
            axis.plot(known[along], known[name], **dots)


def _with_curves(values: ArrayLike) -> NDArray[np.float64]:
    """Values of an axis that have a curve, in even steps over the grid."""
    values = np.unique(values)
    return values[spread(len(values), CURVES)]


def _guide(axis: Axes, table: pd.DataFrame) -> None:
    """Draw a line of slope 2 below the lowest curve."""
    lowest = table[table["weight_decay"] == table["weight_decay"].max()].sort_values("sigma")
    sigma, start = lowest["sigma"].to_numpy(), lowest["shift_forecast"].iloc[0]
    axis.plot(sigma, 0.5 * start * (sigma / sigma[0]) ** 2, color="black", linestyle=":")
