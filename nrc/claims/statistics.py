"""The statistics that claims are judged by: a number for each part of a claim and each seed.

A part is a weight decay, a layer, a space, a measure of rank, or several of them. Every function takes the
cube of an experiment with its axes in ascending order, and returns an array with the dimensions
`weight_decay`, `what` (what else there is, in words) and `seed`, and axes of which the mean is taken; missing
where the cube has too little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import linregress

from nrc.statistics import quadratic_slopes
from nrc.status import flag_masks

__all__ = ["COUNTS", "STATISTICS", "VARIABILITIES", "Statistic"]

Array = NDArray[np.float64]
# Of log sigma, and the places where a transition begins and ends.
Width = Callable[[Array, np.intp, np.intp], float]

# A row of the plane has a transition where the relative distance changes by more than this.
TRANSITION = 0.3
# The transition begins at this share of the range of the relative distance.
BEGINS = 0.1
# The measures of rank that count directions.
COUNTS = ("stable_rank", "numerical_rank", "exact_rank", "effective_rank")
# Within-class variability, with and without its scale.
VARIABILITIES = ("wcss_class", "wcss_share", "nc1")


@dataclass(frozen=True)
class Statistic:
    """What a claim is judged by.

    Attributes
    ----------
    measure : str
        What it is, in words.
    of : callable
        From a cube and the options, as said above.
    takes : tuple of str
        The variables it takes.
    order : bool
        Whether the claim is about the order of the numbers with weight decay, or about each of them.
    cube : {"measures", "shift"}
        Which cube of an experiment has them.
    options : tuple of str
        Names of what a claim says beside its limits.
    least : callable, optional
        Where the number is known between two ends only, of which `of` is the upper, the lower one: the part
        is then judged by the range of both ends over seeds.

    Examples
    --------
    >>> STATISTICS["depth_growth"].measure
    'slope of log average rank over layers against log depth'
    """

    measure: str
    of: Callable[..., xr.DataArray]
    takes: tuple[str, ...]
    order: bool = False
    cube: str = "measures"
    options: tuple[str, ...] = ()
    least: Callable[..., xr.DataArray] | None = None


def transition_width(cube: xr.Dataset, to: float) -> xr.DataArray:
    """Upper end of the width of the transition, in decades of sigma, for each layer.

    The width over which the relative distance goes from a tenth to the share `to` of its range, between
    the last network that converged before the one and the first beyond the other: on a finer grid it is
    smaller, never larger.
    """
    return _rises(cube, lambda place, leaves, arrives: place[arrives] - place[leaves - 1], to)


def transition_width_at_least(cube: xr.Dataset, to: float) -> xr.DataArray:
    """Lower end of that width: between the first network beyond the one and the last before the other."""
    return _rises(cube, lambda place, leaves, arrives: max(0.0, place[arrives - 1] - place[leaves]), to)


def _rises(cube: xr.Dataset, width: Width, to: float) -> xr.DataArray:
    distance = cube["relative_distance"].where(flag_masks(cube["status"])["converged"])
    log_sigma = xr.ufuncs.log10(cube["sigma"].where(cube["sigma"] > 0))
    widths = _along("sigma", lambda row, place: _rise(row, place, width, to), distance, log_sigma)
    return _named(widths, "layer", "layer {}")


def _rise(row: Array, place: Array, width: Width, to: float) -> float:
    known = ~np.isnan(row) & ~np.isnan(place)
    row, place = row[known], place[known]
    if len(row) < 3 or np.ptp(row) <= TRANSITION:
        return np.nan
    share = (row - row.min()) / np.ptp(row)
    leaves, arrives = np.argmax(share > BEGINS), np.argmax(share >= to)
    # a row that has left from the start began before the grid
    return width(place, leaves, arrives) if leaves else np.nan


def slope_in_sigma(cube: xr.Dataset, saturation: float, minima: str) -> xr.DataArray:
    """Slope of log shift against log sigma in the quadratic regime."""
    table = quadratic_slopes(cube, saturation, everywhere=minima == "all")
    slopes = table.set_index(["weight_decay", "seed"])["slope"].to_xarray()
    return _all(slopes.reindex(weight_decay=cube["weight_decay"], seed=cube["seed"]).astype(float))


def shift_size(cube: xr.Dataset, minima: str) -> xr.DataArray:
    """Mean of log shift over the noise levels at which it is known for every weight decay."""
    shift = cube["shift"] if minima == "all" else cube["shift"].where(cube["at_minimum"] == 1)
    logs = xr.ufuncs.log(shift.where(shift > 0))
    return _all(logs.where(logs.notnull().all("weight_decay")).mean("sigma"))


def tail_change(cube: xr.Dataset) -> xr.DataArray:
    """Relative tail beyond K, end over start, of the layer where it falls least."""
    return _all(_tail_change(cube).max("layer"))


def tail_change_of_layers(cube: xr.Dataset) -> xr.DataArray:
    """Relative tail beyond K, end over start, of each layer that has one."""
    return _named(_tail_change(cube).dropna("layer", how="all"), "layer", "layer {}")


def _tail_change(cube: xr.Dataset) -> xr.DataArray:
    s = cube["snapshot_singular_values"]
    beyond = s.where((s["index"] > cube.attrs["clusters"]) | s.isnull(), 0)
    tail: xr.DataArray = xr.ufuncs.sqrt(
        (beyond**2).sum("index", min_count=1) / (s**2).sum("index", min_count=1)
    )
    first, last = tail.isel(snapshot=0), _last(tail)
    return (last / first).where(first > 0)


def head_change(cube: xr.Dataset) -> xr.DataArray:
    """Share s_i / ||W||, end over start, of the first K - 1 singular values.

    In terms of eq. 22 the share is sqrt(tail(i-1)^2 - tail(i)^2). The singular value and the layer where it
    falls most count.
    """
    s = cube["snapshot_singular_values"]
    share = s / np.sqrt((s**2).sum("index", min_count=1))
    head = share.where(s["index"] < cube.attrs["clusters"])
    first = head.isel(snapshot=0)
    return _all((_last(head) / first.where(first > 0)).min(["layer", "index"]))


def wcss_change(cube: xr.Dataset) -> xr.DataArray:
    """Class WCSS, end over first look on the way, of the hidden space where it falls least."""
    wcss = cube["snapshot_wcss"].sel(source=slice(1, None))
    early = wcss.shift(snapshot=-1).isel(snapshot=0)
    return _all((_last(wcss) / early).max("source"))


def variability(cube: xr.Dataset, measure: Sequence[str]) -> xr.DataArray:
    """Within-class variability of each hidden space, by each measure."""
    spaces = [
        _named(cube[name].sel(source=slice(1, None)), "source", f"{name} of z^{{}}") for name in measure
    ]
    return xr.concat(spaces, "what")


def width_growth(cube: xr.Dataset, rank: Sequence[str]) -> xr.DataArray:
    """Slope of log rank of the intermediate matrix against log width."""
    return _growth(intermediate(_ranks(cube, rank)), "width")


def width_dependence(cube: xr.Dataset, rank: Sequence[str]) -> xr.DataArray:
    """Absolute value of that slope."""
    return abs(width_growth(cube, rank))


def rank_size(cube: xr.Dataset, rank: Sequence[str]) -> xr.DataArray:
    """Log rank of the intermediate matrix, mean over widths."""
    ranks = intermediate(_ranks(cube, rank))
    logs: xr.DataArray = xr.ufuncs.log(ranks.where(ranks > 0))
    return logs.mean("width")


def depth_growth(cube: xr.Dataset, rank: Sequence[str]) -> xr.DataArray:
    """Slope of log average rank over layers against log depth."""
    return _growth(_ranks(cube, rank).mean("layer"), "depth")


def intermediate(ranks: xr.DataArray) -> xr.DataArray:
    """Of the layer in the middle of each network, the lower of two."""
    return ranks.sel(layer=(ranks["depth"] + 1) // 2)


def _ranks(cube: xr.Dataset, rank: Sequence[str]) -> xr.DataArray:
    of_measures = [cube[name].expand_dims(what=[name.replace("_", " ")]) for name in rank]
    return xr.concat(of_measures, "what")


def _growth(ranks: xr.DataArray, along: str) -> xr.DataArray:
    """Slope of log rank against log `along` by least squares, of two networks at least."""

    def slope(row: Array, place: Array) -> float:
        known = row > 0
        return linregress(place[known], np.log(row[known])).slope if known.sum() >= 2 else np.nan

    return _along(along, slope, ranks, xr.ufuncs.log(ranks[along]))


def _along(axis: str, function: Callable[..., float], *arrays: xr.DataArray) -> xr.DataArray:
    """A number of each row along an axis."""
    numbers: xr.DataArray = xr.apply_ufunc(
        function, *arrays, input_core_dims=[[axis]] * len(arrays), vectorize=True
    )
    return numbers


def _named(values: xr.DataArray, dim: str, words: str) -> xr.DataArray:
    """The dimension as `what`, in words."""
    said = [words.format(place) for place in values[dim].values]
    return values.rename({dim: "what"}).assign_coords(what=np.array(said, dtype=str))


def _all(values: xr.DataArray) -> xr.DataArray:
    return values.expand_dims(what=["all"])


def _last(values: xr.DataArray) -> xr.DataArray:
    """The last snapshot that each network has."""
    return values.isel(snapshot=values.notnull().cumsum("snapshot").argmax("snapshot"))


SPECTRA = ("snapshot_singular_values",)

STATISTICS = {
    "transition_width": Statistic(
        "decades of sigma, at most, in which the relative distance goes from 10% of its range to more",
        transition_width,
        ("relative_distance", "status"),
        options=("to",),
        least=transition_width_at_least,
    ),
    "slope_in_sigma": Statistic(
        "slope of log distance to the centroids' networks against log sigma in the quadratic regime",
        slope_in_sigma,
        ("shift", "shift_forecast", "noise_moment", "at_minimum"),
        cube="shift",
        options=("saturation", "minima"),
    ),
    "shift_trend": Statistic(
        "order of the distance to the centroids' networks with weight decay",
        shift_size,
        ("shift", "at_minimum"),
        order=True,
        cube="shift",
        options=("minima",),
    ),
    "tail_change": Statistic(
        "relative tail beyond K, last over first look, of the layer where it falls least",
        tail_change,
        SPECTRA,
    ),
    "tail_trend": Statistic(
        "order of the tail's change with weight decay", tail_change_of_layers, SPECTRA, order=True
    ),
    "head_change": Statistic(
        "s_i / ||W||, i < K, last over first look, of the i and layer where it falls most",
        head_change,
        SPECTRA,
    ),
    "wcss_change": Statistic(
        "class WCSS, last over first look on the way, of the space where it falls least",
        wcss_change,
        ("snapshot_wcss",),
    ),
    "variability_trend": Statistic(
        "order of the within-class variability of the hidden spaces at the end with weight decay",
        variability,
        VARIABILITIES,
        order=True,
        options=("measure",),
    ),
    "width_growth": Statistic(
        "slope of log rank of the intermediate matrix against log width",
        width_growth,
        COUNTS,
        options=("rank",),
    ),
    "width_growth_trend": Statistic(
        "order of the absolute value of that slope with weight decay",
        width_dependence,
        COUNTS,
        order=True,
        options=("rank",),
    ),
    "rank_trend": Statistic(
        "order of the rank of the intermediate matrix, mean over widths, with weight decay",
        rank_size,
        COUNTS,
        order=True,
        options=("rank",),
    ),
    "depth_growth": Statistic(
        "slope of log average rank over layers against log depth",
        depth_growth,
        COUNTS,
        options=("rank",),
    ),
}
