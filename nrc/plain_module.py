"""A copy of a module on which gradients are computed."""

import copy
from typing import Any

from torch import Tensor, nn

from nrc.layers import layers_of, parameters_of

__all__ = ["in_float64"]


def in_float64(model: nn.Module) -> nn.Module:
    """A copy in float64 and eval mode, in which only the layers require a gradient."""
    layers = {name for layer in layers_of(model) for name in layer.parameters}
    if (device := next(model.parameters()).device).type == "mps":
        raise ValueError(f"model: it is on {device.type}, which has no float64; move it to the CPU")
    try:
        double = copy.deepcopy(model).double().eval()
    except (RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise TypeError(f"model: it cannot be copied ({reason}); use parameters and buffers") from error
    for module in double.modules():
        _widen(vars(module))
    for name, parameter in parameters_of(double).items():
        parameter.requires_grad_(name in layers)
    return double


def _widen(attributes: dict[str, Any]) -> None:
    """Convert tensors that are neither parameters nor buffers."""
    for name, value in attributes.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            attributes[name] = value.double()
