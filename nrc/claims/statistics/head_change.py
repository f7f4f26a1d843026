"""Change of the first singular values during training."""

import xarray as xr

from nrc.claims.arrays import last_snapshot, named
from nrc.claims.options import NumberOptions
from nrc.options import Requirement, given

__all__ = ["Options", "values"]


class Options(NumberOptions):
    """Norm of the first K singular values, last over first snapshot, for each layer that has more."""

    variables = ("snapshot_singular_values",)
    requires = (Requirement({"training.snapshot_every": given}),)


def values(cube: xr.Dataset, options: Options) -> xr.DataArray:
    """Change of sqrt(sum_{i<=K} s_i^2), in absolute size."""
    s, clusters = cube["snapshot_singular_values"], cube.attrs["clusters"]
    head = xr.ufuncs.sqrt((s.where(s["index"] <= clusters) ** 2).sum("index", min_count=1))
    first = head.isel(snapshot=0)
    has_tail = s.isel(snapshot=0).where(s["index"] > clusters).notnull().any("index")
    change = (last_snapshot(head) / first).where(has_tail & (first > 0))
    return named(change.dropna("layer", how="all"), "layer", "layer {}")
