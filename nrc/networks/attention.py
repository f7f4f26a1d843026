"""Transformers: blocks of self-attention and of a layer that acts on each token, in a residual stream."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from nrc.networks.activations import ACTIVATIONS, module_of
from nrc.networks.module_architecture import ModuleArchitecture
from nrc.networks.options import NetworkOptions
from nrc.networks.residual import Block
from nrc.options import KeyOf

__all__ = ["Attention", "Embedding", "Options", "architecture"]


class Options(NetworkOptions):
    """Transformers without biases and normalisation, whose tokens are the rows of an image. They begin
    with a linear embedding and a position of each token. A block adds self-attention to the tokens, and
    then phi(W z); the last layer acts on their mean. The width is the number of features of a token, and
    the depth the number of blocks.
    """

    activation: Annotated[str, KeyOf(ACTIVATIONS)] = Field("tanh", description="function phi of the blocks")
    heads: int = Field(2, ge=1, description="number of heads, which divides the width")

    def check(self, input_shape: Sequence[int], width: int, depth: int) -> None:
        if len(input_shape) != 3:
            raise ValueError("kind is 'attention', which needs data that are images, such as mnist")
        if width % self.heads:
            raise ValueError(f"heads is {self.heads}, but must divide the width, {width}")

    @staticmethod
    def largest_space(features: int, width: int) -> int:
        # of the tokens of a square image
        tokens: int = round(float(features) ** 0.5)
        return max(features, width * tokens)


def architecture(
    options: Options, input_shape: tuple[int, ...], outputs: int, width: int, depth: int
) -> ModuleArchitecture:
    """Transformers on images (channels, height, width), with a token for each row.

    Examples
    --------
    >>> transformer = architecture(Options(), (1, 14, 14), outputs=10, width=8, depth=1)
    >>> transformer.layers[:5]
    ['embedding.position', 'embedding.linear', 'attention1.query', 'attention1.key', 'attention1.value']
    >>> transformer.layers[5:]
    ['attention1.output', 'tokens1', 'last']
    """

    def make() -> nn.Module:
        blocks = OrderedDict[str, nn.Module]()
        for number in range(1, depth + 1):
            blocks[f"attention{number}"] = Attention(width, options.heads)
            blocks[f"tokens{number}"] = Block(width, module_of(options.activation))
        embedding, last = Embedding(input_shape, width), nn.Linear(width, outputs, bias=False)
        return nn.Sequential(OrderedDict(embedding=embedding, **blocks, mean=_Mean(), last=last))

    return ModuleArchitecture(make, input_shape, outputs)


class Embedding(nn.Module):
    """Tokens (points, rows, width): W x + position of each row x of an image."""

    def __init__(self, input_shape: Sequence[int], width: int) -> None:
        super().__init__()
        channels, rows, columns = input_shape
        self.linear = nn.Linear(channels * columns, width, bias=False)
        self.position = nn.Parameter(0.1 * torch.randn(rows, width))

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.linear(x.transpose(1, 2).flatten(2)) + self.position
        return tokens


class Attention(nn.Module):
    """z + W_o softmax(Q' K / sqrt(n)) V, with queries, keys and values W z in several heads of size n."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )

    def forward(self, z: Tensor) -> Tensor:
        q, k, v = (
            layer(z).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v
        added: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return z + added


class _Mean(nn.Module):
    """The mean over tokens."""

    def forward(self, z: Tensor) -> Tensor:
        return z.mean(1)
