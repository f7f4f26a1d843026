"""The same code for tensors of torch and arrays of numpy: names that both libraries have.

Networks as small as those of a stack are evaluated faster by numpy, whose matrix products have less overhead
and reach a higher rate. On a CPU an array and a tensor can share their memory, so only a view is made.

The Snakefile imports this module, which therefore imports torch when a function is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nrc.lazy_module import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

__all__ = ["Array", "fastest", "inner", "namespace", "tensor"]

# A tensor of torch or an array of numpy, which have no common type.
Array: TypeAlias = Any


def namespace(a: Array) -> Any:
    """The library of an array: numpy or torch.

    Examples
    --------
    >>> namespace(np.zeros(1)).__name__, namespace(torch.zeros(1)).__name__
    ('numpy', 'torch')
    """
    return np if isinstance(a, np.ndarray) else torch


def fastest(a: Array) -> Array:
    """The array of the library that computes fastest where an array is, with the same memory.

    Examples
    --------
    >>> fastest(torch.zeros(2))
    array([0., 0.], dtype=float32)
    """
    return a if isinstance(a, np.ndarray) or a.device.type != "cpu" else a.numpy()


def tensor(a: Array) -> Tensor:
    """The tensor with the memory of an array.

    Examples
    --------
    >>> tensor(np.zeros(2))
    tensor([0., 0.], dtype=torch.float64)
    """
    return torch.from_numpy(a) if isinstance(a, np.ndarray) else a


def inner(a: Array, b: Array) -> Array:
    """Inner products along the last axis.

    Examples
    --------
    >>> inner(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))
    array([11.])
    """
    return namespace(a).linalg.vecdot(a, b)
