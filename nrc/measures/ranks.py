"""Singular values of every layer, and all measures of rank."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.labels import describe
from nrc.measures.coordinates import layers_of
from nrc.theory import spectra

__all__ = ["rank_measures"]

DEAD_ONLY = {"comment": "missing where the cell is dead"}
ABOUT = {
    "singular_values": {
        "long_name": "singular values",
        "comment": "missing beyond the smaller side of the layer",
    },
    "relative_tail": {
        "long_name": "relative tail beyond the first index singular values",
        "reference": "eq. 22",
        **DEAD_ONLY,
    },
    "stable_rank": {"long_name": "stable rank ||W||^2 / ||W||_2^2", **DEAD_ONLY},
    "exact_rank": {
        "long_name": f"exact rank, singular values above {spectra.EXACT:g} of the largest",
        **DEAD_ONLY,
    },
    "effective_rank": {
        "long_name": "effective rank, exponential of the entropy of the spectrum",
        "reference": "Roy & Vetterli 2007",
        **DEAD_ONLY,
    },
    "mp_soft_rank": {
        "long_name": "Marchenko-Pastur edge over the largest eigenvalue of W'W",
        "reference": "Martin & Mahoney 2018",
        **DEAD_ONLY,
    },
}


def rank_measures(
    weights: Sequence[Tensor], dead: NDArray[np.bool_], clusters: int, tolerance: float
) -> xr.Dataset:
    """Singular values of every layer and all measures of rank.

    Parameters
    ----------
    weights : sequence of Tensor
        (cells, n_l, n_{l-1}) each.
    dead : (cells,) mask
        Cells whose relative measures are 0/0 and so missing.
    clusters : int
        K, the rank of the relative distance.
    tolerance : float
        tau of the numerical rank.
    """
    # layers of different sizes have spectra of different lengths: missing beyond the shorter
    dataset = xr.concat(
        [_of_layer(w.double().numpy(), dead, clusters, tolerance) for w in weights],
        layers_of(len(weights)),
        join="outer",
    )
    dataset["index"].attrs = {"long_name": "position in the spectrum, from 1", "units": "1"}
    to_rank = f"distance to rank {clusters}, the number of clusters"
    above = f"numerical rank, singular values above {tolerance:g} of the largest"
    return describe(
        dataset,
        **ABOUT,
        distance={"long_name": to_rank, "reference": "Theorem 3.4"},
        relative_distance={"long_name": f"relative {to_rank}", **DEAD_ONLY},
        numerical_rank={"long_name": above, **DEAD_ONLY},
    )


def _of_layer(w: NDArray, dead: NDArray[np.bool_], clusters: int, tolerance: float) -> xr.Dataset:
    s = np.linalg.svd(w, compute_uv=False)
    alive = np.where(dead[:, None], 0, s)
    return xr.Dataset(
        {
            "singular_values": (("cell", "index"), s),
            "relative_tail": (("cell", "index"), spectra.relative_tail(alive)),
            "distance": ("cell", spectra.distance(s, clusters)),
            "relative_distance": ("cell", spectra.relative_distance(alive, clusters)),
            "stable_rank": ("cell", spectra.stable_rank(alive)),
            "numerical_rank": ("cell", spectra.numerical_rank(alive, tolerance)),
            "exact_rank": ("cell", spectra.exact_rank(alive)),
            "effective_rank": ("cell", spectra.effective_rank(alive)),
            "mp_soft_rank": ("cell", spectra.mp_soft_rank(alive, w.shape[1:])),
        },
        {"index": np.arange(1, s.shape[1] + 1)},
    )
