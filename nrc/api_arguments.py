"""Checks and conversions of the arguments of `nrc.measure`, `nrc.spectra` and `nrc.Recorder`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nrc.networks.losses import LOSSES

__all__ = [
    "check_loss",
    "check_mode",
    "check_module",
    "clusters_of",
    "count",
    "data_of",
    "labels_of",
    "leading",
    "targets_of",
]

# Inputs or targets, one row per point.
Points = NDArray[Any] | Tensor

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


def check_loss(loss: Any) -> None:
    """Check that a loss is a name or a function.

    Raises
    ------
    TypeError, ValueError
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"loss is {loss!r}, but must be {', '.join(LOSSES)} or a function")
    elif not callable(loss):
        raise TypeError(
            f"loss is a {type(loss).__name__}, but must be a name or a function of outputs and targets"
        )


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


def data_of(x: Any) -> Points:
    """Inputs (points, ...) as a tensor or an array.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers, or not one row per point.
    """
    points: Points = x if isinstance(x, Tensor) else np.asanyarray(x)
    _check_numbers("x", points)
    if points.ndim < 2 or len(points) == 0:
        raise ValueError(f"x has shape {tuple(points.shape)}, but must be (points, ...), one row per point")
    return points


def labels_of(labels: Any, y: Any, clusters: int | None, points: int) -> NDArray[np.int64] | None:
    """The known class of each point, 0, ..., K-1; y if it holds classes and no clusters are given.

    Raises
    ------
    TypeError, ValueError
        If there is not one class per point, a class has no point, or there is only one class.

    Examples
    --------
    >>> labels_of([0, 0, 2], None, None, 3)
    Traceback (most recent call last):
    ValueError: labels must be 0, 1, ..., K-1 with a point of each, but no point has 1
    """
    name = "labels"
    if labels is None:
        if clusters is not None or y is None or not _are_integers(y):
            return None
        name, labels = "y", y
    found = _array(labels)
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} have type {found.dtype}, but must be integers, the class of each point")
    if found.shape != (points,):
        raise ValueError(
            f"{name} have shape {found.shape}, but must have ({points},), one class per point of x"
        )
    present = np.unique(found)
    if present[0] < 0:
        raise ValueError(f"{name} must be 0, 1, ..., K-1, but one is {present[0]}")
    if len(gaps := np.flatnonzero(present != np.arange(len(present)))):
        raise ValueError(f"{name} must be 0, 1, ..., K-1 with a point of each, but no point has {gaps[0]}")
    if len(present) == 1:
        raise ValueError(f"{name} are all {present[0]}, but must be of at least two classes")
    return found.astype(np.int64)


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
            raise ValueError("clusters: pass their number, or labels, or integer classes as y")
        return int(clusters)
    classes = int(labels.max()) + 1
    if clusters not in (None, classes):
        raise ValueError(f"clusters is {clusters}, but labels have {classes} classes; pass only one of them")
    return classes


def targets_of(y: Any, labels: NDArray[np.int64] | None, points: int) -> Tensor:
    """Classes (points,) or real targets (points, ...), by default the labels.

    Raises
    ------
    TypeError, ValueError
        If there are none, there is not one per point, or a value is not a finite number.
    """
    if y is None:
        if labels is None:
            raise ValueError("y: pass targets, or labels as classes")
        return torch.from_numpy(labels)
    _check_numbers("y", _array(y))
    found = torch.tensor(_array(y))
    if found.ndim == 0 or len(found) != points:
        shape = tuple(found.shape)
        raise ValueError(f"y has shape {shape}, but must have ({points}, ...), one target per point of x")
    if not found.is_floating_point():
        return found.long()
    if not found.isfinite().all():
        raise ValueError("y has values that are not finite; every number must be")
    return found.double()


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


def _check_numbers(name: str, values: Points) -> None:
    if not isinstance(values, Tensor) and values.dtype.kind not in "biuf":
        raise TypeError(f"{name} is an array of {values.dtype}, but must be an array of real numbers")


def _are_integers(values: Any) -> bool:
    return _array(values).dtype.kind in "iu"


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
