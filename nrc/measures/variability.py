"""Within-class variability of every hidden space: WCSS of the classes, and the bracket of the TCV."""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nrc.labels import describe
from nrc.measures.coordinates import sources_of
from nrc.theory.clusters import best_partition, tcv_lower, tcv_lower_semidefinite
from nrc.theory.collapse import nc1, wcss_share
from nrc.theory.wcss import wcss

__all__ = ["best_partitions", "variability"]

Array = NDArray[np.float64]


def best_partitions(
    spaces: Sequence[Array],
    labels: NDArray[np.integer] | None,
    clusters: int,
    restarts: int,
    seeds: Sequence[int],
) -> list[NDArray[np.integer]]:
    """The best partition found of every cell in every space, each (cells, points).

    Parameters
    ----------
    spaces : sequence of (cells, points, p) arrays
    labels : (cells, points) integer array or None
        Known class or blob of each point, a partition into as many sets.
    clusters : int
        Sets of a partition.
    restarts : int
        k-means++ runs.
    seeds : sequence of int
        Seed of k-means for each cell.
    """
    known_of_cells = [None] * len(seeds) if labels is None else labels
    return [
        np.stack(
            [
                best_partition(points, clusters, labels=known, restarts=restarts, seed=seed)
                for points, known, seed in zip(space, known_of_cells, seeds, strict=True)
            ]
        )
        for space in spaces
    ]


def variability(
    spaces: Sequence[Array],
    features: Sequence[Array],
    labels: NDArray[np.integer],
    best: Sequence[NDArray[np.integer]],
    clusters: int,
    lower: str = "spectral",
) -> xr.Dataset:
    """WCSS of the known classes, with and without its scale, and the TCV bracket, of every space.

    Parameters
    ----------
    spaces, labels, clusters
        As in `best_partitions`: features and targets side by side.
    features : sequence of (cells, points, n_k) arrays
        z^k alone.
    best : sequence of (cells, points) integer arrays
        The best partition found in each space.
    lower : {"spectral", "semidefinite"}
        The bound below the TCV; the semidefinite one is the larger of both.
    """
    dims, known = ("cell", "source"), [labels] * len(spaces)
    dataset = xr.Dataset(
        {
            "wcss_class": (dims, _of_cells(wcss, spaces, known)),
            "wcss_share": (dims, _of_cells(wcss_share, features, known)),
            "nc1": (dims, _of_cells(nc1, features, known)),
            "tcv_lower": (dims, np.stack([_tcv_lower(space, clusters, lower) for space in spaces], 1)),
            "tcv_upper": (dims, _of_cells(wcss, spaces, best)),
        },
        {"source": sources_of(len(spaces))},
    )
    return describe(
        dataset,
        wcss_class={"long_name": "WCSS of features and targets in the known classes", "reference": "eq. 6"},
        wcss_share={
            "long_name": "WCSS of the features in the known classes over their variance",
            "comment": "no scale: 0 where classes are points; missing where all features are one",
        },
        nc1={
            "long_name": "NC1, trace of within-class covariance times inverse of between-class, over K",
            "reference": "Papyan, Han & Donoho 2020",
            "comment": "of the features; no scale and no shape; missing where all class means are one",
        },
        tcv_lower={"long_name": f"TCV of features and targets, {lower} lower bound", "reference": "eq. 7"},
        tcv_upper={"long_name": "TCV of features and targets, best partition found", "reference": "eq. 7"},
    )


def _of_cells(
    measure: Callable[[Array, NDArray[np.integer]], Array],
    spaces: Sequence[Array],
    partitions: Sequence[NDArray[np.integer]],
) -> Array:
    """A measure of every cell's points in a partition of each space, (cells, sources)."""
    of_spaces = zip(spaces, partitions, strict=True)
    return np.array([[measure(*of_cell) for of_cell in zip(*pair, strict=True)] for pair in of_spaces]).T


def _tcv_lower(space: Array, clusters: int, kind: str) -> Array:
    spectral = tcv_lower(space, clusters)
    if kind == "spectral":
        return spectral
    return np.maximum(spectral, [tcv_lower_semidefinite(points, clusters) for points in space])
