"""Verdicts on claims by the verdicts on their parts, with chances corrected for the number of parts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import spearmanr

from nrc import kinds
from nrc.claims import chance
from nrc.claims.options import ClaimOptions, NumberOptions, OrderOptions
from nrc.grid import AXES
from nrc.metadata import describe, flag_attributes
from nrc.status import flag_masks
from nrc.student_interval import student_interval
from nrc.text import listed

__all__ = ["CHANCES", "SEEDS", "SHARE", "Verdict", "judge", "statistic_of", "tally"]

# Every claim with fewer seeds is inconclusive.
SEEDS = 3
# A claim is contradicted by this share of its parts.
SHARE = 0.25

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

    Each part of a claim has two chances: of results as favourable as these if the part were false, and of
    results as unfavourable if it were true. For a claim about numbers these are the chances of Student's
    tests of the mean over seeds against the limits. For a claim about an order with weight decay they are
    the chances of Page's test for the order and for the opposite order. Both are corrected for the number
    of parts of the claim (Holm). A part is supported if the first is at most 1 - level, contradicted if the
    second is, and inconclusive otherwise. With fewer than three seeds every part is inconclusive.

    A claim is contradicted if at least a quarter of its parts are contradicted, supported if more than three
    quarters are supported, and inconclusive otherwise. Parts without a number do not count. If at most three
    quarters of the parts are true, then the claim is supported only if a false part is, which happens with a
    probability of at most 1 - level; and in the same way for contradicted claims.

    Parameters
    ----------
    cubes : mapping
        For each claim the cube that it is judged on.
    claims : mapping
        For each claim its options, of a statistic's class `Options`.

    Returns
    -------
    Dataset
        For each `part` its claim, weight decay, what it is about, the numbers of all seeds, their mean and
        interval, the chances, and verdict; for each `claim` its limits, verdict, and the numbers of cells of
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
    rows, parts = [], []
    for name, claim in claims.items():
        of_claim = _corrected(list(_parts(name, claim, cubes[name], seeds)), claim)
        limits = dict(zip(("at_least", "at_most"), _limits(claim), strict=True))
        limits = {end: limit if np.isfinite(limit) else np.nan for end, limit in limits.items()}
        verdict = _verdict_of([part["part_verdict"] for part in of_claim if part["counts"]])
        rows.append({**limits, "level": claim.level, **_counts(cubes[name]), "verdict": verdict})
        parts.extend(of_claim)
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
CHANCES = ("chance_if_false", "chance_if_true")
_OF_PART = {
    **dict.fromkeys(("of_claim", "what"), str),
    **dict.fromkeys(("weight_decay", "mean", "low", "high", *CHANCES), np.float64),
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
    """The parts of a claim, with their chances."""
    values = _values(name, claim, cube).reindex(seed=seeds)
    decays = values["weight_decay"].values
    for what, table in zip(values["what"].values, values, strict=True):
        part = {"of_claim": name, "what": str(what)}
        if isinstance(claim, OrderOptions):
            order = _order(table.values, claim)
            yield {**part, "weight_decay": np.nan, "counts": not np.isnan(order["mean"]), **order}
            continue
        for decay, numbers in zip(decays, table.values, strict=True):
            # without a number there is nothing to judge
            required = (
                not isinstance(claim, NumberOptions) or claim.weight_decays == "all" or decay == decays[-1]
            )
            counts = required and not np.isnan(numbers).all()
            yield {**part, "weight_decay": decay, "counts": counts, **_numbers(numbers, claim)}


def _values(name: str, claim: ClaimOptions, cube: xr.Dataset) -> xr.DataArray:
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
    values: xr.DataArray = statistic.values(cube, claim)
    if "weight_decay" not in values.dims:
        values = values.expand_dims(weight_decay=[np.nan])
    if lacking := {"what", "seed"} - set(values.dims):
        raise ValueError(f"claim {name}: {label} must have a dimension {' and '.join(sorted(lacking))}")
    others = [axis for axis in values.dims if axis not in ("what", "weight_decay", "seed")]
    return values.mean(others).transpose("what", "weight_decay", "seed")


def _numbers(numbers: Array, claim: ClaimOptions) -> dict[str, Any]:
    """A part with a number for each seed: its interval, and its chances by Student's test."""
    known = numbers[~np.isnan(numbers)]
    mean, low, high = student_interval(known, claim.level)
    chances = (np.nan, np.nan)
    if len(known) >= SEEDS:
        limits = _limits(claim)
        chances = chance.within(known, *limits), chance.outside(known, *limits)
    else:
        low = high = np.nan
    return {
        "statistic": numbers,
        "mean": mean,
        "low": low,
        "high": high,
        **dict(zip(CHANCES, chances, strict=True)),
    }


