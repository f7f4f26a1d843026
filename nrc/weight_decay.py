"""The weight decay of the parameters of a module."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrc.measured_module import MeasuredModule

__all__ = ["bias_decay_of", "weight_decay_of"]


def weight_decay_of(network: MeasuredModule, given: Any) -> NDArray[np.float64]:
    """lambda of each layer, (1, layers).

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, negative, or for an unknown parameter.
    """
    by_name = given if isinstance(given, Mapping) else dict.fromkeys(network.parameters, given)
    for name, value in by_name.items():
        if name not in network.parameters:
            example = next(iter(network.parameters))
            raise ValueError(
                f"weight_decay: {name!r} is not a parameter of the model; a parameter is {example!r}"
            )
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"weight_decay is {value!r}, but must be a number, or numbers by parameter name")
        if not 0 <= float(value) < np.inf:
            raise ValueError(f"weight_decay is {value}, but must be finite and at least 0")
    return _of_layers(by_name, network.parameters_of_layers)


def bias_decay_of(network: MeasuredModule, given: float | Mapping[str, float]) -> NDArray[np.float64]:
    """Weight decay of the biases of each layer, (1, layers), from a checked weight decay."""
    by_name = given if isinstance(given, Mapping) else dict.fromkeys(network.parameters, given)
    biases = [
        tuple(f"{name.removesuffix('weight')}bias" for name in names)
        for names in network.parameters_of_layers
    ]
    return _of_layers(by_name, biases)


def _of_layers(by_name: Mapping[str, float], parameters: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """The value of the first name of each layer that has one, 0 for the others, (1, layers)."""
    values = [[by_name[name] for name in names if name in by_name] for names in parameters]
    return np.array([[float(of_layer[0]) if of_layer else 0.0 for of_layer in values]])
