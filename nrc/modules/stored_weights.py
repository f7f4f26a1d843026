"""Weights without their module: a state dict, matrices by name, one matrix, or a file of a state dict."""

import os
import re
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nrc.modules.plain_module import check_weight
from nrc.modules.user_arrays import tensor_of_rows

__all__ = ["stored_weights"]

# Names of parameters from which a module computes its weights.
FACTORS = re.compile(r"\.parametrizations\.|weight_orig$|weight_[gv]$|\.lora_[AB]\.")


def stored_weights(given: Any) -> dict[str, Tensor]:
    """The tensors by name; one matrix is called `matrix`.

    Parameters
    ----------
    given : mapping, array or path
        A file ends in `.safetensors`, or is read by `torch.load` with `weights_only=True`.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        If it is something else, or a weight is complex or quantised.

    Warns
    -----
    UserWarning
        If a module computes its weights from some of the tensors, which are measured as they are.

    Examples
    --------
    >>> stored_weights(np.eye(2))["matrix"].shape
    torch.Size([2, 2])
    """
    if isinstance(given, str | os.PathLike):
        given = _read(Path(given).expanduser())
    if isinstance(given, Tensor | np.ndarray):
        if given.ndim != 2:
            raise ValueError(f"model is an array of shape {tuple(given.shape)}, but a matrix has two axes")
        given = {"matrix": given}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"model is a {type(given).__name__}, but must be a torch.nn.Module, a state dict, a mapping of "
            "names to matrices, a matrix, or a path"
        )
    found = {str(name): _tensor(name, value) for name, value in given.items()}
    # counters, indices and masks are no weights
    weights = {
        name: t
        for name, t in found.items()
        if t.is_floating_point() or t.is_complex() or ("weight" in name and t.dtype is not torch.bool)
    }
    for name, tensor in weights.items():
        check_weight(name, tensor)
    if factors := [name for name in weights if FACTORS.search(name)]:
        warnings.warn(
            f"model: weights are computed from {', '.join(factors)}, which are measured as they are; pass "
            "the module",
            stacklevel=2,
        )
    return weights


def _tensor(name: Any, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return tensor_of_rows(value if value.dtype.kind in "fc" else value.astype(float))
    inner = f"; pass model[{name!r}]" if isinstance(value, Mapping) else ""
    raise TypeError(
        f"model: {name!r} is a {type(value).__name__}, but must be a tensor or an array of numbers{inner}"
    )


def _read(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(
            f"model: {path} is not a file; pass a .safetensors file or a state dict of torch"
        )
    if path.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"model: {path} is read by the package safetensors; install it"
            ) from error
        read, save = load_file, "safetensors.torch.save_file"
    else:
        read, save = partial(torch.load, map_location="cpu", weights_only=True), "torch.save"
    try:
        return read(path)
    except Exception as error:  # of any type, by the contents of the file
        raise ValueError(f"model: {path} is no file of tensors; save model.state_dict() by {save}") from error
