"""Stacks of fully connected networks, as one batched tensor program.

A stack holds networks of one architecture. Every tensor has the cell as its first axis, and no
operation mixes cells, so a cell's numbers do not depend on the company it trains in.

Conventions: z^0 = x and z^l = phi(W_l z^{l-1} + b_l), the last layer without phi; biases b_l are
optional. In code a point is a row, but in memory a feature is: products then read ``w @ z.mT``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from nrc.networks.options import ActivationName, NetworkOptions

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "Activation",
    "Architecture",
    "Network",
    "Options",
    "Scratch",
    "by_features",
]


class Options(NetworkOptions):
    """Fully connected networks with hidden layers of one width."""

    activation: ActivationName = Field("tanh", description="function after every layer but the last")
    bias: bool = Field(False, description="whether layers have biases, to which weight decay applies too")


@final  # and so never false: ``scratch and ...`` is None or what follows
class Scratch:
    """Memory that each evaluation uses again: fresh memory would cost more than the arithmetic.

    What lies in it is lost with the next evaluation. Not for two threads at a time.

    Examples
    --------
    >>> scratch, like = Scratch(), torch.ones(1)
    >>> first = scratch("features", like, 2, 3)
    >>> first.shape
    torch.Size([2, 3])
    >>> scratch("features", like, 3).data_ptr() == first.data_ptr()
    True
    """

    def __init__(self) -> None:
        self._memory: dict[object, Tensor] = {}

    def __call__(self, name: object, like: Tensor, *shape: int) -> Tensor:
        """A tensor of a shape, of the type of another, with any content."""
        size, memory = prod(shape), self._memory.get(name)
        if memory is None or len(memory) < size or memory.dtype != like.dtype:
            memory = self._memory[name] = torch.empty(size, dtype=like.dtype, device=like.device)
        return memory[:size].view(shape)


def by_features(x: Tensor) -> Tensor:
    """The same points (cells, points, features), with a feature of all points in a row of memory.

    Examples
    --------
    >>> x = by_features(torch.zeros(1, 20, 3))
    >>> x.shape, x.stride()
    (torch.Size([1, 20, 3]), (60, 1, 20))
    """
    return x.mT.contiguous().mT


@dataclass(frozen=True)
class Activation:
    """A function phi applied entrywise, with phi(0) = 0.

    Attributes
    ----------
    value : callable
        phi(t), written into its second argument if that is not None.
    derivative : callable
        phi'(t) in terms of a = phi(t), likewise.
    curvature : callable, optional
        phi''(t) in terms of a = phi(t); None where it does not exist.
    derivative_bounds : tuple of float, optional
        The largest absolute values of the first three derivatives; None where they do not exist.
    third : callable, optional
        phi'''(t), likewise.
    turning : tuple of tuple of float, optional
        The values of a = phi(t) between which each of the first three derivatives is monotone.

    Examples
    --------
    >>> tanh = ACTIVATIONS["tanh"]
    >>> a = tanh.value(torch.zeros(1), None)
    >>> tanh.derivative(a, None)
    tensor([1.])
    """

    value: Callable[[Tensor, Tensor | None], Tensor]
    derivative: Callable[[Tensor, Tensor | None], Tensor]
    curvature: Callable[[Tensor], Tensor] | None = None
    derivative_bounds: tuple[float, float, float] | None = None
    third: Callable[[Tensor], Tensor] | None = None
    turning: tuple[tuple[float, ...], ...] | None = None


def _tanh(t: Tensor, out: Tensor | None) -> Tensor:
    if out is None or t.device.type != "cpu":
        return torch.tanh(t, out=out)
    np.tanh(t.numpy(), out=out.numpy())  # several times as fast as torch's
    return out


def _one(a: Tensor, out: Tensor | None) -> Tensor:
    return torch.ones_like(a) if out is None else out.fill_(1)


ACTIVATIONS = {
    "tanh": Activation(
        _tanh,
        lambda a, out: torch.addcmul(a.new_ones(()), a, a, value=-1, out=out),
        lambda a: -2 * a * (1 - a * a),
        (1.0, 4 / 27**0.5, 2.0),
        lambda a: -2 * (1 - a * a) * (1 - 3 * a * a),
        ((0.0,), (-((1 / 3) ** 0.5), (1 / 3) ** 0.5), (-((2 / 3) ** 0.5), 0.0, (2 / 3) ** 0.5)),
    ),
    "linear": Activation(
        lambda t, out: t, _one, torch.zeros_like, (1.0, 0.0, 0.0), torch.zeros_like, ((), (), ())
    ),
    "relu": Activation(lambda t, out: torch.clamp(t, min=0, out=out), lambda a, out: torch.sign(a, out=out)),
}


def _squared_error(
    output: Tensor, y: Tensor, p: Tensor | float, scratch: Scratch | None
) -> tuple[Tensor, Tensor]:
    """ell = (1/2) ||f - y||^2."""
    output, y, p = output.mT, y.mT, p.mT if isinstance(p, Tensor) else p
    error = torch.sub(output, y, out=scratch and output)
    delta = torch.mul(error, p, out=scratch and scratch("delta", error, *error.shape))
    squares = torch.mul(error, delta, out=scratch and error)
    return squares.flatten(1).sum(1) / 2, delta.mT


def _cross_entropy(
    output: Tensor, y: Tensor, p: Tensor | float, scratch: Scratch | None
) -> tuple[Tensor, Tensor]:
    """ell = -sum_j y_j log softmax(f)_j, y a distribution over the classes."""
    logs = output.log_softmax(-1)
    return -(p * y * logs).flatten(1).sum(1), p * (logs.exp() * y.sum(-1, keepdim=True) - y)


# Functions of outputs, which they may overwrite, targets and weights p_i: the loss sum_i p_i ell_i of
# every cell, and its derivative in the outputs.
LOSSES = {"squared_error": _squared_error, "cross_entropy": _cross_entropy}


@dataclass(frozen=True)
class Network:
    """The networks of a stack, or what is left of them after some layers.

    Attributes
    ----------
    weights : list of Tensor
        W_1, ..., W_L, each (cells, n_l, n_{l-1}).
    activation, loss : str
        Keys of `ACTIVATIONS` and `LOSSES`.
    biases : list of Tensor, optional
        b_1, ..., b_L, each (cells, n_l).

    Examples
    --------
    A stack of one network with a weight in each of two layers:

    >>> network = Network([torch.tensor([[[2.0]]]), torch.tensor([[[3.0]]])], activation="linear")
    >>> x, y = torch.tensor([[[1.0]]]), torch.tensor([[[5.0]]])
    >>> [z.item() for z in network.features(x)]
    [1.0, 2.0, 6.0]
    >>> loss, gradient, _ = network.gradient(x, y)
    >>> loss.item(), [g.item() for g in gradient]
    (0.5, [3.0, 2.0])
    """

    weights: list[Tensor]
    activation: str = "tanh"
    loss: str = "squared_error"
    biases: list[Tensor] | None = None

    def after(self, k: int) -> "Network":
        """The networks from the features z^k on: layers k+1, ..., L.

        Examples
        --------
        >>> network = Network([torch.ones(1, 5, 4), torch.ones(1, 3, 5)])
        >>> [w.shape for w in network.after(1).weights]
        [torch.Size([1, 3, 5])]
        """
        biases = None if self.biases is None else self.biases[k:]
        return replace(self, weights=self.weights[k:], biases=biases)

    def to(self, dtype: torch.dtype) -> "Network":
        """The same in another precision."""
        biases = None if self.biases is None else [b.to(dtype) for b in self.biases]
        return replace(self, weights=[w.to(dtype) for w in self.weights], biases=biases)

    def matrix(self, l: int) -> Tensor:
        """[W_l b_l], (cells, n_l, n_{l-1} + 1): it acts on features `with_ones`. W_l without biases.

        Examples
        --------
        >>> network = Network([torch.tensor([[[1.0, 2.0]]])], biases=[torch.tensor([[5.0]])])
        >>> network.matrix(1)
        tensor([[[1., 2., 5.]]])
        """
        w = self.weights[l - 1]
        return w if self.biases is None else torch.cat([w, self.biases[l - 1][:, :, None]], dim=2)

    def overwrite(self, l: int, matrix: Tensor) -> None:
        """Overwrite W_l and b_l by those of another [W_l b_l]."""
        w = self.weights[l - 1]
        w.copy_(matrix[:, :, : w.shape[2]])
        if self.biases is not None:
            self.biases[l - 1].copy_(matrix[:, :, -1])

    def with_ones(self, z: Tensor) -> Tensor:
        """Features (cells, points, n), and beside them the 1 that a bias multiplies, if there are biases."""
        return z if self.biases is None else torch.cat([z, torch.ones_like(z[:, :, :1])], dim=2)

    def features(self, x: Tensor, scratch: Scratch | None = None) -> list[Tensor]:
        """Features z^0, ..., z^L of points x (cells, points, n_0), each (cells, points, n_l).

        They lie in the scratch memory if it is given. Else autograd may follow them.
        """
        z = self.hidden(x, scratch)
        return [*z, self.output(z, scratch)]

    def hidden(self, x: Tensor, scratch: Scratch | None = None) -> list[Tensor]:
        """Features z^0, ..., z^{L-1}."""
        phi, z = ACTIVATIONS[self.activation].value, [x]
        for l in range(1, len(self.weights)):
            a = self._layer(l, z[-1], scratch).mT
            z.append(phi(a, scratch and a).mT)
        return z

    def output(self, z: list[Tensor], scratch: Scratch | None = None) -> Tensor:
        """z^L from the features z^0, ..., z^{L-1}."""
        return self._layer(len(z), z[-1], scratch)

    def _layer(self, l: int, z: Tensor, scratch: Scratch | None) -> Tensor:
        w = self.weights[l - 1]
        out = scratch and scratch(("z", l), w, len(w), w.shape[1], z.shape[1])
        a = torch.matmul(w, z.mT, out=out)
        if self.biases is not None:
            a += self.biases[l - 1][:, :, None]
        return a.mT

    def deltas(self, z: list[Tensor], delta: Tensor, scratch: Scratch | None = None) -> list[Tensor]:
        """Derivatives delta^1, ..., delta^L in a^l = W_l z^{l-1} + b_l, by back-propagation.

        Parameters
        ----------
        z : list of Tensor
            Features z^0, ..., z^{L-1}.
        delta : Tensor
            Derivative in the outputs, (cells, points, n_L).

        Returns
        -------
        list of Tensor
            Each (cells, points, n_l): delta^L as given, and delta^l = (W_{l+1}' delta^{l+1}) phi'(a^l).
        """
        derivative, deltas = ACTIVATIONS[self.activation].derivative, [delta]
        for l in range(len(self.weights) - 1, 0, -1):
            w = self.weights[l]
            shape = w, len(w), w.shape[2], delta.shape[1]
            before = torch.matmul(w.mT, deltas[0].mT, out=scratch and scratch(("delta", l), *shape))
            slope = derivative(z[l].mT, scratch and scratch("slope", *shape))
            deltas.insert(0, torch.mul(before, slope, out=scratch and before).mT)
        return deltas

    def gradient(
        self,
        x: Tensor,
        y: Tensor,
        shares: Tensor | None = None,
        *,
        scratch: Scratch | None = None,
        out: "Network | None" = None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The loss sum_i p_i ell(f(x_i), y_i) and its gradient, by back-propagation.

        Parameters
        ----------
        x, y : Tensor
            Inputs (cells, points, n_0) and targets (cells, points, n_L).
        shares : Tensor, optional
            Weights p_i of the points, (cells, points); 1/N each if not given.
        scratch : Scratch, optional
            Memory for the features; autograd may follow if it is not given.
        out : Network, optional
            Where to write the gradient.

        Returns
        -------
        value : Tensor
            (cells,)
        gradient : list of Tensor
            The gradient in W_1, ..., W_L, shaped like the weights.
        of_biases : list of Tensor
            The gradient in b_1, ..., b_L; empty without biases.
        """
        return self.gradient_at(self.features(x, scratch), y, shares, scratch, out)

    def gradient_at(
        self,
        z: list[Tensor],
        y: Tensor,
        shares: Tensor | None,
        scratch: Scratch | None = None,
        out: "Network | None" = None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The same where the features z^0, ..., z^L are known; with scratch z^L is overwritten."""
        p = 1 / y.shape[1] if shares is None else shares[:, :, None]
        value, delta = LOSSES[self.loss](z[-1], y, p, scratch)
        return value, *self.pull_back(z[:-1], delta, scratch, out)

    def pull_back(
        self, z: list[Tensor], delta: Tensor, scratch: Scratch | None = None, out: "Network | None" = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The gradient in weights and biases, from z^0, ..., z^{L-1} and the derivative delta in z^L."""
        deltas = self.deltas(z, delta, scratch)
        anywhere = [None] * len(deltas)
        into: Sequence[Tensor | None] = anywhere if out is None else out.weights
        weights = [
            torch.matmul(d.mT, inputs, out=there) for d, inputs, there in zip(deltas, z, into, strict=True)
        ]
        if self.biases is None:
            return weights, []
        into = anywhere if out is None or out.biases is None else out.biases
        biases = [torch.sum(d, 1, out=there) for d, there in zip(deltas, into, strict=True)]
        return weights, biases

    def check(self, x: Tensor, y: Tensor) -> None:
        """Check that weights, inputs and targets are finite and fit each other.

        Raises
        ------
        ValueError
            With the name of the first array that does not fit or has a value that is not finite.
        """
        cells, points, size = x.shape
        expected: dict[str, tuple[tuple[int, ...], Tensor]] = {"the inputs": ((cells, points, size), x)}
        for l, w in enumerate(self.weights, start=1):
            expected[f"W_{l}"] = (cells, w.shape[1], size), w
            size = w.shape[1]
            if self.biases is not None:
                expected[f"b_{l}"] = (cells, size), self.biases[l - 1]
        expected["the targets"] = (cells, points, size), y
        for name, (shape, array) in expected.items():
            if array.shape != shape:
                raise ValueError(
                    f"{name} have shape {tuple(array.shape)}, but the arrays before them call for {shape}"
                )
            if not array.isfinite().all():
                cell = int((~array.isfinite()).flatten(1).any(1).nonzero()[0])
                raise ValueError(f"{name} of cell {cell} are not finite; every number must be")


@dataclass(frozen=True)
class Architecture:
    """Sizes n_0, ..., n_L of the spaces of a network with L weight matrices, and its activation.

    The parameters of a cell are W_1, ..., W_L, then b_1, ..., b_L where there are biases.

    Attributes
    ----------
    sizes : tuple of int
        Input dimension, hidden widths, output dimension. W_l has shape (n_l, n_{l-1}).
    activation : str
        A key of `ACTIVATIONS`, used after every layer but the last.
    bias : bool
        Whether layers have biases.

    Examples
    --------
    >>> architecture = Architecture((4, 5, 3), bias=True)
    >>> architecture.shapes
    [(5, 4), (3, 5)]
    >>> architecture.parameters
    43
    >>> theta = architecture.initial(seed=0).expand(7, -1)
    >>> [w.shape for w in architecture.network(theta).weights]
    [torch.Size([7, 5, 4]), torch.Size([7, 3, 5])]
    """

    sizes: tuple[int, ...]
    activation: str = "tanh"
    bias: bool = False

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes (n_l, n_{l-1}) of W_1, ..., W_L."""
        return [(n_out, n_in) for n_in, n_out in pairwise(self.sizes)]

    @property
    def parameters(self) -> int:
        """Number of parameters of a cell."""
        return sum(map(prod, self.shapes)) + (sum(self.sizes[1:]) if self.bias else 0)

    def network(self, theta: Tensor, loss: str = "squared_error") -> Network:
        """The networks of parameters (cells, parameters), whose arrays are views of them."""
        weights, biases, place = [], [], 0
        for n_out, n_in in self.shapes:
            weights.append(theta[:, place : place + n_out * n_in].view(-1, n_out, n_in))
            place += n_out * n_in
        for n in self.sizes[1:] if self.bias else ():
            biases.append(theta[:, place : place + n])
            place += n
        return Network(weights, self.activation, loss, biases if self.bias else None)

    def join(self, weights: Sequence[Tensor], biases: Sequence[Tensor] = ()) -> Tensor:
        """Put matrices (cells, n_l, n_{l-1}) and biases (cells, n_l) into one tensor (cells, parameters).

        Examples
        --------
        >>> architecture = Architecture((2, 1))
        >>> theta = torch.tensor([[3.0, 4.0]])
        >>> architecture.join(architecture.network(theta).weights)
        tensor([[3., 4.]])
        """
        return torch.cat([*(w.flatten(1) for w in weights), *biases], dim=1)

    def initial(self, seed: int) -> Tensor:
        """Random parameters (parameters,) in float64: entries of W_l ~ N(0, 1 / n_{l-1}), biases 0.

        They depend on the seed and the sizes alone, so all cells of a plane start from one point.
        """
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        layers = [rng.standard_normal(shape) / np.sqrt(shape[1]) for shape in self.shapes]
        biases = [np.zeros(sum(self.sizes[1:]))] if self.bias else []
        return torch.from_numpy(np.concatenate([*(w.ravel() for w in layers), *biases]))
