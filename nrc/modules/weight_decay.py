"""The weight decay of the parameters of a module.

Frozen parameters (`requires_grad` is False) are not trained, and have no weight decay.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from nrc.modules.layers import parameters_of

__all__ = ["WeightDecay", "weight_decay_of"]

# Optimisers that decay weights beside the step along the gradient; others say it by `decoupled_weight_decay`.
DECOUPLED = ("AdamW", "Adafactor", "Muon")


@dataclass(frozen=True)
class WeightDecay:
    """lambda of the parameters of a module.

    Attributes
    ----------
    of_trained : mapping
        lambda of each parameter that is trained, under each of its names; 0 without weight decay.
    given : float or mapping
        What was given, in types that a file can hold.
    decoupled : bool
        Whether it acts beside the gradient, and is therefore no penalty.

    Examples
    --------
    >>> model = torch.nn.Linear(3, 2)
    >>> weight_decay_of(0.1, model, model).of_trained
    {'weight': 0.1, 'bias': 0.1}
    >>> groups = [{"params": [model.weight], "weight_decay": 0.2}, {"params": [model.bias]}]
    >>> optimiser = torch.optim.SGD(groups)
    >>> weight_decay_of(optimiser, model, model).of_trained
    {'weight': 0.2, 'bias': 0.0}
    """

    of_trained: Mapping[str, float]
    given: float | dict[str, float]
    decoupled: bool = False

    def of_layers(self, parameters: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """lambda of each layer by the names of its parameter, (1, layers)."""
        values = [
            next((self.of_trained[n] for n in names if n in self.of_trained), 0.0) for names in parameters
        ]
        return np.array([values], dtype=np.float64)

    def of_biases(self, parameters: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """lambda of the bias beside the weight of each layer, (1, layers)."""
        return self.of_layers(
            [[f"{name.removesuffix('weight')}bias" for name in names] for names in parameters]
        )

    def trains(self, parameters: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
        """Whether the parameter of each layer is trained, (layers,)."""
        return np.array([any(name in self.of_trained for name in names) for names in parameters])


def weight_decay_of(given: Any, model: nn.Module, inner: nn.Module) -> WeightDecay:
    """The weight decay of a module by a number, a mapping of names of parameters, or an optimiser.

    Parameters
    ----------
    given : float, mapping or Optimizer
    model, inner : Module
        As it was passed, and without wrappers. Names of parameters may be those of either.

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, negative, or for an unknown parameter.

    Warns
    -----
    UserWarning
        If all parameters are frozen.
    """
    parameters, decoupled, trained = parameters_of(inner), False, None
    plain: float | dict[str, float]
    if isinstance(given, Optimizer):
        plain, decoupled = _of_optimiser(given, parameters), _is_decoupled(given)
        trained = {id(p) for group in given.param_groups for p in group["params"]}
    elif isinstance(given, Mapping):
        plain = {name: _checked(value, f"[{name!r}]") for name, value in given.items()}
    else:
        plain = _checked(given)
    values = _by_parameter(plain, parameters_of(model) | parameters) if isinstance(plain, dict) else {}
    of_trained = {
        name: values.get(id(p), 0.0) if isinstance(plain, dict) else plain
        for name, p in parameters.items()
        if p.requires_grad and (trained is None or id(p) in trained)
    }
    if not of_trained and np.any(list(plain.values()) if isinstance(plain, dict) else plain):
        warnings.warn(
            "weight_decay: all parameters are frozen (requires_grad=False) and have none, so that residuals "
            "and bounds are missing; if they were trained, call model.requires_grad_(True)",
            stacklevel=3,
        )
    return WeightDecay(of_trained, plain, decoupled)


def _of_optimiser(optimiser: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, float]:
    """The weight decay of the groups of an optimiser, by names of parameters."""
    kind = type(optimiser).__name__
    if not any("weight_decay" in group for group in optimiser.param_groups):
        raise ValueError(
            f"weight_decay: {kind} has none; pass the lambda of the penalty in your loss as a number"
        )
    values = {
        id(p): _checked(group.get("weight_decay", 0.0))
        for group in optimiser.param_groups
        for p in group["params"]
    }
    found = {name: values[id(p)] for name, p in parameters.items() if id(p) in values}
    if not found:
        raise ValueError(
            f"weight_decay: {kind} has no parameter of the model; pass the optimiser of this model or, for "
            "an averaged copy, numbers by parameter name"
        )
    return found


def _is_decoupled(optimiser: Optimizer) -> bool:
    names = [parent.__name__ for parent in type(optimiser).__mro__]
    return any(name in DECOUPLED for name in names) or any(
        group.get("decoupled_weight_decay", False) for group in optimiser.param_groups
    )


def _by_parameter(plain: Mapping[str, float], parameters: Mapping[str, Tensor]) -> dict[int, float]:
    """The values by the identity of the parameter; the first name of a tied parameter counts."""
    values: dict[int, float] = {}
    for name, value in plain.items():
        if name not in parameters:
            raise ValueError(
                f"weight_decay: {name!r} is not a parameter of the model; a parameter is "
                f"{next(iter(parameters))!r}"
            )
        values.setdefault(id(parameters[name]), value)
    return values


def _checked(value: Any, place: str = "") -> float:
    value = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"weight_decay{place} is {value!r}, but must be a number, numbers by parameter name, or an "
            "optimiser"
        )
    if not 0 <= float(value) < np.inf:
        raise ValueError(f"weight_decay{place} is {value}, but must be finite and at least 0")
    return float(value)
