"""Judging claims: each of their parts by its own limits or by chance, and the sentence by its parts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import page_trend_test, spearmanr

from nrc.claims.statistics import STATISTICS
from nrc.grid import AXES
from nrc.metadata import describe, flag_attributes
from nrc.statistics import student_interval
from nrc.status import flag_masks

__all__ = ["SEEDS", "Verdict", "judge", "tally"]

# With fewer seeds nothing is decided.
SEEDS = 3

Array = NDArray[np.float64]


class Verdict(IntEnum):
    """What the data say of a claim.

    Examples
    --------
    >>> Verdict.CONTRADICTED.name
    'CONTRADICTED'
    """

    SUPPORTED = 0
    CONTRADICTED = 1
    INCONCLUSIVE = 2


def judge(cubes: Mapping[str, xr.Dataset], claims: Mapping[str, Mapping[str, Any]]) -> xr.Dataset:
    """Judge claims.

    Where a claim is about numbers, each part has one number per seed, and Student's interval of their
    mean: the part is supported where the interval lies within the limits, and contradicted where it lies
    outside them. A number that the grid determines only up to one of its steps has, instead of the
    interval, the range from the smallest lower end to the largest upper end over seeds. Where a claim is
    about an order with weight decay, the number is Spearman's correlation of each seed, and chance is the
    probability that random orders agree with the claim as well (Page's test, exact for few weight decays):
    a part is supported where the mean lies within the limits and chance is at most 1 - level, and
    contradicted where the opposite order is as unlikely. Every other part is inconclusive, and so is every
    part with fewer than three seeds.

    A claim is contradicted where one of its parts is, supported where all parts are, and inconclusive
    otherwise. Parts without a number do not count.

    Parameters
    ----------
    cubes : mapping
        For each claim the cube it is judged on.
    claims : mapping
        For each claim its `statistic`, a key of `STATISTICS`, with its options; its limits `at_least` and
        `at_most`, either may be None; the `level`; and `weight_decays`, "all" or "largest": parts of other
        weight decays are told, and do not count.

    Returns
    -------
    Dataset
        For each `part` its claim, weight decay, what it is about, the numbers of all seeds, their mean,
        interval or chance, and verdict; for each `claim` its limits, verdict, and how the cells of its cube
        ended.

    Raises
    ------
    ValueError
        If a cube lacks a variable that the statistic takes.

    Examples
    --------
    >>> claim = {
    ...     **{"statistic": "slope_in_sigma", "saturation": 0.5, "minima": "all", "weight_decays": "all"},
    ...     **{"at_least": 1.9, "at_most": 2.1, "level": 0.95},
    ... }
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
        limits = {end: np.nan if claim[end] is None else claim[end] for end in ("at_least", "at_most")}
        found = [part["part_verdict"] for part in parts if part["of_claim"] == name and part["counts"]]
        row = {**limits, "level": claim["level"], **_ended(cubes[name])}
        rows.append({**row, "verdict": _verdict_of(found)})
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


def _parts(
    name: str, claim: Mapping[str, Any], cube: xr.Dataset, seeds: list[int]
) -> Iterator[dict[str, Any]]:
    """The parts of a claim, judged."""
    statistic = STATISTICS[claim["statistic"]]
    values = _values(name, claim, cube, statistic.of).reindex(seed=seeds)
    ends = [values]
    if statistic.least is not None:
        ends.append(_values(name, claim, cube, statistic.least).reindex(seed=seeds))
    decays = values["weight_decay"].values
    for what, *tables in zip(values["what"].values, *(end.values for end in ends), strict=True):
        part = {"of_claim": name, "what": str(what)}
        if statistic.order:
            order = _judge_order(tables[0], claim)
            yield {**part, "weight_decay": np.nan, "counts": not np.isnan(order["mean"]), **order}
            continue
        for decay, *numbers in zip(decays, *tables, strict=True):
            # without a number there is nothing to judge
            asked = claim["weight_decays"] == "all" or decay == decays[-1]
            counts = asked and not np.isnan(numbers[0]).all()
            yield {**part, "weight_decay": decay, "counts": counts, **_judge_numbers(*numbers, claim=claim)}


def _values(
    name: str, claim: Mapping[str, Any], cube: xr.Dataset, of: Callable[..., xr.DataArray]
) -> xr.DataArray:
    """The statistic of a cube, (what, weight_decay, seed)."""
    statistic = STATISTICS[claim["statistic"]]
    if missing := [variable for variable in statistic.takes if variable not in cube]:
        raise ValueError(
            f"claim {name}: its experiments have no {' and no '.join(missing)}, which {claim['statistic']} "
            "takes; choose other experiments or another statistic"
        )
    # neighbours, smallest and largest are by value, whatever the order in the grid
    cube = cube.sortby([axis for axis in AXES if axis in cube.dims])
    values = of(cube, **{option: claim[option] for option in statistic.options})
    if lacking := {"what", "weight_decay", "seed"} - set(values.dims):
        raise ValueError(
            f"claim {name}: {claim['statistic']} must have a dimension {' and '.join(sorted(lacking))}"
        )
    others = [axis for axis in values.dims if axis not in ("what", "weight_decay", "seed")]
    return values.mean(others).transpose("what", "weight_decay", "seed")


def _judge_numbers(
    numbers: Array, at_least: Array | None = None, *, claim: Mapping[str, Any]
) -> dict[str, Any]:
    """A part that is a number of each seed, or lies there between `at_least` and the number."""
    mean, low, high = student_interval(numbers, claim["level"])
    if np.count_nonzero(~np.isnan(numbers)) < SEEDS:
        low = high = np.nan
    elif at_least is not None:
        low, high = np.nanmin(at_least), np.nanmax(numbers)
    least, most = _limits(claim)
    verdict = Verdict.INCONCLUSIVE
    if low >= least and high <= most:
        verdict = Verdict.SUPPORTED
    elif high < least or low > most:
        verdict = Verdict.CONTRADICTED
    return {
        **{"statistic": numbers, "mean": mean, "low": low, "high": high, "chance": np.nan},
        "part_verdict": verdict,
    }


def _judge_order(table: Array, claim: Mapping[str, Any]) -> dict[str, Any]:
    """A part that is an order of (weight decays, seeds) with weight decay."""
    known = ~np.isnan(table).any(0) & (len(table) >= 3)
    correlation = np.full(table.shape[1], np.nan)
    # what never changes has no order
    correlation[known] = [0 if np.ptp(of) == 0 else spearmanr(range(len(of)), of)[0] for of in table.T[known]]
    mean = float(np.mean(correlation[known])) if known.any() else np.nan
    least, most = _limits(claim)
    chance, verdict = np.nan, Verdict.INCONCLUSIVE
    if known.sum() >= SEEDS:
        rising = table.T[known] if np.isfinite(least) else -table.T[known]
        chance, opposite = (float(page_trend_test(orders).pvalue) for orders in (rising, -rising))
        if least <= mean <= most and chance <= 1 - claim["level"]:
            verdict = Verdict.SUPPORTED
        elif opposite <= 1 - claim["level"]:
            verdict = Verdict.CONTRADICTED
    return {
        **{"statistic": correlation, "mean": mean, "low": np.nan, "high": np.nan, "chance": chance},
        "part_verdict": verdict,
    }


def _limits(claim: Mapping[str, Any]) -> tuple[float, float]:
    least, most = claim["at_least"], claim["at_most"]
    return -np.inf if least is None else least, np.inf if most is None else most


def _verdict_of(parts: Sequence[Verdict]) -> Verdict:
    """The verdict on a sentence by those on its parts."""
    if Verdict.CONTRADICTED in parts:
        return Verdict.CONTRADICTED
    return Verdict.SUPPORTED if parts and set(parts) == {Verdict.SUPPORTED} else Verdict.INCONCLUSIVE


def tally(verdicts: Iterable[str]) -> str:
    """How many parts have each verdict, in words; empty without any.

    Examples
    --------
    >>> tally(["supported", "contradicted", "supported"])
    '2 supported, 1 contradicted'
    """
    counts = Counter(verdicts)
    names = [verdict.name.lower() for verdict in Verdict]
    return ", ".join(f"{counts[name]} {name}" for name in names if counts[name])


def _ended(cube: xr.Dataset) -> dict[str, int]:
    """How many cells there are, and how many did not converge."""
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
    numbers = "claims about numbers; missing with fewer than three seeds"
    known = "where the grid tells two ends of a number only, of their range over seeds"
    return describe(
        dataset,
        claim={"long_name": "name of the claim"},
        seed={"long_name": "seed of the data and of the initial weights"},
        of_claim={"long_name": "claim that the part is of"},
        weight_decay={"long_name": "weight decay of the part", "comment": "missing where it is about all"},
        what={"long_name": "what else the part is about: layer, space, measure"},
        statistic={"long_name": "statistic of the part", "comment": "missing where there is no such seed"},
        mean={"long_name": "mean of the statistic over seeds"},
        low={"long_name": "lower end of Student's interval of the mean", "comment": f"{numbers}; {known}"},
        high={"long_name": "upper end of Student's interval of the mean", "comment": f"{numbers}; {known}"},
        chance={
            "long_name": "probability that random orders agree with the claim as well, by Page's test",
            "comment": "claims about an order; missing with fewer than three seeds or weight decays",
        },
        counts={
            "long_name": "whether the part counts for the claim",
            "comment": "not where there is too little",
        },
        part_verdict={"long_name": "verdict on the part", **flag_attributes(Verdict)},
        level={"long_name": "level of intervals; 1 less it is the chance at which an order is decided"},
        at_least={"long_name": "the claim asks for at least this", "comment": "missing where it does not"},
        at_most={"long_name": "the claim asks for at most this", "comment": "missing where it does not"},
        cells={"long_name": "number of cells that the claim is judged on"},
        stopped={
            "long_name": "number of these that stopped before they converged",
            "comment": "with the diverged ones where the cube does not tell them, as that of shifts",
        },
        diverged={"long_name": "number of these that diverged"},
        collapsed_to_zero={"long_name": "number of these that are dead"},
        verdict={"long_name": "verdict on the claim", **flag_attributes(Verdict)},
    )
