"""Verdicts on claims: on each part by the limits of the claim or by chance, and on the claim by its parts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import page_trend_test, spearmanr

from nrc import kinds
from nrc.claims.options import ClaimOptions, NumberOptions
from nrc.grid import AXES
from nrc.metadata import describe, flag_attributes
from nrc.status import flag_masks
from nrc.student_interval import student_interval
from nrc.text import listed

__all__ = ["SEEDS", "Verdict", "judge", "statistic_of", "tally"]

# Every claim with fewer seeds is inconclusive.
SEEDS = 3

Array = NDArray[np.float64]


class Verdict(IntEnum):
    """Whether the data support a claim.

    Examples
    --------
    >>> Verdict.CONTRADICTED.name
    'CONTRADICTED'
    """

    SUPPORTED = 0
    CONTRADICTED = 1
    INCONCLUSIVE = 2


def judge(cubes: Mapping[str, xr.Dataset], claims: Mapping[str, ClaimOptions]) -> xr.Dataset:
    """Judge claims.

    If a claim is about numbers, each part has one number per seed, and Student's interval of their
    mean. The part is supported if the interval lies within the limits, and contradicted if it lies
    outside them. A number that the grid determines only up to one of its steps has, instead of the
    interval, the range from the smallest lower end to the largest upper end over seeds. If a claim is
    about an order with weight decay, the number is Spearman's correlation of each seed, and chance is the
    probability that random orders agree with the claim at least as well (Page's test, exact for few weight
    decays). The part is supported if the mean lies within the limits and chance is at most 1 - level, and
    contradicted if the opposite order is as unlikely. Every other part is inconclusive, and so is every
    part with fewer than three seeds.

    A claim is contradicted if one of its parts is contradicted, supported if all its parts are supported,
    and inconclusive otherwise. Parts without a number do not count.

    Parameters
    ----------
    cubes : mapping
        For each claim the cube that it is judged on.
    claims : mapping
        For each claim its options, of a statistic's class `Options`.

    Returns
    -------
    Dataset
        For each `part` its claim, weight decay, what it is about, the numbers of all seeds, their mean,
        interval or chance, and verdict; for each `claim` its limits, verdict, and the numbers of cells of
        its cube that did not converge.

    Raises
    ------
    ValueError
        If a cube does not have a variable that the statistic takes.

    Examples
    --------
    >>> from nrc.claims.statistics.slope_in_sigma import Options
    >>> claim = Options(
    ...     of=["linear"], statement="The shift is quadratic.", saturation=0.5, at_least=1.9, at_most=2.1
    ... )
    >>> judged = judge({"quadratic": shifts}, {"quadratic": claim})
    >>> Verdict(judged["verdict"].item()).name
    'SUPPORTED'
    >>> judged["mean"].values.round(2).tolist()  # of each weight decay
    [2.01, 2.01]
    """
    seeds = sorted({int(seed) for name in claims for seed in cubes[name]["seed"].values})
    parts = [part for name, claim in claims.items() for part in _parts(name, claim, cubes[name], seeds)]
    rows = []
    for name, claim in claims.items():
        limits = {end: getattr(claim, end) for end in ("at_least", "at_most")}
        limits = {end: np.nan if limit is None else limit for end, limit in limits.items()}
        counted = [part["part_verdict"] for part in parts if part["of_claim"] == name and part["counts"]]
        row = {**limits, "level": claim.level, **_counts(cubes[name])}
        rows.append({**row, "verdict": _verdict_of(counted)})
    table = {
        "claim": {name: np.array([row[name] for row in rows], kind) for name, kind in _OF_CLAIM.items()},
        "part": {name: np.array([part[name] for part in parts], kind) for name, kind in _OF_PART.items()},
    }
    statistic = np.array([part["statistic"] for part in parts], np.float64).reshape(len(parts), len(seeds))
    return _described(
        xr.Dataset(
            {
                "statistic": (("part", "seed"), statistic),
                **{name: (dim, values) for dim, columns in table.items() for name, values in columns.items()},
            },
            {"claim": np.array(list(claims), dtype=str), "seed": np.array(seeds, dtype=np.int64)},
        )
    )


_OF_CLAIM = {
    **dict.fromkeys(("at_least", "at_most", "level"), np.float64),
    **dict.fromkeys(("cells", "stopped", "diverged", "collapsed_to_zero"), np.int64),
    "verdict": np.int8,
}
_OF_PART = {
    **dict.fromkeys(("of_claim", "what"), str),
    **dict.fromkeys(("weight_decay", "mean", "low", "high", "chance"), np.float64),
    "counts": bool,
    "part_verdict": np.int8,
}


def statistic_of(claim: ClaimOptions) -> ModuleType:
    """The module of the statistic that a claim is judged by.

    Examples
    --------
    >>> from nrc.claims.statistics.depth_growth import Options
    >>> statistic_of(Options(of=["deep"], statement="Rank does not grow.", at_most=0.1)).__name__
    'nrc.claims.statistics.depth_growth'
    """
    return kinds.module("claims.statistics", type(claim).__module__.rpartition(".")[2])


def _parts(name: str, claim: ClaimOptions, cube: xr.Dataset, seeds: list[int]) -> Iterator[dict[str, Any]]:
    """The parts of a claim, judged."""
    values = _values(name, claim, cube, "values").reindex(seed=seeds)
    ends = [values]
    if hasattr(statistic_of(claim), "lower_ends"):
        ends.append(_values(name, claim, cube, "lower_ends").reindex(seed=seeds))
    decays = values["weight_decay"].values
    for what, *tables in zip(values["what"].values, *(end.values for end in ends), strict=True):
        part = {"of_claim": name, "what": str(what)}
        if not isinstance(claim, NumberOptions):
            order = _judge_order(tables[0], claim)
            yield {**part, "weight_decay": np.nan, "counts": not np.isnan(order["mean"]), **order}
            continue
        for decay, *numbers in zip(decays, *tables, strict=True):
            # without a number there is nothing to judge
            asked = claim.weight_decays == "all" or decay == decays[-1]
            counts = asked and not np.isnan(numbers[0]).all()
            yield {**part, "weight_decay": decay, "counts": counts, **_judge_numbers(*numbers, claim=claim)}


def _values(name: str, claim: ClaimOptions, cube: xr.Dataset, function: str) -> xr.DataArray:
    """The statistic of a cube, (what, weight_decay, seed)."""
    statistic = statistic_of(claim)
    label = statistic.__name__.rpartition(".")[2]
    if missing := [variable for variable in claim.variables if variable not in cube]:
        raise ValueError(
            f"claim {name}: its experiments have no {listed(missing, 'and no')}, which {label} takes; "
            "choose other experiments or another statistic"
        )
    # neighbours, smallest and largest are by value, whatever the order in the grid
    cube = cube.sortby([axis for axis in AXES if axis in cube.dims])
    values: xr.DataArray = getattr(statistic, function)(cube, claim)
    if lacking := {"what", "weight_decay", "seed"} - set(values.dims):
        raise ValueError(f"claim {name}: {label} must have a dimension {' and '.join(sorted(lacking))}")
    others = [axis for axis in values.dims if axis not in ("what", "weight_decay", "seed")]
    return values.mean(others).transpose("what", "weight_decay", "seed")


def _judge_numbers(numbers: Array, lower_ends: Array | None = None, *, claim: ClaimOptions) -> dict[str, Any]:
    """A part with a number for each seed, which may be known only to lie between two ends."""
    mean, low, high = student_interval(numbers, claim.level)
    if np.count_nonzero(~np.isnan(numbers)) < SEEDS:
        low = high = np.nan
    elif lower_ends is not None:
        low, high = np.nanmin(lower_ends), np.nanmax(numbers)
    smallest, largest = _limits(claim)
    verdict = Verdict.INCONCLUSIVE
    if low >= smallest and high <= largest:
        verdict = Verdict.SUPPORTED
    elif high < smallest or low > largest:
        verdict = Verdict.CONTRADICTED
    return {
        **{"statistic": numbers, "mean": mean, "low": low, "high": high, "chance": np.nan},
        "part_verdict": verdict,
    }


def _judge_order(table: Array, claim: ClaimOptions) -> dict[str, Any]:
    """A part about the order of a table (weight decays, seeds) with weight decay."""
    known = ~np.isnan(table).any(0) & (len(table) >= 3)
    correlation = np.full(table.shape[1], np.nan)
    # constant numbers have no order
    correlation[known] = [
        0 if np.ptp(numbers) == 0 else spearmanr(range(len(numbers)), numbers)[0]
        for numbers in table.T[known]
    ]
    mean = float(np.mean(correlation[known])) if known.any() else np.nan
    smallest, largest = _limits(claim)
    chance, verdict = np.nan, Verdict.INCONCLUSIVE
    if known.sum() >= SEEDS:
        rising = table.T[known] if np.isfinite(smallest) else -table.T[known]
        chance, opposite = (float(page_trend_test(orders).pvalue) for orders in (rising, -rising))
        if smallest <= mean <= largest and chance <= 1 - claim.level:
            verdict = Verdict.SUPPORTED
        elif opposite <= 1 - claim.level:
            verdict = Verdict.CONTRADICTED
    return {
        **{"statistic": correlation, "mean": mean, "low": np.nan, "high": np.nan, "chance": chance},
        "part_verdict": verdict,
    }


def _limits(claim: ClaimOptions) -> tuple[float, float]:
    return (
        -np.inf if claim.at_least is None else claim.at_least,
        np.inf if claim.at_most is None else claim.at_most,
    )


def _verdict_of(parts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim by the verdicts on its parts."""
    if Verdict.CONTRADICTED in parts:
        return Verdict.CONTRADICTED
    return Verdict.SUPPORTED if parts and set(parts) == {Verdict.SUPPORTED} else Verdict.INCONCLUSIVE


