"""Arrays, tensors, frames and lists of users as arrays of numbers with one row per point."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Rows", "array_of", "numbers_of", "rows_of", "tensor_of_rows", "values_of"]

# One row per point, dense or sparse; a row is read as numbers.
Rows: TypeAlias = NDArray[Any] | Tensor | scipy.sparse.csr_array

NUMBERS = "biuf"


def array_of(name: str, values: Any) -> Rows:
    """What a user passes, as an array or a tensor of whatever type; memory maps are not read.

    Raises
    ------
    TypeError, ValueError
        If rows have different lengths, or values are masked or missing.

    Examples
    --------
    >>> array_of("x", pd.DataFrame({"a": [1.5, 2.5], "b": [True, False]})).tolist()
    [[1.5, 1.0], [2.5, 0.0]]
    >>> array_of("x", pd.DataFrame({"a": [1.5, None]}))
    Traceback (most recent call last):
    ValueError: x: column 'a' has missing values; fill them in or leave these points out
    """
    if isinstance(values, Tensor):
        return _plain_tensor(name, values)
    if isinstance(values, pd.DataFrame):
        return _frame(name, values)
    if isinstance(values, pd.Series | pd.Index):
        return _column(name, "", values)
    if scipy.sparse.issparse(values):
        return scipy.sparse.csr_array(values)
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.getmaskarray(values).any():
            raise ValueError(f"{name} has masked values; fill them in or leave these points out")
        return np.asarray(values.data)
    if isinstance(values, list | tuple) and values and isinstance(values[0], Tensor):
        return _stacked(name, values)
    try:
        return np.asanyarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: its rows have different lengths ({error})") from error


def numbers_of(name: str, values: Any) -> Rows:
    """The same, of real numbers.

    Raises
    ------
    TypeError, ValueError

    Examples
    --------
    >>> numbers_of("x", ["cat", "dog"])
    Traceback (most recent call last):
    TypeError: x is an array of <U3, but must be an array of real numbers
    """
    found = array_of(name, values)
    real = (
        not (found.is_complex() or found.is_quantized)
        if isinstance(found, Tensor)
        else found.dtype.kind in NUMBERS
    )
    if not real:
        raise TypeError(f"{name} is an array of {found.dtype}, but must be an array of real numbers")
    return found


def rows_of(array: Rows, rows: slice | NDArray[np.int64]) -> Tensor:
    """Some rows as a tensor of a type that torch computes with; other byte orders are converted.

    Examples
    --------
    >>> rows_of(np.array([1, 2, 3], dtype=">i2")[::-1], slice(0, 2)).tolist()
    [3, 2]
    """
    if isinstance(array, Tensor):
        return array[rows if isinstance(rows, slice) else torch.from_numpy(rows)].detach()
    return tensor_of_rows(_dense(array[rows]))


def tensor_of_rows(part: Any) -> Tensor:
    """A tensor of a copy, because an array may be read-only, a file on disk."""
    kind, size = part.dtype.kind, part.dtype.itemsize
    # torch has no wider numbers, and computes little with unsigned integers
    wide = np.float64 if kind == "f" and size > 8 else np.int64 if kind == "u" and size > 1 else None
    return torch.from_numpy(np.array(part, dtype=wide or part.dtype.newbyteorder("="), order="C"))


def values_of(array: Rows) -> NDArray[Any]:
    """All values as an array of numpy, in memory."""
    if isinstance(array, Tensor):
        return np.asarray(array.detach().cpu().numpy())
    return np.asarray(_dense(array))


def _dense(array: Any) -> Any:
    return array.toarray() if scipy.sparse.issparse(array) else array


def _plain_tensor(name: str, values: Tensor) -> Rows:
    if values.is_meta:
        raise ValueError(f"{name} is on the meta device, which holds no numbers; pass a tensor of numbers")
    if values.is_nested:
        raise ValueError(f"{name}: its rows have different lengths; pad them to one length")
    if values.layout is torch.strided:
        return values
    if values.ndim > 2 or values.is_complex():
        return values.to_dense()
    found = values.detach().cpu().to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]
    parts = found.values().numpy(), tuple(found.indices().numpy())
    return scipy.sparse.csr_array(scipy.sparse.coo_array(parts, shape=tuple(found.shape)))


def _frame(name: str, values: pd.DataFrame) -> NDArray[Any]:
    columns = [_column(name, repr(own), values.iloc[:, at]) for at, own in enumerate(values.columns)]
    for own, column in zip(values.columns, columns, strict=True):
        if column.dtype.kind not in NUMBERS:
            raise TypeError(
                f"{name}: column {own!r} has the type {values[own].dtype}, but every column must be "
                "real numbers"
            )
    if not columns:
        raise ValueError(f"{name} has no columns")
    return np.stack(columns, axis=1)


def _column(name: str, column: str, values: "pd.Series[Any] | pd.Index[Any]") -> NDArray[Any]:
    """A column with its values, also of nullable and of categorical types."""
    if values.isna().any():
        place = f"{name}: column {column}" if column else name
        raise ValueError(f"{place} has missing values; fill them in or leave these points out")
    if isinstance(values.dtype, pd.CategoricalDtype):
        return np.asarray(values)
    plain = getattr(values.dtype, "numpy_dtype", None)  # of a nullable type
    return np.asarray(values.to_numpy(dtype=plain) if isinstance(plain, np.dtype) else values)


def _stacked(name: str, values: Sequence[Tensor]) -> Tensor:
    if len(shapes := {tuple(value.shape) for value in values}) > 1:
        first, second = sorted(shapes)[:2]
        raise ValueError(
            f"{name}: its rows have different shapes, {first} and {second}; pad them to one shape"
        )
    return torch.stack(list(values))