def _order(table: Array, claim: OrderOptions) -> dict[str, Any]:
    """A part about the order of a table (weight decays, seeds): correlations, and chances by Page's test."""
    known = ~np.isnan(table).any(0) & (len(table) >= 3)
    correlation = np.full(table.shape[1], np.nan)
    # constant numbers have no order
    correlation[known] = [
        0 if np.ptp(numbers) == 0 else spearmanr(range(len(numbers)), numbers)[0]
        for numbers in table.T[known]
    ]
    mean = float(np.mean(correlation[known])) if known.any() else np.nan
    chances = (np.nan, np.nan)
    if known.sum() >= SEEDS:
        falling = table.T[known] if claim.trend == "falls" else -table.T[known]
        chances = chance.falling(falling), chance.falling(-falling)
    return {
        **{"statistic": correlation, "mean": mean, "low": np.nan, "high": np.nan},
        **dict(zip(CHANCES, chances, strict=True)),
    }


def _limits(claim: ClaimOptions) -> tuple[float, float]:
    """Smallest and largest number that support a claim."""
    if not isinstance(claim, NumberOptions):
        return -np.inf, np.inf
    return (
        -np.inf if claim.at_least is None else claim.at_least,
        np.inf if claim.at_most is None else claim.at_most,
    )


def _corrected(parts: list[dict[str, Any]], claim: ClaimOptions) -> list[dict[str, Any]]:
    """Parts of a claim with the chances of those that count corrected for their number, and with verdicts."""
    counted = [part for part in parts if part["counts"]]
    for name in CHANCES:
        # what is not known could be anything
        corrected = chance.holm([1 if np.isnan(part[name]) else part[name] for part in counted])
        for part, corrected_chance in zip(counted, corrected, strict=True):
            part[name] = np.nan if np.isnan(part[name]) else corrected_chance
    for part in parts:
        if_false, if_true = (part[name] <= 1 - claim.level for name in CHANCES)
        part["part_verdict"] = (
            Verdict.SUPPORTED if if_false else Verdict.CONTRADICTED if if_true else Verdict.INCONCLUSIVE
        )
    return parts


def _verdict_of(parts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim by the verdicts on its parts."""
    if parts and parts.count(Verdict.CONTRADICTED) >= SHARE * len(parts):
        return Verdict.CONTRADICTED
    if parts.count(Verdict.SUPPORTED) > (1 - SHARE) * len(parts):
        return Verdict.SUPPORTED
    return Verdict.INCONCLUSIVE


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
        "claims about numbers; not corrected for the number of parts; missing with fewer than three seeds"
    )
    corrected = "corrected for the number of parts that count (Holm); missing with fewer than three seeds"
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
        chance_if_false={
            "long_name": "probability of results as favourable if the part were false",
            "comment": corrected,
        },
        chance_if_true={
            "long_name": "probability of results as unfavourable if the part were true",
            "comment": corrected,
        },
        counts={
            "long_name": "whether the part counts for the claim",
            "comment": "not without a number",
        },
        part_verdict={"long_name": "verdict on the part", **flag_attributes(Verdict)},
        level={"long_name": "level of intervals; a part is decided if its chance is at most 1 - level"},
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
