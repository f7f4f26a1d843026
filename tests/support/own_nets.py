"""Networks of a user, as in the file that `network.file` names."""

from itertools import pairwise

import torch
from torch import nn


def chain(input_shape, outputs, width, depth):
    """The fully connected tanh network of the kind mlp, with biases."""
    sizes = [torch.Size(input_shape).numel(), *[width] * (depth - 1), outputs]
    steps = [nn.Flatten()]
    for n, m in pairwise(sizes):
        steps += [nn.Linear(n, m), nn.Tanh()]
    return nn.Sequential(*steps[:-1])


class Gated(nn.Module):
    """A gate with a buffer, a tied weight and a parameter of its own."""

    def __init__(self, features, outputs, width):
        super().__init__()
        self.inner = nn.Linear(features, width)
        self.again = nn.Linear(features, width)
        self.again.weight = self.inner.weight
        self.scale = nn.Parameter(torch.randn(width))
        self.register_buffer("shift", torch.full((width,), 0.1))
        self.last = nn.Linear(width, outputs, bias=False)

    def forward(self, x):
        x = x.flatten(1)
        gate = torch.sigmoid(self.again(x) + self.shift)
        return self.last(torch.nn.functional.silu(self.inner(x)) * self.scale * gate)


class Tokens(nn.Module):
    """Attention of torch between the rows of an image."""

    def __init__(self, columns, outputs, width):
        super().__init__()
        self.embedding = nn.Linear(columns, width)
        self.block = nn.TransformerEncoderLayer(width, 2, 8, batch_first=True, activation="gelu")
        self.last = nn.Linear(width, outputs)

    def forward(self, x):
        return self.last(self.block(self.embedding(x[:, 0])).mean(1))


def tokens(input_shape, outputs, width, depth):
    return Tokens(input_shape[2], outputs, width)


def gated(input_shape, outputs, width, depth):
    return Gated(torch.Size(input_shape).numel(), outputs, width)
