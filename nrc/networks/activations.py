"""The table of activations: functions phi with phi(0) = 0, applied entrywise, and their derivatives.

The Snakefile imports this module, which therefore imports torch when a function is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nrc.lazy_module import LazyModule
from nrc.networks.arrays import Array, fastest, namespace, tensor
from nrc.options import Condition, one_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

__all__ = ["ACTIVATIONS", "Activation", "linear", "module_of", "nonlinear", "smooth"]

# The slope of leaky_relu below 0, as in torch.
LEAK = 0.01


@dataclass(frozen=True)
class Activation:
    """A function phi applied entrywise, with phi(0) = 0.

    Attributes
    ----------
    value : callable
        phi(t) of a tensor or an array of numpy, written into its second argument if that is not None.
    derivative : callable
        phi'(t), written into its second argument if that is not None. It is a function of a = phi(t) if
        `of_value` is true, and otherwise of t.
    curvature, third : callable, optional
        phi''(t) and phi'''(t) of the same argument as the derivative; None if they do not exist everywhere.
    of_value : bool
        Whether derivatives are functions of a = phi(t). Then t need not be kept or computed again.
    linear : bool
        Whether phi is the identity.
    odd, homogeneous : bool
        Whether phi(-t) = -phi(t), and whether phi(a t) = a phi(t) for a > 0.
    derivative_bounds : tuple of float, optional
        Upper bounds on the absolute values of the first three derivatives; None if one does not exist.
    turning : tuple of tuple of float, optional
        The values of a = phi(t) between which each of the first three derivatives is monotone.

    Examples
    --------
    >>> tanh = ACTIVATIONS["tanh"]
    >>> a = tanh.value(torch.zeros(1), None)
    >>> tanh.derivative(a, None)
    tensor([1.])
    """

    value: Callable[[Array, Array | None], Array]
    derivative: Callable[[Array, Array | None], Array]
    curvature: Callable[[Tensor], Tensor] | None = None
    derivative_bounds: tuple[float, float, float] | None = None
    third: Callable[[Tensor], Tensor] | None = None
    turning: tuple[tuple[float, ...], ...] | None = None
    of_value: bool = True
    linear: bool = False
    odd: bool = False
    homogeneous: bool = False


def _by_torch(function: Callable[[Tensor], Tensor]) -> Callable[[Array, Array | None], Array]:
    """A function of tensors as one of arrays too, which writes into its second argument."""

    def of_arrays(t: Array, out: Array | None) -> Array:
        result = function(tensor(t))
        if out is not None:
            tensor(out).copy_(result)
            return out
        return result.numpy() if isinstance(t, np.ndarray) else result

    return of_arrays


def _tanh(t: Array, out: Array | None) -> Array:
    if out is None:
        return namespace(t).tanh(t)
    namespace(fastest(t)).tanh(fastest(t), out=fastest(out))
    return out


def _tanh_slope(a: Array, out: Array | None) -> Array:
    xp = namespace(a)
    return xp.subtract(xp.ones((), dtype=a.dtype), xp.multiply(a, a, out=out), out=out)


def _normal_density(t: Tensor) -> Tensor:
    density: Tensor = torch.exp(-t * t / 2) / (2 * torch.pi) ** 0.5
    return density


def _silu_slope(t: Tensor) -> Tensor:
    s = torch.sigmoid(t)
    return s * (1 + t * (1 - s))


def _silu_curvature(t: Tensor) -> Tensor:
    s = torch.sigmoid(t)
    return s * (1 - s) * (2 + t * (1 - 2 * s))


ACTIVATIONS = {
    "tanh": Activation(
        _tanh,
        _tanh_slope,
        lambda a: -2 * a * (1 - a * a),
        (1.0, 4 / 27**0.5, 2.0),
        lambda a: -2 * (1 - a * a) * (1 - 3 * a * a),
        ((0.0,), (-((1 / 3) ** 0.5), (1 / 3) ** 0.5), (-((2 / 3) ** 0.5), 0.0, (2 / 3) ** 0.5)),
        odd=True,
    ),
    "linear": Activation(
        lambda t, out: t,
        _by_torch(lambda a: torch.ones_like(a)),
        lambda a: torch.zeros_like(a),
        (1.0, 0.0, 0.0),
        lambda a: torch.zeros_like(a),
        ((), (), ()),
        linear=True,
        odd=True,
        homogeneous=True,
    ),
    "relu": Activation(
        lambda t, out: namespace(t).clip(t, 0, None, out=out),
        lambda a, out: namespace(a).sign(a, out=out),
        homogeneous=True,
    ),
    "leaky_relu": Activation(
        _by_torch(lambda t: torch.nn.functional.leaky_relu(t, LEAK)),
        _by_torch(lambda a: torch.where(a > 0, torch.ones_like(a), LEAK)),
        homogeneous=True,
    ),
    "gelu": Activation(
        _by_torch(lambda t: torch.nn.functional.gelu(t)),
        _by_torch(lambda t: torch.special.ndtr(t) + t * _normal_density(t)),
        lambda t: (2 - t * t) * _normal_density(t),
        (1.12890415, 0.79788457, 0.77876964),
        of_value=False,
    ),
    "silu": Activation(
        _by_torch(lambda t: torch.nn.functional.silu(t)),
        _by_torch(_silu_slope),
        _silu_curvature,
        (1.09983933, 0.5, 0.30818152),
        of_value=False,
    ),
}


def module_of(name: str) -> torch.nn.Module:
    """The module of torch that has the name of an activation.

    Examples
    --------
    >>> module_of("tanh"), module_of("linear")
    (Tanh(), Identity())
    """
    if ACTIVATIONS[name].linear:
        return torch.nn.Identity()
    own = {module.lower(): module for module in torch.nn.modules.activation.__all__}
    made: torch.nn.Module = getattr(torch.nn, own[name.replace("_", "")])()
    return made


# Conditions on the activation of an experiment; smooth ones have a second derivative.
smooth = one_of(*(name for name, phi in ACTIVATIONS.items() if phi.curvature))
linear = one_of(*(name for name, phi in ACTIVATIONS.items() if phi.linear))
nonlinear = Condition("a nonlinear activation", lambda name: not linear.holds(name))
