"""Residuals and gaps of every layer, and the bounds that follow (Lemma 3.3, Theorem 3.4, Proposition 3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.measured_network import MeasuredNetwork
from nrc.measures.spaces import PERMUTATIONS, Spaces
from nrc.metadata import describe
from nrc.objectives.residual import layer_residuals
from nrc.theory.bounds import distance_bound, gradient_rank_bound
from nrc.theory.centroids import RANK_TOLERANCE, centroid_gap, outside_gradient
from nrc.theory.moments import Partition
from nrc.theory.ranks import NEAR, rank_within

__all__ = ["measured_bounds"]

Array = NDArray[np.float64]

NOT_BELOW = "missing where the source is not below the layer"
VOID = "or weight decay is 0: the theorem is void there"
POSITIONS = "or rho is above K, in layers that act on many positions of a point"
GAP = "norm of the difference between the gradients of the loss and of the centroid-based loss"
RHO = "measured rank of the gradient of the centroid-based loss"
TAIL = "missing where the cell collapsed to zero or weight decay is 0"
LEMMA, THEOREM, PROJECTED, PROPOSITION = (
    {"reference": name} for name in ("Lemma 3.3", "Theorem 3.4", "Theorem 3.4, projected", "Proposition 3.1")
)
RANK = {"comment": f"singular values above {RANK_TOLERANCE:g} of the largest; {NOT_BELOW}", **PROPOSITION}
ABOUT = {
    "residual": {"long_name": "norm ||r_l|| of the residual of the layer", "reference": "eq. 4"},
    "gap": {"long_name": f"{GAP}, known classes", "comment": NOT_BELOW, **LEMMA},
    "gap_best": {"long_name": f"{GAP}, best partition found", "comment": NOT_BELOW, **LEMMA},
    "rho": {"long_name": f"{RHO}, known classes", **RANK},
    "rho_best": {"long_name": f"{RHO}, best partition found", **RANK},
    "rho_bound": {
        "long_name": "bound on rho of a layer that acts on a point once, the number of distinct centroids",
        **PROPOSITION,
    },
    "bound_measured": {
        "long_name": "bound on the distance to rank K, (||r_l|| + gap) / lambda, smaller gap",
        "comment": f"{NOT_BELOW}, {POSITIONS}, {VOID}",
        **THEOREM,
    },
    "bound_projected": {
        "long_name": "bound on the distance to rank K, W_l outside the space of the centroid gradient",
        "comment": f"smaller of column and row space, and of both partitions; {NOT_BELOW}, {VOID}",
        **PROJECTED,
    },
    "bound_permuted": {
        "long_name": "bound_projected with permuted labels, a control: sets of the same sizes",
        "comment": f"{NOT_BELOW}, {VOID}",
        **PROJECTED,
    },
    "bound_measured_permuted": {
        "long_name": f"bound_measured with permuted labels, a control: smallest of {PERMUTATIONS} draws",
        "comment": f"{NOT_BELOW}, {POSITIONS}, {VOID}",
        **THEOREM,
    },
    "tail_bound": {
        "long_name": "bound on relative_tail by the spaces of centroid gradients, smallest over sources",
        "comment": f"0 where these fill the layer; {TAIL}, and beyond the rank of every gradient",
        **PROJECTED,
    },
    "certified_rank": {
        "long_name": f"smallest rank of a matrix that is certainly within a relative distance of {NEAR:g}",
        "comment": f"missing where none below the full rank is, and {TAIL.removeprefix('missing ')}",
        **PROJECTED,
    },
}


def measured_bounds(
    network: MeasuredNetwork, gradient: Sequence[Tensor], weight_decay: Array, spaces: Spaces, clusters: int
) -> xr.Dataset:
    """Residuals, gaps to the gradients at centroids, and bounds on distances and tails.

    Parameters
    ----------
    network : MeasuredNetwork
    gradient : sequence of Tensor
        The gradient of the loss in W_1, ..., W_L, (cells, n_l, n_{l-1}) each.
    weight_decay : (cells, layers) array
    spaces : Spaces
    clusters : int
        K.

    Examples
    --------
    Theorem 3.4 is sharp at the minimum of one linear layer, for the points (2, 1) and (2, -1) in one set:

    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> stack = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> spaces = nrc.measures.spaces.gather(stack, np.array([[0, 0]]), 1, restarts=1, seeds=[0])
    >>> found = measured_bounds(stack, stack.gradient()[1], np.array([[1.0]]), spaces, 1)
    >>> [abs(found[name].item()) for name in ("residual", "gap", "bound_measured", "bound_projected")]
    [0.0, 0.5, 0.5, 0.5]
    """
    r = layer_residuals(gradient, network.weights, torch.from_numpy(weight_decay)).numpy()
    known, best, permuted = (
        _at_centroids(network, gradient, partitions, clusters, description)
        for partitions, description in (
            (spaces.classes, "known classes"),
            (spaces.best, "best partitions"),
            (spaces.permuted, "permuted labels"),
        )
    )
    more = [
        _at_centroids(network, gradient, partitions, count, "more clusters")
        for count, partitions in enumerate(spaces.more, start=1)
    ]
    void = np.where(weight_decay > 0, 0, np.nan)
    # a gradient of a rank above K bounds the distance to that rank, and not to K
    gap = np.fmin(*(np.where(part.rho <= clusters, part.gap, np.nan) for part in (known, best)))
    by_chance = np.fmin.reduce([_gaps(network, gradient, sets) for sets in spaces.permutations])
    by_chance = np.where(permuted.rho <= clusters, by_chance, np.nan)
    tails = _relative_tails(network, (known, best, *more), max(clusters, len(more))) + void[:, :, None]
    full = np.array([min(w.shape[1:]) for w in network.weights])
    rank = rank_within(tails)
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
            "bound_permuted": (dims, permuted.at_k + void[:, :, None]),
            "bound_measured_permuted": (
                dims,
                distance_bound(r[:, :, None], by_chance, weight_decay[:, :, None]),
            ),
            "tail_bound": ((*dims[:2], "index"), tails),
            "certified_rank": (dims[:2], np.where(rank < full, rank, np.nan)),
        },
        {"index": np.arange(1, tails.shape[2] + 1)},
    )
    return describe(dataset, **ABOUT)


@dataclass(frozen=True)
class _AtCentroids:
    """Measures of the gradients at the centroids of a partition of each source.

    Attributes
    ----------
    gap, rho : array
        (cells, layers, sources)
    at_k : array
        Norm of W_l outside K directions of the gradient, (cells, layers, sources).
    beyond : array
        The same outside r directions, the smallest over sources, (cells, layers, r).
    """

    gap: Array
    rho: Array
    at_k: Array
    beyond: Array


def _at_centroids(
    network: MeasuredNetwork,
    gradient: Sequence[Tensor],
    partitions: Sequence[Partition] | None,
    clusters: int,
    description: str,
) -> _AtCentroids:
    """The measures in every layer above a source; missing elsewhere, or if there is no partition."""
    shape = len(network.weights[0]), len(network.layers), len(network.sources)
    longest = max(min(w.shape[1:]) for w in network.weights)
    gap, rho, at_k = np.full((3, *shape), np.nan)
    beyond = np.full((*shape[:2], longest), np.nan)
    for k, partition in enumerate(network.track(partitions or (), description)):
        z, y = partition.features.means, partition.targets.means
        for l, g in enumerate(network.gradient_from(k, z, y, partition.shares)):
            if g is not None:
                rank, bounds = (found.numpy() for found in outside_gradient(network.weights[l], g))
                gap[:, l, k] = centroid_gap([gradient[l]], [g])[:, 0].numpy()
                rho[:, l, k], at_k[:, l, k] = rank, bounds[:, min(clusters, bounds.shape[1]) - 1]
                beyond[:, l, : bounds.shape[1]] = np.fmin(beyond[:, l, : bounds.shape[1]], bounds)
    return _AtCentroids(gap, rho, at_k, beyond)


def _gaps(network: MeasuredNetwork, gradient: Sequence[Tensor], partitions: Sequence[Partition]) -> Array:
    """The gaps in every layer above a source, (cells, layers, sources); missing elsewhere."""
    gaps = np.full((len(network.weights[0]), len(network.layers), len(network.sources)), np.nan)
    for k, partition in enumerate(network.track(partitions, "permuted labels")):
        z, y = partition.features.means, partition.targets.means
        for l, g in enumerate(network.gradient_from(k, z, y, partition.shares)):
            if g is not None:
                gaps[:, l, k] = centroid_gap([gradient[l]], [g])[:, 0].numpy()
    return gaps


def _relative_tails(network: MeasuredNetwork, parts: Sequence[_AtCentroids], count: int) -> Array:
    """Bounds on the relative tails beyond r directions, (cells, layers, r).

    They end at the largest rank of a gradient, or at `count` if that is larger: further directions add
    nothing.
    """
    norms = torch.stack([w.norm(dim=(1, 2)) for w in network.weights], dim=1).numpy()
    tails = np.fmin.reduce([part.beyond for part in parts]) / np.where(norms > 0, norms, np.nan)[:, :, None]
    last = np.fmax.reduce([np.fmax.reduce(part.rho, axis=2) for part in parts])
    return np.where(np.arange(tails.shape[2]) < np.fmax(last, count)[:, :, None], tails, np.nan)


def _distinct_centroids(partitions: Sequence[Partition]) -> NDArray[np.integer]:
    """Number of distinct pairs of centroids of features and targets, (cells, sources).

    An empty set has no centroid.
    """
    columns = []
    for partition in partitions:
        pairs = zip(partition.features.means, partition.targets.means, partition.shares > 0, strict=True)
        columns.append([gradient_rank_bound(z[None, kept], y[None, kept]).item() for z, y, kept in pairs])
    return np.array(columns, dtype=int).T
