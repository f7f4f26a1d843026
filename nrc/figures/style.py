"""One look for all figures, and files that are the same bytes for the same figure."""

import logging
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from nrc.store import atomic

__all__ = ["COLOURS", "cell_edges", "log_axis", "save_figure", "styled"]

# It warns of the time stamps in matplotlib's own fonts.
logging.getLogger("fontTools").setLevel(logging.ERROR)

# Okabe & Ito 2008: told apart by colour-blind readers and in grey.
COLOURS = {"blue": "#0072B2", "orange": "#E69F00", "green": "#009E73", "red": "#D55E00", "black": "#000000"}

RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "mathtext.fontset": "cm",
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "nrc",
}

# Writers stamp the time unless told not to.
METADATA = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}


def styled() -> mpl.rc_context:
    """Context in which figures are drawn and saved."""
    return mpl.rc_context(RC)


def save_figure(figure: Figure, paths: Iterable[str | Path], dpi: int) -> None:
    """Write a figure in the format of each path's suffix: .pdf, .png or .svg."""
    for path in map(Path, paths):
        with atomic(path) as temporary:
            figure.savefig(temporary, dpi=dpi, metadata=METADATA[path.suffix])


def log_axis(axis: Axis) -> None:
    """Label a logarithmic axis at 1 and 3 times the powers of ten, in plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def cell_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges (n + 1,) of the cells around n increasing positive values on a logarithmic axis."""
    logs = np.log(values)
    if len(logs) == 1:
        return np.exp(logs[0] + np.array([-0.5, 0.5]))
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))
