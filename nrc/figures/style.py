"""The style of all figures, and files with the same bytes for the same figure."""

import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from string import ascii_lowercase
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "COLOURS",
    "FORMATS",
    "MARKS",
    "OF_SIGMA",
    "SADDLE",
    "SMALLEST",
    "UNKNOWN",
    "Colour",
    "LineStyle",
    "LogScale",
    "StyledFigure",
    "band",
    "colour_map",
    "colours",
    "from_zero",
    "letters",
    "log_axis",
    "mark_handles",
    "picture",
    "plane",
    "spread",
    "styled",
]

# Keywords of matplotlib for lines, markers and patches.
LineStyle = dict[str, Any]

# fontTools warns of the time stamps in the fonts of matplotlib.
logging.getLogger("fontTools").setLevel(logging.ERROR)

Colour = tuple[float, float, float, float]

# Okabe & Ito 2008: colour-blind readers can distinguish these colours, also in grey.
COLOURS = {"blue": "#0072B2", "orange": "#E69F00", "green": "#009E73", "red": "#D55E00", "black": "#000000"}

# The colour map of noise levels, next to weight decays in the colour map of the options.
OF_SIGMA = "magma"

RC = {
    **sns.axes_style("ticks"),
    "patch.force_edgecolor": False,
    # a font that matplotlib includes, so that a figure is the same on every machine
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    # the fonts of Computer Modern have their own order of characters, which an SVG with text loses
    "mathtext.fontset": "dejavusans",
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "nrc",
}

# Without these metadata files would have a time stamp.
FORMATS: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}

# Dots per inch in a notebook.
SCREEN = 120

# Marks of cells that did not converge, and the patch of cells without a number.
_WHITE: LineStyle = {"color": "black", "markerfacecolor": "white", "markeredgewidth": 0.6, "linestyle": ""}
MARKS: dict[str, LineStyle] = {
    "stopped": {"label": "a seed stopped before it was stationary", "marker": "o", **_WHITE},
    "diverged": {"label": "a seed diverged", "marker": "^", **_WHITE, "markersize": 4},
    "collapsed_to_zero": {
        "label": "a seed collapsed to zero",
        "marker": "x",
        "color": "black",
        "markersize": 4,
        "linestyle": "",
    },
}
SADDLE: LineStyle = {"label": "a seed ended at a saddle", **_WHITE, "marker": "s", "markersize": 4}
UNKNOWN: LineStyle = {"facecolor": "white", "edgecolor": "0.6", "hatch": "/////"}
# Smaller values are due to rounding or to the residual of training, and not on a logarithmic axis.
SMALLEST = 1e-10


