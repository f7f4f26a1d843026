"""Figure 2: how far linear networks move from data to centroids, against noise and weight decay."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import linregress, t

from nrc.figures.style import log_axis
from nrc.store import flag_masks

__all__ = ["draw", "numbers", "slopes", "summary"]

PENALTIES = ("product", "factors")
CURVES = 4


def numbers(product: xr.Dataset, factors: xr.Dataset, saturation: float) -> pd.DataFrame:
    """The numbers drawn: a row for each penalty, weight decay and sigma.

    Parameters
    ----------
    product, factors : Dataset
        Shifts of the experiments with either penalty, of one width and one depth.
    saturation : float
        As in `slopes`.

    Returns
    -------
    DataFrame
        Median, least and largest `shift` over seeds, the medians of its forecast and of Theorem
        5.3's bound, and the numbers of seeds that are in the quadratic regime, did not converge or
        are at a minimum that is not the global one.
    """
    tables = [
        _table(shift, saturation).assign(penalty=name)
        for name, shift in zip(PENALTIES, (product, factors), strict=True)
    ]
    return pd.concat(tables, ignore_index=True)[["penalty", "weight_decay", "sigma", *_COLUMNS]]


_COLUMNS = (
    *("shift", "shift_least", "shift_largest", "shift_forecast", "shift_bound"),
    *("quadratic", "stopped", "elsewhere"),
)


def slopes(shift: xr.Dataset, saturation: float) -> pd.DataFrame:
    """Slope of log shift against log sigma where it must be 2, for each weight decay and seed.

    The noise enters through the eigenvalues c of its second moment, at most c_{K+1}, and a
    direction's shift is c / (c + lambda) up to a constant (penalty on the product). Its logarithm
    has slope 2 lambda / (c + lambda) in log sigma, which is at least 2 (1 - saturation) where
    c_{K+1} <= saturation lambda / (1 - saturation): this is the quadratic regime, and it is fitted
    in no other cells. Cells that are not at their global minimum are left out.

    Parameters
    ----------
    shift : Dataset
    saturation : float

    Returns
    -------
    DataFrame
        A row for each weight decay and seed with three such cells at least: `slope`, `forecast` (the
        same fit of the closed form) and `cells`.
    """
    shift = _squeezed(shift)
    used = _quadratic(shift, saturation) & (shift["at_minimum"] == 1)
    rows = []
    for seed in shift["seed"].values:
        for weight_decay in shift["weight_decay"].values:
            curve = shift.sel(seed=seed, weight_decay=weight_decay)
            curve = curve.isel(sigma=used.sel(seed=seed, weight_decay=weight_decay).values)
            if curve.sizes["sigma"] >= 3:
                fits = [
                    linregress(np.log(curve["sigma"]), np.log(curve[name])).slope
                    for name in ("shift", "shift_forecast")
                ]
                rows.append((weight_decay, seed, *fits, curve.sizes["sigma"]))
    return pd.DataFrame(rows, columns=["weight_decay", "seed", "slope", "forecast", "cells"])


def draw(product: xr.Dataset, factors: xr.Dataset, *, saturation: float, colour_map: str) -> Figure:
    """Draw Figure 2: a row for each penalty; against sigma on the left, against weight decay on the right.

    Parameters
    ----------
    product, factors, saturation
        As in `numbers`.
    colour_map : str
        Name of a matplotlib colour map.

    Raises
    ------
    ValueError
        If the grid has a sigma or weight decay of 0: the axes are logarithmic.
    """
    table = numbers(product, factors, saturation)
    figure = Figure(figsize=(7.2, 5.6))
    axes = figure.subplots(2, 2, sharey="row", sharex="col")
    for row, penalty in zip(axes, PENALTIES, strict=True):
        for axis, (along, curve) in zip(
            row, (("sigma", "weight_decay"), ("weight_decay", "sigma")), strict=True
        ):
            _curves(axis, table[table["penalty"] == penalty], along, curve, colour_map)
            axis.set(xscale="log", yscale="log")
            log_axis(axis.xaxis)
        row[0].set_ylabel(r"$\|W_\mathrm{data}-W_\mathrm{centroids}\|$")
        row[0].set_title(f"penalty on the {penalty}", loc="left")
    _guide(axes[0, 0], table[table["penalty"] == "product"])
    axes[1, 0].set_xlabel(r"noise level $\sigma$")
    axes[1, 1].set_xlabel(r"weight decay $\lambda$")
    grey = {"color": "0.3"}
    handles = [
        Line2D([], [], marker="o", linestyle="", label="trained, median over seeds", **grey),
        Line2D([], [], marker="o", linestyle="", markerfacecolor="white",
               label="a seed not at its minimum", **grey),
        Line2D([], [], label="closed form", **grey),
        Line2D([], [], linestyle="--", label="Theorem 5.3, for the product", **grey),
        Line2D([], [], linestyle=":", label="slope 2", color="black"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1, handletextpad=0.5)
    return figure


def summary(product: xr.Dataset, factors: xr.Dataset, saturation: float) -> dict[str, object]:
    """What a caption tells: slopes with intervals over seeds, and how the cells ended."""
    facts = {}
    for name, shift in zip(PENALTIES, (product, factors), strict=True):
        ended = flag_masks(shift["status"])
        ratio = shift["shift"] / shift["shift_bound"]
        facts[name] = {
            "cells": shift["status"].size,
            **{meaning: int(mask.sum()) for meaning, mask in ended.items()},
            "elsewhere": int((shift["at_minimum"] == 0).sum()),
            "above": int((ratio > 1).sum()),
            "largest_ratio": float(ratio.max()),
            **_interval(slopes(shift, saturation)),
        }
    return facts


def _interval(fits: pd.DataFrame) -> dict[str, float | int]:
    """Mean slope with a 95% interval over seeds; each seed is one observation."""
    of_seed = fits.groupby("seed")["slope"].mean()
    count = len(of_seed)
    spread = t.ppf(0.975, count - 1) * of_seed.std() / count**0.5 if count > 1 else np.nan
    return {
        "slope": float(of_seed.mean()),
        "slope_interval": float(spread),
        "slope_forecast": float(fits["forecast"].mean()),
        "slope_cells": int(fits["cells"].sum()),
    }


def _squeezed(shift: xr.Dataset) -> xr.Dataset:
    for axis in ("width", "depth"):
        if shift.sizes[axis] != 1:
            raise ValueError(f"figure 2 draws one {axis}, but the grid has {shift.sizes[axis]}; give it one")
    for axis in ("sigma", "weight_decay"):
        if (shift[axis] <= 0).any():
            raise ValueError(f"figure 2 has logarithmic axes and cannot draw {axis} 0; take it off the grid")
    return shift.squeeze(["width", "depth"], drop=True)


def _quadratic(shift: xr.Dataset, saturation: float) -> xr.DataArray:
    quadratic = shift["noise_moment"] <= saturation / (1 - saturation) * shift["weight_decay"]
    return quadratic.transpose("weight_decay", "sigma", "seed")


def _table(shift: xr.Dataset, saturation: float) -> pd.DataFrame:
    shift = _squeezed(shift)
    medians = shift[["shift", "shift_forecast", "shift_bound"]].median("seed")
    table = medians.assign(
        shift_least=shift["shift"].min("seed"),
        shift_largest=shift["shift"].max("seed"),
        quadratic=_quadratic(shift, saturation).sum("seed"),
        stopped=(~flag_masks(shift["status"])["converged"]).sum("seed"),
        elsewhere=(shift["at_minimum"] == 0).sum("seed"),
    )
    return table.to_dataframe(dim_order=["weight_decay", "sigma"]).reset_index()


def _curves(axis: Axes, table: pd.DataFrame, along: str, curve: str, colour_map: str) -> None:
    values = np.sort(table[curve].unique())
    shown = values[np.unique(np.linspace(0, len(values) - 1, CURVES).round().astype(int))]
    symbol = {"weight_decay": r"\lambda", "sigma": r"\sigma"}[curve]
    for value, shade in zip(shown, np.linspace(0, 0.85, len(shown)), strict=True):
        rows, colour = table[table[curve] == value].sort_values(along), colormaps[colour_map](shade)
        axis.fill_between(
            rows[along], rows["shift_least"], rows["shift_largest"], color=colour, alpha=0.25, linewidth=0
        )
        axis.plot(rows[along], rows["shift_forecast"], color=colour, linewidth=0.8)
        axis.plot(rows[along], rows["shift_bound"], color=colour, linewidth=0.8, linestyle="--")
        settled = (rows["stopped"] == 0) & (rows["elsewhere"] == 0)
        dots = {"color": colour, "marker": "o", "linestyle": ""}
        axis.plot(rows[along][settled], rows["shift"][settled], label=rf"${symbol}={value:.2g}$", **dots)
        axis.plot(rows[along][~settled], rows["shift"][~settled], markerfacecolor="white", **dots)
    axis.legend(ncols=2, columnspacing=0.8, handletextpad=0.1)


def _guide(axis: Axes, table: pd.DataFrame) -> None:
    """A line of slope 2 under the lowest curve."""
    lowest = table[table["weight_decay"] == table["weight_decay"].max()].sort_values("sigma")
    sigma, start = lowest["sigma"].to_numpy(), lowest["shift"].iloc[0]
    axis.plot(sigma, 0.5 * start * (sigma / sigma[0]) ** 2, color="black", linestyle=":")
