"""Holding statements against what was measured: how many numbers, how many violations, how much room."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from nrc.grid import AXES, notation

__all__ = ["STATEMENTS", "Statement", "audit"]

# What rounding may add to a quantity of order 1.
ABSOLUTE, RELATIVE = 1e-12, 1e-9


@dataclass(frozen=True)
class Statement:
    """An inequality quantity <= bound between measures of the same cells.

    Attributes
    ----------
    name : str
        Number of the statement.
    says : str
        The inequality in words.
    quantity, bound : callable
        Both from the cube of measures and the number of clusters. Where the bound is missing the
        statement is void.
    """

    name: str
    says: str
    quantity: Callable[[xr.Dataset, int], xr.DataArray]
    bound: Callable[[xr.Dataset, int], xr.DataArray]


def _distance(measures: xr.Dataset, clusters: int) -> xr.DataArray:
    """dist(W_l, M_K) of every layer; missing where a network has no such layer."""
    s = measures["singular_values"]
    return np.sqrt((s.where(s["index"] > clusters) ** 2).sum("index")).where(s.notnull().any("index"))


STATEMENTS = (
    Statement(
        "Theorem 3.4",
        "distance to rank K at most (residual + gap) / lambda, least over sources and partitions",
        _distance,
        lambda measures, clusters: measures["bound_measured"].min("source"),
    ),
    Statement(
        "eq. 7",
        "spectral lower bound of the TCV at most the best partition found",
        lambda measures, clusters: measures["tcv_lower"],
        lambda measures, clusters: measures["tcv_upper"],
    ),
)


def audit(measures: xr.Dataset, clusters: int) -> pd.DataFrame:
    """Check every statement on every cell.

    Parameters
    ----------
    measures : Dataset
        Cube of an experiment.
    clusters : int
        K.

    Returns
    -------
    DataFrame
        A row for each statement: numbers checked, void and violated, the smallest, median and
        largest ratio of quantity to bound, and where the largest is.
    """
    return pd.DataFrame([_check(statement, measures, clusters) for statement in STATEMENTS])


def _check(statement: Statement, measures: xr.Dataset, clusters: int) -> dict[str, object]:
    quantity, bound = xr.broadcast(
        statement.quantity(measures, clusters), statement.bound(measures, clusters)
    )
    checked = quantity.notnull() & bound.notnull()
    ratio = (quantity / bound).where(checked)
    # 0/0 at cells without any noise is no violation, and no ratio either
    known = bool(ratio.notnull().any())
    return {
        "statement": statement.name,
        "says": statement.says,
        "checked": int(checked.sum()),
        "void": int((quantity.notnull() & bound.isnull()).sum()),
        "violations": int((quantity > bound * (1 + RELATIVE) + ABSOLUTE).sum()),
        "smallest_ratio": float(ratio.min()),
        "median_ratio": float(ratio.median()),
        "largest_ratio": float(ratio.max()),
        "largest_at": _place(ratio) if known else "",
    }


def _place(ratio: xr.DataArray) -> str:
    """Where the largest value is, in the notation of paths."""
    at = ratio[ratio.argmax(...)]
    cell = "/".join(f"{axis}~{notation(at[axis].item())}" for axis in AXES)
    return f"{cell} {' '.join(f'{name} {at[name].item()}' for name in at.coords if name not in AXES)}"
