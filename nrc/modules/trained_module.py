"""Trained networks of the pipeline as torch modules."""

import json

import numpy as np
import torch
import xarray as xr
from torch import nn

from nrc.networks.activations import ACTIVATIONS

__all__ = ["module"]


def module(trained: xr.Dataset, *, activation: str | None = None, **cell: float) -> nn.Sequential:
    """The torch module of a trained network, in eval mode.

    Parameters
    ----------
    trained : Dataset
        A file of trained networks, by `nrc.load`, or the result of `nrc.train`.
    activation : str, optional
        The activation of the networks. By default that in the settings of the file; the result of `nrc.train`
        has none.
    **cell : float
        The value on each axis that has several, such as `weight_decay=1e-3, seed=0`.

    Returns
    -------
    Sequential
        Linear layers with the activation between them, in the precision of the weights.

    Raises
    ------
    ValueError
        If the activation is not known, or the values do not select one network.

    Examples
    --------
    >>> w1, w2 = (("seed", "n1", "n0"), np.ones((2, 3, 4))), (("seed", "n2", "n1"), np.ones((2, 1, 3)))
    >>> trained = xr.Dataset({"W1": w1, "W2": w2}, {"seed": [0, 1], "depth": 2})
    >>> nrc.module(trained, activation="tanh", seed=1)
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=False)
      (1): Tanh()
      (2): Linear(in_features=3, out_features=1, bias=False)
    )
    """
    if activation is None and "settings" in trained.attrs:
        activation = json.loads(trained.attrs["settings"])["network"]["activation"]
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}, but must be one of {', '.join(ACTIVATIONS)}")
    one = _selected(trained, cell)
    steps = list[nn.Module]()
    for l in range(1, int(one["depth"]) + 1):
        w = torch.from_numpy(one[f"W{l}"].values.copy())
        layer = nn.Linear(w.shape[1], w.shape[0], bias=f"b{l}" in one, dtype=w.dtype)
        layer.weight.data.copy_(w)
        if f"b{l}" in one:
            layer.bias.data.copy_(torch.from_numpy(one[f"b{l}"].values.copy()))
        steps += [_activation(activation), layer]
    return nn.Sequential(*steps[1:]).eval()


def _activation(name: str) -> nn.Module:
    """The module of torch that has the name of an activation."""
    if ACTIVATIONS[name].linear:
        return nn.Identity()
    own = {module.lower(): module for module in nn.modules.activation.__all__}
    made: nn.Module = getattr(nn, own[name.replace("_", "")])()
    return made


def _selected(trained: xr.Dataset, cell: dict[str, float]) -> xr.Dataset:
    """The dataset of one network."""
    axes = [str(dim) for dim in trained["W1"].dims if dim not in ("n0", "n1")]
    for axis, value in cell.items():
        if axis not in trained.coords:
            raise ValueError(
                f"{axis} is not an axis of the networks; their axes are {', '.join(axes) or 'none'}"
            )
        values = np.atleast_1d(trained[axis].values)
        (found,) = np.nonzero(np.isclose(values, value, rtol=1e-6, atol=0))
        if len(found) != 1:
            listed = ", ".join(f"{known:g}" for known in values)
            raise ValueError(f"{axis} is {value:g}, but must be one of {listed}")
        if axis in axes:
            trained = trained.isel({axis: int(found[0])})
    for axis in axes:
        if axis in trained["W1"].dims and trained.sizes[axis] > 1:
            first = trained[axis].values[0]
            raise ValueError(f"{axis} has several values; choose one, as in {axis}={first:g}")
    return trained.squeeze([axis for axis in axes if axis in trained["W1"].dims])
