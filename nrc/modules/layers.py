"""The layers of a torch module: its weight matrices."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from torch import Tensor, nn

from nrc.modules.matrices import TABLES, View, matrices, stored_matrices, unfolded

__all__ = ["DivergedError", "Layer", "layers_of", "parameters_of", "share_of", "stored_layers", "weights_of"]


class DivergedError(ValueError):
    """Weights or outputs of a module are not finite."""


@dataclass(frozen=True)
class Layer:
    """A weight matrix of a module.

    Attributes
    ----------
    name : str
        The name of the parameter without `weight`; parts of a parameter have their own names.
    parameters : tuple of str
        Names of the parameter, several if it is tied.
    view : callable
        From the parameter to the matrix.
    """

    name: str
    parameters: tuple[str, ...]
    view: View = unfolded

    def matrix(self, parameter: Tensor) -> Tensor:
        """The layer's part of the parameter or of its gradient, (1, n_l, n_{l-1}) in float64 on the CPU."""
        return self.view(parameter.detach())[None].cpu().double()


def layers_of(model: nn.Module, leave_out: Sequence[str] = ()) -> list[Layer]:
    """The layers of a module; a tied layer occurs once, and with the name of a layer that is no embedding.

    Parameters
    ----------
    model : Module
    leave_out : sequence of str
        Names or patterns (`*.attn.*`) of layers or parameters to leave out.

    Raises
    ------
    ValueError
        If there is no layer, or nothing to leave out.

    Warns
    -----
    UserWarning
        If a module has a weight that is not a parameter.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    >>> [(layer.name, layer.parameters) for layer in layers_of(model)]
    [('0', ('0.weight',)), ('2', ('2.weight',))]
    >>> [layer.name for layer in layers_of(model, ["2*"])]
    ['0']
    """
    names: dict[int, list[str]] = {}
    owners: dict[int, tuple[str, nn.Module, str]] = {}
    for prefix, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            names.setdefault(id(parameter), []).append(_join(prefix, own))
            of = owners.get(id(parameter))
            if of is None or (isinstance(of[1], TABLES) and not isinstance(module, TABLES)):
                owners.pop(id(parameter), None)
                owners[id(parameter)] = prefix, module, own
    found = [
        Layer(_join(prefix, name) or type(model).__name__, tuple(names[key]), view)
        for key, (prefix, module, own) in owners.items()
        for name, view in matrices(module, own).items()
    ]
    _warn_of_weights_that_are_no_parameters(model)
    return _kept(found, leave_out, f"model: {type(model).__name__} has")


def stored_layers(tensors: Mapping[str, Tensor], leave_out: Sequence[str] = ()) -> list[Layer]:
    """The matrices in tensors by name (`matrices.stored_matrices`); a tensor with two names occurs once.

    Raises
    ------
    ValueError
        If there is no matrix, or nothing to leave out.

    Examples
    --------
    >>> [layer.name for layer in stored_layers(torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3)).state_dict())]
    ['0']
    """
    names: dict[tuple[Any, ...], list[str]] = {}
    for name, tensor in tensors.items():
        names.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()), []).append(name)
    found = [
        Layer(name, tuple(of), view)
        for of in names.values()
        for name, view in stored_matrices(of[0], tensors[of[0]].shape).items()
    ]
    return _kept(found, leave_out, "model: it has")


def share_of(layers: Sequence[Layer], parameters: Mapping[str, Tensor]) -> tuple[float, list[str]]:
    """The share of the numbers in all parameters that are in layers, and the names of parameters with others.

    Examples
    --------
    >>> model = torch.nn.Linear(3, 2)
    >>> share_of(layers_of(model), parameters_of(model))
    (0.75, ['bias'])
    """
    measured = Counter[str]()
    for layer in layers:
        numbers = layer.view(parameters[layer.parameters[0]]).numel()
        measured.update(dict.fromkeys(layer.parameters, numbers))
    # a tied parameter counts once
    sizes = {(p.data_ptr(), p.shape): (p.numel(), measured[name]) for name, p in parameters.items()}
    total, in_layers = np.sum(list(sizes.values()), axis=0).tolist()
    return in_layers / total, [name for name, p in parameters.items() if measured[name] < p.numel()]


def weights_of(layers: Sequence[Layer], parameters: Mapping[str, Tensor]) -> list[Tensor]:
    """The matrices of layers, (1, n_l, n_{l-1}) each, in float64.

    Raises
    ------
    DivergedError
        If a value is not finite.

    Examples
    --------
    >>> model = torch.nn.Conv2d(3, 8, 5)
    >>> [tuple(w.shape) for w in weights_of(layers_of(model), parameters_of(model))]
    [(1, 8, 75)]
    """
    weights = [layer.matrix(parameters[layer.parameters[0]]) for layer in layers]
    for layer, w in zip(layers, weights, strict=True):
        if not w.isfinite().all():
            raise DivergedError(f"model: weights of layer {layer.name} are not finite; every number must be")
    return weights


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """All parameters by name; a tied parameter occurs under each of its names."""
    return {
        _join(name, own): parameter
        for name, module in model.named_modules()
        for own, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
    }


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}".strip(".")


def _kept(layers: Sequence[Layer], leave_out: Sequence[str], subject: str) -> list[Layer]:
    """The layers without those that a name or a pattern leaves out."""
    left = set[str]()
    for pattern in leave_out:
        of = [
            layer.name
            for layer in layers
            if any(fnmatchcase(n, pattern) for n in (layer.name, *layer.parameters))
        ]
        if not of:
            names = ", ".join(layer.name for layer in layers[:8])
            raise ValueError(
                f"leave_out: {pattern!r} is no layer and no pattern of one; layers are {names}, ..."
            )
        left.update(of)
    kept = [layer for layer in layers if layer.name not in left]
    if not kept:
        rest = "all are left out" if layers else "no parameter is a matrix"
        raise ValueError(f"{subject} no layer that can be measured: {rest}")
    return kept


def _warn_of_weights_that_are_no_parameters(model: nn.Module) -> None:
    computed = [
        _join(name, "weight")
        for name, module in model.named_modules()
        if isinstance(getattr(module, "weight", None), Tensor)
        and module.weight.ndim > 1
        and not ("weight" in module._parameters or "weight" in module._buffers)
    ]
    if computed:
        warnings.warn(
            f"model: {', '.join(computed)} is no parameter but computed from others, and is not measured",
            stacklevel=2,
        )
