"""Claims as statistics: a number a seed, an interval of its mean over seeds, a verdict by limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import linregress, spearmanr

from nrc.flags import flag_masks
from nrc.labels import describe, flag_attributes
from nrc.statistics import quadratic_slopes, student_interval

__all__ = ["STATISTICS", "Statistic", "Verdict", "judge"]

# A row of the plane has a transition where the relative distance changes by more than this.
TRANSITION = 0.3


class Verdict(IntEnum):
    """What an interval says of a claim."""

    CONFIRMED = 0
    DENIED = 1
    UNDECIDED = 2


@dataclass(frozen=True)
class Statistic:
    """A number that a claim is judged by.

    Attributes
    ----------
    measure : str
        What it is, in words.
    of : callable
        From the cube of one seed, and the options; missing where the cube has too few cells for it.
    takes : tuple of str
        The variables it takes.
    cube : {"measures", "shift"}
        Which cube of an experiment has them.
    options : tuple of str
        Names of what a claim says beside its limits.
    """

    measure: str
    of: Callable[..., float]
    takes: tuple[str, ...]
    cube: str = "measures"
    options: tuple[str, ...] = ()


def cliff(cube: xr.Dataset) -> float:
    """Largest step between neighbours in sigma over the whole range, mean over weight decays and layers.

    A step counts where both neighbours converged. Rows without a transition are left out.
    """
    distance = cube["relative_distance"].where(flag_masks(cube["status"])["converged"])
    shares = []
    for row in distance.transpose(..., "sigma").values.reshape(-1, distance.sizes["sigma"]):
        known, steps = row[~np.isnan(row)], np.abs(np.diff(row))
        if len(known) > 2 and np.ptp(known) > TRANSITION and not np.isnan(steps).all():
            shares.append(np.nanmax(steps) / np.ptp(known))
    return float(np.mean(shares)) if shares else np.nan


def slope_in_sigma(cube: xr.Dataset, saturation: float) -> float:
    """Slope of log shift against log sigma in the quadratic regime, mean over weight decays."""
    return float(quadratic_slopes(cube.expand_dims("seed"), saturation)["slope"].mean())


def tail_change(cube: xr.Dataset) -> xr.DataArray:
    """log10 of the tail beyond K, at the end over the start, for the layers that have one."""
    s = cube["snapshot_singular_values"]
    beyond = s.where((s["index"] > cube.attrs["clusters"]) | s.isnull(), 0)
    tail = np.sqrt((beyond**2).sum("index", min_count=1) / (s**2).sum("index", min_count=1))
    first, last = tail.isel(snapshot=0), _last(tail)
    return np.log10((last / first).where((first > 0) & (last > 0))).dropna("layer", how="all")


def head_change(cube: xr.Dataset) -> xr.DataArray:
    """log10 of the norm of the first K - 1 singular values, at the end over the start."""
    s = cube["snapshot_singular_values"]
    head = np.sqrt((s.where(s["index"] < cube.attrs["clusters"]) ** 2).sum("index", min_count=1))
    return np.log10(_last(head) / head.isel(snapshot=0))


def wcss_change(cube: xr.Dataset) -> xr.DataArray:
    """log10 of the class WCSS of the hidden spaces, at the end over the largest on the way."""
    wcss = cube["snapshot_wcss"].sel(source=slice(1, None))
    return np.log10(_last(wcss) / wcss.max("snapshot"))


def intermediate_rank(cube: xr.Dataset) -> xr.DataArray:
    """Stable rank of the layer in the middle of each network, the lower of two."""
    return cube["stable_rank"].sel(layer=(cube["depth"] + 1) // 2)


def mean_rank(cube: xr.Dataset) -> xr.DataArray:
    """Average stable rank over the layers of each network."""
    return cube["stable_rank"].mean("layer")


def trend(values: xr.DataArray) -> float:
    """Spearman's correlation with weight decay, mean over the other dimensions.

    Missing with fewer than three weight decays. What is not known at all of them is left out, and so
    is what never changes.
    """
    table = _columns(values, "weight_decay")
    kept = table[:, ~np.isnan(table).any(0) & (np.ptp(table, axis=0) > 0)]
    if kept.shape[0] < 3 or kept.shape[1] == 0:
        return np.nan
    return float(np.mean([spearmanr(values["weight_decay"], column).statistic for column in kept.T]))


def growth(ranks: xr.DataArray, along: str, weight_decay: int) -> float:
    """Slope of log rank against log `along` at the first (0) or last (-1) weight decay.

    Fitted by least squares to two networks at least; mean over the other dimensions.
    """
    table, x = _columns(ranks.isel(weight_decay=weight_decay), along), np.log(ranks[along].values)
    fits = []
    for column in table.T:
        known = column > 0
        if known.sum() >= 2:
            fits.append(linregress(x[known], np.log(column[known])).slope)
    return float(np.mean(fits)) if fits else np.nan


def _columns(values: xr.DataArray, along: str) -> np.ndarray:
    """One dimension down, all others across."""
    return values.transpose(along, ...).values.reshape(values.sizes[along], -1)


def _last(values: xr.DataArray) -> xr.DataArray:
    """The last snapshot that each network has."""
    return values.isel(snapshot=values.notnull().cumsum("snapshot").argmax("snapshot"))


def _width_growth(cube: xr.Dataset, weight_decay: int = -1) -> float:
    return growth(intermediate_rank(cube), "width", weight_decay)


SPECTRA = ("snapshot_singular_values",)

STATISTICS = {
    "cliff": Statistic(
        "largest step between neighbours in sigma over the whole range of the relative distance",
        cliff,
        ("relative_distance", "status"),
    ),
    "slope_in_sigma": Statistic(
        "slope of log distance to the centroids' networks against log sigma in the quadratic regime",
        slope_in_sigma,
        ("shift", "shift_forecast", "noise_moment", "at_minimum"),
        "shift",
        ("saturation",),
    ),
    "shift_trend": Statistic(
        "Spearman's correlation of the distance to the centroids' networks with weight decay",
        lambda cube: trend(cube["shift"]),
        ("shift",),
        "shift",
    ),
    "tail_change": Statistic(
        "log10 of the tail beyond K, last over first snapshot, largest weight decay",
        lambda cube: float(tail_change(cube).isel(weight_decay=-1).mean()),
        SPECTRA,
    ),
    "tail_trend": Statistic(
        "Spearman's correlation of the tail's change with weight decay",
        lambda cube: trend(tail_change(cube)),
        SPECTRA,
    ),
    "head_change": Statistic(
        "log10 of the norm of the first K - 1 singular values, last over first snapshot, all weight decays",
        lambda cube: float(head_change(cube).mean()),
        SPECTRA,
    ),
    "wcss_change": Statistic(
        "log10 of the class WCSS at the end over the largest on the way, all weight decays",
        lambda cube: float(wcss_change(cube).mean()),
        ("snapshot_wcss",),
    ),
    "wcss_trend": Statistic(
        "Spearman's correlation of the class WCSS at the end with weight decay",
        lambda cube: trend(cube["wcss_class"].sel(source=slice(1, None))),
        ("wcss_class",),
    ),
    "width_growth": Statistic(
        "slope of log stable rank of the intermediate matrix against log width, largest weight decay",
        _width_growth,
        ("stable_rank",),
    ),
    "width_growth_difference": Statistic(
        "slope of log stable rank against log width at the largest weight decay less that at the smallest",
        lambda cube: _width_growth(cube) - _width_growth(cube, 0),
        ("stable_rank",),
    ),
    "rank_trend": Statistic(
        "Spearman's correlation of the stable rank of the intermediate matrix with weight decay",
        lambda cube: trend(intermediate_rank(cube)),
        ("stable_rank",),
    ),
    "depth_growth": Statistic(
        "slope of log average stable rank against log depth, largest weight decay",
        lambda cube: growth(mean_rank(cube), "depth", -1),
        ("stable_rank",),
    ),
}


def judge(cubes: Mapping[str, xr.Dataset], claims: Mapping[str, Mapping[str, Any]]) -> xr.Dataset:
    """Judge claims.

    A claim is confirmed where the interval of its statistic's mean over seeds lies within its
    limits, denied where it lies outside them, and undecided otherwise or with less than two seeds.

    Parameters
    ----------
    cubes : mapping
        For each claim the cube it is judged on.
    claims : mapping
        For each claim its `statistic`, a key of `STATISTICS`, with its options; its limits `least`
        and `most`, either may be None; and the `level` of its interval, Student's t.

    Returns
    -------
    Dataset
        For each `claim` the statistic of every seed, mean, interval, limits and verdict, and how the
        cells of its cube ended.

    Raises
    ------
    ValueError
        If a cube lacks a variable that the statistic takes.
    """
    seeds = sorted({int(seed) for name in claims for seed in cubes[name]["seed"].values})
    statistic = np.full((len(claims), len(seeds)), np.nan)
    rows = []
    for row, (name, claim) in zip(statistic, claims.items(), strict=True):
        for seed, value in _of_seeds(name, claim, cubes[name]).items():
            row[seeds.index(seed)] = value
        limits = {end: np.nan if claim[end] is None else claim[end] for end in ("least", "most")}
        mean, low, high = student_interval(row, claim["level"])
        rows.append(
            {"mean": mean, "low": low, "high": high, **limits, "level": claim["level"]}
            | _ended(cubes[name])
            | {"verdict": _verdict(low, high, **limits)}
        )
    numbers = {name: ("claim", np.array([row[name] for row in rows], kind)) for name, kind in _KINDS.items()}
    return _described(
        xr.Dataset(
            {"statistic": (("claim", "seed"), statistic), **numbers},
            {"claim": np.array(list(claims), dtype=str), "seed": np.array(seeds, dtype=np.int64)},
        )
    )


_KINDS = {
    **dict.fromkeys(("mean", "low", "high", "least", "most", "level"), np.float64),
    **dict.fromkeys(("cells", "stopped", "diverged", "dead"), np.int64),
    "verdict": np.int8,
}


def _of_seeds(name: str, claim: Mapping[str, Any], cube: xr.Dataset) -> dict[int, float]:
    statistic = STATISTICS[claim["statistic"]]
    if missing := [variable for variable in statistic.takes if variable not in cube]:
        raise ValueError(
            f"claim {name}: its experiments have no {' and no '.join(missing)}, which {claim['statistic']} "
            "takes; choose other experiments or another statistic"
        )
    options = {option: claim[option] for option in statistic.options}
    # neighbours, smallest and largest are by value, whatever the order in the grid
    cube = cube.sortby([axis for axis in ("weight_decay", "sigma") if axis in cube.dims])
    return {int(seed): statistic.of(cube.sel(seed=seed), **options) for seed in cube["seed"].values}


def _ended(cube: xr.Dataset) -> dict[str, int]:
    """How many cells there are, and how many did not converge."""
    masks = flag_masks(cube["status"])
    diverged = flag_masks(cube["ended"])["diverged"] if "ended" in cube else xr.zeros_like(masks["stopped"])
    counted = {"stopped": masks["stopped"] & ~diverged, "diverged": diverged, "dead": masks["dead"]}
    return {"cells": int(cube["status"].count()), **{name: int(mask.sum()) for name, mask in counted.items()}}


def _verdict(low: float, high: float, least: float, most: float) -> Verdict:
    if np.isnan(low):
        return Verdict.UNDECIDED
    if (np.isnan(least) or low >= least) and (np.isnan(most) or high <= most):
        return Verdict.CONFIRMED
    if high < least or low > most:
        return Verdict.DENIED
    return Verdict.UNDECIDED


def _described(dataset: xr.Dataset) -> xr.Dataset:
    return describe(
        dataset,
        claim={"long_name": "name of the claim"},
        seed={"long_name": "seed of the data and of the initial weights"},
        statistic={"long_name": "statistic of the claim", "comment": "missing where there is no such seed"},
        mean={"long_name": "mean of the statistic over seeds"},
        low={"long_name": "lower end of the interval of the mean"},
        high={"long_name": "upper end of the interval of the mean"},
        level={"long_name": "level of the interval, Student's t"},
        least={"long_name": "the claim asks for at least this", "comment": "missing where it does not"},
        most={"long_name": "the claim asks for at most this", "comment": "missing where it does not"},
        cells={"long_name": "number of cells that the claim is judged on"},
        stopped={
            "long_name": "number of these that stopped before they converged",
            "comment": "with the diverged ones where the cube does not tell them, as that of shifts",
        },
        diverged={"long_name": "number of these that diverged"},
        dead={"long_name": "number of these that are dead"},
        verdict={"long_name": "verdict", **flag_attributes(Verdict)},
    )
