"""Change of the first singular values during training."""

import numpy as np
import xarray as xr

from nrc.claims.arrays import last_snapshot, single
from nrc.claims.options import NumberOptions
from nrc.options import Requirement, given

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Share s_i / ||W||, i < K, last over first snapshot, of the i and the layer where it falls most."""

    variables = ("snapshot_singular_values",)
    requires = (Requirement({"training.snapshot_every": given}),)


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Smallest change over the first K - 1 singular values and the layers.

    In terms of eq. 22 the share s_i / ||W|| is sqrt(tail(i-1)^2 - tail(i)^2).
    """
    s = cube["snapshot_singular_values"]
    share = s / np.sqrt((s**2).sum("index", min_count=1))
    head = share.where(s["index"] < cube.attrs["clusters"])
    first = head.isel(snapshot=0)
    return single((last_snapshot(head) / first.where(first > 0)).min(["layer", "index"]))
