"""Stacks of fully connected networks, as one batched tensor program.

A stack has networks of one architecture. The first axis of every tensor is the axis of cells, and no
operation mixes cells, so the numbers of a cell do not depend on the other cells.

Conventions: z^0 = x and z^l = phi(W_l z^{l-1} + b_l), the last layer without phi; biases b_l are optional. In
code a point is a row, but in memory a row is a feature, so products read ``w @ z.mT``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.arrays import Array, namespace
from nrc.networks.losses import LOSSES
from nrc.networks.options import NetworkOptions
from nrc.networks.workspace import FRESH, Workspace
from nrc.options import KeyOf
from nrc.random_streams import Stream, generator

__all__ = ["Architecture", "Network", "Options", "architecture", "by_features"]


class Options(NetworkOptions):
    """Fully connected networks, with hidden layers of one width and as many weight matrices as the depth."""

    activation: Annotated[str, KeyOf(ACTIVATIONS)] = Field(
        "tanh", description="function after every layer but the last"
    )
    bias: bool = Field(False, description="whether layers have biases, to which weight decay applies too")


def architecture(
    options: Options, input_shape: tuple[int, ...], outputs: int, width: int, depth: int
) -> "Architecture":
    """The architecture from points of any shape to outputs.

    Examples
    --------
    >>> architecture(Options(), (20,), outputs=5, width=8, depth=3).sizes
    (20, 8, 8, 5)
    """
    sizes = (prod(input_shape), *[width] * (depth - 1), outputs)
    return Architecture(sizes, options.activation, options.bias)


def by_features(x: Tensor) -> Tensor:
    """Points (cells, points, features), with a row of memory for each feature.

    Examples
    --------
    >>> x = by_features(torch.zeros(1, 20, 3))
    >>> x.shape, x.stride()
    (torch.Size([1, 20, 3]), (60, 1, 20))
    """
    return x.mT.contiguous().mT


@dataclass(frozen=True)
class Network:
    """The networks of a stack, or their last layers, as tensors or as arrays of numpy.

    Attributes
    ----------
    weights : list of arrays
        W_1, ..., W_L, each (cells, n_l, n_{l-1}).
    activation, loss : str
        Keys of `nrc.networks.activations.ACTIVATIONS` and `nrc.networks.losses.LOSSES`.
    biases : list of arrays, optional
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

    weights: list[Array]
    activation: str = "tanh"
    loss: str = "squared_error"
    biases: list[Array] | None = None

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

    def select(self, cells: Tensor | slice) -> "Network":
        """The networks of some cells, given by index or slice."""
        biases = None if self.biases is None else [b[cells] for b in self.biases]
        return replace(self, weights=[w[cells] for w in self.weights], biases=biases)

    def to(self, dtype: torch.dtype) -> "Network":
        """The networks in another precision, as tensors."""
        biases = None if self.biases is None else [b.to(dtype) for b in self.biases]
        return replace(self, weights=[w.to(dtype) for w in self.weights], biases=biases)

    def matrix(self, l: int) -> Array:
        """[W_l b_l], (cells, n_l, n_{l-1} + 1): it acts on features `with_ones`. W_l without biases.

        Examples
        --------
        >>> network = Network([torch.tensor([[[1.0, 2.0]]])], biases=[torch.tensor([[5.0]])])
        >>> network.matrix(1)
        tensor([[[1., 2., 5.]]])
        """
        w = self.weights[l - 1]
        return w if self.biases is None else namespace(w).concat([w, self.biases[l - 1][:, :, None]], axis=2)

    def overwrite(self, l: int, matrix: Array) -> None:
        """Overwrite W_l and b_l by a matrix [W_l b_l]."""
        w = self.weights[l - 1]
        w[...] = matrix[:, :, : w.shape[2]]
        if self.biases is not None:
            self.biases[l - 1][...] = matrix[:, :, -1]

    def with_ones(self, z: Array) -> Array:
        """Features (cells, points, n), and beside them the 1 that a bias multiplies, if there are biases."""
        xp = namespace(z)
        return z if self.biases is None else xp.concat([z, xp.ones_like(z[:, :, :1])], axis=2)

    def features(self, x: Array, workspace: Workspace = FRESH) -> list[Array]:
        """Features z^0, ..., z^L of points x (cells, points, n_0), each (cells, points, n_l).

        They lie in the workspace if one is given. Otherwise autograd can follow them.
        """
        z = self.hidden(x, workspace)
        return [*z, self.output(z, workspace)]

    def hidden(self, x: Array, workspace: Workspace = FRESH) -> list[Array]:
        """Features z^0, ..., z^{L-1}."""
        phi, z = ACTIVATIONS[self.activation].value, [x]
        for l in range(1, len(self.weights)):
            a = self._layer(l, z[-1], workspace).mT
            z.append(phi(a, workspace.over(a)).mT)
        return z

    def output(self, z: list[Array], workspace: Workspace = FRESH) -> Array:
        """z^L from the features z^0, ..., z^{L-1}."""
        return self._layer(len(z), z[-1], workspace)

    def _layer(self, l: int, z: Array, workspace: Workspace, name: str = "z") -> Array:
        w = self.weights[l - 1]
        out = workspace.buffer((name, l), w, len(w), w.shape[1], z.shape[1])
        a = namespace(w).matmul(w, z.mT, out=out)
        if self.biases is not None:
            a += self.biases[l - 1][:, :, None]
        return a.mT

    def slope_argument(self, l: int, z: list[Array], workspace: Workspace = FRESH) -> Array:
        """What the derivatives of phi after layer l are functions of, (cells, n_l, points).

        That is z^l where they are functions of phi(t). Otherwise it is t = W_l z^{l-1} + b_l, which is
        computed again, because the forward pass has written phi(t) over it.
        """
        if ACTIVATIONS[self.activation].of_value:
            return z[l].mT
        return self._layer(l, z[l - 1], workspace, "input").mT

    def deltas(self, z: list[Array], delta: Array, workspace: Workspace = FRESH) -> list[Array]:
        """Derivatives delta^1, ..., delta^L in a^l = W_l z^{l-1} + b_l, by back-propagation.

        Parameters
        ----------
        z : list of arrays
            Features z^0, ..., z^{L-1}.
        delta : array
            Derivative in the outputs, (cells, points, n_L).

        Returns
        -------
        list of arrays
            Each (cells, points, n_l): delta^L as given, and delta^l = (W_{l+1}' delta^{l+1}) phi'(a^l).
        """
        xp, derivative, deltas = namespace(delta), ACTIVATIONS[self.activation].derivative, [delta]
        for l in range(len(self.weights) - 1, 0, -1):
            w = self.weights[l]
            shape = w, len(w), w.shape[2], delta.shape[1]
            before = xp.matmul(w.mT, deltas[0].mT, out=workspace.buffer(("delta", l), *shape))
            slope = derivative(self.slope_argument(l, z, workspace), workspace.buffer("slope", *shape))
            deltas.insert(0, xp.multiply(before, slope, out=workspace.over(before)).mT)
        return deltas

    def gradient(
        self,
        x: Array,
        y: Array,
        shares: Array | None = None,
        *,
        workspace: Workspace = FRESH,
        out: "Network | None" = None,
    ) -> tuple[Array, list[Array], list[Array]]:
        """The loss sum_i p_i ell(f(x_i), y_i) and its gradient, by back-propagation.

        Parameters
        ----------
        x, y : array
            Inputs (cells, points, n_0) and targets (cells, points, n_L).
        shares : array, optional
            Weights p_i of the points, (cells, points); 1/N each if not given.
        workspace : Workspace, optional
            Memory for features and derivatives. If not given, every array is new, and autograd can follow.
        out : Network, optional
            Where to write the gradient.

        Returns
        -------
        value : array
            (cells,)
        gradient : list of arrays
            The gradient in W_1, ..., W_L, shaped like the weights.
        of_biases : list of arrays
            The gradient in b_1, ..., b_L; empty without biases.
        """
        return self.gradient_at(self.features(x, workspace), y, shares, workspace, out)

    def gradient_at(
        self,
        z: list[Array],
        y: Array,
        shares: Array | None,
        workspace: Workspace = FRESH,
        out: "Network | None" = None,
    ) -> tuple[Array, list[Array], list[Array]]:
        """Loss and gradient from known features z^0, ..., z^L; in a workspace z^L is overwritten."""
        p = 1 / y.shape[1] if shares is None else shares[:, :, None]
        value, delta = LOSSES[self.loss].gradient(z[-1], y, p, workspace)
        return value, *self.pull_back(z[:-1], delta, workspace, out)

    def pull_back(
        self, z: list[Array], delta: Array, workspace: Workspace = FRESH, out: "Network | None" = None
    ) -> tuple[list[Array], list[Array]]:
        """The gradient in weights and biases, from z^0, ..., z^{L-1} and the derivative delta in z^L."""
        deltas = self.deltas(z, delta, workspace)
        xp, anywhere = namespace(delta), [None] * len(deltas)
        into: Sequence[Array | None] = anywhere if out is None else out.weights
        weights = [
            xp.matmul(d.mT, inputs, out=there) for d, inputs, there in zip(deltas, z, into, strict=True)
        ]
        if self.biases is None:
            return weights, []
        into = anywhere if out is None or out.biases is None else out.biases
        biases = [xp.sum(d, 1, out=there) for d, there in zip(deltas, into, strict=True)]
        return weights, biases

    def check(self, x: Array, y: Array) -> None:
        """Check that weights, inputs and targets are finite and fit each other.

        Raises
        ------
        ValueError
            With the name of the first array that does not fit or has a value that is not finite.
        """
        cells, points, size = x.shape
        expected: dict[str, tuple[tuple[int, ...], Array]] = {"the inputs": ((cells, points, size), x)}
        for l, w in enumerate(self.weights, start=1):
            expected[f"W_{l}"] = (cells, w.shape[1], size), w
            size = w.shape[1]
            if self.biases is not None:
                expected[f"b_{l}"] = (cells, size), self.biases[l - 1]
        expected["the targets"] = (cells, points, size), y
        for name, (shape, array) in expected.items():
            if array.shape != shape:
                raise ValueError(
                    f"{name} have shape {tuple(array.shape)}, but must have {shape} after the arrays "
                    "before them"
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
        A key of `nrc.networks.activations.ACTIVATIONS`, used after every layer but the last.
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

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes (n_l, n_{l-1}) of W_1, ..., W_L."""
        return [(n_out, n_in) for n_in, n_out in pairwise(self.sizes)]

    @property
    def linear(self) -> bool:
        """Whether the network is the product of its layers: linear, without biases."""
        return ACTIVATIONS[self.activation].linear and not self.bias

    @property
    def parameters(self) -> int:
        """Number of parameters of a cell."""
        return sum(map(prod, self.shapes)) + (sum(self.sizes[1:]) if self.bias else 0)

    @property
    def layers(self) -> range:
        """Names of the layers, 1 to L."""
        return range(1, len(self.sizes))

    @property
    def sources(self) -> range:
        """Names of the spaces of features that enter layers, 0 to L-1."""
        return range(len(self.sizes) - 1)

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """The dimensions of each parameter in files, besides those of the stack.

        Examples
        --------
        >>> Architecture((4, 3), bias=True).dims
        {'W1': ('n1', 'n0'), 'b1': ('n1',)}
        """
        weights = {f"W{l}": (f"n{l}", f"n{l - 1}") for l in self.layers}
        return weights | ({f"b{l}": (f"n{l}",) for l in self.layers} if self.bias else {})

    def long_name(self, parameter: str) -> str:
        """A parameter in words.

        Examples
        --------
        >>> Architecture((4, 3)).long_name("W1")
        'weight matrix of layer 1'
        """
        return f"{'weight matrix' if parameter[0] == 'W' else 'bias'} of layer {parameter[1:]}"

    def arrays(self, theta: Tensor) -> dict[str, Tensor]:
        """Each parameter by its name, (cells, ...), as views of theta (cells, parameters)."""
        network = self.network(theta)
        return dict(zip(self.dims, [*network.weights, *(network.biases or [])], strict=True))

    def network(self, theta: Array, loss: str = "squared_error") -> Network:
        """The networks of parameters (cells, parameters), a tensor or an array; their arrays are views."""
        weights, biases = self._places
        return Network(
            [theta[:, place].reshape(-1, *shape) for place, shape in zip(weights, self.shapes, strict=True)],
            self.activation,
            loss,
            [theta[:, place] for place in biases] or None,
        )

    @cached_property
    def _places(self) -> tuple[list[slice], list[slice]]:
        """Where the parameters have W_1, ..., W_L and b_1, ..., b_L."""
        sizes = [*map(prod, self.shapes), *(self.sizes[1:] if self.bias else ())]
        places = [slice(a, b) for a, b in pairwise(accumulate(sizes, initial=0))]
        return places[: len(self.shapes)], places[len(self.shapes) :]

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
        rng = generator(seed, Stream.INITIAL_WEIGHTS)
        layers = [rng.standard_normal(shape) / np.sqrt(shape[1]) for shape in self.shapes]
        biases = [np.zeros(sum(self.sizes[1:]))] if self.bias else []
        return torch.from_numpy(np.concatenate([*(w.ravel() for w in layers), *biases]))
