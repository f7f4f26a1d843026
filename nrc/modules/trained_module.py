"""Trained networks of the pipeline as torch modules."""

import json

import numpy as np
import torch
import xarray as xr
from torch import nn

from nrc.grid import AXES
from nrc.networks import Network, architecture, entry_of
from nrc.networks.activations import ACTIVATIONS, module_of
from nrc.training.trained_file import parameter_names, require_parameters, trained_parameters

__all__ = ["module"]


def module(trained: xr.Dataset, *, network: Network | None = None, **cell: float) -> nn.Module:
    """The torch module of a trained network, in eval mode.

    Parameters
    ----------
    trained : Dataset
        A file of trained networks, by `nrc.load`, or the result of `nrc.train`.
    network : str, mapping or callable, optional
        The networks, as in `nrc.train`. By default those in the settings of the file; the result of
        `nrc.train` has none.
    **cell : float
        The value on each axis that has several, such as `weight_decay=1e-3, seed=0`.

    Returns
    -------
    Module
        In the precision of the weights. For the kind mlp, linear layers with the activation between them.

    Raises
    ------
    ValueError
        If the networks are not known or have other parameters, or the values do not select one of them.

    Examples
    --------
    >>> w1, w2 = (("seed", "n1", "n0"), np.ones((2, 3, 4))), (("seed", "n2", "n1"), np.ones((2, 1, 3)))
    >>> trained = xr.Dataset({"W1": w1, "W2": w2}, {"seed": [0, 1], "depth": 2})
    >>> nrc.module(trained, network={"activation": "tanh"}, seed=1)
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=False)
      (1): Tanh()
      (2): Linear(in_features=3, out_features=1, bias=False)
    )
    """
    if network is None and "settings" not in trained.attrs:
        raise ValueError("network is not known; pass it as to nrc.train, such as {'activation': 'tanh'}")
    network = network or json.loads(trained.attrs["settings"])["network"]
    one = _selected(trained, cell)
    if "input_shape" in one.attrs:
        input_shape = tuple(np.atleast_1d(one.attrs["input_shape"]).tolist())
        sizes = int(one.attrs["outputs"]), int(one["width"]), int(one["depth"])
        dtype = torch.from_numpy(one[parameter_names(one)[0]].values).dtype
        of = architecture(network, input_shape, *sizes)
        require_parameters(one, of)
        made: nn.Module = of.module(trained_parameters(one)[0].to(dtype))
        return made
    if callable(network) or (entry := entry_of(network))["kind"] != "mlp":
        raise ValueError(f"network is {network!r}, but the trained networks are of the kind mlp")
    activation = entry.get("activation", "tanh")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}, but must be one of {', '.join(ACTIVATIONS)}")
    steps = list[nn.Module]()
    for l in range(1, int(one["depth"]) + 1):
        w = torch.from_numpy(one[f"W{l}"].values.copy())
        layer = nn.Linear(w.shape[1], w.shape[0], bias=f"b{l}" in one, dtype=w.dtype)
        layer.weight.data.copy_(w)
        if f"b{l}" in one:
            layer.bias.data.copy_(torch.from_numpy(one[f"b{l}"].values.copy()))
        steps += [module_of(activation), layer]
    return nn.Sequential(*steps[1:]).eval()


def _selected(trained: xr.Dataset, cell: dict[str, float]) -> xr.Dataset:
    """The dataset of one network."""
    axes = [axis for axis in AXES if axis in trained.dims]
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
        if axis in trained.dims and trained.sizes[axis] > 1:
            first = trained[axis].values[0]
            raise ValueError(f"{axis} has several values; choose one, as in {axis}={first:g}")
    return trained.squeeze([axis for axis in axes if axis in trained.dims])
