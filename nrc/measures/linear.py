"""Measures of linear networks: the product of their layers, its closed form, and the bounds of Section 5."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nrc.metadata import describe
from nrc.objectives.penalties import Penalty
from nrc.theory.linear import (
    Autoencoder,
    at_centroids,
    centroid_shift_bounds,
    minimiser,
    rank_restriction_bound,
    transition_weight_decay,
)

__all__ = ["centroid_shift", "forecasts", "trained_shift", "transition"]

Array = NDArray[np.float64]

ABOUT = {
    "product": {"long_name": "product W_L ... W_1 of the layers"},
    "product_singular_values": {"long_name": "singular values of the product"},
    "product_forecast": {"long_name": "singular values of the minimiser"},
    "critical_distance": {
        "long_name": "distance of the product to the nearest critical point, over the minimiser's norm",
        "comment": "missing where the minimiser is 0",
    },
    "critical_rank": {"long_name": "rank of the nearest critical point"},
    "forecast_rank": {"long_name": "rank of the minimiser"},
    "at_minimum": {"long_name": "whether the nearest critical point is the minimiser"},
    "imbalance": {"long_name": "largest ||W_{l+1}' W_{l+1} - W_l W_l'|| of neighbouring layers"},
    "forecast": {"long_name": "singular values of the layers of the minimiser"},
    "index": {"long_name": "position in the spectrum, from 1"},
    "layer": {"long_name": "layer, from the input"},
    "output": {"long_name": "row of the product"},
    "input": {"long_name": "column of the product"},
}
# variables with the reference Theorem 5.1 or the scalar problems of Section 5
OF_CLOSED_FORM = (
    *("product_forecast", "critical_distance", "critical_rank", "forecast_rank", "at_minimum", "forecast"),
)


def transition(x: Array, depth: int, clusters: int) -> xr.Dataset:
    """The weight decay below which a linear network of this depth learns more than K directions.

    Parameters
    ----------
    x : (cells, points, features) array
    depth : int
        L.
    clusters : int
        K.

    Examples
    --------
    >>> x = np.array([[[2.0, 1.0], [2.0, -1.0]]])          # XX'/N is diag(4, 1)
    >>> float(transition(x, 2, clusters=1)["transition"].item())
    1.0
    """
    c = np.linalg.eigvalsh(x.swapaxes(-1, -2) @ x / x.shape[-2])[:, ::-1]
    beyond = c[:, clusters] if clusters < c.shape[1] else np.zeros(len(c))
    dataset = xr.Dataset(
        {
            "noise_moment": ("cell", beyond),
            "transition": ("cell", transition_weight_decay(beyond, depth)),
        }
    )
    return describe(
        dataset,
        noise_moment={"long_name": f"eigenvalue {clusters + 1} of XX'/N, the largest of noise alone"},
        transition={
            "long_name": f"weight decay below which a linear network's forecast rank exceeds {clusters}",
            "comment": "scalar problem of the penalty on the factors, for these inputs and this depth",
        },
    )


def forecasts(weights: Sequence[Array], x: Array, weight_decay: Array, penalty: Penalty) -> xr.Dataset:
    """The product of the layers, its closed form, and the nearest critical point.

    Parameters
    ----------
    weights : sequence of (cells, n_l, n_{l-1}) arrays
    x : (cells, points, n_0) array
        The points on which the networks were trained.
    weight_decay : (cells,) array
    penalty : Penalty

    Raises
    ------
    ValueError
        If the penalty has no closed form.

    Examples
    --------
    >>> from nrc.objectives.penalties import PENALTIES
    >>> x = np.array([[[2.0, 1.0], [2.0, -1.0]]])          # XX'/N is diag(4, 1)
    >>> layer = np.diag([0.875, 0.5])[None] ** 0.5         # at weight decay 1/2 a direction learns 1 - 1/(2c)
    >>> found = forecasts([layer, layer], x, np.array([0.5]), PENALTIES["factors"])
    >>> found["product_forecast"].values.round(6).tolist(), found["at_minimum"].item()
    ([[0.875, 0.5]], 1)
    """
    weights = [w.astype(np.float64) for w in weights]
    depth, sizes = len(weights), (weights[0].shape[2], *(w.shape[1] for w in weights))
    product = weights[0]
    for w in weights[1:]:
        product = w @ product
    closed = _closed_form(x, weight_decay, sizes, penalty)
    nearest = closed.nearest(product)
    size = np.linalg.norm(closed.minimum, axis=(1, 2))
    distance = np.linalg.norm(product - closed.product(nearest), axis=(1, 2))
    # layers are balanced, W_{l+1}' W_{l+1} = W_l W_l', at stationary points of the factors' penalty
    imbalance = np.max(
        [
            np.linalg.norm(w.swapaxes(1, 2) @ w - v @ v.swapaxes(1, 2), axis=(1, 2))
            for v, w in pairwise(weights)
        ]
        or [np.zeros(len(product))],
        axis=0,
    )
    index = ("cell", "index")
    s = np.linalg.svd(product, compute_uv=False)
    expected = -np.sort(-np.where(closed.learnt, closed.values, 0), axis=1)
    dataset = xr.Dataset(
        {
            "product": (("cell", "output", "input"), product),
            "product_singular_values": (index, s),
            "product_forecast": (index, expected),
            "critical_distance": ("cell", _ratio(distance, size)),
            "critical_rank": ("cell", nearest.sum(1)),
            "forecast_rank": ("cell", closed.learnt.sum(1)),
            "at_minimum": ("cell", (nearest == closed.learnt).all(1).astype(np.int8)),
        },
        {
            "index": np.arange(1, s.shape[1] + 1),
            **{name: np.arange(1, size + 1) for name, size in (("output", sizes[-1]), ("input", sizes[0]))},
        },
    )
    if penalty.ridge:
        layer = np.repeat(expected[:, None, :] ** (1 / depth), depth, axis=1)
        dataset["imbalance"] = ("cell", imbalance)
        dataset["forecast"] = (("cell", "layer", "index"), layer)
        dataset = dataset.assign_coords(layer=np.arange(1, depth + 1))
    theorem = {"reference": penalty.reference}
    about = {name: text | (theorem if name in OF_CLOSED_FORM else {}) for name, text in ABOUT.items()}
    return describe(dataset, **{name: text for name, text in about.items() if name in dataset.variables})


def centroid_shift(
    x: Array, labels: NDArray[np.integer], weight_decay: Array, sizes: tuple[int, ...], penalty: Penalty
) -> xr.Dataset:
    """The shift of the minimiser from data to centroids, with the bounds of Theorems 5.3 and 5.4.

    Parameters
    ----------
    x : (cells, points, features) array
    labels : (cells, points) integer array
    weight_decay : (cells,) array
    sizes : tuple of int
        n_0, ..., n_L.
    penalty : Penalty
        The penalty of `shift_forecast`. Both theorems are about the product.

    Examples
    --------
    >>> from nrc.objectives.penalties import PENALTIES
    >>> x = np.array([[[2.0, 1.0], [2.0, -1.0]]])          # a cluster around (2, 0)
    >>> shift = centroid_shift(x, np.zeros((1, 2), dtype=int), np.array([1.0]), (2, 2), PENALTIES["product"])
    >>> shift["shift_product"].item(), shift["shift_bound"].item()
    (0.5, 1.8)
    """
    clusters = int(labels.max()) + 1
    means = np.stack([at_centroids(*cell) for cell in zip(x, labels, strict=True)])
    full, at_means = (_closed_form(points, weight_decay, sizes, penalty).minimum for points in (x, means))
    missing = np.full(len(x), np.nan)
    shift, bound, looser, restriction, restriction_bound = (missing.copy() for _ in range(5))
    for i in np.flatnonzero(weight_decay > 0):
        decay = float(weight_decay[i])
        bound[i], looser[i] = centroid_shift_bounds(x[i], x[i], labels[i], decay)
        at_mean = minimiser(means[i], means[i], decay)
        best, of_rank = minimiser(x[i], x[i], decay), minimiser(x[i], x[i], decay, min(clusters, x.shape[2]))
        shift[i] = np.linalg.norm(best - at_mean)
        restriction[i] = np.linalg.norm(best - of_rank)
        variation = ((x[i] - means[i]) ** 2).sum() / len(x[i])
        restriction_bound[i] = rank_restriction_bound(variation, decay)
    dataset = xr.Dataset(
        {
            "shift_product": ("cell", shift),
            "shift_forecast": ("cell", np.linalg.norm(full - at_means, axis=(1, 2))),
            "shift_bound": ("cell", bound),
            "shift_bound_tcv": ("cell", looser),
            "restriction": ("cell", restriction),
            "restriction_bound": ("cell", restriction_bound),
        }
    )
    void = {"comment": "for the penalty on the product; missing where weight decay is 0"}
    shift_of = "distance of the minimisers on data and on centroids"
    theorem_3, theorem_4 = ({"reference": f"Theorem 5.{number}", **void} for number in (3, 4))
    return describe(
        dataset,
        shift_product={"long_name": shift_of, **theorem_3},
        shift_forecast={"long_name": shift_of, "comment": f"for the penalty on {penalty.of}"},
        shift_bound={"long_name": "bound on shift_product, by the scatter of the noise", **theorem_3},
        shift_bound_tcv={"long_name": "bound on shift_product, by the WCSS", **theorem_3},
        restriction={
            "long_name": f"distance of the minimisers of any rank and of rank at most {clusters}",
            **theorem_4,
        },
        restriction_bound={"long_name": "bound on restriction", **theorem_4},
    )


def trained_shift(on_data: xr.Dataset, on_centroids: xr.Dataset) -> xr.Dataset:
    """The distance of the products trained on data and on centroids, from the cubes of two experiments.

    Examples
    --------
    >>> ends = {"status": 0, "at_minimum": 1}
    >>> on_data, on_centroids = (
    ...     xr.Dataset({"product": (("output", "input"), np.diag([0.8, s])), **ends}) for s in (0.5, 0.0)
    ... )
    >>> trained_shift(on_data, on_centroids)["shift"].item()
    0.5
    """
    dims = ("output", "input")
    product, at_means = xr.align(on_data["product"], on_centroids["product"], join="exact")
    dataset = xr.Dataset(
        {
            "shift": np.sqrt(((product - at_means) ** 2).sum(dims)),
            "status": np.maximum(on_data["status"], on_centroids["status"]),
            "at_minimum": np.minimum(on_data["at_minimum"], on_centroids["at_minimum"]),
        }
    )
    dataset["status"].attrs = dict(on_data["status"].attrs)
    return describe(
        dataset,
        shift={
            "long_name": "distance of the trained products, on data and on centroids",
            "reference": "Theorem 5.3",
        },
        status={**dataset["status"].attrs, "long_name": "the worse status of the two networks"},
        at_minimum={"long_name": "whether both products are nearest to their minimisers"},
    )


def _closed_form(x: Array, weight_decay: Array, sizes: tuple[int, ...], penalty: Penalty) -> Autoencoder:
    factors = penalty.penalised_factors(len(sizes) - 1)
    if factors is None:
        raise ValueError(f"the penalty on {penalty.of} has no closed form")
    return Autoencoder.of(x, weight_decay, sizes, factors)


def _ratio(a: Array, b: Array) -> Array:
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)
