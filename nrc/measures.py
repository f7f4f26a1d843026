"""What is measured on a trained stack, as datasets with dimensions cell, layer, index and source.

Layers are numbered 1..L and sources 0..L-1: source k is the space of the features z^k.
"""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from nrc import spectra
from nrc.bounds import gaussian_wcss_bound, isotropic_wcss_quantile
from nrc.clusters import tcv_lower, tcv_upper, wcss
from nrc.data.mixture import Mixture
from nrc.grid import Stack
from nrc.network import features, squared_error_gradient

__all__ = ["layer_residuals", "mixture_bounds", "rank_measures", "variability"]

Array = NDArray[np.float64]


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
    layers = []
    for w in weights:
        s = np.linalg.svd(w.astype(np.float64), compute_uv=False)
        alive = np.where(dead[:, None], 0, s)
        index = {"index": np.arange(1, s.shape[1] + 1)}
        layer = {
            "singular_values": (("cell", "index"), s),
            "relative_tail": (("cell", "index"), spectra.relative_tail(alive)),
            "relative_distance": ("cell", spectra.relative_distance(alive, clusters)),
            "stable_rank": ("cell", spectra.stable_rank(alive)),
            "numerical_rank": ("cell", spectra.numerical_rank(alive, tolerance)),
            "effective_rank": ("cell", spectra.effective_rank(alive)),
            "mp_soft_rank": ("cell", spectra.mp_soft_rank(alive, w.shape[1:])),
        }
        layers.append(xr.Dataset(layer, index))
    # layers of different sizes have spectra of different lengths: missing beyond the shorter
    dataset = xr.concat(layers, _layers(len(weights)), join="outer")
    dataset["index"].attrs = {"long_name": "position in the spectrum, from 1", "units": "1"}
    dead_only = "missing where the cell is dead"
    return _describe(
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


def layer_residuals(
    weights: Sequence[Array], x: Array, y: Array, weight_decay: Array, activation: str
) -> xr.Dataset:
    """||r_l|| of every layer, r_l = grad_{W_l} loss + lambda W_l, for squared error.

    Parameters
    ----------
    weights : sequence of (cells, n_l, n_{l-1}) arrays
    x, y : (cells, points, features) arrays
    weight_decay : (cells,) array
    activation : str
    """
    tensors = [torch.from_numpy(w.astype(np.float64)) for w in weights]
    _, gradient = squared_error_gradient(tensors, torch.from_numpy(x), torch.from_numpy(y), activation)
    decay = torch.from_numpy(weight_decay)[:, None, None]
    norms = [(g + decay * w).norm(dim=(1, 2)) for g, w in zip(gradient, tensors, strict=True)]
    dataset = xr.Dataset(
        {"residual": (("cell", "layer"), torch.stack(norms, 1).numpy())}, {"layer": _layers(len(norms))}
    )
    return _describe(
        dataset, residual={"long_name": "norm ||r_l|| of the residual of the layer", "reference": "eq. 4"}
    )


def variability(
    weights: Sequence[Array],
    x: Array,
    y: Array,
    activation: str,
    *,
    labels: NDArray[np.int64],
    clusters: int,
    restarts: int,
    seeds: Sequence[int],
) -> xr.Dataset:
    """WCSS of the known classes, and the TCV bracket, of the points (z^k, y) of every source k.

    Parameters
    ----------
    weights, x, y, activation
        As in `layer_residuals`.
    labels : (cells, points) integer array
        Class or blob of each point.
    clusters : int
        K.
    restarts : int
        k-means++ runs for the upper end of the bracket.
    seeds : sequence of int
        Seed of k-means for each cell.
    """
    tensors = [torch.from_numpy(w.astype(np.float64)) for w in weights]
    z = [layer.numpy() for layer in features(tensors, torch.from_numpy(x), activation)[:-1]]
    of_class, lower, upper = (np.empty((len(x), len(z))) for _ in range(3))
    for k, source in enumerate(z):
        points = np.concatenate([source, y], axis=2)
        lower[:, k] = tcv_lower(points, clusters)
        for c in range(len(x)):
            of_class[c, k] = wcss(points[c], labels[c])
            upper[c, k] = tcv_upper(points[c], clusters, labels=labels[c], restarts=restarts, seed=seeds[c])
    about = {"long_name": "space of the features z^k, k = 0 the inputs", "units": "1"}
    dims = ("cell", "source")
    dataset = xr.Dataset(
        {"wcss_class": (dims, of_class), "tcv_lower": (dims, lower), "tcv_upper": (dims, upper)},
        {"source": ("source", np.arange(len(z)), about)},
    )
    return _describe(
        dataset,
        wcss_class={"long_name": "WCSS of features and targets in the known classes", "reference": "eq. 6"},
        tcv_lower={"long_name": "TCV of features and targets, spectral lower bound", "reference": "eq. 7"},
        tcv_upper={"long_name": "TCV of features and targets, best partition found", "reference": "eq. 7"},
    )


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
    return _describe(
        dataset,
        wcss_bound={"long_name": f"bound {level}", "reference": "Proposition 4.1"},
        wcss_quantile={
            "long_name": f"exact quantile {level}",
            "reference": "Proposition 4.1",
            "comment": "missing where the blobs are not isotropic",
        },
    )


def _layers(count: int) -> xr.DataArray:
    about = {"long_name": "layer, from the input", "units": "1"}
    return xr.DataArray(np.arange(1, count + 1), dims="layer", name="layer", attrs=about)


def _describe(dataset: xr.Dataset, **attributes: dict[str, str]) -> xr.Dataset:
    for name, about in attributes.items():
        dataset[name].attrs = {"units": "1", **about}
    return dataset
