"""All measures of networks on data, with dimensions cell, layer, index and source."""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.measured_network import MeasuredNetwork
from nrc.measures.analytic import analytic_bounds
from nrc.measures.bounds import measured_bounds
from nrc.measures.coordinates import coordinates
from nrc.measures.neurons import neurons
from nrc.measures.ranks import rank_measures
from nrc.measures.spaces import gather
from nrc.measures.variability import variability
from nrc.metadata import describe

__all__ = ["accuracy", "measure", "without"]


def measure(
    network: MeasuredNetwork,
    *,
    labels: NDArray[np.integer] | None,
    clusters: int,
    weight_decay: NDArray[np.float64] | None,
    collapsed: NDArray[np.bool_],
    seeds: Sequence[int],
    kmeans_restarts: int = 10,
    numerical_rank_tolerance: float = 1e-3,
    certified_ranks: int = 0,
    leading: int | None = None,
    bias_decay: NDArray[np.float64] | None = None,
) -> xr.Dataset:
    """Rank of every layer, variability of every space, and residuals, gaps and bounds.

    Parameters
    ----------
    network : MeasuredNetwork
        The networks and their data.
    labels : (cells, points) integer array or None
        Known class or blob of each point, from 0; measures of known classes are missing without them.
    clusters : int
        K.
    weight_decay : (cells, layers) array or None
        lambda of the penalty on the factors; residuals and bounds are left out if it is None.
    collapsed : (cells,) mask
        Cells whose weights are 0 up to rounding: relative measures are missing.
    seeds : sequence of int
        The seed of each cell, for k-means and permuted labels.
    kmeans_restarts : int
        Runs of k-means++ for the upper end of the TCV bracket.
    numerical_rank_tolerance : float
        The numerical rank counts singular values above this share of the largest.
    certified_ranks : int
        The bounds on tails also use partitions into 1, ..., this many sets.
    leading : int, optional
        The number of singular values that a randomized method computes of each layer that has more.
    bias_decay : (cells, layers) array, optional
        Weight decay of the biases; by default, the weight decay of the weights.

    Raises
    ------
    ValueError
        If a cluster is empty, or there are more clusters than points.

    Examples
    --------
    The minimum of one linear layer, for the points (2, 1) and (2, -1) in one set:

    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> stack = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> settings = {"labels": np.array([[0, 0]]), "clusters": 1, "weight_decay": np.array([[1.0]])}
    >>> found = measure(stack, **settings, collapsed=np.array([False]), seeds=[0])
    >>> [found[name].item() for name in ("distance", "bound_measured", "tcv_upper")]
    [0.5, 0.5, 2.0]
    """
    ranks = 0 if weight_decay is None else certified_ranks
    spaces = gather(network, labels, clusters, restarts=kmeans_restarts, seeds=seeds, ranks=ranks)
    parts = [
        rank_measures(network.weights, collapsed, clusters, numerical_rank_tolerance, leading),
        variability(spaces, clusters),
    ]
    if weight_decay is None:
        parts.append(neurons(network, collapsed, seeds))
    else:
        _, gradient = network.gradient()
        at_centroids = measured_bounds(network, gradient, weight_decay, spaces, clusters)
        residual = at_centroids["residual"].values
        analytic = analytic_bounds(network, labels, spaces.labels, residual, weight_decay, clusters)
        merged = neurons(network, collapsed, seeds, gradient, residual, weight_decay, bias_decay)
        parts += [at_centroids, analytic, merged]
    # bounds on tails may need more places than there are computed singular values
    measured = xr.merge(parts, join="outer", compat="equals")
    return measured.assign_coords(coordinates(network.layers, network.sources, measured.sizes["index"]))


def accuracy(outputs: Tensor, labels: NDArray[np.integer], name: str) -> xr.Dataset:
    """Share of points whose largest output (cells, points, classes) is at their label, as `{name}_accuracy`.

    Examples
    --------
    >>> outputs = torch.tensor([[[2.0, 1.0], [0.0, 1.0]]])
    >>> accuracy(outputs, np.array([[0, 0]]), "test")["test_accuracy"].item()
    0.5
    """
    right = outputs.argmax(-1) == torch.from_numpy(labels)
    dataset = xr.Dataset({f"{name}_accuracy": ("cell", right.double().mean(1).numpy())})
    about = {"long_name": f"share of correctly classified {name} points"}
    return describe(dataset, **{f"{name}_accuracy": about})


def without(measured: xr.Dataset, cells: NDArray[np.bool_]) -> xr.Dataset:
    """The dataset with missing values for some cells, whose networks diverged.

    The space of the inputs keeps its values because it does not depend on the network.

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
            inputs = values["source"] == values["source"][0] if of_inputs else kept
            result[name] = values.where(kept | inputs)
            result[name].attrs = values.attrs
    return result
