"""Singular values of every layer, and all measures of rank, whose formulas are in `nrc.theory.ranks`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from nrc.metadata import describe
from nrc.options import Options as BaseOptions
from nrc.theory import ranks

__all__ = ["Options", "rank_measures"]


class Options(BaseOptions):
    """The tolerance of the numerical rank."""

    numerical_rank_tolerance: float = Field(
        1e-3,
        gt=0,
        lt=1,
        description="the numerical rank counts singular values above this share of the largest one",
    )


Array = NDArray[np.float64]

RELATIVE = {"comment": "missing where the cell collapsed to zero"}
ABOUT = {
    "singular_values": {
        "long_name": "singular values",
        "comment": "missing beyond the smaller side of the layer",
    },
    "relative_tail": {
        "long_name": "relative tail beyond the first index singular values",
        "reference": "eq. 22",
        **RELATIVE,
    },
}


def rank_measures(
    weights: Sequence[Tensor],
    collapsed: NDArray[np.bool_],
    clusters: int | None,
    tolerance: float,
    leading: int | None = None,
) -> xr.Dataset:
    """Singular values of every layer and all measures of rank.

    Parameters
    ----------
    weights : sequence of Tensor
        (cells, n_l, n_{l-1}) each.
    collapsed : (cells,) mask
        Cells whose weights are 0 up to rounding: their relative measures are 0/0 and therefore missing.
    clusters : int or None
        K, the rank of the distances, which are left out if it is None.
    tolerance : float
        tau of the numerical rank.
    leading : int, optional
        The number of singular values that a randomized method computes of each layer that has more (Halko,
        Martinsson & Tropp 2011); measures that need the others are missing. The values are slightly too
        small, so tails, which follow from them and the norm of the layer, are slightly too large.

    Examples
    --------
    >>> ranks = rank_measures([torch.diag(torch.tensor([2.0, 1.0, 1.0]))[None]], np.array([False]), 1, 1e-3)
    >>> ranks["stable_rank"].values.tolist(), ranks["distance"].values.tolist()
    ([[1.5]], [[1.4142]])
    """
    # layers of different sizes have spectra of different lengths: missing beyond the shorter
    layers = [_of_layer(w.double().numpy(), collapsed, clusters, tolerance, leading) for w in weights]
    dataset = xr.concat(layers, "layer", join="outer")
    to_rank = f"distance to rank {clusters}, the number of clusters"
    about = {**ABOUT, "distance": {"long_name": to_rank, "reference": "Theorem 3.4"}}
    for name, measure in ranks.RANK_MEASURES.items():
        long_name = measure.long_name.format(tolerance=tolerance, clusters=clusters)
        reference = {"reference": measure.reference} if measure.reference else {}
        about[name] = {"long_name": long_name, **reference, **RELATIVE}
    return describe(dataset, **{name: text for name, text in about.items() if name in dataset})


def _of_layer(
    w: Array, collapsed: NDArray[np.bool_], clusters: int | None, tolerance: float, leading: int | None
) -> xr.Dataset:
    shape, missing = w.shape[1:], np.full(len(w), np.nan)
    count = min(shape) if leading is None else min(leading, *shape)
    complete = count == min(shape)
    s = np.linalg.svd(w, compute_uv=False) if complete else _leading(w, count)
    # if some are unknown, one more value represents all of them in sums of squares
    all_values = s if complete else np.concatenate([s, _norm_of_others(w, s)], axis=1)
    spectrum = np.where(collapsed[:, None], 0, all_values)
    leading_values = spectrum[:, :count]
    tail = ranks.relative_tail(spectrum)[:, :count]

    def counted(rank: Array, share: float) -> Array:
        return np.where(complete | (s[:, -1] <= share * s[:, 0]), rank, np.nan)

    measures = {
        "singular_values": (("cell", "index"), s),
        "relative_tail": (("cell", "index"), tail),
        "rank_needed": ("cell", ranks.rank_within(tail)),
        "stable_rank": ("cell", ranks.stable_rank(spectrum)),
        "numerical_rank": ("cell", counted(ranks.numerical_rank(leading_values, tolerance), tolerance)),
        "exact_rank": ("cell", counted(ranks.exact_rank(leading_values), ranks.EXACT)),
        "effective_rank": ("cell", ranks.effective_rank(spectrum) if complete else missing),
        "mp_soft_rank": ("cell", ranks.mp_soft_rank(spectrum, shape)),
    }
    if clusters is not None:
        known = complete or clusters <= count
        distances = ranks.distance(all_values, clusters), ranks.relative_distance(spectrum, clusters)
        for name, distance in zip(("distance", "relative_distance"), distances, strict=True):
            measures[name] = "cell", distance if known else missing
    return xr.Dataset(measures, {"index": np.arange(1, count + 1)})


def _leading(w: Array, count: int) -> Array:
    return np.stack([randomized_svd(of_cell, count, n_iter=4, random_state=0)[1] for of_cell in w])


def _norm_of_others(w: Array, s: NDArray[np.floating[Any]]) -> Array:
    squares = np.linalg.norm(w, axis=(1, 2)) ** 2 - (s**2).sum(1)
    norms: Array = np.sqrt(np.maximum(squares, 0))
    return norms[:, None]
