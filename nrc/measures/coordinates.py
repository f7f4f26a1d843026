"""Coordinates of measures: the layers of a network, its sources, and positions in a spectrum."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

__all__ = ["coordinates"]


def coordinates(
    layers: Sequence[int | str], sources: Sequence[int | str], longest: int
) -> dict[str, xr.DataArray]:
    """Coordinates for the dimensions `layer`, `source` and `index`.

    Parameters
    ----------
    layers, sources : sequence
        1..L and 0..L-1 in a stack, names of modules in a torch module.
    longest : int
        The largest number of singular values of a layer.

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
