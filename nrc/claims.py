"""The paper's claims as statistics: a number a seed, an interval over seeds, a verdict by a rule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import xarray as xr
from scipy.stats import linregress, spearmanr, t

from nrc.store import describe, flag_attributes, flag_masks

__all__ = ["CLAIMS", "Claim", "Verdict", "judge"]


# Quadratic regime: the largest eigenvalue of the noise is at most this share of it plus weight decay.
SATURATION = 0.02


class Verdict(IntEnum):
    """What an interval says of a claim."""

    CONFIRMED = 0
    DENIED = 1
    UNDECIDED = 2


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and the statistic it is judged by.

    Attributes
    ----------
    says : str
        The claim.
    measure : str
        What the statistic is.
    file : str
        The experiment it is taken from, and which of its cubes: "measures" or "shift".
    statistic : callable
        From the cube of one seed; missing where the cube has too few cells for it.
    """

    says: str
    measure: str
    file: tuple[str, str]
    statistic: Callable[[xr.Dataset], float]


def cliff(cube: xr.Dataset) -> float:
    """Largest step between neighbours in sigma, over the whole range, mean over weight decays and layers.

    Steps between cells that did not converge are left out, and so are rows without a transition.
    """
    cube = cube.squeeze(["width", "depth"])
    distance = cube["relative_distance"].where(flag_masks(cube["status"])["converged"])
    shares = []
    rows = distance.transpose("weight_decay", "layer", "sigma").values
    for row in rows.reshape(-1, distance.sizes["sigma"]):
        known = row[~np.isnan(row)]
        if len(known) > 2 and known.max() - known.min() > 0.3:
            shares.append(np.abs(np.diff(known)).max() / (known.max() - known.min()))
    return float(np.mean(shares)) if shares else np.nan


def slope_in_sigma(saturation: float) -> Callable[[xr.Dataset], float]:
    """Slope of log shift against log sigma in the quadratic regime, mean over weight decays."""

    def statistic(shift: xr.Dataset) -> float:
        shift = shift.squeeze(["width", "depth"])
        slopes = []
        for weight_decay in shift["weight_decay"].values:
            curve = shift.sel(weight_decay=weight_decay)
            used = (curve["noise_moment"] <= saturation / (1 - saturation) * weight_decay) & (
                curve["at_minimum"] == 1
            )
            curve = curve.isel(sigma=used.values)
            if curve.sizes["sigma"] >= 3:
                slopes.append(linregress(np.log(curve["sigma"]), np.log(curve["shift"])).slope)
        return float(np.mean(slopes)) if slopes else np.nan

    return statistic


def trend_with_weight_decay(quantity: Callable[[xr.Dataset], xr.DataArray]) -> Callable[[xr.Dataset], float]:
    """Spearman's correlation of a quantity with weight decay, mean over its other dimensions."""

    def statistic(cube: xr.Dataset) -> float:
        values = quantity(cube)
        others = [dim for dim in values.dims if dim != "weight_decay"]
        table = values.transpose("weight_decay", *others).values.reshape(values.sizes["weight_decay"], -1)
        kept = table[:, ~np.isnan(table).any(0) & (np.ptp(table, axis=0) > 0)]
        if kept.shape[0] < 3 or kept.shape[1] == 0:
            return np.nan
        return float(np.mean([spearmanr(cube["weight_decay"], column).statistic for column in kept.T]))

    return statistic


def tail_change(cube: xr.Dataset) -> xr.DataArray:
    """log10 of the tail beyond the classes, last snapshot over first, for the layers that have one."""
    s = cube["snapshot_singular_values"].fillna(0)
    beyond = np.sqrt((s.where(s["index"] > 10, 0) ** 2).sum("index") / (s**2).sum("index"))
    beyond = beyond.isel(layer=(beyond > 0).all([dim for dim in beyond.dims if dim != "layer"]).values)
    return np.log10(beyond.isel(snapshot=-1) / beyond.isel(snapshot=0))


