"""Rank, variability and stationarity of the networks of a stack (dimensions cell, layer, index, source)."""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.measured_network import Seen
from nrc.measures.analytic import analytic_bounds
from nrc.measures.coordinates import coordinates
from nrc.measures.ranks import rank_measures
from nrc.measures.spaces import gather
from nrc.measures.stationarity import stationarity
from nrc.measures.variability import variability
from nrc.metadata import describe
from nrc.networks.mlp import Network

__all__ = ["accuracy", "measure", "without"]


def measure(
    seen: Seen,
    *,
    labels: NDArray[np.integer] | None,
    clusters: int,
    weight_decay: NDArray[np.float64] | None,
    collapsed: NDArray[np.bool_],
    seeds: Sequence[int],
    kmeans_restarts: int = 10,
    tcv_lower: str = "spectral",
    numerical_rank_tolerance: float = 1e-3,
    certified_ranks: int = 0,
    leading: int | None = None,
) -> xr.Dataset:
    """Rank of every layer, within-class variability of every space, and how far from stationary.

    Parameters
    ----------
    seen : Seen
        Networks, and the data that they see.
    labels : (cells, points) integer array or None
        Known class or blob of each point, from 0; without them, what is about known classes is missing.
    clusters : int
        K.
    weight_decay : (cells, layers) array or None
        lambda, penalty on the factors; None leaves out residuals and the bounds that they give.
    collapsed : (cells,) mask
        Cells whose weights are 0: relative measures are missing.
    seeds : sequence of int
        Seed of k-means for each cell.
    kmeans_restarts : int
        k-means++ runs behind the upper end of the TCV bracket.
    tcv_lower : {"spectral", "semidefinite"}
        Lower end of the bracket.
    numerical_rank_tolerance : float
        The numerical rank counts singular values above this share of the largest.
    certified_ranks : int
        Partitions into 1, ..., this many sets certify tails, too.
    leading : int, optional
        Of layers with more singular values, only so many are computed, by a randomized method.

    Raises
    ------
    ValueError
        If a cluster is empty, or there are more clusters than points.

    Examples
    --------
    The minimum of one linear layer, of points (2, 1) and (2, -1) in one set:

    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> seen = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> of = {"labels": np.array([[0, 0]]), "clusters": 1, "weight_decay": np.array([[1.0]])}
    >>> found = measure(seen, **of, collapsed=np.array([False]), seeds=[0])
    >>> [round(found[name].item(), 6) for name in ("distance", "bound_measured", "tcv_upper")]
    [0.5, 0.5, 2.0]
    """
    ranks = 0 if weight_decay is None else certified_ranks
    spaces = gather(seen, labels, clusters, restarts=kmeans_restarts, seeds=seeds, ranks=ranks)
    parts = [
        rank_measures(seen.weights, collapsed, clusters, numerical_rank_tolerance, leading),
        variability(spaces, clusters, tcv_lower),
    ]
    if weight_decay is not None:
        _, gradient = seen.gradient()
        at_centroids = stationarity(seen, gradient, weight_decay, spaces, clusters)
        of_classes = seen, labels, spaces.labels, at_centroids["residual"].values, weight_decay, clusters
        parts += [at_centroids, analytic_bounds(*of_classes)]
    # of fewer singular values than certified tails, some are missing
    measured = xr.merge(parts, join="outer", compat="equals")
    return measured.assign_coords(coordinates(seen.layers, seen.sources, measured.sizes["index"]))


def accuracy(network: Network, x: Tensor, labels: NDArray[np.integer], name: str) -> xr.Dataset:
    """Share of points (cells, points, n_0) whose largest output is their label, as `{name}_accuracy`.

    Examples
    --------
    >>> network, x = Network([torch.eye(2)[None]]), torch.tensor([[[2.0, 1.0], [0.0, 1.0]]])
    >>> accuracy(network, x, np.array([[0, 0]]), "test")["test_accuracy"].item()
    0.5
    """
    right = network.features(x)[-1].argmax(-1) == torch.from_numpy(labels)
    dataset = xr.Dataset({f"{name}_accuracy": ("cell", right.double().mean(1).numpy())})
    about = {"long_name": f"share of the {name} points classified right"}
    return describe(dataset, **{f"{name}_accuracy": about})


def without(measured: xr.Dataset, cells: NDArray[np.bool_]) -> xr.Dataset:
    """The measures with those of some cells missing: networks that diverged have no end to measure.

    The space of the inputs, which no network made, keeps its numbers.

    Examples
    --------
    >>> measured = xr.Dataset({"stable_rank": ("cell", [1.5, 2.0])})
    >>> without(measured, np.array([False, True]))["stable_rank"].values.tolist()
    [1.5, nan]
    """
    if not cells.any():
        return measured
    kept = xr.DataArray(~cells, dims="cell")
    result = measured.copy()
    for name, values in measured.data_vars.items():
        if "cell" in values.dims:
            of_inputs = "source" in values.dims and "layer" not in values.dims
            result[name] = values.where(kept | (values["source"] == 0) if of_inputs else kept)
            result[name].attrs = values.attrs
    return result
