"""Networks that are any torch module: the parameters of a cell are one vector."""

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from nrc.modules.measured_module import ModuleFeatures
from nrc.random_streams import Stream, generator, integer_seed
from nrc.text import first_line
from nrc.theory.neurons import distinct

__all__ = ["ModuleArchitecture"]

# Points on which a new module is tried.
TRIED = 8
# The random numbers of torch belong to all threads.
RANDOM = threading.RLock()


@dataclass(frozen=True)
class ModuleArchitecture:
    """A torch module as the architecture of the networks of a stack.

    The parameters of a cell are those of the module, in the order of `named_parameters`. It is in eval mode,
    so that the loss is a mean over points without random numbers.

    Attributes
    ----------
    make : callable
        Returns a new module with initial weights, by the random numbers of torch.
    input_shape : tuple of int
        Shape of a point as it enters the module.
    outputs : int

    Raises
    ------
    TypeError, ValueError
        If the module cannot be trained and measured on such points.

    Examples
    --------
    >>> architecture = ModuleArchitecture(lambda: torch.nn.Linear(4, 3), (4,), 3)
    >>> architecture.parameters, architecture.dims
    (15, {'weight': ('weight_0', 'weight_1'), 'bias': ('bias_0',)})
    >>> architecture.layers, architecture.sources
    (['Linear'], ['input'])
    >>> theta = architecture.initial(seed=0)
    >>> torch.equal(architecture.module(theta).bias, theta[12:])
    True
    """

    make: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    outputs: int
    # whether the network is the product of its layers
    linear = False

    def __post_init__(self) -> None:
        _check(self.template, self.input_shape, self.outputs)
        self._tried.sources  # noqa: B018  the module can be measured

    @cached_property
    def template(self) -> nn.Module:
        """The module in float64, whose own parameters are not used."""
        return self._made(0)

    def _made(self, seed: int) -> nn.Module:
        with RANDOM, torch.random.fork_rng(devices=[]):
            torch.manual_seed(integer_seed(seed, Stream.INITIAL_WEIGHTS))
            made = self.make()
        if not isinstance(made, nn.Module):
            raise ValueError(
                f"network: build returns {type(made).__name__}, but must return a torch.nn.Module"
            )
        return made.double().eval()

    @cached_property
    def shapes_by_name(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter."""
        return {name: tuple(p.shape) for name, p in self.template.named_parameters()}

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """The dimensions of each parameter in files, besides those of the stack."""
        return {
            name: tuple(f"{name}_{axis}" for axis in range(len(shape)))
            for name, shape in self.shapes_by_name.items()
        }

    def long_name(self, parameter: str) -> str:
        """A parameter in words."""
        return f"parameter {parameter}"

    @property
    def parameters(self) -> int:
        """Number of parameters of a cell."""
        return sum(map(prod, self.shapes_by_name.values()))

    def initial(self, seed: int) -> Tensor:
        """The weights (parameters,) of a new module, by torch, in float64; they depend on the seed alone."""
        return torch.cat([p.detach().flatten() for p in self._made(seed).parameters()])

    def arrays(self, theta: Tensor) -> dict[str, Tensor]:
        """Each parameter by its name, (..., *shape), as views of theta (..., parameters)."""
        parts = torch.split(theta, [prod(shape) for shape in self.shapes_by_name.values()], dim=-1)
        shapes = self.shapes_by_name.items()
        return {
            name: part.view(*theta.shape[:-1], *shape)
            for (name, shape), part in zip(shapes, parts, strict=True)
        }

    def outputs_of(self, template: nn.Module, theta: Tensor, x: Tensor) -> Tensor:
        """Outputs (points, outputs) of the network with parameters (parameters,), for x (points, features).

        `template` is a copy of the module in the precision and on the device of theta, for this thread alone.
        """
        outputs: Tensor = functional_call(template, self.arrays(theta), (self.points(x),))
        return outputs

    def points(self, x: Tensor) -> Tensor:
        """Points (points, features) as they enter the module."""
        return x.reshape(len(x), *self.input_shape)

    def module(self, theta: Tensor) -> nn.Module:
        """The module with a copy of the parameters (parameters,)."""
        module = copy.deepcopy(self.template).to(theta)
        with torch.no_grad():
            for p, value in zip(module.parameters(), self.arrays(theta).values(), strict=True):
                p.copy_(value)
        return module

    @cached_property
    def _tried(self) -> ModuleFeatures:
        x = generator(0, Stream.INITIAL_WEIGHTS).random((TRIED, *self.input_shape))
        return ModuleFeatures(self.template, x, progress=False)

    @property
    def layers(self) -> Sequence[str]:
        """Names of the layers: parameters that are matrices, without `weight`."""
        return self._tried.layers

    @property
    def sources(self) -> Sequence[str]:
        """Names of the sources: the input, and modules whose inputs determine all that follows."""
        return self._tried.sources

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes of the matrices of the layers."""
        return [(w.shape[1], w.shape[2]) for w in self._tried.weights]

    def seen(self, theta: Tensor, x: Tensor) -> tuple[list[Tensor], NDArray[np.float64], list[Tensor]]:
        """What snapshots show of networks (cells, parameters) on points (cells or 1, points, features).

        Returns
        -------
        matrices : list of Tensor
            Of every layer, (cells, n_l, n_{l-1}).
        neurons : (cells, layers) array
            Numbers of distinct neurons; missing where neurons are outputs.
        spaces : list of Tensor
            Features in every source, (cells, points, n_k).
        """
        neurons = np.full((len(theta), len(self.layers)), np.nan)
        matrices, spaces = list[list[Tensor]](), list[list[Tensor]]()
        for cell, of_cell in enumerate(theta):
            points = self.points(x[cell % len(x)])
            network = ModuleFeatures(self.module(of_cell), points, sources=self.sources, progress=False)
            for of in network.neurons:
                neurons[cell, of.layer] = distinct(network.incoming(of)[0].numpy(), of.odd, of.homogeneous)
            matrices.append(network.weights)
            batches = (z for _, z in network.features("snapshot"))
            spaces.append([torch.cat(parts, 1) for parts in zip(*batches, strict=True)])
        together = [[torch.cat(cells) for cells in zip(*of, strict=True)] for of in (matrices, spaces)]
        return together[0], neurons, together[1]


def _check(module: nn.Module, input_shape: tuple[int, ...], outputs: int) -> None:
    """Check that a module has parameters that can be trained, and the outputs of a network."""
    parameters = dict(module.named_parameters())
    if not parameters:
        raise ValueError(f"network: {type(module).__name__} has no parameters to train")
    for name, p in parameters.items():
        if not p.requires_grad or p.dtype != torch.float64:
            raise ValueError(
                f"network: the parameter {name} is frozen or not of real numbers, but all parameters are "
                "trained; make it a buffer (register_buffer)"
            )
    x = torch.zeros(TRIED, *input_shape, dtype=torch.float64)
    try:
        found = module(x)
    except Exception as error:  # modules raise errors of any type
        raise ValueError(
            f"network: the module fails at points of shape {input_shape} in float64 ({first_line(error)})"
        ) from error
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != (TRIED, outputs):
        raise ValueError(
            f"network: for {TRIED} points of shape {input_shape} its output is {shape}, but must be a tensor "
            f"of shape ({TRIED}, {outputs}), with the outputs of the task"
        )
