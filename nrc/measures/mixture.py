"""Proposition 4.1 on the clusters of Gaussian mixtures."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from pydantic import Field

from nrc.data.points import Points
from nrc.grid import Stack
from nrc.metadata import describe
from nrc.options import Options as BaseOptions
from nrc.options import Requirement, equal
from nrc.theory.bounds import gaussian_wcss_bound, isotropic_wcss_quantile

__all__ = ["Options", "mixture_bounds"]


class Options(BaseOptions):
    """The probability of Proposition 4.1."""

    requires = (Requirement({"data.kind": equal("mixture")}),)

    delta: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Proposition 4.1, on Gaussian mixtures, holds with probability at least 1 - delta",
    )


def mixture_bounds(stack: Stack, points: Mapping[int, Points], task: str, delta: float) -> xr.Dataset:
    """The bound of Proposition 4.1 and the exact quantile, for inputs and targets of the clusters.

    Parameters
    ----------
    stack : Stack
    points : mapping
        The mixture of each seed.
    task : {"autoencode", "classify"}
        The points (x, x) of an autoencoder vary twice as much as x; the targets of a classifier are
        constant in a cluster.
    delta : float
        The bound and the quantile hold with probability at least 1 - delta.

    Examples
    --------
    >>> from nrc.data.mixture import Options, draw
    >>> points = draw(Options(clusters=2, points=50, dimension=3, separation=1.0), seed=0)
    >>> stack = Stack({"weight_decay": 0.1, "sigma": [0.0, 0.5], "width": 3, "depth": 2, "seed": 0})
    >>> bounds = mixture_bounds(stack, {0: points}, "classify", delta=0.05)
    >>> (bounds["wcss_quantile"] <= bounds["wcss_bound"]).values.tolist()
    [True, True]
    """
    times = 2 if task == "autoencode" else 1
    bound, quantile = [], []
    for cell in stack.cells():
        sigma, mixture = cell["sigma"], points[cell["seed"]]
        (count, dimension), clusters = mixture.base.shape, mixture.clusters
        isotropic = np.all(mixture.covariances == np.eye(dimension))
        exact = isotropic_wcss_quantile(
            sigma, dimension=dimension, points=count, clusters=clusters, delta=delta
        )
        bound.append(times * gaussian_wcss_bound(sigma**2 * mixture.covariances, mixture.sizes, delta))
        quantile.append(times * exact if isotropic else np.nan)
    dataset = xr.Dataset({"wcss_bound": ("cell", bound), "wcss_quantile": ("cell", quantile)})
    level = f"of the WCSS of the blobs, inputs and targets, at probability {1 - delta:g}"
    return describe(
        dataset,
        wcss_bound={"long_name": f"bound {level}", "reference": "Proposition 4.1"},
        wcss_quantile={
            "long_name": f"exact quantile {level}",
            "reference": "Proposition 4.1",
            "comment": "missing where the blobs are not isotropic",
        },
    )
