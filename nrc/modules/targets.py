"""Targets of the loss and classes of points, from what users pass."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc.modules.losses import ModuleLoss
from nrc.modules.user_arrays import Rows, tensor_of_rows, values_of

__all__ = ["Targets", "check_finite", "classes_of", "targets_of"]

# Sums of distributions over classes are 1 up to rounding.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Targets:
    """Real targets of points; classes become distributions over the outputs batch by batch.

    Attributes
    ----------
    values : Tensor
        Classes (points,) or, of positions such as tokens and pixels, (points, ...); or real targets
        (points, ...).
    outputs : int, optional
        The number of outputs, if the values are classes.
    axis : int
        The axis of the classes in the outputs of the model; in the targets it is the first after the points.
    ignored : int, optional
        The class of positions that do not count, whose targets are 0.

    Examples
    --------
    >>> Targets(torch.tensor([2, 0]), 3)[0:1].tolist()
    [[0.0, 0.0, 1.0]]
    >>> Targets(torch.tensor([[1, -100]]), 2, ignored=-100)[0:1].tolist()
    [[[0.0, 0.0], [1.0, 0.0]]]
    """

    values: Tensor
    outputs: int | None = None
    axis: int = 1
    ignored: int | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> Tensor:
        values = self.values[rows]
        if self.outputs is None:
            return values.double()
        counted = torch.ones_like(values) if self.ignored is None else values != self.ignored
        found = torch.zeros(len(values), self.outputs, *values.shape[1:], dtype=torch.float64)
        return found.scatter_(1, (values * counted)[:, None], counted[:, None].double())

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the target of a point."""
        inner = tuple(self.values.shape[1:])
        return inner if self.outputs is None else (self.outputs, *inner)

    def beside(self, output: Tensor) -> Tensor:
        """The outputs with their axes in the order of the targets."""
        return output if self.axis == 1 else output.movedim(self.axis, 1)

    @property
    def classes(self) -> Tensor | None:
        return None if self.outputs is None else self.values


def classes_of(values: Rows) -> NDArray[Any] | None:
    """The class of each point, (points,), from integers, truth values, text, whole numbers or one-hot rows.

    None if the values are none of these.

    Examples
    --------
    >>> classes_of(np.array([[0.0, 1.0], [1.0, 0.0]])).tolist(), classes_of(np.array([2.0, 5.0])).tolist()
    ([1, 0], [2, 5])
    >>> classes_of(np.array([0.5, 1.0])) is None
    True
    """
    found = values_of(values)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.dtype.kind == "b":
        found = found.astype(np.int64)
    if found.ndim == 2 and found.dtype.kind in "iuf":
        ones = (found == 1).sum(1) == 1
        return found.argmax(1) if ones.all() and ((found == 0) | (found == 1)).all() else None
    if found.ndim != 1:
        return None
    if found.dtype.kind == "f" and np.isfinite(found).all() and (found == np.round(found)).all():
        return found.astype(np.int64)
    if found.dtype.kind == "O" and all(isinstance(value, str) for value in found):
        return found.astype(str)
    return found if found.dtype.kind in "iuUS" else None


def check_finite(name: str, values: NDArray[Any]) -> None:
    """Check that all numbers are finite.

    Raises
    ------
    ValueError
        With the first point that has another number.

    Examples
    --------
    >>> check_finite("y", np.array([0.0, np.nan]))
    Traceback (most recent call last):
    ValueError: y has values that are not finite, the first at point 1; every number must be
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        place = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise ValueError(
            f"{name} has values that are not finite, the first at point {place}; every number must be"
        )


def targets_of(y: Rows, loss: ModuleLoss, output: Tensor) -> Targets:
    """Targets that fit the loss, and outputs (few, ...) of some points.

    Raises
    ------
    TypeError, ValueError

    Examples
    --------
    >>> from nrc.modules.losses import loss_of
    >>> targets_of(np.array([0, 2]), loss_of("cross_entropy"), torch.zeros(1, 2))
    Traceback (most recent call last):
    ValueError: y: classes must be in 0..1 for 2 outputs, but point 1 has class 2; a class \
