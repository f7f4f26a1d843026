"""Cells and stacks: the points of a grid, and how their values are written."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # the Snakefile reads this module too, and should not wait for xarray
    import xarray as xr

__all__ = ["AXES", "Axis", "Cell", "Stack", "notation", "number", "spaced"]

Value = float | int
# A value for every axis, an int where the axis has whole numbers.
Cell = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """What varies between cells.

    Attributes
    ----------
    long_name, symbol : str
        For files and figures.
    least, most : float
        Smallest and largest value allowed.
    integer : bool
    stackable : bool
        Whether one tensor program can extend along it: networks that differ in width or depth
        have tensors of different shapes.

    Examples
    --------
    >>> AXES["width"].integer, AXES["width"].stackable
    (True, False)
    """

    long_name: str
    symbol: str
    least: int = 0
    most: float = math.inf
    integer: bool = False
    stackable: bool = True


AXES = {
    "weight_decay": Axis("weight decay lambda", r"\lambda"),
    "sigma": Axis("noise level sigma", r"\sigma"),
    "width": Axis("width of the hidden layers", "n", least=1, integer=True, stackable=False),
    "depth": Axis("number of weight matrices L", "L", least=1, integer=True, stackable=False),
    "seed": Axis("seed of the data and of the initial weights", "seed", most=2**32 - 1, integer=True),
}


def spaced(start: float, stop: float, count: int, scale: str) -> list[float]:
    """`count` values from start to stop, both included.

    Parameters
    ----------
    scale : {"log", "linear"}
        Geometric or arithmetic spacing. Inner values are rounded to six significant digits, so
        that they can be written down.

    Examples
    --------
    >>> spaced(0.001, 1.0, 4, "log")
    [0.001, 0.01, 0.1, 1.0]
    """
    values = (np.geomspace if scale == "log" else np.linspace)(start, stop, count)
    inner = [float(f"{value:.6g}") for value in values]
    return [start, *inner[1:-1], stop] if count > 1 else [start]


def notation(value: Value) -> str:
    """The one way to write a value in a path: the shortest decimal that reads back the same.

    Examples
    --------
    >>> notation(0.10), notation(3.0), notation(1e-5)
    ('0.1', '3', '1e-05')
    """
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e16 else repr(float(value))


def number(axis: str, text: str) -> Value:
    """Read a value of an axis.

    Raises
    ------
    ValueError
        If it is no number, not allowed on this axis, or not in the one notation.

    Examples
    --------
    >>> number("width", "64")
    64
    >>> number("sigma", "0.10")
    Traceback (most recent call last):
        ...
    ValueError: sigma '0.10' is written '0.1'
    """
    rule = AXES[axis]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < rule.least or (rule.integer and not value.is_integer()):
        kind = "a whole number" if rule.integer else "a number"
        raise ValueError(f"{axis} {text!r} is not {kind} of at least {rule.least}")
    if value > rule.most:
        raise ValueError(f"{axis} {text!r} is more than {rule.most}, the largest allowed")
    if notation(value) != text:
        raise ValueError(f"{axis} {text!r} is written {notation(value)!r}")
    return int(value) if rule.integer else value


@dataclass(frozen=True)
class Stack:
    """The cells that train together.

    Attributes
    ----------
    axes : mapping
        For every axis a value, or the list of values along which the stack extends.

    Raises
    ------
    ValueError
        If it extends along width or depth.

    Examples
    --------
    >>> stack = Stack({"weight_decay": [0.01, 0.1], "sigma": 0.5, "width": 8, "depth": 2, "seed": 0})
    >>> stack.dims, stack.shape
    (('weight_decay',), (2,))
    >>> [cell["weight_decay"] for cell in stack.cells()]
    [0.01, 0.1]
    """

    axes: Mapping[str, Value | list[Value]]

    def __post_init__(self) -> None:
        for axis in ("width", "depth"):
            if isinstance(self.axes[axis], list):
                raise ValueError(
                    f"stack: {axis} is {self.axes[axis]}, but networks of a stack have one {axis}"
                )

    @property
    def dims(self) -> tuple[str, ...]:
        """The axes along which the stack extends."""
        return tuple(axis for axis in AXES if isinstance(self.axes[axis], list))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(self.values(axis)) for axis in self.dims)

    @property
    def coords(self) -> dict[str, tuple[Any, ...]]:
        """Coordinates of a dataset of this stack: dimensions for stacked axes, else scalars."""
        return {
            axis: (
                axis if axis in self.dims else (),
                value,
                {"long_name": AXES[axis].long_name, "units": "1"},
            )
            for axis, value in self.axes.items()
        }

    @property
    def seeds(self) -> list[int]:
        return [int(seed) for seed in self.values("seed")]

    @property
    def width(self) -> int:
        """Width of the hidden layers, the same in all cells."""
        (width,) = self.values("width")
        return int(width)

    @property
    def depth(self) -> int:
        """Number of weight matrices, the same in all cells."""
        (depth,) = self.values("depth")
        return int(depth)

    def values(self, axis: str) -> list[Value]:
        """The values of an axis: one where the stack does not extend along it."""
        value = self.axes[axis]
        return value if isinstance(value, list) else [value]

    def cells(self) -> Iterator[Cell]:
        """The cells in row-major order of `dims`, each a value for every axis."""
        for values in product(*map(self.values, AXES)):
            yield dict(zip(AXES, values, strict=True))

    def __len__(self) -> int:
        return math.prod(self.shape)

    @classmethod
    def of(cls, dataset: "xr.Dataset") -> "Stack":
        """The stack that a dataset describes by its coordinates."""
        return cls({axis: dataset.coords[axis].values.tolist() for axis in AXES})
