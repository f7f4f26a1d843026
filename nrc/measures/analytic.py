"""Bounds that need no gradient at centroids, for networks whose second derivatives are known: Lemma 3.3."""

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.measured_network import MeasuredStack, Seen
from nrc.measures.stationarity import BELOW, LEMMA, THEOREM, VOID
from nrc.metadata import describe
from nrc.theory.bounds import distance_bound
from nrc.theory.centroids import centroid_gap_bound
from nrc.theory.segments import segment_gap_bound

__all__ = ["analytic_bounds"]

Array = NDArray[np.float64]
Labels = NDArray[np.integer]

NO_BOUND = f"{BELOW}, or activation and loss have no M"
ALONG = "second derivatives along the segments from centroids to points"
NAMES = ("gap_bound", "gap_bound_segments")
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
    seen: Seen, labels: Labels | None, best: list[Tensor], residual: Array, weight_decay: Array, clusters: int
) -> xr.Dataset:
    """Bounds on the gaps of both partitions, and on the distance to rank K that they give.

    Parameters
    ----------
    seen : Seen
        No M is known of networks that are not of the stacked family.
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
    Of one linear layer, whose gap is 0.5 at the points (2, 1) and (2, -1) in one set:

    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> seen = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> residual, decay, one_set = np.array([[0.0]]), np.array([[1.0]]), np.array([[0, 0]])
    >>> found = analytic_bounds(seen, one_set, [torch.from_numpy(one_set)], residual, decay, 1)
    >>> round(found["bound_segments"].item(), 6), round(found["bound_analytic"].item(), 4)
    (0.5, 2.0806)
    """
    shape = *residual.shape, len(seen.sources)
    known, found = np.full((2, len(NAMES), *shape), np.nan)
    if isinstance(seen, MeasuredStack):
        for k, partition in enumerate(best):
            for into, of in ((known, labels), (found, partition)):
                if of is not None:
                    after = (
                        seen.network.after(k),
                        seen.features[k],
                        seen.y,
                        torch.as_tensor(of).long(),
                        clusters,
                    )
                    into[0, :, k:, k] = centroid_gap_bound(*after)
                    into[1, :, k:, k] = segment_gap_bound(*after)
    dims = ("cell", "layer", "source")
    gaps = {
        f"{name}{suffix}": (dims, of)
        for suffix, both in (("", known), ("_best", found))
        for name, of in zip(NAMES, both, strict=True)
    }
    bounds = [
        distance_bound(residual[:, :, None], gap, weight_decay[:, :, None]) for gap in np.fmin(known, found)
    ]
    named = zip(("bound_analytic", "bound_segments"), bounds, strict=True)
    return describe(xr.Dataset(gaps | {name: (dims, bound) for name, bound in named}), **ABOUT)