is the number of its output
    """
    values = values_of(y)
    if values.dtype.kind not in "biuf":
        raise TypeError(
            f"y is an array of {values.dtype}, but must be numbers; give classes the numbers of outputs"
        )
    check_finite("y", values)
    if loss.takes == "classes":
        return _classes_or_distributions(values, loss, output)
    return _numbers(values, loss, output)


def _classes_or_distributions(values: NDArray[Any], loss: ModuleLoss, output: Tensor) -> Targets:
    shape = tuple(output.shape[1:])
    if values.ndim == output.ndim - 1 > 1:
        return _classes_of_positions(values, loss, output)
    if shape in ((), (1,)):
        raise ValueError(
            f"loss: {loss.name} needs an output for each class, but the model has one output; pass "
            'loss="binary_cross_entropy" for classes 0 and 1'
        )
    if len(shape) == 1 and (values.ndim == 1 or values.shape[1:] == (1,)):
        classes = classes_of(values)
        if classes is None:
            raise ValueError(
                "y: classes must be whole numbers; or pass distributions over them, (points, classes)"
            )
        _check_range(classes, shape[0])
        return Targets(tensor_of_rows(classes).long(), shape[0])
    if len(shape) != 1 or values.shape[1:] != shape:
        raise ValueError(_misfit(values, shape, loss))
    if (values < 0).any() or (abs(values.sum(1, dtype=np.float64) - 1) > TOLERANCE).any():
        raise ValueError(f"y: real targets of {loss.name} must be distributions, at least 0 with a sum of 1")
    return Targets(tensor_of_rows(values))


def _classes_of_positions(values: NDArray[Any], loss: ModuleLoss, output: Tensor) -> Targets:
    """The classes are the second axis of the outputs, as in torch, or the last, as in language models."""
    shapes = {1: tuple(output.shape[2:]), output.ndim - 1: tuple(output.shape[1:-1])}
    axes = [axis for axis, shape in shapes.items() if shape == values.shape[1:]]
    if len(axes) != 1:
        fault = (
            "both the second and the last axis can be of" if axes else "neither the second nor the last is of"
        )
        raise ValueError(
            f"y has classes of positions of shape {values.shape[1:]}, but the model has outputs of shape "
            f"{tuple(output.shape[1:])}, of which {fault} classes; pass distributions over classes and a "
            "function as loss"
        )
    outputs = output.shape[axes[0]]
    if values.dtype.kind not in "biu":
        raise ValueError(f"y: classes of positions must be integers, not {values.dtype}")
    _check_range(values, outputs, loss.ignored)
    return Targets(tensor_of_rows(values).long(), outputs, axes[0], loss.ignored)


def _check_range(classes: NDArray[Any], outputs: int, ignored: int | None = None) -> None:
    outside = ((classes < 0) | (classes >= outputs)) & (classes != ignored)
    if outside.any():
        place = tuple(np.argwhere(outside)[0])
        advice = (
            "number them from 0, as y - 1" if classes.min() == 1 else "a class is the number of its output"
        )
        raise ValueError(
            f"y: classes must be in 0..{outputs - 1} for {outputs} outputs, but point {place[0]} has class "
            f"{classes[place]}; {advice}"
        )


def _numbers(values: NDArray[Any], loss: ModuleLoss, output: Tensor) -> Targets:
    shape, integers = tuple(output.shape[1:]), values.dtype.kind in "biu"
    if loss.takes == "anything":
        if integers:
            raise TypeError(
                "y: integers are classes, but a function of outputs and targets is also evaluated at mean "
                "targets; pass real targets, as torch.nn.functional.one_hot(y).double()"
            )
        return Targets(tensor_of_rows(values))
    if sorted((values.shape[1:], shape)) == [(), (1,)]:
        values = values.reshape(len(values), *shape)
    if values.shape[1:] != shape:
        raise ValueError(_misfit(values, shape, loss))
    if loss.binary and ((values < 0) | (values > 1)).any():
        raise ValueError(
            f"y: targets of {loss.name} must be in 0..1, but one is {values[(values < 0) | (values > 1)][0]}"
        )
    return Targets(tensor_of_rows(values))


def _misfit(values: NDArray[Any], shape: tuple[int, ...], loss: ModuleLoss) -> str:
    line = f"y: targets of shape {values.shape[1:]} do not fit outputs of shape {shape} under {loss.name}"
    if loss.takes == "numbers" and values.ndim == 1 and values.dtype.kind in "biu" and len(shape) == 1:
        line += f"; of classes pass torch.nn.functional.one_hot(y, {shape[0]})"
    return line
