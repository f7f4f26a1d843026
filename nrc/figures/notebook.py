"""Figures in a notebook, of measured networks and of files of the pipeline."""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import numpy as np
import xarray as xr

from nrc import kinds
from nrc.cubes import of_network
from nrc.figures.bounds import BOUNDS
from nrc.figures.style import StyledFigure, styled
from nrc.grid import AXES
from nrc.text import listed

__all__ = ["KINDS", "PlotOptions", "plot"]

# The variable that each kind draws; by default the kind of the first variable that a dataset has.
KINDS = {
    "spectra": "snapshot_singular_values",
    "certified": "tail_bound",
    "tails": "relative_tail",
    "bounds": "bound_measured",
}
# The drawn variables that have these dimensions.
DIMENSIONS = {
    "layer": ("distance", "singular_values", *KINDS.values(), *BOUNDS, "bound_permuted"),
    "source": ("snapshot_wcss", *BOUNDS, "bound_permuted"),
}
SOURCES = "nrc.Recorder returns snapshots, nrc.measure bounds on distances and tails, nrc.spectra tails"


class PlotOptions(TypedDict, total=False):
    """Options of every kind.

    Attributes
    ----------
    layers : sequence of str or int
        The names of the layers to draw, in this order; all layers by default.
    colour_map : str
        Name of a colour map of matplotlib or seaborn; by default viridis, and Blues for spectra.
    """

    layers: Sequence[str | int]
    colour_map: str


def plot(dataset: xr.Dataset, kind: str | None = None, **options: Unpack[PlotOptions]) -> StyledFigure:
    """Draw the results of `nrc.measure`, `nrc.spectra` and `nrc.Recorder`, and files of the pipeline.

    A notebook displays the figure if it is the last line of a cell; `figure.savefig(path)` writes it.

    Parameters
    ----------
    dataset : Dataset
        Measures of one network or of several, along axes of the grid. Layers and sources may be selected.
    kind : {"spectra", "certified", "tails", "bounds"}, optional
        The kind of figure:

        - ``spectra``: the spectrum of every layer during training, and the class WCSS;
        - ``certified``: the tail of every spectrum, and the bound on it that clusters certify;
        - ``tails``: the tails only, over all ranks;
        - ``bounds``: the distance of every layer to rank K against its bounds.

        By default the first kind with a variable in the dataset.
    **options
        `layers`, the names of the layers to draw, in this order; `colour_map`.

    Returns
    -------
    Figure
        Of matplotlib.

    Raises
    ------
    TypeError
        If it is not a dataset, or there is no option of that name.
    ValueError
        If the dataset does not have the variable of the kind, a layer does not exist, or there are more
        networks than the kind can draw.

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
    ValueError: there is no layer 'tail'; the layers are 'features' and 'head'
    """
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(
            f"plot draws a Dataset, such as nrc.measure and nrc.load return, not {type(dataset).__name__}"
        )
    if unknown := sorted(set(options) - set(PlotOptions.__annotations__)):
        raise TypeError(
            f"plot has no option {unknown[0]!r}; its options are {listed(PlotOptions.__annotations__)}"
        )
    kind = kind or next((name for name in KINDS if _has(dataset, name)), None)
    if kind is None:
        raise ValueError(f"the dataset has no variable that plot draws: {SOURCES}")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, but must be one of {', '.join(KINDS)}")
    if not _has(dataset, kind):
        raise ValueError(f"{kind} draws {KINDS[kind]}, which has no values in the dataset: {SOURCES}")
    whole = _with_dimensions(dataset)
    known = {*AXES, *DIMENSIONS, "index", "snapshot"}
    if unknown := [dim for dim in map(str, whole[KINDS[kind]].dims) if dim not in known]:
        raise ValueError(
            f"the dataset has the dimension {unknown[0]!r}; choose one of its values, or rename it to an "
            f"axis of the grid, {listed(AXES, 'or')}"
        )
    cube = of_network(_with_layers(whole, options.get("layers")))
    if kind == "tails":
        cube["tail_bound"] = xr.full_like(cube["relative_tail"], np.nan)
    module = kinds.module("figures", "certified" if kind == "tails" else kind)
    colours = {"colour_map": options["colour_map"]} if "colour_map" in options else {}
    # not validated: any colour map is allowed here
    complete = module.Options.model_construct(of=["dataset"], **colours)
    with styled():
        drawn: StyledFigure = module.draw({"dataset": cube}, complete)
        return drawn


def _has(dataset: xr.Dataset, kind: str) -> bool:
    return KINDS[kind] in dataset and bool(dataset[KINDS[kind]].notnull().any())


def _with_dimensions(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with the dimensions `layer` and `source`, also if a single value of them is selected."""
    for dim, names in DIMENSIONS.items():
        if dim in dataset.coords and dim not in dataset.dims:
            whole = {name: dataset[name].expand_dims(dim) for name in names if name in dataset}
            dataset = dataset.drop_vars(dim).assign(whole)
    return dataset


def _with_layers(dataset: xr.Dataset, layers: Sequence[str | int] | None) -> xr.Dataset:
    """The dataset with some of its layers."""
    if layers is None:
        return dataset
    known: list[Any] = dataset["layer"].values.tolist()
    chosen = [layers] if isinstance(layers, str | int) else list(layers)
    if not chosen:
        raise ValueError(f"layers is empty; the layers are {listed(map(repr, known))}")
    for layer in chosen:
        if layer not in known:
            raise ValueError(f"there is no layer {layer!r}; the layers are {listed(map(repr, known))}")
    return dataset.sel(layer=chosen)
