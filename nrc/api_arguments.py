"""Checks and conversions of the arguments of `nrc.measure`, `nrc.spectra` and `nrc.Recorder`."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from nrc.modules.losses import ModuleLoss
from nrc.modules.targets import check_finite, classes_of
from nrc.modules.user_arrays import Rows, array_of, values_of

__all__ = [
    "check_mode",
    "check_module",
    "clusters_of",
    "count",
    "counted",
    "known_classes",
    "labels_of",
    "leading",
    "names_of",
    "patterns_of",
    "rows_of_points",
]

# Operations of an exact SVD beyond which it must be requested: they take a minute or more.
COSTLY = 1e12
# Singular values that the randomized SVD computes.
LEADING = 256


def check_module(model: Any) -> None:
    """Check that a model is a module.

    Raises
    ------
    TypeError
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}, but must be a torch.nn.Module")


def check_mode(model: nn.Module) -> None:
    """Check that a module and its children are in eval mode.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_mode(torch.nn.Linear(2, 2))
    Traceback (most recent call last):
    ValueError: model: Linear is in training mode; call model.eval() first
    """
    for name, module in model.named_modules():
        if module.training:
            place = name or type(model).__name__
            raise ValueError(f"model: {place} is in training mode; call model.eval() first")


def count(name: str, value: Any, smallest: int = 1, points: int | None = None) -> int:
    """An integer of at least `smallest` and, if the number of points is given, at most that.

    Raises
    ------
    TypeError, ValueError

    Examples
    --------
    >>> count("restarts", 3)
    3
    >>> count("restarts", 0)
    Traceback (most recent call last):
    ValueError: restarts is 0, but must be at least 1
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is {value!r}, but must be an integer")
    if value < smallest:
        raise ValueError(f"{name} is {value}, but must be at least {smallest}")
    if points is not None and value > points:
        raise ValueError(f"{name} is {value}, but must be at most {points}, the number of points")
    return int(value)


def rows_of_points(name: str, values: Any, points: int) -> Rows:
    """Targets or labels as an array with a row for each point.

    Raises
    ------
    TypeError, ValueError
    """
    found = array_of(name, values)
    if found.ndim == 0 or found.shape[0] != points:
        shape = tuple(found.shape)
        raise ValueError(f"{name} has shape {shape}, but must have ({points}, ...), one row per point of x")
    return found


def counted(y: Rows, loss: ModuleLoss) -> NDArray[np.int64] | None:
    """The points whose class the loss does not ignore; None for all.

    Raises
    ------
    ValueError
        If there is no such point.
    """
    if loss.ignored is None or values_of(y[:1]).size > 1 or (classes := classes_of(y)) is None:
        return None
    if (classes != loss.ignored).all():
        return None
    rows = np.flatnonzero(classes != loss.ignored)
    if not len(rows):
        raise ValueError(f"y: all points have the class {loss.ignored}, which {loss.name} ignores")
    return rows


def labels_of(name: str, labels: Any, points: int) -> NDArray[np.int64]:
    """The class of each point, 0, ..., K-1, in the order of the values that are there.

    Raises
    ------
    TypeError, ValueError
        If there is not one class per point, or there is only one class.

    Examples
    --------
    >>> labels_of("labels", ["dog", "cat", "dog"], 3).tolist(), labels_of("labels", [2, 5, 7.0], 3).tolist()
    ([1, 0, 1], [0, 1, 2])
    """
    given = rows_of_points(name, labels, points)
    found = classes_of(given)
    if found is None:
        check_finite(name, values_of(given))
        raise TypeError(
            f"{name} are an array of {given.dtype} of shape {tuple(given.shape)}, but must be the "
            "class of each point: whole numbers, truth values, words or one-hot rows"
        )
    present, numbers = np.unique(found, return_inverse=True)
    if present.dtype.kind in "iu" and present[0] < 0:
        raise ValueError(
            f"{name}: one is {present[0]}, but a class is at least 0; leave such points out, or number "
            "the classes from 0"
        )
    if len(present) == 1:
        raise ValueError(f"{name} are all {present[0]}, but must be of at least two classes")
    return numbers.astype(np.int64)


def known_classes(
    labels: Any, y: Rows | None, clusters: int | None, loss: ModuleLoss, points: int
) -> NDArray[np.int64] | None:
    """The class of each point: the labels, or y if it holds classes and no clusters are given.

    Raises
    ------
    TypeError, ValueError
    """
    if labels is not None:
        return labels_of("labels", labels, points)
    if clusters is not None or y is None:
        return None
    alone = values_of(y[:1]).size == 1  # numbers that are alone are classes under a loss of classes only
    if alone and loss.takes != "classes" and not loss.binary:
        return None
    if classes_of(y) is None and not (alone and loss.takes == "classes"):
        if loss.takes == "classes" and values_of(y[:1]).dtype.kind in "biu":
            raise ValueError(
                "y has a class for each position of a point, which are no clusters of points; pass their "
                "number as clusters, or the class of each point as labels"
            )
        return None
    return labels_of("y", y, points)


def clusters_of(labels: NDArray[np.int64] | None, clusters: Any, points: int) -> int:
    """K, from the labels if there are any.

    Raises
    ------
    TypeError, ValueError
        If it is unknown, contradicts the labels, or is not in 2..N.
    """
    if clusters is not None:
        clusters = count("clusters", clusters, smallest=2, points=points)
    if labels is None:
        if clusters is None:
            raise ValueError("clusters: pass their number, or labels, or classes as y")
        return int(clusters)
    classes = int(labels.max()) + 1
    if clusters not in (None, classes):
        raise ValueError(f"clusters is {clusters}, but labels have {classes} classes; pass only one of them")
    return classes


def leading(names: Sequence[str], weights: Sequence[Tensor], svd: str | None) -> int | None:
    """The number of singular values to compute of each layer, None for all.

    Raises
    ------
    ValueError
        If a layer is so large that the method must be chosen.

    Examples
    --------
    >>> leading(["fc"], [torch.empty(1, 512, 512)], None)
    >>> leading(["fc"], [torch.empty(1, 512, 512)], "randomized")
    256
    """
    if svd not in (None, "exact", "randomized"):
        raise ValueError(f"svd is {svd!r}, but must be 'exact' or 'randomized'")
    if svd == "randomized":
        return LEADING
    for name, w in zip(names, weights, strict=True):
        small, large = sorted(w.shape[1:])
        if (operations := 4 * large * small**2) > COSTLY and svd is None:
            raise ValueError(
                f"svd: layer {name} is {w.shape[1]} x {w.shape[2]}, and its exact singular values take "
                f'{operations:.1e} operations, a minute or more; choose svd="exact", or svd="randomized" for '
                f"the {LEADING} largest"
            )
    return None


def patterns_of(leave_out: Any) -> tuple[str, ...]:
    """Names or patterns, from one or several.

    Raises
    ------
    TypeError

    Examples
    --------
    >>> patterns_of("*.attn.*")
    ('*.attn.*',)
    """
    return names_of("leave_out", leave_out, "names or patterns of layers")


def names_of(name: str, given: Any, allowed: str) -> tuple[str, ...]:
    """One or several names.

    Raises
    ------
    TypeError

    Examples
    --------
    >>> names_of("sources", 3, "names of modules")
    Traceback (most recent call last):
    TypeError: sources is 3, but must be names of modules
    """
    several = isinstance(given, Iterable) and not isinstance(given, str)
    found = tuple(given) if several else (given,)
    if not all(isinstance(own, str) for own in found):
        raise TypeError(f"{name} is {given!r}, but must be {allowed}")
    return found
