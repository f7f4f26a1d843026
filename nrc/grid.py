"""Cells and stacks of a grid, and the notation of their values in paths."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from nrc.text import listed

if TYPE_CHECKING:  # the Snakefile imports this module, and xarray is slow to import
    import xarray as xr

__all__ = ["AXES", "Axis", "Cell", "Stack", "notation", "number", "spaced"]

Value = float | int
# A value for each axis, an int if the axis has whole numbers.
Cell = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """An axis of the grid.

    Attributes
    ----------
    long_name, symbol : str
        Names in files and in figures.
    smallest, largest : float
        Smallest and largest allowed value.
    integer : bool
        Whether values are whole numbers.
    stackable : bool
        Whether a stack can extend along it. Networks that differ in width or depth have tensors of different
        shapes and cannot be stacked.

    Examples
    --------
    >>> AXES["width"].integer, AXES["width"].stackable
    (True, False)
    """

    long_name: str
    symbol: str
    smallest: int = 0
    largest: float = math.inf
    integer: bool = False
    stackable: bool = True


AXES = {
    "weight_decay": Axis("weight decay lambda", r"\lambda"),
    "sigma": Axis("noise level sigma", r"\sigma"),
    "width": Axis("width of the hidden layers", "n", smallest=1, integer=True, stackable=False),
    "depth": Axis("number of weight matrices L", "L", smallest=1, integer=True, stackable=False),
    "seed": Axis("seed of the data and of the initial weights", "seed", largest=2**32 - 1, integer=True),
}


def spaced(start: float, stop: float, count: int, scale: str) -> list[float]:
    """`count` values from start to stop, both included.

    Parameters
    ----------
    scale : {"log", "linear"}
        Geometric or arithmetic spacing. Inner values are rounded to six significant digits to have short
        notations.

    Examples
    --------
    >>> spaced(0.001, 1.0, 4, "log")
    [0.001, 0.01, 0.1, 1.0]
    """
    values = (np.geomspace if scale == "log" else np.linspace)(start, stop, count)
    inner = [float(f"{value:.6g}") for value in values]
    return [start, *inner[1:-1], stop] if count > 1 else [start]


def notation(value: Value) -> str:
    """The notation of a value in a path, the shortest decimal number that is read as the same value.

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
        If it is not a number, not allowed on this axis, or not in this notation.

    Examples
    --------
    >>> number("width", "64")
    64
    >>> number("sigma", "0.10")
    Traceback (most recent call last):
        ...
    ValueError: sigma is '0.10', but must be written '0.1'
    """
    rule = AXES[axis]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < rule.smallest or (rule.integer and not value.is_integer()):
        kind = "a whole number" if rule.integer else "a number"
        raise ValueError(f"{axis} is {text!r}, but must be {kind} of at least {rule.smallest}")
    if value > rule.largest:
        raise ValueError(f"{axis} is {text!r}, but must be at most {rule.largest}")
    if notation(value) != text:
        raise ValueError(f"{axis} is {text!r}, but must be written {notation(value)!r}")
    return int(value) if rule.integer else value


@dataclass(frozen=True)
class Stack:
    """Cells that are trained together.

    Attributes
    ----------
    axes : mapping
        For each axis a value, or the list of values along which the stack extends.

    Raises
    ------
    ValueError
        If an axis is missing or unknown, or the stack extends along width or depth.

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
        if self.axes.keys() != AXES.keys():
            raise ValueError(
                f"stack has the axes {listed(self.axes) or 'none'}, but must have a value for each of "
                f"{listed(AXES)}"
            )
        for axis in ("width", "depth"):
            if isinstance(self.axes[axis], list):
                raise ValueError(
                    f"stack: {axis} is {self.axes[axis]}, but must be one value for all networks of a stack"
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
        """Coordinates of a dataset of this stack, with dimensions for stacked axes and scalars for others."""
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
        """The values of an axis, a single one if the stack does not extend along it."""
        value = self.axes[axis]
        return value if isinstance(value, list) else [value]

    def cells(self) -> Iterator[Cell]:
        """The cells in row-major order of `dims`, each with a value for each axis."""
        for values in product(*map(self.values, AXES)):
            yield dict(zip(AXES, values, strict=True))

    def __len__(self) -> int:
        return math.prod(self.shape)

    @classmethod
    def of(cls, dataset: "xr.Dataset") -> "Stack":
        """The stack that a dataset describes by its coordinates."""
        return cls({axis: dataset.coords[axis].values.tolist() for axis in AXES})