@contextmanager
def styled() -> Iterator[None]:
    """Context in which figures are drawn and saved, from the defaults of matplotlib, not of the user.

    Examples
    --------
    >>> with mpl.rc_context({"text.usetex": True}), styled():
    ...     mpl.rcParams["font.size"], mpl.rcParams["text.usetex"]
    (8.0, False)
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


class StyledFigure(Figure):
    """A figure that keeps its style wherever it is drawn, and that notebooks display.

    Notebooks display a figure of matplotlib only if pyplot is set up; this class has a PNG representation.
    """

    def draw(self, renderer: RendererBase) -> None:
        with styled():
            super().draw(renderer)

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        with styled():
            super().savefig(*args, **kwargs)

    def _repr_png_(self) -> bytes:
        return picture(self, "png", SCREEN)


def picture(figure: Figure, form: str, dpi: int) -> bytes:
    """The bytes of a figure as a file.

    Parameters
    ----------
    figure : Figure
    form : str
        A key of `FORMATS`.
    dpi : int
        Dots per inch.

    Examples
    --------
    >>> picture(Figure(), "svg", dpi=50) == picture(Figure(), "svg", dpi=50)
    True
    """
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=dpi, metadata=FORMATS[form])
    return file.getvalue()


def colour_map(name: str) -> Colormap:
    """A colour map by its name in matplotlib or seaborn.

    Raises
    ------
    ValueError
        If there is no colour map of this name.

    Examples
    --------
    >>> colour_map("viridis").name
    'viridis'
    """
    if name not in mpl.colormaps:
        raise ValueError(
            f"colour_map is {name!r}, but must be the name of a colour map of matplotlib or seaborn, "
            "such as viridis"
        )
    return mpl.colormaps[name]


def colours(name: str, count: int, start: float = 0.0, stop: float = 0.85) -> list[Colour]:
    """`count` colours of a map in even steps; by default without the light end of most maps.

    Examples
    --------
    >>> light, dark = colours("Greys", 2)
    >>> bool(sum(light) > sum(dark))
    True
    """
    return [colour_map(name)(share) for share in np.linspace(start, stop, count)]


def spread(count: int, largest: int) -> NDArray[np.int64]:
    """Positions of at most `largest` of `count` values, in even steps, with the first and the last one.

    Examples
    --------
    >>> spread(9, 3).tolist()
    [0, 4, 8]
    """
    return np.unique(np.linspace(0, count - 1, largest).round().astype(int))


class LogScale:
    """Positions of the values of a grid on a logarithmic axis, with 0 one step below the other values.

    Parameters
    ----------
    values : array_like
        At least 0, in any order, with repetitions.

    Examples
    --------
    >>> scale = LogScale([0.0, 0.1, 1.0])
    >>> scale([0.0, 1.0]).round(6).tolist()
    [0.01, 1.0]
    >>> scale.edges.round(3).tolist()
    [0.003, 0.032, 0.316, 3.162]
    """

    def __init__(self, values: ArrayLike) -> None:
        self.values = np.unique(np.asarray(values, dtype=float))
        positive = self.values[self.values > 0]
        if len(positive) > 1:
            self._zero = positive[0] ** 2 / positive[1]
        else:
            self._zero = positive[0] / 3 if len(positive) else 1.0

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Positions of values, in the same shape, all above 0."""
        at: NDArray[np.float64] = np.asarray(values, dtype=float)
        return np.where(at > 0, at, self._zero)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Edges (n + 1,) of the cells around the n values."""
        logs = np.log(self(self.values))
        if len(logs) == 1:
            edges = logs[0] + np.array([-0.5, 0.5])
        else:
            middle = (logs[1:] + logs[:-1]) / 2
            edges = np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]])
        return np.asarray(np.exp(edges))

    @property
    def gap(self) -> float | None:
        """The upper edge of the cell of 0, where the logarithmic scale begins; None without such an edge."""
        return float(self.edges[1]) if self.values[0] == 0 and len(self.values) > 1 else None

    def label(self, axis: Axis) -> None:
        """Label an axis: at each value if there are few, else as `log_axis`, closer on a short axis."""
        short = self.edges[-1] < 20 * self.edges[0]
        log_axis(axis, (1, 2, 3, 5) if short else (1, 3))
        ticks = self(self.values).tolist()
        if len(ticks) > 6:
            if self.gap is None:
                return
            ends = self.gap, self.edges[-1]
            marks = LogLocator(subs=(1, 3)).tick_values(*ends)
            ticks = [self._zero, *(mark for mark in marks if ends[0] <= mark <= ends[1])]
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        zero = self._zero if self.values[0] == 0 else np.nan
        axis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value == zero else f"{value:.3g}"))


def plane(axis: Axes, scales: Mapping[str, LogScale]) -> None:
    """Give a panel the axes of the plane of sigma and weight decay, which end with its cells."""
    axis.set(xscale="log", yscale="log")
    axis.set(xlim=scales["sigma"].edges[[0, -1]], ylim=scales["weight_decay"].edges[[0, -1]])
    axis.set(xlabel=r"noise level $\sigma$", ylabel=r"weight decay $\lambda$")
    scales["sigma"].label(axis.xaxis)
    scales["weight_decay"].label(axis.yaxis)


def band(axis: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: ColorType) -> None:
    """Fill the range of some values, without the places where it is 0 on a logarithmic axis.

    Examples
    --------
    >>> axis = Figure().subplots()
    >>> axis.set_yscale("log")
    >>> band(axis, [1, 2, 3], [0.1, 0.1, 0.0], [0.2, 0.2, 0.0], "black")
    >>> axis.collections[0].get_paths()[0].get_extents().x1.item()
    2.0
    """
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    drawn = np.isfinite(high)
    if axis.get_yscale() == "log":
        drawn, low = high > SMALLEST, np.maximum(low, SMALLEST)
    axis.fill_between(x, low, high, where=drawn, color=colour, alpha=0.25, linewidth=0)


def letters(axes: Iterable[Axes]) -> None:
    """Write a letter in the upper left corner above each panel.

    Examples
    --------
    >>> axes = Figure().subplots(1, 2)
    >>> letters(axes)
    >>> [axis.get_title("left") for axis in axes]
    ['a', 'b']
    """
    for axis, letter in zip(axes, ascii_lowercase, strict=False):
        axis.set_title(letter, loc="left", fontweight="bold")


def mark_handles(marked: Mapping[str, Sized]) -> list[Line2D]:
    """Handles, for a legend, of the marks in `MARKS` that a figure has.

    Examples
    --------
    >>> [handle.get_label() for handle in mark_handles({"stopped": [], "diverged": ["a cell"]})]
    ['a seed diverged']
    """
    return [Line2D([], [], **MARKS[name]) for name, cells in marked.items() if len(cells)]


def from_zero(*axes: Axes) -> None:
    """Begin the common y-axis of some axes at 0, and end it above all curves.

    Examples
    --------
    >>> axis = Figure().subplots()
    >>> lines = axis.plot([1, 2], [3, 4])
    >>> from_zero(axis)
    >>> [float(end) for end in axis.get_ylim()]
    [0.0, 4.2]
    """
    tops = [axis.dataLim.y1 for axis in axes if np.isfinite(axis.dataLim.y1)]
    axes[0].set_ylim(0, 1.05 * max(tops, default=0) or 1)


def log_axis(axis: Axis, subs: tuple[float, ...] = (1, 3)) -> None:
    """Label a logarithmic axis at some multiples of the powers of ten, in plain numbers.

    Examples
    --------
    >>> axis = Figure().subplots()
    >>> axis.set_xscale("log")
    >>> log_axis(axis.xaxis)
    >>> axis.xaxis.get_major_formatter()(0.3)
    '0.3'
    """
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
