"""The layers of a torch module: its weight matrices.

A layer is a weight matrix: the weight of a linear layer, a kernel unfolded to (outputs, inputs * positions),
or a projection of an attention.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from nrc.matrices import matrices

__all__ = ["DivergedError", "Layer", "layers_of", "parameters_of", "weights_of"]


class DivergedError(ValueError):
    """Weights or outputs of a module are not finite."""


@dataclass(frozen=True)
class Layer:
    """A weight matrix of a module.

    Attributes
    ----------
    name : str
        As in `named_modules`; the parts of a packed projection of an attention are called `q_proj`, ...
    parameters : tuple of str
        Names of the parameter, several if it is tied.
    rows : slice
        The layer's part of the parameter's first axis.
    """

    name: str
    parameters: tuple[str, ...]
    rows: slice = field(default_factory=lambda: slice(None))

    def matrix(self, parameter: Tensor) -> Tensor:
        """The layer's part of the parameter or of its gradient, (1, n_l, n_{l-1}) in float64 on the CPU."""
        return parameter.detach()[self.rows].flatten(1)[None].cpu().double()


def layers_of(model: nn.Module) -> list[Layer]:
    """The layers of a module; a tied layer occurs once.

    Raises
    ------
    ValueError
        If there is no layer, or a weight is computed from other parameters or is not initialised.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    >>> [(layer.name, layer.parameters) for layer in layers_of(model)]
    [('0', ('0.weight',)), ('2', ('2.weight',))]
    """
    names: dict[int, list[str]] = {}
    for name, parameter in parameters_of(model).items():
        names.setdefault(id(parameter), []).append(name)
    found: dict[tuple[int, int | None], Layer] = {}
    for name, module in model.named_modules():
        for called, own, rows in matrices(name or type(model).__name__, module):
            parameter = module._parameters.get(own)
            if parameter is None or isinstance(parameter, nn.UninitializedParameter) or parameter.is_meta:
                raise ValueError(
                    f"model: {called}.{own} is not an initialised parameter; remove its parametrization "
                    "(torch.nn.utils.parametrize.remove_parametrizations), call a lazy module once, or move "
                    "the model off the meta device"
                )
            key = id(parameter), rows.start
            found.setdefault(key, Layer(called, tuple(names[id(parameter)]), rows))
    if not found:
        raise ValueError(
            f"model: {type(model).__name__} has no layer that can be measured: "
            "no Linear, Conv1d, Conv2d, Conv3d or MultiheadAttention"
        )
    return list(found.values())


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
        f"{name}.{own}".lstrip("."): parameter
        for name, module in model.named_modules()
        for own, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
    }
