"""Stacks of fully connected networks, as one batched tensor program.

A stack holds networks of one architecture. Every tensor has the cell as its first axis, and no
operation mixes cells, so a cell's numbers do not depend on the company it trains in.

Conventions: z^0 = x and z^l = phi(W_l z^{l-1} + b_l), the last layer without phi; biases b_l are
optional. In code a point is a row, so the product reads ``z @ W.mT``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "Activation",
    "Architecture",
    "Network",
    "RegularisedLoss",
]


@dataclass(frozen=True)
class Activation:
    """A function phi applied entrywise, with phi(0) = 0.

    Attributes
    ----------
    value : callable
        phi.
    derivative : callable
        phi'(t) in terms of a = phi(t).
    derivative_bounds : tuple of float, optional
        The largest absolute values of the first three derivatives; None where they do not exist.
    """

    value: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    derivative_bounds: tuple[float, float, float] | None = None


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, lambda a: 1 - a * a, (1.0, 4 / 27**0.5, 2.0)),
    "linear": Activation(lambda t: t, torch.ones_like, (1.0, 0.0, 0.0)),
    "relu": Activation(torch.relu, lambda a: (a > 0).to(a.dtype)),
}


def _squared_error(output: Tensor, y: Tensor, p: Tensor | float) -> tuple[Tensor, Tensor]:
    """ell = (1/2) ||f - y||^2."""
    error = output - y
    delta = p * error
    return (delta * error).flatten(1).sum(1) / 2, delta


def _cross_entropy(output: Tensor, y: Tensor, p: Tensor | float) -> tuple[Tensor, Tensor]:
    """ell = -sum_j y_j log softmax(f)_j, y a distribution over the classes."""
    logs = output.log_softmax(-1)
    return -(p * y * logs).flatten(1).sum(1), p * (logs.exp() * y.sum(-1, keepdim=True) - y)


# Functions of outputs, targets and weights p_i: the loss sum_i p_i ell_i of every cell, and its
# derivative in the outputs.
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
    """

    weights: list[Tensor]
    activation: str = "tanh"
    loss: str = "squared_error"
    biases: list[Tensor] | None = None

    def after(self, k: int) -> "Network":
        """The networks from the features z^k on: layers k+1, ..., L."""
        biases = None if self.biases is None else self.biases[k:]
        return replace(self, weights=self.weights[k:], biases=biases)

    def to(self, dtype: torch.dtype) -> "Network":
        """The same in another precision."""
        biases = None if self.biases is None else [b.to(dtype) for b in self.biases]
        return replace(self, weights=[w.to(dtype) for w in self.weights], biases=biases)

    def features(self, x: Tensor) -> list[Tensor]:
        """Features z^0, ..., z^L of points x (cells, points, n_0), each (cells, points, n_l)."""
        phi = ACTIVATIONS[self.activation].value
        z = [x]
        for l in range(len(self.weights) - 1):
            z.append(phi(self._layer(l, z[-1])))
        return [*z, self._layer(len(self.weights) - 1, z[-1])]

    def _layer(self, l: int, z: Tensor) -> Tensor:
        a = z @ self.weights[l].mT
        return a if self.biases is None else a + self.biases[l][:, None]

    def gradient(
        self, x: Tensor, y: Tensor, shares: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The loss sum_i p_i ell(f(x_i), y_i) and its gradient, by back-propagation.

        Parameters
        ----------
        x, y : Tensor
            Inputs (cells, points, n_0) and targets (cells, points, n_L).
        shares : Tensor, optional
            Weights p_i of the points, (cells, points); 1/N each if not given.

        Returns
        -------
        value : Tensor
            (cells,)
        gradient : list of Tensor
            The gradient in W_1, ..., W_L, shaped like the weights.
        of_biases : list of Tensor
            The gradient in b_1, ..., b_L; empty without biases.
        """
        derivative = ACTIVATIONS[self.activation].derivative
        z = self.features(x)
        p = 1 / x.shape[1] if shares is None else shares[:, :, None]
        # delta is the derivative of the loss in W_l z^{l-1} + b_l, from the last layer down
        value, delta = LOSSES[self.loss](z[-1], y, p)
        deltas = [delta]
        for l in range(len(self.weights) - 1, 0, -1):
            delta = (delta @ self.weights[l]) * derivative(z[l])
            deltas.insert(0, delta)
        gradient = [delta.mT @ inputs for delta, inputs in zip(deltas, z[:-1], strict=True)]
        return value, gradient, [] if self.biases is None else [delta.sum(1) for delta in deltas]

    def check(self, x: Tensor, y: Tensor) -> None:
        """Check that weights, inputs and targets are finite and fit each other.

        Raises
        ------
        ValueError
            With the name of the first array that does not fit or has a value that is not finite.
        """
        cells, points, size = x.shape
        expected = {"the inputs": ((cells, points, size), x)}
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
    """

    sizes: tuple[int, ...]
    activation: str = "tanh"
    bias: bool = False

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes (n_l, n_{l-1}) of W_1, ..., W_L."""
        return [(n_out, n_in) for n_in, n_out in pairwise(self.sizes)]

    def network(self, theta: Tensor, loss: str = "squared_error") -> Network:
        """The networks of parameters (cells, parameters), whose arrays are views of them."""
        weights = [n_out * n_in for n_out, n_in in self.shapes]
        parts = theta.split([*weights, *(self.sizes[1:] if self.bias else ())], dim=1)
        matrices = [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=False)]
        return Network(matrices, self.activation, loss, list(parts[len(weights) :]) if self.bias else None)

    def join(self, weights: Sequence[Tensor], biases: Sequence[Tensor] = ()) -> Tensor:
        """Put matrices (cells, n_l, n_{l-1}) and biases (cells, n_l) into one tensor (cells, parameters)."""
        return torch.cat([*(w.flatten(1) for w in weights), *biases], dim=1)

    def initial(self, seed: int) -> Tensor:
        """Random parameters (parameters,) in float64: entries of W_l ~ N(0, 1 / n_{l-1}), biases 0.

        They depend on the seed and the sizes alone, so all cells of a plane start from one point.
        """
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        layers = [rng.standard_normal(shape) / np.sqrt(shape[1]) for shape in self.shapes]
        biases = [np.zeros(sum(self.sizes[1:]))] if self.bias else []
        return torch.from_numpy(np.concatenate([*(w.ravel() for w in layers), *biases]))


@dataclass(frozen=True)
class RegularisedLoss:
    """loss_lambda(Theta) = loss(Theta) + penalty(Theta) for every cell of a stack.

    The penalty is (lambda / 2) sum_l ||W_l||^2 on the factors, which is weight decay (biases b_l
    count like weights, as in PyTorch), or (lambda / 2) ||W_L ... W_1||^2 on the product of a linear
    network without biases (Section 5).

    Attributes
    ----------
    architecture : Architecture
    x, y : Tensor
        Inputs (cells, points, n_0) and targets (cells, points, n_L); a first axis of 1 if all cells
        share them.
    weight_decay : Tensor
        lambda, (cells,).
    shares : Tensor, optional
        Weights of the points in the loss, (cells, points); 1/N each if not given.
    penalty : {"factors", "product"}
    loss : str
        A key of `LOSSES`.

    Raises
    ------
    ValueError
        If the penalty is on the product, and the network not linear or a weight decay 0.
    """

    architecture: Architecture
    x: Tensor
    y: Tensor
    weight_decay: Tensor
    shares: Tensor | None = None
    penalty: str = "factors"
    loss: str = "squared_error"

    def __post_init__(self) -> None:
        if self.penalty == "product" and (self.architecture.activation != "linear" or self.architecture.bias):
            raise ValueError(
                f"the penalty is on the product, but the activation is {self.architecture.activation}"
                f"{' with biases' if self.architecture.bias else ''}; "
                "only a linear network without biases is the product of its layers"
            )
        if self.penalty == "product" and (self.weight_decay <= 0).any():
            raise ValueError(
                "weight decay is 0, but a penalty on the product needs it above 0: Theorem 5.1 needs "
                "X X' + N lambda I invertible, and the residual is measured against the penalty"
            )

    def __call__(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Value (cells,) and gradient (cells, parameters) at theta (cells, parameters)."""
        network = self.architecture.network(theta, self.loss)
        loss, *gradient = network.gradient(self.x, self.y, self.shares)
        penalty, penalty_gradient = self.penalty_gradient(theta)
        return loss + penalty, self.architecture.join(*gradient) + penalty_gradient

    def penalty_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Value (cells,) and gradient (cells, parameters) of the penalty."""
        if self.penalty == "factors":
            decay = self.weight_decay[:, None] * theta
            return (decay * theta).sum(1) / 2, decay
        # ||W||^2 is the squared error of the network on the basis vectors, with targets 0 (Remark 5.2)
        basis = torch.eye(self.architecture.sizes[0], dtype=theta.dtype, device=theta.device)
        basis = basis.expand(len(theta), -1, -1)
        penalty, gradient, _ = self.architecture.network(theta).gradient(
            basis,
            theta.new_zeros(len(theta), len(basis[0]), self.architecture.sizes[-1]),
            self.weight_decay[:, None].expand(-1, len(basis[0])),
        )
        return penalty, self.architecture.join(gradient)

    def relative_residual(self, theta: Tensor, gradient: Tensor) -> Tensor:
        """||r|| over the norm of the penalty's gradient, (cells,), r the gradient at theta.

        For a penalty on the factors this is ||r|| / (lambda ||Theta||), and eq. 4 holds where it is
        0. Missing (nan) where the penalty's gradient is 0.
        """
        size = self.penalty_gradient(theta)[1].norm(dim=1)
        return torch.where(size > 0, gradient.norm(dim=1) / size, torch.nan)

    def select(self, cells: Tensor) -> "RegularisedLoss":
        """The same for some of the cells, given by index or mask."""
        shares = None if self.shares is None else self.shares[cells]
        # points that all cells share have a first axis of 1
        x, y = (a if len(a) == 1 < len(self.weight_decay) else a[cells] for a in (self.x, self.y))
        return replace(self, x=x, y=y, weight_decay=self.weight_decay[cells], shares=shares)

    def to(self, device: torch.device) -> "RegularisedLoss":
        """The same on a device."""
        shares = None if self.shares is None else self.shares.to(device)
        moved = {name: getattr(self, name).to(device) for name in ("x", "y", "weight_decay")}
        return replace(self, shares=shares, **moved)

    def on(self, points: Tensor) -> "RegularisedLoss":
        """The same on some of the points, (1 or cells, batch) by index: an unbiased estimate of the loss.

        The points keep their weights, times N / batch.
        """

        def some(values: Tensor) -> Tensor:
            if len(values) == 1:
                return values[0][points]
            return values[torch.arange(len(values), device=values.device)[:, None], points]

        share = self.x.shape[1] / points.shape[1]
        shares = None if self.shares is None else some(self.shares) * share
        return replace(self, x=some(self.x), y=some(self.y), shares=shares)
