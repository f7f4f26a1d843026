"""How far from stationary every layer is, and what that bounds: Lemma 3.3, Theorem 3.4, Proposition 3.1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.measured_network import Seen
from nrc.measures.spaces import Spaces
from nrc.metadata import describe
from nrc.objectives.residual import layer_residuals
from nrc.theory.bounds import distance_bound, gradient_rank_bound
from nrc.theory.centroids import RANK_TOLERANCE, centroid_gap, outside_gradient
from nrc.theory.moments import Partition
from nrc.theory.spectra import NEAR, rank_within

__all__ = ["stationarity"]

Array = NDArray[np.float64]

BELOW = "missing where the source is not below the layer"
VOID = "or weight decay is 0: the theorem is void there"
POSITIONS = "or rho is above K, in layers that act on many positions of a point"
GAP = "norm of the gradient of the loss less that of the centroid-based loss"
RHO = "measured rank of the gradient of the centroid-based loss"
CERTIFIED = "missing where the cell is dead or weight decay is 0"
LEMMA, THEOREM, SHARPENED, PROPOSITION = (
    {"reference": name} for name in ("Lemma 3.3", "Theorem 3.4", "Theorem 3.4, projected", "Proposition 3.1")
)
RANK = {"comment": f"singular values above {RANK_TOLERANCE:g} of the largest; {BELOW}", **PROPOSITION}
ABOUT = {
    "residual": {"long_name": "norm ||r_l|| of the residual of the layer", "reference": "eq. 4"},
    "gap": {"long_name": f"{GAP}, known classes", "comment": BELOW, **LEMMA},
    "gap_best": {"long_name": f"{GAP}, best partition found", "comment": BELOW, **LEMMA},
    "rho": {"long_name": f"{RHO}, known classes", **RANK},
    "rho_best": {"long_name": f"{RHO}, best partition found", **RANK},
    "rho_bound": {
        "long_name": "bound on rho of a layer that acts on a point once, the number of distinct centroids",
        **PROPOSITION,
    },
    "bound_measured": {
        "long_name": "bound on the distance to rank K, (||r_l|| + gap) / lambda, smaller gap",
        "comment": f"{BELOW}, {POSITIONS}, {VOID}",
        **THEOREM,
    },
    "bound_projected": {
        "long_name": "bound on the distance to rank K, W_l outside the space of the centroid gradient",
        "comment": f"smaller of column and row space, and of both partitions; {BELOW}, {VOID}",
        **SHARPENED,
    },
    "bound_permuted": {
        "long_name": "bound_projected with the labels shuffled among the points: what any K sets certify",
        "comment": f"{BELOW}, {VOID}",
        **SHARPENED,
    },
    "tail_bound": {
        "long_name": "bound on relative_tail by the spaces of centroid gradients, least over sources",
        "comment": f"0 where these fill the layer; {CERTIFIED}, and beyond the rank of every gradient",
        **SHARPENED,
    },
    "certified_rank": {
        "long_name": f"least rank of which a matrix is certified within a relative distance of {NEAR:g}",
        "comment": f"missing where none below the full rank is, and {CERTIFIED.removeprefix('missing ')}",
        **SHARPENED,
    },
}


def stationarity(
    seen: Seen, gradient: Sequence[Tensor], weight_decay: Array, spaces: Spaces, clusters: int
) -> xr.Dataset:
    """Residuals, gaps to the gradients at centroids, and what these bound and certify.

    Parameters
    ----------
    seen : Seen
    gradient : sequence of Tensor
        Of the loss in W_1, ..., W_L, (cells, n_l, n_{l-1}) each.
    weight_decay : (cells, layers) array
    spaces : Spaces
    clusters : int
        K.

    Examples
    --------
    Theorem 3.4 is sharp at the minimum of one linear layer, of points (2, 1) and (2, -1) in one set:

    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> seen = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> spaces = nrc.measures.spaces.gather(seen, np.array([[0, 0]]), 1, restarts=1, seeds=[0])
    >>> found = stationarity(seen, seen.gradient()[1], np.array([[1.0]]), spaces, 1)
    >>> [round(found[name].item(), 6) for name in ("residual", "gap", "bound_measured", "bound_projected")]
    [0.0, 0.5, 0.5, 0.5]
    """
    r = layer_residuals(gradient, seen.weights, torch.from_numpy(weight_decay)).numpy()
    known, best, random = (
        _at_centroids(seen, gradient, partitions, clusters, doing)
        for partitions, doing in (
            (spaces.classes, "known classes"),
            (spaces.best, "best partitions"),
            (spaces.random, "random sets"),
        )
    )
    more = [_at_centroids(seen, gradient, of, len(of[0].shares.T), "more clusters") for of in spaces.more]
    void = np.where(weight_decay > 0, 0, np.nan)
    # a gradient of a rank above K bounds the distance to that rank, and not to K
    gap = np.fmin(*(np.where(of.rho <= clusters, of.gap, np.nan) for of in (known, best)))
    relative = _relative_tails(seen, (known, best, *more), max(clusters, len(more))) + void[:, :, None]
    full = np.array([min(w.shape[1:]) for w in seen.weights])
    rank = rank_within(relative)
    dims = ("cell", "layer", "source")
    dataset = xr.Dataset(
        {
            "residual": (dims[:2], r),
            "gap": (dims, known.gap),
            "gap_best": (dims, best.gap),
            "rho": (dims, known.rho),
            "rho_best": (dims, best.rho),
            "rho_bound": (("cell", "source"), _distinct_centroids(spaces.classes or spaces.best)),
            "bound_measured": (dims, distance_bound(r[:, :, None], gap, weight_decay[:, :, None])),
            "bound_projected": (dims, np.fmin(known.at_k, best.at_k) + void[:, :, None]),
            "bound_permuted": (dims, random.at_k + void[:, :, None]),
            "tail_bound": ((*dims[:2], "index"), relative),
            "certified_rank": (dims[:2], np.where(rank < full, rank, np.nan)),
        },
        {"index": np.arange(1, relative.shape[2] + 1)},
    )
    return describe(dataset, **ABOUT)


@dataclass(frozen=True)
class _AtCentroids:
    """`gap`, `rho`, W_l outside K directions `at_k`, (cells, layers, sources); the least over sources of
    W_l outside r directions, `beyond` (cells, layers, r)."""

    gap: Array
    rho: Array
    at_k: Array
    beyond: Array


def _at_centroids(
    seen: Seen, gradient: Sequence[Tensor], partitions: Sequence[Partition] | None, clusters: int, doing: str
) -> _AtCentroids:
    """What a partition of each source says of the layers that it is below; missing without one."""
    shape = len(seen.weights[0]), len(seen.layers), len(seen.sources)
    longest = max(min(w.shape[1:]) for w in seen.weights)
    gap, rho, at_k = np.full((3, *shape), np.nan)
    beyond = np.full((*shape[:2], longest), np.nan)
    for k, of in enumerate(seen.track(partitions or (), doing)):
        at_centroids = seen.gradient_from(k, of.features.means, of.targets.means, of.shares)
        for l, g in enumerate(at_centroids):
            if g is not None:
                rank, bounds = (found.numpy() for found in outside_gradient(seen.weights[l], g))
                gap[:, l, k] = centroid_gap([gradient[l]], [g])[:, 0].numpy()
                rho[:, l, k], at_k[:, l, k] = rank, bounds[:, min(clusters, bounds.shape[1]) - 1]
                beyond[:, l, : bounds.shape[1]] = np.fmin(beyond[:, l, : bounds.shape[1]], bounds)
    return _AtCentroids(gap, rho, at_k, beyond)


def _relative_tails(seen: Seen, parts: Sequence[_AtCentroids], least: int) -> Array:
    """What is certified beyond r directions over ||W_l||, (cells, layers, r).

    Up to the largest rank of a gradient, or a number of sets: beyond it nothing is added.
    """
    norms = torch.stack([w.norm(dim=(1, 2)) for w in seen.weights], dim=1).numpy()
    tails = np.fmin.reduce([of.beyond for of in parts]) / np.where(norms > 0, norms, np.nan)[:, :, None]
    last = np.fmax.reduce([np.fmax.reduce(of.rho, axis=2) for of in parts])
    return np.where(np.arange(tails.shape[2]) < np.fmax(last, least)[:, :, None], tails, np.nan)


def _distinct_centroids(partitions: Sequence[Partition]) -> NDArray[np.integer]:
    """Number of distinct pairs of centroids of features and targets, (cells, sources)."""
    pairs = [(of.features.means, of.targets.means) for of in partitions]
    return np.stack([gradient_rank_bound(*pair) for pair in pairs], axis=1)
