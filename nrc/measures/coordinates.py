"""Coordinates that measures share: layers of a network, and the sources, spaces of features below them."""

import xarray as xr

from nrc.seen import Seen

__all__ = ["coordinates"]


def coordinates(seen: Seen) -> dict[str, xr.DataArray]:
    """What layers and sources are called: 1..L and 0..L-1 in a stack, modules in a torch module.

    Examples
    --------
    >>> network, points = nrc.network.Network([torch.eye(2)[None]] * 3), torch.ones(1, 5, 2)
    >>> seen = nrc.seen.StackSeen(network, points, points)
    >>> {name: values.values.tolist() for name, values in coordinates(seen).items()}
    {'layer': [1, 2, 3], 'source': [0, 1, 2]}
    """
    named = {"layer": seen.layers, "source": seen.sources}
    about = {
        "layer": "layer, from the input",
        "source": "space of the features that enter, the inputs first",
    }
    return {
        dim: xr.DataArray(list(values), dims=dim, name=dim, attrs={"long_name": about[dim], "units": "1"})
        for dim, values in named.items()
    }
