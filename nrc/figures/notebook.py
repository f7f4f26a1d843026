"""Figures in a notebook: of what is measured on a network of one's own, or of a file of the pipeline."""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import numpy as np
import xarray as xr

from nrc import figures
from nrc.cubes import of_network
from nrc.figures.style import StyledFigure, styled

__all__ = ["KINDS", "PlotOptions", "plot"]

# For each kind the variable that it draws; without a choice the first that is there is drawn.
KINDS = {
    "spectra": "snapshot_singular_values",
    "certified": "tail_bound",
    "tails": "relative_tail",
    "bounds": "bound_measured",
}
MAKERS = "nrc.Recorder gives snapshots, nrc.measure bounds and certified tails, nrc.spectra tails"


class PlotOptions(TypedDict, total=False):
    """Options of every kind.

    Attributes
    ----------
    layers : sequence of str or int
        The layers to draw, by name, in this order; all by default.
    colour_map : str
        Name of a colour map of matplotlib or seaborn, viridis by default; Blues of spectra.
    """

    layers: Sequence[str | int]
    colour_map: str


def plot(dataset: xr.Dataset, kind: str | None = None, **options: Unpack[PlotOptions]) -> StyledFigure:
    """Draw what `nrc.measure`, `nrc.spectra` and `nrc.Recorder` give, and files of the pipeline.

    As the last line of a cell in a notebook it shows by itself; `figure.savefig(path)` writes it.

    Parameters
    ----------
    dataset : Dataset
        Of one network, or a cube of some.
    kind : {"spectra", "certified", "tails", "bounds"}, optional
        What to draw:

        - ``spectra``: the spectrum of every layer through training, and the class WCSS;
        - ``certified``: the tail of every spectrum, and what clusters certify of it;
        - ``tails``: the tails alone, over all ranks;
        - ``bounds``: the distance of every layer to rank K against its bounds.

        By default the first of them that the dataset has.
    **options
        `layers`, names of those to draw, in this order; `colour_map`.

    Returns
    -------
    Figure
        Of matplotlib.

    Raises
    ------
    TypeError
        If it is no dataset, or an option is none.
    ValueError
        If the dataset has not what the kind draws, a layer is not there, or it is of more networks than
        the kind can draw.

    Examples
    --------
    >>> measured = xr.Dataset(
    ...     {"relative_tail": (("layer", "index"), [[0.3, 0.1], [0.2, 0.0]])},
    ...     coords={"layer": ["features", "head"], "index": [1, 2]},
    ... )
    >>> figure = plot(measured)
    >>> [axis.get_title() for axis in figure.axes]
    ['features', 'head']
    >>> plot(measured, layers=["tail"])
    Traceback (most recent call last):
    ValueError: there is no layer 'tail'; the layers are 'features', 'head'
    """
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(
            f"plot draws a Dataset, as nrc.measure or nrc.load gives it, not {type(dataset).__name__}"
        )
    if unknown := sorted(set(options) - set(PlotOptions.__annotations__)):
        raise TypeError(
            f"plot has no option {unknown[0]!r}; there are {', '.join(PlotOptions.__annotations__)}"
        )
    kind = kind or next((name for name in KINDS if _has(dataset, name)), None)
    if kind is None:
        raise ValueError(f"the dataset has nothing to draw: {MAKERS}")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, but must be one of {', '.join(KINDS)}")
    if not _has(dataset, kind):
        raise ValueError(f"{kind} draws {KINDS[kind]}, of which the dataset has no values: {MAKERS}")
    cube = of_network(_chosen(dataset, options.get("layers")))
    if kind == "tails":
        cube["tail_bound"] = xr.full_like(cube["relative_tail"], np.nan)
    settings = {"colour_map": options.get("colour_map", "Blues" if kind == "spectra" else "viridis")}
    module = figures.kind("certified" if kind == "tails" else kind)
    with styled():
        drawn: StyledFigure = module.draw({"dataset": cube}, settings)
        return drawn


def _has(dataset: xr.Dataset, kind: str) -> bool:
    return KINDS[kind] in dataset and bool(dataset[KINDS[kind]].notnull().any())


def _chosen(dataset: xr.Dataset, layers: Sequence[str | int] | None) -> xr.Dataset:
    """The dataset of some of its layers."""
    if layers is None:
        return dataset
    there: list[Any] = dataset["layer"].values.tolist()
    for layer in (chosen := [layers] if isinstance(layers, str | int) else list(layers)):
        if layer not in there:
            raise ValueError(f"there is no layer {layer!r}; the layers are {', '.join(map(repr, there))}")
    if not chosen:
        raise ValueError(f"layers is empty; the layers are {', '.join(map(repr, there))}")
    return dataset.sel(layer=chosen)
