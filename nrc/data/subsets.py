"""Subsets of images with equally many points of each class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrc.random_streams import Stream, generator

__all__ = ["balanced", "balanced_subsets"]


def balanced(points: int, classes: int) -> NDArray[np.int64]:
    """Number of points of each class in a balanced subset, (classes,).

    Examples
    --------
    >>> balanced(5, classes=3).tolist()
    [2, 2, 1]
    """
    return np.full(classes, points // classes) + (np.arange(classes) < points % classes)


def balanced_subsets(
    labels: NDArray[np.integer], sizes: Sequence[int | None], seed: int, classes: int
) -> list[NDArray[np.int64]]:
    """Disjoint subsets of points, each with equally many points per class, up to one.

    Parameters
    ----------
    labels : (points,) integer array
    sizes : sequence of int or None
        Number of points of each subset; None for all points that are left, balanced or not.
    seed : int
    classes : int
        Labels are 0 to classes - 1.

    Returns
    -------
    list of arrays
        Positions of the points of each subset, ascending.

    Raises
    ------
    ValueError
        If a class has too few points.

    Examples
    --------
    >>> labels = np.repeat(np.arange(10, dtype=np.uint8), 3)
    >>> train, test = balanced_subsets(labels, [20, None], seed=0, classes=10)
    >>> labels[train].tolist()
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
    >>> labels[test].tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    rng = generator(seed, Stream.IMAGES)
    members = [rng.permutation(np.flatnonzero(labels == label)) for label in range(classes)]
    subsets = []
    for size in sizes:
        shares = [len(m) for m in members] if size is None else balanced(size, classes).tolist()
        short = [label for label, share in enumerate(shares) if share > len(members[label])]
        if short:
            raise ValueError(
                f"a subset of {size} points needs more images of class {short[0]} than the "
                f"{len(members[short[0]])} left; ask for fewer points"
            )
        subsets.append(np.sort(np.concatenate([m[:s] for m, s in zip(members, shares, strict=True)])))
        members = [m[s:] for m, s in zip(members, shares, strict=True)]
    return subsets
