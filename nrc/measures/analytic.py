"""Bounds from second derivatives, for networks whose activation and loss have them (Lemma 3.3)."""

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.measured_network import MeasuredNetwork, MeasuredStack
from nrc.measures.bounds import LEMMA, NOT_BELOW, THEOREM, VOID
from nrc.metadata import describe
from nrc.theory.bounds import distance_bound
from nrc.theory.centroids import centroid_gap_bound
from nrc.theory.clusters import same_sets
from nrc.theory.segments import segment_gap_bound

__all__ = ["analytic_bounds"]

Array = NDArray[np.float64]
Labels = NDArray[np.integer]

BOUNDS = {"gap_bound": centroid_gap_bound, "gap_bound_segments": segment_gap_bound}
NO_BOUND = f"{NOT_BELOW}, or activation and loss have no M"
ALONG = "second derivatives along the segments from centroids to points"
ABOUT = {
    "gap_bound": {"long_name": "bound (M/2) WCSS on gap", "comment": NO_BOUND, **LEMMA},
    "gap_bound_best": {"long_name": "bound (M/2) WCSS on gap_best", "comment": NO_BOUND, **LEMMA},
    "gap_bound_segments": {"long_name": f"bound on gap from {ALONG}", "comment": NO_BOUND, **LEMMA},
    "gap_bound_segments_best": {"long_name": f"bound on gap_best from {ALONG}", "comment": NO_BOUND, **LEMMA},
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


def analytic_bounds(
    network: MeasuredNetwork,
    labels: Labels | None,
    best: list[Tensor],
    residual: Array,
    weight_decay: Array,
    clusters: int,
) -> xr.Dataset:
    """Bounds on the gaps of both partitions, and the bounds on the distance to rank K that follow.

    Parameters
    ----------
    network : MeasuredNetwork
        The bounds are missing if it is not a `MeasuredStack`.
    labels : (cells, points) integer array or None
        Known classes.
    best : list of Tensor
        The best partition of each source, (cells, points) integers.
    residual, weight_decay : (cells, layers) arrays
        ||r_l|| and lambda.
    clusters : int
        K.

    Examples
    --------
    One linear layer, whose gap is 0.5 at the points (2, 1) and (2, -1) in one set:

    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> stack = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> residual, decay, one_set = np.array([[0.0]]), np.array([[1.0]]), np.array([[0, 0]])
    >>> found = analytic_bounds(stack, one_set, [torch.from_numpy(one_set)], residual, decay, 1)
    >>> found["bound_segments"].item(), round(found["bound_analytic"].item(), 4)
    (0.5, 2.0806)
    """
    known, found = np.full((2, len(BOUNDS), *residual.shape, len(network.sources)), np.nan)
    if isinstance(network, MeasuredStack):
        for k, partition in enumerate(best):
            cells = np.arange(len(partition))
            if labels is not None:
                _write(known, network, k, torch.as_tensor(labels).long(), clusters, cells)
                # where the best partition is the classes, it has the same bounds
                found[..., k] = known[..., k]
                cells = cells[~same_sets(labels, partition.numpy(), clusters)]
            _write(found, network, k, partition, clusters, cells)
    bounds = [
        distance_bound(residual[:, :, None], gap, weight_decay[:, :, None]) for gap in np.fmin(known, found)
    ]
    columns = {
        **dict(zip(BOUNDS, known, strict=True)),
        **{f"{name}_best": gap for name, gap in zip(BOUNDS, found, strict=True)},
        **dict(zip(("bound_analytic", "bound_segments"), bounds, strict=True)),
    }
    dims = ("cell", "layer", "source")
    return describe(xr.Dataset({name: (dims, values) for name, values in columns.items()}), **ABOUT)


def _write(
    gaps: Array, network: MeasuredStack, k: int, sets: Tensor, clusters: int, cells: NDArray[np.int64]
) -> None:
    """Write the bounds on the gaps of z^k for some cells into an array (bounds, cells, layers, sources)."""
    if len(cells):
        of = network.networks.after(k).select(torch.from_numpy(cells))
        for gap, bound in zip(gaps, BOUNDS.values(), strict=True):
            gap[cells, k:, k] = bound(of, network.features[k][cells], network.y[cells], sets[cells], clusters)
