"""What a user gives of a network and its data, checked and brought into one form."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nrc.measured_module import MeasuredModule
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
    "weight_decay_of",
]

# Inputs or targets, a row each.
Points = NDArray[Any] | Tensor

# Multiplications and additions of an exact SVD beyond which one must ask for it: a minute or more.
COSTLY = 1e12
# Singular values that the randomized one finds.
LEADING = 256


def check_module(model: Any) -> None:
    """See to it that a model is a module.

    Raises
    ------
    TypeError
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}, but must be a torch.nn.Module")


def check_mode(model: nn.Module) -> None:
    """See to it that a module and all in it are in eval mode.

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
            called = name or type(model).__name__
            raise ValueError(f"model: {called} is in training mode; call model.eval() first")


def check_loss(loss: Any) -> None:
    """See to it that a loss is a name, or a function.

    Raises
    ------
    TypeError, ValueError
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"loss is {loss!r}, but must be {' or '.join(LOSSES)}, or a function")
    elif not callable(loss):
        raise TypeError(
            f"loss is a {type(loss).__name__}, but must be a name or a function of outputs and targets"
        )


def count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """An integer in a range, up to the number of points.

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
    if value < least:
        raise ValueError(f"{name} is {value}, but must be at least {least}")
    if most is not None and value > most:
        raise ValueError(f"{name} is {value}, but there are {most} points")
    return int(value)


def data_of(x: Any) -> Points:
    """Inputs (points, ...), a tensor or an array, as they are.

    Raises
    ------
    TypeError, ValueError
        If they are no numbers, or no rows.
    """
    points: Points = x if isinstance(x, Tensor) else np.asanyarray(x)
    _check_numbers("x", points)
    if points.ndim < 2 or len(points) == 0:
        raise ValueError(f"x has shape {tuple(points.shape)}, but must be (points, ...), with a row a point")
    return points


def labels_of(labels: Any, y: Any, clusters: int | None, points: int) -> NDArray[np.int64] | None:
    """The known class of each point, 0, ..., K-1; those of y if it holds classes and nothing else is given.

    Raises
    ------
    TypeError, ValueError
        If there is not one class a point, a number is left out, or there is one class only.

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
        raise TypeError(f"{name} are {found.dtype}, but must be integers, the class of each point")
    if found.shape != (points,):
        raise ValueError(f"{name} have shape {found.shape}, but must have ({points},), a class a point of x")
    present = np.unique(found)
    if present[0] < 0:
        raise ValueError(f"{name} must be 0, 1, ..., K-1, but one is {present[0]}")
    if len(gaps := np.flatnonzero(present != np.arange(len(present)))):
        raise ValueError(f"{name} must be 0, 1, ..., K-1 with a point of each, but no point has {gaps[0]}")
    if len(present) == 1:
        raise ValueError(f"{name} are all {present[0]}, but there must be points of two classes at least")
    return found.astype(np.int64)


def clusters_of(labels: NDArray[np.int64] | None, clusters: Any, points: int) -> int:
    """K, that of the labels if there are any.

    Raises
    ------
    TypeError, ValueError
        If it is not known, contradicts the labels, or is not in 2..N.
    """
    if clusters is not None:
        clusters = count("clusters", clusters, least=2, most=points)
    if labels is None:
        if clusters is None:
            raise ValueError("clusters: give their number, or labels, or classes as y, which are integers")
        return int(clusters)
    classes = int(labels.max()) + 1
    if clusters not in (None, classes):
        raise ValueError(f"clusters is {clusters}, but labels are of {classes} classes; leave one out")
    return classes


def targets_of(y: Any, labels: NDArray[np.int64] | None, points: int) -> Tensor:
    """Classes (points,) or real targets (points, ...), the labels if none are given.

    Raises
    ------
    TypeError, ValueError
        If there are none, not one a point, or one is no number or not finite.
    """
    if y is None:
        if labels is None:
            raise ValueError("y: give targets, or labels that are classes")
        return torch.from_numpy(labels)
    _check_numbers("y", _array(y))
    found = torch.tensor(_array(y))
    if found.ndim == 0 or len(found) != points:
        shape = tuple(found.shape)
        raise ValueError(f"y has shape {shape}, but must have ({points}, ...), a target a point of x")
    if not found.is_floating_point():
        return found.long()
    if not found.isfinite().all():
        raise ValueError("y has values that are not finite; every number must be")
    return found.double()


def weight_decay_of(seen: MeasuredModule, given: Any) -> NDArray[np.float64]:
    """lambda of each layer, (1, layers).

    Raises
    ------
    TypeError, ValueError
        If one is no number, negative, or of no parameter.
    """
    by_name = given if isinstance(given, Mapping) else dict.fromkeys(seen.parameters, given)
    for name, value in by_name.items():
        if name not in seen.parameters:
            like = next(iter(seen.parameters))
            raise ValueError(f"weight_decay: {name!r} is no parameter of the model; one is {like!r}")
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"weight_decay is {value!r}, but must be a number, or a number by parameter name")
        if not 0 <= float(value) < np.inf:
            raise ValueError(f"weight_decay is {value}, but must be finite and at least 0")
    decays = [[by_name[name] for name in of if name in by_name] for of in seen.parameters_of_layers]
    return np.array([[float(of[0]) if of else 0.0 for of in decays]])


def leading(names: Sequence[str], weights: Sequence[Tensor], svd: str | None) -> int | None:
    """How many singular values are found of each layer, None for all.

    Raises
    ------
    ValueError
        If a layer is so large that one must choose.

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
                f'{operations:.1e} operations, a minute or more of a processor; choose svd="exact", or '
                f'svd="randomized" for the {LEADING} largest'
            )
    return None


def _check_numbers(name: str, values: Points) -> None:
    if not isinstance(values, Tensor) and values.dtype.kind not in "biuf":
        raise TypeError(f"{name} is an array of {values.dtype}, but must be one of real numbers")


def _are_integers(values: Any) -> bool:
    return _array(values).dtype.kind in "iu"


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
