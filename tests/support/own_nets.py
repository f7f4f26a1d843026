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


def gated(input_shape, outputs, width, depth):
    return Gated(torch.Size(input_shape).numel(), outputs, width)
