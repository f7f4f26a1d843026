"""Coordinates that measures share: layers of a network, and the sources, spaces of features below them."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

__all__ = ["coordinates"]


def coordinates(
    layers: Sequence[int | str], sources: Sequence[int | str], longest: int
) -> dict[str, xr.DataArray]:
    """What layers and sources are called, and places in a spectrum of at most so many singular values.

    Layers are 1..L and sources 0..L-1 in a stack; in a torch module they are modules.

    Examples
    --------
    >>> {name: values.values.tolist() for name, values in coordinates([1, 2], [0, 1], 3).items()}
    {'layer': [1, 2], 'source': [0, 1], 'index': [1, 2, 3]}
    """
    named = {
        "layer": (list(layers), "layer, from the input"),
        "source": (list(sources), "space of the features that enter, the inputs first"),
        "index": (np.arange(1, longest + 1), "position in the spectrum, from 1"),
    }
    return {
        dim: xr.DataArray(values, dims=dim, name=dim, attrs={"long_name": about, "units": "1"})
        for dim, (values, about) in named.items()
    }
