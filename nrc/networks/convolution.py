"""Convolutional networks: convolutions in a chain, and a linear layer."""

from collections import OrderedDict
from collections.abc import Sequence
from math import prod
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from nrc.networks.activations import ACTIVATIONS, module_of
from nrc.networks.module_architecture import ModuleArchitecture
from nrc.networks.options import NetworkOptions
from nrc.options import KeyOf

__all__ = ["Options", "architecture"]


class Options(NetworkOptions):
    """Convolutional networks without biases: convolutions of zero-padded images, then a linear layer. The
    width is the number of channels of every convolution, and the depth the number of weight matrices, one
    more than convolutions. All convolutions but the first halve height and width by a stride of 2.
    """

    activation: Annotated[str, KeyOf(ACTIVATIONS)] = Field("tanh", description="function after convolutions")
    kernel: Literal[1, 3, 5, 7] = Field(3, description="height and width of the kernels")

    def check(self, input_shape: Sequence[int], width: int, depth: int) -> None:
        if len(input_shape) != 3:
            raise ValueError("kind is 'convolution', which needs data that are images, such as mnist")
        if depth < 2:
            raise ValueError(
                f"depth is {depth}, but must be at least 2, for a convolution and the last layer"
            )

    @staticmethod
    def largest_space(features: int, width: int) -> int:
        # the first convolution has each of its channels at every position
        return features * width


def architecture(
    options: Options, input_shape: tuple[int, ...], outputs: int, width: int, depth: int
) -> ModuleArchitecture:
    """Convolutional networks on images (channels, height, width).

    Examples
    --------
    >>> convolution = architecture(Options(), (1, 14, 14), outputs=10, width=8, depth=4)
    >>> convolution.layers, convolution.shapes
    (['conv1', 'conv2', 'conv3', 'last'], [(8, 9), (8, 72), (8, 72), (10, 128)])
    """
    channels, *sides = input_shape

    def make() -> nn.Module:
        steps = OrderedDict[str, nn.Module]()
        for number in range(1, depth):
            steps[f"conv{number}"] = nn.Conv2d(
                channels if number == 1 else width,
                width,
                options.kernel,
                stride=1 if number == 1 else 2,
                padding=options.kernel // 2,
                bias=False,
            )
            steps[f"activation{number}"] = module_of(options.activation)
        positions = prod(-(-side // 2 ** (depth - 2)) for side in sides)
        last = nn.Linear(width * positions, outputs, bias=False)
        return nn.Sequential(OrderedDict(**steps, flatten=nn.Flatten(), last=last))

    return ModuleArchitecture(make, input_shape, outputs)
