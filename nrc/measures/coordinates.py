"""Coordinates that measures share: layers are numbered 1..L, and source k = 0..L-1 is the space of z^k."""

import numpy as np
import xarray as xr

__all__ = ["layers_of", "sources_of"]


def layers_of(depth: int) -> xr.DataArray:
    """The layers of networks of a depth."""
    about = {"long_name": "layer, from the input", "units": "1"}
    return xr.DataArray(np.arange(1, depth + 1), dims="layer", name="layer", attrs=about)


def sources_of(depth: int) -> xr.DataArray:
    """The spaces of features below the layers."""
    about = {"long_name": "space of the features z^k, k = 0 the inputs", "units": "1"}
    return xr.DataArray(np.arange(depth), dims="source", name="source", attrs=about)