def tally(verdicts: Iterable[str]) -> str:
    """Number of parts with each verdict, in words; empty if there are none.

    Examples
    --------
    >>> tally(["supported", "contradicted", "supported"])
    '2 supported, 1 contradicted'
    """
    counts = Counter(verdicts)
    names = [verdict.name.lower() for verdict in Verdict]
    return ", ".join(f"{counts[name]} {name}" for name in names if counts[name])


def _counts(cube: xr.Dataset) -> dict[str, int]:
    """Number of cells, and numbers of cells that did not converge."""
    masks = flag_masks(cube["status"])
    diverged = (
        flag_masks(cube["termination_reason"])["diverged"]
        if "termination_reason" in cube
        else xr.zeros_like(masks["stopped"])
    )
    counted = {
        "stopped": masks["stopped"] & ~diverged,
        "diverged": diverged,
        "collapsed_to_zero": masks["collapsed_to_zero"],
    }
    return {"cells": int(cube["status"].count()), **{name: int(mask.sum()) for name, mask in counted.items()}}


def _described(dataset: xr.Dataset) -> xr.Dataset:
    interval = (
        "claims about numbers; missing with fewer than three seeds; if the grid determines only two ends "
        "of a number, the range of the ends over seeds"
    )
    return describe(
        dataset,
        claim={"long_name": "name of the claim"},
        seed={"long_name": "seed of the data and of the initial weights"},
        of_claim={"long_name": "claim that the part belongs to"},
        weight_decay={"long_name": "weight decay of the part", "comment": "missing if it is about all"},
        what={"long_name": "other aspects of the part: layer, space, measure"},
        statistic={"long_name": "statistic of the part", "comment": "missing if there is no such seed"},
        mean={"long_name": "mean of the statistic over seeds"},
        low={"long_name": "lower end of Student's interval of the mean", "comment": interval},
        high={"long_name": "upper end of Student's interval of the mean", "comment": interval},
        chance={
            "long_name": "probability that random orders agree with the claim as well, by Page's test",
            "comment": "claims about an order; missing with fewer than three seeds or weight decays",
        },
        counts={
            "long_name": "whether the part counts for the claim",
            "comment": "not without a number",
        },
        part_verdict={"long_name": "verdict on the part", **flag_attributes(Verdict)},
        level={"long_name": "level of intervals; an order is decided if its chance is at most 1 - level"},
        at_least={"long_name": "smallest value that supports the claim", "comment": "missing without one"},
        at_most={"long_name": "largest value that supports the claim", "comment": "missing without one"},
        cells={"long_name": "number of cells that the claim is judged on"},
        stopped={
            "long_name": "number of these cells that stopped before they converged",
            "comment": "with the diverged cells if the results do not have their termination reasons",
        },
        diverged={"long_name": "number of these cells that diverged"},
        collapsed_to_zero={"long_name": "number of these cells that collapsed to zero"},
        verdict={"long_name": "verdict on the claim", **flag_attributes(Verdict)},
    )
