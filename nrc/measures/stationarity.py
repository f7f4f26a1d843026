"""How far from stationary every layer is, and what that bounds: Lemma 3.3, Theorem 3.4, Proposition 3.1."""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.labels import describe
from nrc.measures.centroids import gradients_at_centroids, outside_gradients
from nrc.measures.coordinates import layers_of, sources_of
from nrc.network import Network
from nrc.theory.bounds import distance_bound, gradient_rank_bound
from nrc.theory.centroids import (
    RANK_TOLERANCE,
    centroid_gap,
    centroid_gap_bound,
    centroids,
)
from nrc.theory.segments import segment_gap_bound

__all__ = ["stationarity_bounds"]

Array = NDArray[np.float64]

# The gap and its bounds, and the bounds on the distance to rank K that they give.
GAPS = ("gap", "gap_bound", "gap_bound_segments")
BOUNDS = ("bound_measured", "bound_analytic", "bound_segments")

BELOW = "missing where the source is not below the layer"
NO_BOUND = f"{BELOW}, or activation and loss have no M"
VOID = "or weight decay is 0: the theorem is void there"
GAP = "norm of the gradient of the loss less that of the centroid-based loss"
ALONG = "second derivatives along the segments from centroids to points"
LEMMA, THEOREM, PROPOSITION = (
    {"reference": name} for name in ("Lemma 3.3", "Theorem 3.4", "Proposition 3.1")
)
ABOUT = {
    "residual": {"long_name": "norm ||r_l|| of the residual of the layer", "reference": "eq. 4"},
    "gap": {"long_name": f"{GAP}, known classes", "comment": BELOW, **LEMMA},
    "gap_best": {"long_name": f"{GAP}, best partition found", "comment": BELOW, **LEMMA},
    "gap_bound": {"long_name": "bound (M/2) WCSS on gap", "comment": NO_BOUND, **LEMMA},
    "gap_bound_best": {"long_name": "bound (M/2) WCSS on gap_best", "comment": NO_BOUND, **LEMMA},
    "gap_bound_segments": {
        "long_name": f"bound on gap from {ALONG}",
        "comment": NO_BOUND,
        **LEMMA,
    },
    "gap_bound_segments_best": {
        "long_name": f"bound on gap_best from {ALONG}",
        "comment": NO_BOUND,
        **LEMMA,
    },
    "centroid_rank": {
        "long_name": "rank of the gradient of the centroid-based loss, known classes",
        "comment": f"singular values above {RANK_TOLERANCE:g} of the largest; {BELOW}",
        **PROPOSITION,
    },
    "centroid_rank_bound": {
        "long_name": "bound on centroid_rank, the number of distinct centroids",
        **PROPOSITION,
    },
    "bound_measured": {
        "long_name": "bound on the distance to rank K, (||r_l|| + gap) / lambda, smaller gap",
        "comment": f"{BELOW}, {VOID}",
        **THEOREM,
    },
    "bound_projected": {
        "long_name": "bound on the distance to rank K, W_l outside the space of the centroid gradient",
        "comment": f"smaller of column and row space, and of both partitions; {BELOW}, {VOID}",
        "reference": "Theorem 3.4, sharpened",
    },
    "bound_shuffled": {
        "long_name": "bound_projected with the labels shuffled among the points: what any K sets certify",
        "comment": f"{BELOW}, {VOID}",
        "reference": "Theorem 3.4, sharpened",
    },
    "bound_analytic": {
        "long_name": "bound on the distance to rank K, (||r_l|| + (M/2) WCSS) / lambda, smaller WCSS term",
        "comment": f"{NO_BOUND}, {VOID}",
        **THEOREM,
    },
    "bound_segments": {
        "long_name": "bound on the distance to rank K, (||r_l|| + smaller gap_bound_segments) / lambda",
        "comment": f"{NO_BOUND}, {VOID}",
        **THEOREM,
    },
}


