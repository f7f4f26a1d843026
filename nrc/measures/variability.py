"""Within-class variability of every hidden space: WCSS of the classes, and the bracket of the TCV."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from nrc.labels import describe
from nrc.measures.coordinates import sources_of
from nrc.theory.clusters import best_partition, tcv_lower, tcv_lower_semidefinite
from nrc.theory.wcss import wcss

__all__ = ["best_partitions", "variability"]

Array = NDArray[np.float64]


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
        {"source": sources_of(len(spaces))},
    )
    return describe(
        dataset,
        wcss_class={"long_name": "WCSS of features and targets in the known classes", "reference": "eq. 6"},
        tcv_lower={"long_name": f"TCV of features and targets, {lower} lower bound", "reference": "eq. 7"},
        tcv_upper={"long_name": "TCV of features and targets, best partition found", "reference": "eq. 7"},
    )


def _wcss_of_cells(space: Array, labels: NDArray[np.integer]) -> Array:
    return np.array([wcss(points, partition) for points, partition in zip(space, labels, strict=True)])


def _tcv_lower(space: Array, clusters: int, kind: str) -> Array:
    spectral = tcv_lower(space, clusters)
    if kind == "spectral":
        return spectral
    return np.maximum(spectral, [tcv_lower_semidefinite(points, clusters) for points in space])
