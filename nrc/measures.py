"""What is measured on a trained stack, as datasets with dimensions cell, layer, index and source.

Layers are numbered 1..L and sources 0..L-1: source k is the space of the features z^k.
"""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc import spectra
from nrc.bounds import (
    distance_bound,
    gaussian_wcss_bound,
    gradient_rank_bound,
    isotropic_wcss_quantile,
)
from nrc.centroids import centroid_gap, centroid_gap_bound, centroid_gradient, centroids
from nrc.clusters import best_partition, tcv_lower, tcv_lower_semidefinite, wcss
from nrc.data.mixture import Mixture
from nrc.grid import Stack
from nrc.network import check_network, features, loss_gradient
from nrc.store import describe

__all__ = [
    "best_partitions",
    "hidden_spaces",
    "mixture_bounds",
    "rank_measures",
    "stationarity_bounds",
    "variability",
    "without",
]

Array = NDArray[np.float64]

# What rounding leaves of a singular value that is 0.
RANK_TOLERANCE = 1e-10


def without(measured: xr.Dataset, cells: NDArray[np.bool_]) -> xr.Dataset:
    """The measures with those of some cells missing: networks that diverged have no end to measure.

    The space of the inputs, which no network made, keeps its numbers.
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


def rank_measures(
    weights: Sequence[Array], dead: NDArray[np.bool_], clusters: int, tolerance: float
) -> xr.Dataset:
    """Singular values of every layer and all measures of rank.

    Parameters
    ----------
    weights : sequence of (cells, n_l, n_{l-1}) arrays
    dead : (cells,) mask
        Cells whose relative measures are 0/0 and so missing.
    clusters : int
        K, the rank of the relative distance.
    tolerance : float
        tau of the numerical rank.
    """
    per_layer = []
    for w in weights:
        s = np.linalg.svd(w.astype(np.float64), compute_uv=False)
        alive = np.where(dead[:, None], 0, s)
        index = {"index": np.arange(1, s.shape[1] + 1)}
        layer = {
            "singular_values": (("cell", "index"), s),
            "relative_tail": (("cell", "index"), spectra.relative_tail(alive)),
            "distance": ("cell", spectra.distance(s, clusters)),
            "relative_distance": ("cell", spectra.relative_distance(alive, clusters)),
            "stable_rank": ("cell", spectra.stable_rank(alive)),
            "numerical_rank": ("cell", spectra.numerical_rank(alive, tolerance)),
            "effective_rank": ("cell", spectra.effective_rank(alive)),
            "mp_soft_rank": ("cell", spectra.mp_soft_rank(alive, w.shape[1:])),
        }
        per_layer.append(xr.Dataset(layer, index))
    # layers of different sizes have spectra of different lengths: missing beyond the shorter
    dataset = xr.concat(per_layer, _layers(len(weights)), join="outer")
    dataset["index"].attrs = {"long_name": "position in the spectrum, from 1", "units": "1"}
    dead_only = "missing where the cell is dead"
    return describe(
        dataset,
        singular_values={
            "long_name": "singular values",
            "comment": "missing beyond the smaller side of the layer",
        },
        relative_tail={
            "long_name": "relative tail beyond the first index singular values",
            "reference": "eq. 22",
            "comment": dead_only,
        },
        distance={
            "long_name": f"distance to rank {clusters}, the number of clusters",
            "reference": "Theorem 3.4",
        },
        relative_distance={
            "long_name": f"relative distance to rank {clusters}, the number of clusters",
            "comment": dead_only,
        },
        stable_rank={"long_name": "stable rank ||W||^2 / ||W||_2^2", "comment": dead_only},
        numerical_rank={
            "long_name": f"numerical rank, singular values above {tolerance:g} of the largest",
            "comment": dead_only,
        },
        effective_rank={
            "long_name": "effective rank, exponential of the entropy of the spectrum",
            "reference": "Roy & Vetterli 2007",
            "comment": dead_only,
        },
        mp_soft_rank={
            "long_name": "Marchenko-Pastur edge over the largest eigenvalue of W'W",
            "reference": "Martin & Mahoney 2018",
            "comment": dead_only,
        },
    )


def hidden_spaces(weights: Sequence[Array], x: Array, y: Array, activation: str) -> list[Array]:
    """Points (z^k, y) of every source k = 0..L-1, each (cells, points, n_k + n_L).

    Parameters
    ----------
    weights : sequence of (cells, n_l, n_{l-1}) arrays
    x, y : (cells, points, features) arrays
    activation : str

    Raises
    ------
    ValueError
        If the arrays do not fit each other or a value is not finite.
    """
    tensors, inputs = _tensors(weights), torch.from_numpy(x)
    check_network(tensors, inputs, torch.from_numpy(y))
    z = features(tensors, inputs, activation)[:-1]
    return [np.concatenate([source.numpy(), y], axis=2) for source in z]


def best_partitions(
    spaces: Sequence[Array], labels: Array, clusters: int, restarts: int, seeds: Sequence[int]
) -> list[NDArray[np.integer]]:
    """The best partition found of every cell in every space, each (cells, points).

    Parameters
    ----------
    spaces : sequence of (cells, points, p) arrays
    labels : (cells, points) integer array
        Known class or blob of each point.
    clusters : int
        K.
    restarts : int
        k-means++ runs.
    seeds : sequence of int
        Seed of k-means for each cell.
    """
    return [
        np.stack(
            [
                best_partition(points, clusters, labels=known, restarts=restarts, seed=seed)
                for points, known, seed in zip(space, labels, seeds, strict=True)
            ]
        )
        for space in spaces
    ]


def variability(
    spaces: Sequence[Array],
    labels: Array,
    best: Sequence[NDArray[np.integer]],
    clusters: int,
    lower: str = "spectral",
) -> xr.Dataset:
    """WCSS of the known classes, and the TCV bracket, of every space.

    Parameters
    ----------
    spaces, labels, clusters
        As in `best_partitions`.
    best : sequence of (cells, points) integer arrays
        The best partition found in each space.
    lower : {"spectral", "semidefinite"}
        The bound below the TCV; the semidefinite one is the larger of both.
    """
    dims = ("cell", "source")
    dataset = xr.Dataset(
        {
            "wcss_class": (dims, np.stack([_wcss_of_cells(space, labels) for space in spaces], 1)),
            "tcv_lower": (dims, np.stack([_tcv_lower(space, clusters, lower) for space in spaces], 1)),
            "tcv_upper": (
                dims,
                np.stack([_wcss_of_cells(*pair) for pair in zip(spaces, best, strict=True)], 1),
            ),
        },
        {"source": _sources(len(spaces))},
    )
    return describe(
        dataset,
        wcss_class={"long_name": "WCSS of features and targets in the known classes", "reference": "eq. 6"},
        tcv_lower={"long_name": f"TCV of features and targets, {lower} lower bound", "reference": "eq. 7"},
        tcv_upper={"long_name": "TCV of features and targets, best partition found", "reference": "eq. 7"},
    )


def stationarity_bounds(
    weights: Sequence[Array],
    x: Array,
    y: Array,
    weight_decay: Array,
    activation: str,
    *,
    labels: Array,
    best: Sequence[NDArray[np.integer]],
    clusters: int,
    loss: str = "squared_error",
) -> xr.Dataset:
    """Residuals, both sides of Lemma 3.3, Theorem 3.4's bounds, and Proposition 3.1 at the centroids.

    Parameters
    ----------
    weights, x, y, activation
        As in `hidden_spaces`.
    weight_decay : (cells,) array
    labels, best, clusters
        As in `variability`.
    loss : str
    """
    tensors, targets = _tensors(weights), torch.from_numpy(y)
    z = features(tensors, torch.from_numpy(x), activation)
    _, gradient = loss_gradient(tensors, z[0], targets, activation, loss=loss)
    r = np.stack(
        [
            np.linalg.norm(g.numpy() + weight_decay[:, None, None] * w, axis=(1, 2))
            for g, w in zip(gradient, weights, strict=True)
        ],
        axis=1,
    )
    gap, gap_bound, rank = _at_centroids(
        tensors, z, targets, gradient, [labels] * len(weights), clusters, activation, loss
    )
    gap_best, gap_bound_best, _ = _at_centroids(
        tensors, z, targets, gradient, best, clusters, activation, loss
    )
    measured, analytic = (
        distance_bound(r[:, :, None], np.fmin(*gaps), weight_decay[:, None, None])
        for gaps in ((gap, gap_best), (gap_bound, gap_bound_best))
    )
    distinct = [
        gradient_rank_bound(*(centroids(a, torch.from_numpy(labels), clusters)[0] for a in (source, targets)))
        for source in z[:-1]
    ]
    dims = ("cell", "layer", "source")
    dataset = xr.Dataset(
        {
            "residual": (dims[:2], r),
            "gap": (dims, gap),
            "gap_best": (dims, gap_best),
            "gap_bound": (dims, gap_bound),
            "gap_bound_best": (dims, gap_bound_best),
            "centroid_rank": (dims, rank),
            "centroid_rank_bound": (("cell", "source"), np.stack(distinct, axis=1)),
            "bound_measured": (dims, measured),
            "bound_analytic": (dims, analytic),
        },
        {"layer": _layers(len(weights)), "source": _sources(len(weights))},
    )
    below = "missing where the source is not below the layer"
    no_bound = f"{below}, or activation and loss have no M"
    gap_of = "norm of the gradient of the loss less that of the centroid-based loss"
    void = "or weight decay is 0: the theorem is void there"
    distance = f"bound on the distance to rank {clusters}"
    lemma, theorem = ({"reference": name} for name in ("Lemma 3.3", "Theorem 3.4"))
    return describe(
        dataset,
        residual={"long_name": "norm ||r_l|| of the residual of the layer", "reference": "eq. 4"},
        gap={"long_name": f"{gap_of}, known classes", "comment": below, **lemma},
        gap_best={"long_name": f"{gap_of}, best partition found", "comment": below, **lemma},
        gap_bound={"long_name": "bound (M/2) WCSS on gap", "comment": no_bound, **lemma},
        gap_bound_best={"long_name": "bound (M/2) WCSS on gap_best", "comment": no_bound, **lemma},
        centroid_rank={
            "long_name": "rank of the gradient of the centroid-based loss, known classes",
            "comment": f"singular values above {RANK_TOLERANCE:g} of the largest; {below}",
            "reference": "Proposition 3.1",
        },
        centroid_rank_bound={
            "long_name": "bound on centroid_rank, the number of distinct centroids",
            "reference": "Proposition 3.1",
        },
        bound_measured={
            "long_name": f"{distance}, (||r_l|| + gap) / lambda, smaller gap",
            "comment": f"{below}, {void}",
            **theorem,
        },
        bound_analytic={
            "long_name": f"{distance}, (||r_l|| + (M/2) WCSS) / lambda, smaller WCSS term",
            "comment": f"{no_bound}, {void}",
            **theorem,
        },
    )


def _at_centroids(
    weights: list[Tensor],
    z: list[Tensor],
    y: Tensor,
    gradient: list[Tensor],
    partitions: Sequence[NDArray[np.integer]],
    clusters: int,
    activation: str,
    loss: str,
) -> tuple[Array, Array, Array]:
    """gap_{k,l}, its bound, and the rank of the gradient at centroids, each (cells, layers, sources)."""
    depth = len(weights)
    found = np.full((3, len(y), depth, depth), np.nan)
    for k, partition in enumerate(partitions):
        after = weights[k:], z[k], y, torch.from_numpy(partition).long(), clusters, activation, loss
        at_centroids = centroid_gradient(*after)
        found[0, :, k:, k] = centroid_gap(gradient[k:], at_centroids)
        found[1, :, k:, k] = centroid_gap_bound(*after)
        for l, g in enumerate(at_centroids, start=k):
            found[2, :, l, k] = torch.linalg.matrix_rank(g, rtol=RANK_TOLERANCE)
    return tuple(found)


def mixture_bounds(stack: Stack, mixtures: Sequence[Mixture], isotropic: bool, delta: float) -> xr.Dataset:
    """Proposition 4.1 for the blobs of the points (x, x): its bound, and the exact quantile.

    Parameters
    ----------
    stack : Stack
    mixtures : sequence of Mixture
        The mixture of each cell.
    isotropic : bool
        Whether all covariances are the identity: else the quantile has no closed form and is missing.
    delta : float
        Both hold with probability at least 1 - delta.
    """
    bound, quantile = [], []
    for cell, mixture in zip(stack.cells(), mixtures, strict=True):
        sigma = cell["sigma"]
        points, dimension = mixture.noise.shape
        clusters = len(mixture.means)
        exact = isotropic_wcss_quantile(
            sigma, dimension=dimension, points=points, clusters=clusters, delta=delta
        )
        bound.append(2 * gaussian_wcss_bound(sigma**2 * mixture.covariances, mixture.sizes, delta))
        quantile.append(2 * exact if isotropic else np.nan)
    dataset = xr.Dataset({"wcss_bound": ("cell", bound), "wcss_quantile": ("cell", quantile)})
    level = f"of the WCSS of the blobs of (x, x) at probability {1 - delta:g}"
    return describe(
        dataset,
        wcss_bound={"long_name": f"bound {level}", "reference": "Proposition 4.1"},
        wcss_quantile={
            "long_name": f"exact quantile {level}",
            "reference": "Proposition 4.1",
            "comment": "missing where the blobs are not isotropic",
        },
    )


def _tensors(weights: Sequence[Array]) -> list[Tensor]:
    return [torch.from_numpy(w.astype(np.float64)) for w in weights]


def _wcss_of_cells(space: Array, labels: NDArray[np.integer]) -> Array:
    return np.array([wcss(points, partition) for points, partition in zip(space, labels, strict=True)])


def _tcv_lower(space: Array, clusters: int, kind: str) -> Array:
    spectral = tcv_lower(space, clusters)
    if kind == "spectral":
        return spectral
    return np.maximum(spectral, [tcv_lower_semidefinite(points, clusters) for points in space])


def _sources(count: int) -> xr.DataArray:
    about = {"long_name": "space of the features z^k, k = 0 the inputs", "units": "1"}
    return xr.DataArray(np.arange(count), dims="source", name="source", attrs=about)


def _layers(count: int) -> xr.DataArray:
    about = {"long_name": "layer, from the input", "units": "1"}
    return xr.DataArray(np.arange(1, count + 1), dims="layer", name="layer", attrs=about)