def stationarity_bounds(
    network: Network,
    x: Tensor,
    y: Tensor,
    weight_decay: Array,
    *,
    labels: NDArray[np.integer],
    best: Sequence[NDArray[np.integer]],
    clusters: int,
    seeds: Sequence[int],
) -> xr.Dataset:
    """Residuals, both sides of Lemma 3.3, Theorem 3.4's bounds, and Proposition 3.1 at the centroids.

    Parameters
    ----------
    network : Network
    x, y : Tensor
        Inputs (cells, points, n_0) and targets (cells, points, n_L).
    weight_decay : (cells,) array
    labels : (cells, points) integer array
        Known class or blob of each point.
    best : sequence of (cells, points) integer arrays
        The best partition found in each space.
    clusters : int
        K.
    seeds : sequence of int
        By which labels are shuffled.
    """
    z, depth = network.features(x), len(network.weights)
    _, gradient, _ = network.gradient(x, y)
    r = _residuals(network.weights, gradient, weight_decay)
    *known, rank, outside = _at_centroids(network, z, y, gradient, [labels] * depth, clusters)
    *found, _, outside_best = _at_centroids(network, z, y, gradient, best, clusters)
    shuffled = np.stack(
        [np.random.default_rng(s).permutation(of) for s, of in zip(seeds, labels, strict=True)]
    )
    at_shuffled = gradients_at_centroids(network, z, y, [shuffled] * depth, clusters)
    void = np.where(weight_decay > 0, 0, np.nan)[:, None, None]
    bounds = [
        distance_bound(r[:, :, None], np.fmin(*gaps), weight_decay[:, None, None])
        for gaps in zip(known, found, strict=True)
    ]
    dims = ("cell", "layer", "source")
    dataset = xr.Dataset(
        {
            "residual": (dims[:2], r),
            **{name: (dims, gap) for name, gap in zip(GAPS, known, strict=True)},
            **{f"{name}_best": (dims, gap) for name, gap in zip(GAPS, found, strict=True)},
            "centroid_rank": (dims, rank),
            "centroid_rank_bound": (("cell", "source"), _distinct_centroids(z[:-1], y, labels, clusters)),
            **{name: (dims, bound) for name, bound in zip(BOUNDS, bounds, strict=True)},
            "bound_projected": (dims, void + np.fmin(outside, outside_best)),
            "bound_shuffled": (dims, void + outside_gradients(network, at_shuffled, clusters)),
        },
        {"layer": layers_of(depth), "source": sources_of(depth)},
    )
    return describe(dataset, **ABOUT)


def _residuals(weights: Sequence[Tensor], gradient: Sequence[Tensor], weight_decay: Array) -> Array:
    """||r_l|| with r_l = gradient in W_l + lambda W_l, (cells, layers)."""
    return np.stack(
        [
            np.linalg.norm(g.numpy() + weight_decay[:, None, None] * w.numpy(), axis=(1, 2))
            for g, w in zip(gradient, weights, strict=True)
        ],
        axis=1,
    )


def _distinct_centroids(
    spaces: Sequence[Tensor], y: Tensor, labels: NDArray[np.integer], clusters: int
) -> NDArray[np.integer]:
    """Number of distinct pairs of centroids of features and targets, (cells, sources)."""
    known = torch.from_numpy(labels)
    y_means, _ = centroids(y, known, clusters)
    pairs = [(centroids(z, known, clusters)[0], y_means) for z in spaces]
    return np.stack([gradient_rank_bound(*pair) for pair in pairs], axis=1)


def _at_centroids(
    network: Network,
    z: list[Tensor],
    y: Tensor,
    gradient: list[Tensor],
    partitions: Sequence[NDArray[np.integer]],
    clusters: int,
) -> tuple[Array, ...]:
    """`GAPS`, rank of the centroid gradient, W_l outside its space, each (cells, layers, sources)."""
    depth = len(network.weights)
    found = np.full((4, len(y), depth, depth), np.nan)
    at_centroids = gradients_at_centroids(network, z, y, partitions, clusters)
    for k, (partition, gradients) in enumerate(zip(partitions, at_centroids, strict=True)):
        after = network.after(k), z[k], y, torch.from_numpy(partition).long(), clusters
        found[0, :, k:, k] = centroid_gap(gradient[k:], gradients)
        found[1, :, k:, k] = centroid_gap_bound(*after)
        found[2, :, k:, k] = segment_gap_bound(*after)
        for l, g in enumerate(gradients, start=k):
            found[3, :, l, k] = torch.linalg.matrix_rank(g, rtol=RANK_TOLERANCE)
    return *found, outside_gradients(network, at_centroids, clusters)
