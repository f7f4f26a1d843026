"""The total cluster variation of the data against sigma, a part of the figure of the plane."""

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from nrc.figures.cube import has_values
from nrc.figures.style import COLOURS, LineStyle, LogScale, from_zero, log_axis

__all__ = ["curves", "draw", "noise"]

INPUTS = ("tcv_lower", "tcv_upper", "wcss_class", "wcss_bound", "wcss_quantile", "transition")
# The class WCSS is drawn where Proposition 4.1, on Gaussian mixtures, does not apply.
LINES: dict[str, LineStyle] = {
    "wcss_bound": {"color": COLOURS["red"], "linestyle": "--", "label": "Proposition 4.1"},
    "wcss_class": {"color": "black", "linestyle": "-.", "label": "WCSS of the classes"},
    "wcss_quantile": {"color": "black", "linestyle": ":", "label": r"exact $\chi^2$ quantile"},
}


def curves(cube: xr.Dataset) -> pd.DataFrame:
    """Means over seeds of the TCV of inputs and targets and of what bounds it, for each sigma."""
    names = [name for name in INPUTS if has_values(cube, name)]
    # inputs are the same for every weight decay; a joined cube may have them for some weight decays only
    inputs = cube[names].isel(source=0).max("weight_decay").mean("seed")
    return inputs.to_dataframe().reset_index()[["sigma", *names]]


def noise(cube: xr.Dataset) -> int:
    """Expected WCSS of the noise over sigma^2 d: targets of autoencoders have noise, classes do not."""
    return 1 if "train_accuracy" in cube else 2


def draw(figure: SubFigure, cube: xr.Dataset, scale: LogScale) -> list[Axes]:
    """Draw the TCV against sigma and, if Proposition 4.1 applies, relative to the variance of the noise."""
    table = curves(cube)
    pure = "wcss_bound" in table
    # sigma 0 is not on a logarithmic axis
    table = table[table["sigma"] > 0] if (table["sigma"] > 0).any() else table
    axes = list(figure.subplots(1 + pure, 1, sharex=True, squeeze=False).flat)
    _lines(axes[0], table, scale, 1.0)
    axes[0].set(xscale="log", yscale="log", ylabel=r"$\mathrm{TCV}_{K,0}$ of $(x,y)$")
    log_axis(axes[0].yaxis)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, columnspacing=1)
    if pure:
        variance = noise(cube) * cube.attrs["dimension"] * table["sigma"] ** 2
        _lines(axes[1], table, scale, variance.where(variance > 0))
        share = "2" if noise(cube) == 2 else ""
        axes[1].set_ylabel(rf"relative to ${share}\sigma^2d$")
        from_zero(axes[1])
    axes[-1].set_xlabel(r"noise level $\sigma$")
    for axis in axes:
        scale.label(axis.xaxis)
    return axes


def _lines(axis: Axes, curves: pd.DataFrame, scale: LogScale, unit: pd.Series | float) -> None:
    sigma, blue = scale(curves["sigma"]), COLOURS["blue"]
    lower, upper = curves["tcv_lower"] / unit, curves["tcv_upper"] / unit
    axis.fill_between(sigma, lower, upper, color=blue, alpha=0.25, linewidth=0, label="bracket of the TCV")
    axis.plot(sigma, upper, color=blue, marker="o", label="best partition found")
    axis.plot(sigma, lower, color=blue, marker="v", label="lower bound")
    # a line through one point is not visible
    line: LineStyle = {"marker": "_", "markersize": 12} if len(curves) == 1 else {}
    for name, style in LINES.items():
        if name in curves and (name != "wcss_class" or "wcss_bound" not in curves):
            axis.plot(sigma, curves[name] / unit, **style, **line)
