"""Smaller torch modules with the same function: equal neurons are merged."""

import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from nrc.api_arguments import check_module
from nrc.modules.calls import call, failure, output_of
from nrc.modules.chains import Hidden, hidden_layers, left_out
from nrc.modules.inputs import Inputs, each, inputs_of
from nrc.modules.plain_module import unwrapped
from nrc.theory.neurons import MERGED, tree

__all__ = ["Condensed", "condense"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Condensed:
    """A module with merged neurons.

    Attributes
    ----------
    model : Module
        The smaller module.
    table : DataFrame
        One row for each layer, by its name: the number of neurons `before` and `after`; `change`, the largest
        change of an output relative to the largest output, with the neurons of this and all earlier layers
        merged (missing without data); and `left`, the reason why neurons were not compared.
    multiplicities : mapping
        For the name of each layer whose neurons were compared, how many neurons each of its neurons stands
        for, (after,). It is 1 where the activation is positively homogeneous.
    """

    model: nn.Module
    table: pd.DataFrame
    multiplicities: dict[str, NDArray[np.int64]]

    @property
    def parameters(self) -> int:
        """Number of parameters of the smaller module."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def squared_norm(self) -> Tensor:
        """The sum of squares of all parameters of a larger module with these neurons and multiplicities.

        If each of the m equal neurons has the same outgoing weights, as at a stationary point with weight
        decay, that is the squared norm of the module that was condensed: an incoming weight w of such a
        neuron counts m w^2, and an outgoing weight v counts v^2 / m, both if it is between two of them. With
        this norm in place of its own, the smaller module is stationary where the condensed one was.

        Returns
        -------
        Tensor
            A number in float64, with a gradient: training can continue with it as penalty.
        """
        total, owner = torch.zeros((), dtype=torch.float64), {id(p): p for p in self.model.parameters()}
        before = {of.next_name: (of.name, of.block) for of in hidden_layers(self.model)}
        for name, layer in self.model.named_modules():
            if name in self.multiplicities or name in before:
                weight = layer.weight.cpu().double().flatten(1)
                rows = torch.from_numpy(self.multiplicities.get(name, np.ones(len(weight), dtype=int)))
                columns = torch.ones(weight.shape[1], dtype=torch.float64)
                if name in before:
                    entering, block = before[name]
                    columns = torch.from_numpy(np.repeat(self.multiplicities[entering], block))
                total = total + (rows[:, None] * weight**2 / columns).sum()
                owner.pop(id(layer.weight))
                if isinstance(layer.bias, nn.Parameter):
                    total = total + (rows * layer.bias.cpu().double() ** 2).sum()
                    owner.pop(id(layer.bias))
        for parameter in owner.values():
            total = total + parameter.cpu().double().square().sum()
        return total


def condense(
    model: nn.Module, *, tolerance: float = MERGED, x: ArrayLike | Tensor | None = None, batch: int = 256
) -> Condensed:
    """Merge equal neurons of a module, which keeps its function.

    Neurons of a hidden layer are one neuron if their incoming weights differ by at most the tolerance, up to
    sign if the activation is odd, and up to a positive factor if it is positively homogeneous, as ReLU. Their
    mean stays, and their outgoing weights are added up. Neurons at zero are removed. At stationary points
    with weight decay, many neurons are equal (`distinct_neurons` of `nrc.measure`); otherwise, few are.

    Parameters
    ----------
    model : Module
        It is not changed. Wrappers are removed, as by `nrc.measure`. Hidden layers are merged in chains of
        `torch.nn.Sequential`, also nested: `Linear` or convolution, then element-wise activations, pooling,
        dropout or `Flatten`, then the next `Linear` or convolution. All other layers are left as they are,
        with the reason in the table.
    tolerance : float
        Largest difference of two neurons that are one: the angle between them in radians, or the logarithm of
        the ratio of their norms, if that is larger.
    x : array, optional
        Inputs (points, ...), for the largest change of the outputs.
    batch : int
        Points per batch.

    Returns
    -------
    Condensed
        With the smaller module as `model`, and a `table`.

    Raises
    ------
    TypeError, ValueError
        If the model is not a module, or the tolerance is not a positive number.

    References
    ----------
    Merging is the embedding principle of Zhang, Zhang, Luo & Xu (2021), read backwards.

    Examples
    --------
    The second neuron is the first with the opposite sign, and the third is at zero:

    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(2, 3, bias=False), torch.nn.Tanh(), torch.nn.Linear(3, 1, bias=False))
    >>> _ = model[0].weight.data.copy_(torch.tensor([[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]]))
    >>> _ = model[2].weight.data.copy_(torch.tensor([[0.5, -0.5, 0.0]]))
    >>> small = nrc.condense(model, x=torch.eye(2))
    >>> small.table[["before", "after", "change"]].values.tolist()
    [[3.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
    >>> small.model[0].weight.tolist(), small.model[2].weight.tolist()
    ([[1.0, 2.0]], [[1.0]])
    >>> small.multiplicities["0"].tolist(), small.squared_norm().item()
    ([2], 10.5)
    """
    check_module(model)
    if not (isinstance(tolerance, int | float) and 0 < tolerance < np.inf):
        raise ValueError(f"tolerance is {tolerance!r}, but must be a positive number")
    model, points = unwrapped(model), None if x is None else inputs_of(x)
    small = copy.deepcopy(model)
    merged = {of.name: _merge(of, tolerance) for of in hidden_layers(model)}
    reasons = left_out(model)
    outputs = None if points is None else _outputs(small, points, batch)
    rows = list[tuple[str, int, int, float, str]]()
    hidden = {of.name: of for of in hidden_layers(small)}
    for name, layer in small.named_modules():
        if name not in hidden and (name or type(layer).__name__) not in reasons:
            continue
        before = after = len(layer.weight)
        if name in hidden:
            _apply(hidden[name], *merged[name])
            after = len(layer.weight)
        change = np.nan
        if points is not None and outputs is not None:
            change = _largest(_outputs(small, points, batch) - outputs) / (_largest(outputs) or 1.0)
        own = name or type(layer).__name__
        rows.append((own, before, after, change, reasons.get(own, "")))
    table = pd.DataFrame(rows, columns=["layer", "before", "after", "change", "left"]).set_index("layer")
    counts = {name: counted for name, (_, _, counted) in merged.items()}
    return Condensed(small, table, counts)


def _merge(of: Hidden, tolerance: float) -> tuple[Array, Array, NDArray[np.int64]]:
    """Matrices (after, n) for rows and (n, after) for columns, and multiplicities."""
    rows = _incoming(of)
    neurons = tree(rows, of.odd, of.homogeneous)
    labels = neurons.groups(tolerance)
    a = neurons.coefficients(labels)
    kept = np.unique(labels[labels >= 0] if of.vanishes else labels)
    if not len(kept):
        kept = np.array([-1])  # a layer needs a neuron
    member = labels[:, None] == kept
    adding = np.where(member, a[:, None], 0)
    squares = (adding**2).sum(0)
    # the neurons are a_j c with c = sum a_j w_j / sum a_j^2, and have outgoing weights sum a_j v_j together
    balance = np.sqrt(squares) if of.homogeneous else np.ones(len(kept))
    multiplicities = np.ones(len(kept), dtype=np.int64) if of.homogeneous else member.sum(0)
    return (adding * balance / squares).T, adding / balance, multiplicities


def _incoming(of: Hidden) -> Array:
    """[W b] or an unfolded kernel, in float64."""
    parts = [p.detach().flatten(1) if p.ndim > 1 else p.detach()[:, None] for p in _own(of.layer).values()]
    rows: Array = torch.cat(parts, dim=1).cpu().double().numpy()
    return rows


def _own(layer: nn.Module) -> dict[str, nn.Parameter]:
    return dict(layer.named_parameters(recurse=False))


def _apply(of: Hidden, averaging: Array, adding: Array, multiplicities: NDArray[np.int64]) -> None:
    """Merge the rows of a layer and the columns of the next one, in place."""
    for name, parameter in _own(of.layer).items():
        flat = parameter.detach().double().flatten(1) if parameter.ndim > 1 else parameter.detach().double()
        rows = torch.from_numpy(averaging).to(parameter.device) @ flat
        _replace(of.layer, name, rows.reshape(-1, *parameter.shape[1:]))
    weight = _own(of.next_layer)["weight"]
    columns = weight.detach().double().reshape(len(weight), len(adding), -1)
    together = torch.einsum("onk,na->oak", columns, torch.from_numpy(adding).to(weight.device))
    kernel = weight.shape[2:]
    shape = (len(weight), -1, *kernel) if kernel else (len(weight), -1)
    _replace(of.next_layer, "weight", together.reshape(shape))
    count = len(averaging)
    for layer, linear, convolution, size in (
        (of.layer, "out_features", "out_channels", count),
        (of.next_layer, "in_features", "in_channels", count * (1 if kernel else of.block)),
    ):
        setattr(layer, linear if isinstance(layer, nn.Linear) else convolution, size)


def _replace(layer: nn.Module, name: str, values: Tensor) -> None:
    old = _own(layer)[name]
    new = nn.Parameter(values.to(old.dtype).contiguous(), requires_grad=old.requires_grad)
    setattr(layer, name, new)


@torch.no_grad()
def _outputs(model: nn.Module, points: Inputs, batch: int) -> Tensor:
    """The outputs of a module in eval mode, in float64."""
    model = copy.deepcopy(model).eval()
    like = next(model.parameters())
    found = []
    for first in range(0, len(points), batch):
        x = each(lambda values: _like(values, like), points.read(slice(first, first + batch)))
        try:
            returned = call(model, x)
        except Exception as error:  # torch and modules raise errors of any type
            raise failure(x, error) from error
        found.append(output_of(returned).double().cpu())
    return torch.cat(found)


def _like(values: Tensor, parameter: Tensor) -> Tensor:
    return values.to(parameter) if values.is_floating_point() else values.to(parameter.device)


def _largest(values: Tensor) -> float:
    return values.abs().max().item()
