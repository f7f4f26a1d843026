"""Residual networks: a stream z of features, to which every block adds phi(W z)."""

from collections import OrderedDict
from collections.abc import Sequence
from math import prod
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from nrc.networks.activations import ACTIVATIONS, module_of
from nrc.networks.module_architecture import ModuleArchitecture
from nrc.networks.options import NetworkOptions
from nrc.options import KeyOf

__all__ = ["Block", "Options", "architecture"]


class Options(NetworkOptions):
    """Residual networks without biases: phi(W x), then blocks z + phi(W z), then a linear layer. The
    width is the number of features in the stream, and the depth the number of weight matrices, two more
    than blocks.
    """

    activation: Annotated[str, KeyOf(ACTIVATIONS)] = Field(
        "tanh", description="function after the first layer and in every block"
    )

    def check(self, input_shape: Sequence[int], width: int, depth: int) -> None:
        if depth < 2:
            raise ValueError(f"depth is {depth}, but must be at least 2, for the first layer and the last")


def architecture(
    options: Options, input_shape: tuple[int, ...], outputs: int, width: int, depth: int
) -> ModuleArchitecture:
    """Residual networks on the features of points of any shape.

    Examples
    --------
    >>> residual = architecture(Options(), (20,), outputs=5, width=8, depth=4)
    >>> residual.layers, residual.sources
    (['first', 'block1', 'block2', 'last'], ['input', 'block1', 'block2', 'last'])
    """
    features, phi = prod(input_shape), module_of(options.activation)

    def make() -> nn.Module:
        blocks = {f"block{number}": Block(width, phi) for number in range(1, depth - 1)}
        first, last = nn.Linear(features, width, bias=False), nn.Linear(width, outputs, bias=False)
        return nn.Sequential(OrderedDict(first=first, activation=phi, **blocks, last=last))

    return ModuleArchitecture(make, (features,), outputs)


class Block(nn.Linear):
    """z + phi(W z)

    Examples
    --------
    >>> block = Block(1, torch.nn.ReLU())
    >>> _ = torch.nn.init.ones_(block.weight)
    >>> block(torch.tensor([3.0])).item()
    6.0
    """

    def __init__(self, width: int, phi: nn.Module) -> None:
        super().__init__(width, width, bias=False)
        self.phi = phi

    def forward(self, z: Tensor) -> Tensor:
        added: Tensor = self.phi(super().forward(z))
        return z + added