def head_change(cube: xr.Dataset) -> xr.DataArray:
    """log10 of the norm of the first K - 1 singular values, last snapshot over first."""
    s = cube["snapshot_singular_values"].fillna(0)
    head = np.sqrt((s.where(s["index"] < 10, 0) ** 2).sum("index"))
    return np.log10(head.isel(snapshot=-1) / head.isel(snapshot=0))


def wcss_change(cube: xr.Dataset) -> xr.DataArray:
    """log10 of the class WCSS of the hidden spaces, at the end over the largest on the way."""
    wcss = cube["snapshot_wcss"].sel(source=slice(1, None))
    return np.log10(wcss.isel(snapshot=-1) / wcss.max("snapshot"))


def intermediate_rank(cube: xr.Dataset) -> xr.DataArray:
    """Stable rank of the layer in the middle."""
    return cube["stable_rank"].sel(layer=(cube.sizes["layer"] + 1) // 2)


def growth(rank: Callable[[xr.Dataset], xr.DataArray], along: str, weight_decay: int) -> Callable:
    """Slope of log rank against log `along` at the first (0) or last (-1) weight decay."""

    def statistic(cube: xr.Dataset) -> float:
        curve = rank(cube).isel(weight_decay=weight_decay).squeeze()
        return float(linregress(np.log(curve[along]), np.log(curve)).slope)

    return statistic


def mean_rank(cube: xr.Dataset) -> xr.DataArray:
    """Average stable rank over the layers of each network."""
    return cube["stable_rank"].mean("layer")


WIDTH = {end: growth(intermediate_rank, "width", end) for end in (0, -1)}

CLAIMS = {
    "transition": Claim(
        "the transition to rank K is sharp",
        "largest step between neighbours in sigma over the whole range of the relative distance",
        ("mixture", "measures"),
        cliff,
    ),
    "quadratic": Claim(
        "the distance to centroids grows quadratically with sigma",
        "slope of log distance against log sigma in the quadratic regime, penalty on the product",
        ("linear_product", "shift"),
        slope_in_sigma(SATURATION),
    ),
    "quadratic_factors": Claim(
        "the same under weight decay on the factors",
        "slope of log distance against log sigma in the quadratic regime, penalty on the factors",
        ("linear", "shift"),
        slope_in_sigma(SATURATION),
    ),
    "decrease": Claim(
        "the distance to centroids falls with weight decay",
        "Spearman's correlation with weight decay, penalty on the product",
        ("linear_product", "shift"),
        trend_with_weight_decay(lambda shift: shift["shift"]),
    ),
    "decrease_factors": Claim(
        "the same under weight decay on the factors",
        "Spearman's correlation with weight decay, penalty on the factors",
        ("linear", "shift"),
        trend_with_weight_decay(lambda shift: shift["shift"]),
    ),
    "tail": Claim(
        "the tail of the spectrum decays during training",
        "log10 of the tail beyond 10, last over first snapshot, largest weight decay",
        ("mnist", "measures"),
        lambda cube: float(tail_change(cube).isel(weight_decay=-1).mean()),
    ),
    "head": Claim(
        "the head of the spectrum is preserved",
        "log10 of the norm of the first 9 singular values, last over first snapshot, all weight decays",
        ("mnist", "measures"),
        lambda cube: float(head_change(cube).mean()),
    ),
    "tail_with_decay": Claim(
        "the tail decays more for larger weight decay",
        "Spearman's correlation of the tail's change with weight decay",
        ("mnist", "measures"),
        trend_with_weight_decay(tail_change),
    ),
    "variability": Claim(
        "the class WCSS falls after the first epochs",
        "log10 of the class WCSS at the end over the largest on the way, all weight decays",
        ("mnist", "measures"),
        lambda cube: float(wcss_change(cube).mean()),
    ),
    "variability_with_decay": Claim(
        "the class WCSS at the end is smaller for larger weight decay",
        "Spearman's correlation of the class WCSS at the end with weight decay",
        ("mnist", "measures"),
        trend_with_weight_decay(lambda cube: cube["wcss_class"].sel(source=slice(1, None))),
    ),
    "width": Claim(
        "the rank depends mildly on width",
        "slope of log stable rank of the intermediate matrix against log width, largest weight decay",
        ("width", "measures"),
        WIDTH[-1],
    ),
    "width_with_decay": Claim(
        "more mildly for larger weight decay",
        "that slope at the largest weight decay less that at the smallest",
        ("width", "measures"),
        lambda cube: WIDTH[-1](cube) - WIDTH[0](cube),
    ),
    "rank_with_decay": Claim(
        "the rank falls with weight decay",
        "Spearman's correlation of the stable rank of the intermediate matrix with weight decay",
        ("width", "measures"),
        trend_with_weight_decay(intermediate_rank),
    ),
    "depth": Claim(
        "the average rank does not grow with depth, for weight decay large enough",
        "slope of log average stable rank against log depth, largest weight decay",
        ("depth", "measures"),
        growth(mean_rank, "depth", -1),
    ),
}


def judge(
    cubes: Mapping[tuple[str, str], xr.Dataset], rules: Mapping[str, Mapping[str, float | None]], level: float
) -> xr.Dataset:
    """Judge every claim.

    A claim is confirmed where the interval of its statistic's mean over seeds lies within its rule's
    limits, denied where it lies outside them, and undecided otherwise or with less than two seeds.

    Parameters
    ----------
    cubes : mapping
        The cubes that the claims name.
    rules : mapping
        For each claim its limits `least` and `most`, either may be None.
    level : float
        Of the intervals, Student's t.

    Returns
    -------
    Dataset
        For each `claim` the statistic of every seed, mean, interval, limits and verdict.
    """
    rows = {name: _seeds(claim, cubes[claim.file]) for name, claim in CLAIMS.items()}
    seeds = sorted({seed for row in rows.values() for seed in row})
    statistic = np.array([[row.get(seed, np.nan) for seed in seeds] for row in rows.values()])
    intervals = np.array([_interval(row[~np.isnan(row)], level) for row in statistic])
    limits = np.array(
        [
            [np.nan if rules[name][end] is None else rules[name][end] for end in ("least", "most")]
            for name in rows
        ]
    )
    verdicts = [_verdict(*interval[1:], *limit) for interval, limit in zip(intervals, limits, strict=True)]
    dataset = xr.Dataset(
        {
            "statistic": (("claim", "seed"), statistic),
            **{name: ("claim", intervals[:, i]) for i, name in enumerate(("mean", "low", "high"))},
            **{name: ("claim", limits[:, i]) for i, name in enumerate(("least", "most"))},
            "verdict": ("claim", np.array(verdicts, dtype=np.int8)),
        },
        {"claim": list(rows), "seed": seeds},
    )
    return describe(
        dataset,
        claim={"long_name": "name of the claim"},
        seed={"long_name": "seed of the data and of the initial weights"},
        statistic={"long_name": "statistic of the claim", "comment": "missing where there is no such seed"},
        mean={"long_name": "mean of the statistic over seeds"},
        low={"long_name": f"lower end of the {level:g} interval of the mean"},
        high={"long_name": f"upper end of the {level:g} interval of the mean"},
        least={"long_name": "the claim asks for at least this", "comment": "missing where it does not"},
        most={"long_name": "the claim asks for at most this", "comment": "missing where it does not"},
        verdict={"long_name": "verdict", **flag_attributes(Verdict)},
    )


def _seeds(claim: Claim, cube: xr.Dataset) -> dict[int, float]:
    return {int(seed): claim.statistic(cube.sel(seed=seed)) for seed in cube["seed"].values}


def _interval(values: np.ndarray, level: float) -> tuple[float, float, float]:
    if len(values) < 2:
        return (values.mean() if len(values) else np.nan), np.nan, np.nan
    half = t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return values.mean(), values.mean() - half, values.mean() + half


def _verdict(low: float, high: float, least: float, most: float) -> Verdict:
    if np.isnan(low):
        return Verdict.UNDECIDED
    if (np.isnan(least) or low >= least) and (np.isnan(most) or high <= most):
        return Verdict.CONFIRMED
    if high < least or low > most:
        return Verdict.DENIED
    return Verdict.UNDECIDED
