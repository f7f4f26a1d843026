"""One look for all figures, and files that are the same bytes for the same figure."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nrc.store import atomic

__all__ = ["COLOURS", "cell_edges", "save_figure", "styled"]

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


def cell_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges (n + 1,) of the cells around n increasing positive values on a logarithmic axis."""
    logs = np.log(values)
    if len(logs) == 1:
        return np.exp(logs[0] + np.array([-0.5, 0.5]))
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))
