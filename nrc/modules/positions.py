"""Hidden layers at their positions: patches that enter convolutions, and derivatives behind the next layer.

A channel with incoming weights w has the value phi(w . u_ip) at position p of point i, with the patch u_ip
that enters the layer there. The outputs of the next layer are linear in these values and in its weights v for
the channel, one for each entry of a kernel. Therefore there are D_ip, such that the channel changes the loss
to first order by

    sum_i sum_p <v, D_ip> phi(w . u_ip).

So a convolution has the potential of a linear layer (`nrc.theory.potential`) with a row for each position of
each point: u_ip in place of z_i, and D_ip in place of p_i delta_i. Strides, dilation, all kinds of padding,
and averages over positions are part of the two linear maps.
"""

import copy
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from nrc.modules.chains import KINDS, LINEAR, NEUTRAL, Hidden

__all__ = ["activation_between", "at_positions"]


def activation_between(of: Hidden) -> Callable[[Tensor], Tensor] | None:
    """What is applied to each value of a neuron; None if the positions are mixed by more than averages.

    Examples
    --------
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Conv1d(1, 2, 3), torch.nn.Tanh(), torch.nn.AvgPool1d(2), torch.nn.Conv1d(2, 1, 1))
    >>> (hidden,) = nrc.modules.chains.hidden_layers(model)
    >>> activation_between(hidden)(torch.tensor([0.0, 100.0])).tolist()
    [0.0, 1.0]
    """
    parts = _parts(of)
    if parts is None:
        return None
    activations = nn.Sequential(*(copy.deepcopy(module).cpu() for module in parts[1]))

    def phi(t: Tensor) -> Tensor:
        a: Tensor = activations(t.clone())  # a module may write into its input
        return a

    return phi


def at_positions(of: Hidden, x: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """A row for each position of each point: u_ip, with a 1 beside it if there are biases, and D_ip.

    Parameters
    ----------
    of : Hidden
        A layer that has `activation_between`.
    x : Tensor
        What enters the layer, in float64 on the CPU.
    delta : Tensor
        Derivatives in the outputs of the next layer.

    Returns
    -------
    tuple of Tensor
        (points * positions, n) and (points * positions, outputs * block).

    Examples
    --------
    A convolution reads one of two positions at a time, and the next layer multiplies each by a number:

    >>> model = torch.nn.Sequential(
    ...     torch.nn.Conv1d(1, 3, 1), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(6, 1)).double()
    >>> (hidden,) = nrc.modules.chains.hidden_layers(model)
    >>> u, d = at_positions(hidden, torch.tensor([[[5.0, 7.0]]]).double(), torch.tensor([[0.5]]).double())
    >>> u.tolist(), d.tolist()
    ([[5.0, 1.0], [7.0, 1.0]], [[0.5, 0.0], [0.0, 0.5]])
    """
    if isinstance(of.layer, nn.Linear):
        z = x.flatten(0, -2)
        z = z if of.layer.bias is None else torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
        return z, delta.flatten(0, -2)
    parts = _parts(of)
    assert parts is not None, "the layer has an activation"
    lead, _, tail = parts
    with torch.no_grad():
        u = nn.Sequential(_entries(of.layer), *lead)(x)
    # for each output of the next layer, one channel for each entry of a kernel
    values = u.new_zeros(len(x) * delta.shape[1], of.block, *u.shape[2:]).requires_grad_()
    with torch.enable_grad():
        each = _each_entry(of, nn.Sequential(*tail)(values))
        of_each = delta.reshape(len(values), 1, *each.shape[2:]).expand_as(each)
        (d,) = torch.autograd.grad(each, values, of_each)
    z, d = (part.reshape(len(x), -1, u[0, 0].numel()).mT.flatten(0, 1) for part in (u, d))
    return z, d


def _parts(of: Hidden) -> tuple[list[nn.Module], list[nn.Module], list[nn.Module]] | None:
    """Averages over positions, activations, and averages; None if the modules are not of that form."""

    def entrywise(module: nn.Module) -> bool:
        return KINDS[type(module)].entrywise

    between = [module for module in of.between if KINDS[type(module)] is not NEUTRAL]
    lead = list(takewhile(lambda module: not entrywise(module), between))
    activations = list(takewhile(entrywise, between[len(lead) :]))
    tail = between[len(lead) + len(activations) :]
    averages = all(KINDS[type(module)] is LINEAR for module in (*lead, *tail))
    return (lead, activations, tail) if averages else None


def _entries(layer: Any) -> Any:
    """A convolution whose outputs are the entries of the patches, and 1 if there are biases."""
    n, bias = layer.weight[0].numel(), layer.bias is not None
    entries = torch.eye(n + bias, dtype=torch.float64)
    kernels = entries[:, :n].reshape(-1, *layer.weight.shape[1:])
    return _changed(layer, weight=kernels, bias=entries[:, n] if bias else None)


def _each_entry(of: Hidden, values: Tensor) -> Tensor:
    """The outputs (rows, block, ...) of the next layer, if each channel enters by one entry of a kernel."""
    after: Any = of.next_layer
    if isinstance(after, nn.Linear):
        return values.flatten(2).diagonal(dim1=1, dim2=2)
    kernels = torch.eye(of.block, dtype=torch.float64).reshape(of.block, 1, *after.kernel_size)
    outputs: Tensor = _changed(after, weight=kernels, bias=None, groups=of.block)(values)
    return outputs


def _changed(layer: Any, groups: int = 1, **parameters: Tensor | None) -> Any:
    """A convolution with other parameters, and the same strides and padding."""
    changed = copy.deepcopy(layer)
    changed.groups = groups
    for name, values in parameters.items():
        setattr(changed, name, None if values is None else nn.Parameter(values, requires_grad=False))
    return changed
