"""The interface through which measures see a network on its data: matrices, feature spaces and gradients.

Stacks of `nrc.networks.mlp` and any torch module (`nrc.modules.measured_module`) implement it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.losses import LOSSES
from nrc.networks.mlp import Network
from nrc.networks.workspace import FRESH
from nrc.theory.potential import Potential

__all__ = ["Batch", "MeasuredNetwork", "MeasuredStack", "Neurons"]

T = TypeVar("T")
# The rows of some points, their features in each source (cells, points, n_k), and targets (cells, points, m).
Batch = tuple[slice, Sequence[Tensor], Tensor]


@dataclass(frozen=True)
class Neurons:
    """The neurons of a layer: the rows of its matrix.

    Attributes
    ----------
    layer : int
        Position of the layer.
    after : int, optional
        Position of the next layer, if the neurons enter it and nothing else.
    block : int
        Columns of the next layer for each neuron.
    odd, homogeneous : bool
        As `nrc.networks.activations.Activation`; without a next layer, rows count up to sign.
    smooth : bool
        Whether the function between the layers has a second derivative.
    """

    layer: int
    after: int | None = None
    block: int = 1
    odd: bool = True
    homogeneous: bool = False
    smooth: bool = False


class MeasuredNetwork(Protocol):
    """One network or the cells of a stack, with data. All tensors are in float64 on the CPU.

    Attributes
    ----------
    layers, sources : sequence
        Names or numbers.
    below : (layers, sources) mask
        Whether the inputs of a layer are a function of the features of a source alone.
    weights : sequence of Tensor
        W_l, (cells, n_l, n_{l-1}) each.
    points : int
        N.
    sizes : sequence of int
        Numbers of features n_k of the sources.
    outputs : int
        Numbers in the target of a point.
    capacity : int
        Number of points whose features in all sources fit into memory together.
    neurons : sequence of Neurons
        Of every layer but the last.
    """

    @property
    def layers(self) -> Sequence[int | str]: ...
    @property
    def sources(self) -> Sequence[int | str]: ...
    @property
    def below(self) -> NDArray[np.bool_]: ...
    @property
    def weights(self) -> Sequence[Tensor]: ...
    @property
    def points(self) -> int: ...
    @property
    def sizes(self) -> Sequence[int]: ...
    @property
    def outputs(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def neurons(self) -> Sequence[Neurons]: ...

    def batches(self, description: str) -> Iterator[Batch]:
        """Each point once, in order, in memory that is not reused; the description is for a progress bar."""
        ...

    def track(self, items: Sequence[T], description: str) -> Iterable[T]:
        """The items, with a progress bar if progress is shown."""
        ...

    def gradient(self) -> tuple[Tensor, Sequence[Tensor]]:
        """The loss (cells,), and its gradient in W_1, ..., W_L."""
        ...

    def gradient_from(self, source: int, z: Tensor, y: Tensor, shares: Tensor) -> Sequence[Tensor | None]:
        """The gradient of sum_i p_i ell(f(z_i), y_i) in every layer, with f the network after a source.

        Parameters
        ----------
        source : int
            Position in `sources`.
        z, y, shares : Tensor
            Features (cells, points, n_k), targets (cells, points, m), weights p_i (cells, points).

        Returns
        -------
        sequence of Tensor or None
            None for a layer whose inputs are not a function of the source alone.
        """
        ...

    def incoming(self, neurons: Neurons) -> Tensor:
        """The rows of [W_l b_l], (cells, n_l, ...); of W_l without biases."""
        ...

    def potential(
        self, neurons: Neurons, weight_decay: NDArray[np.float64], bias_decay: NDArray[np.float64]
    ) -> Potential | None:
        """The potential of the neurons, for weight decays (cells, layers) of weights and of biases.

        None if the layers do not have one, or if features and derivatives do not fit into memory.
        """
        ...


@dataclass(frozen=True)
class MeasuredStack:
    """A stack of networks on its data, with layers 1, ..., L and sources z^0, ..., z^{L-1}.

    Attributes
    ----------
    networks : Network
        The networks of all cells, in float64.
    x, y : Tensor
        Inputs (cells, points, n_0) and targets (cells, points, n_L).

    Raises
    ------
    ValueError
        If the arrays do not fit each other, or a value is not finite.

    Examples
    --------
    >>> weights = [torch.eye(2).double()[None], torch.ones(1, 1, 2).double()]
    >>> x, y = torch.ones(1, 3, 2).double(), torch.zeros(1, 3, 1).double()
    >>> stack = MeasuredStack(nrc.networks.mlp.Network(weights, "linear"), x, y)
    >>> stack.below.tolist()
    [[True, False], [True, True]]
    >>> loss, gradient = stack.gradient()
    >>> loss.tolist(), gradient[1].tolist()
    ([2.0], [[[2.0, 2.0]]])
    """

    networks: Network
    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        self.networks.check(self.x, self.y)

    @property
    def layers(self) -> range:
        return range(1, len(self.weights) + 1)

    @property
    def sources(self) -> range:
        return range(len(self.weights))

    @property
    def below(self) -> NDArray[np.bool_]:
        return np.tri(len(self.weights), dtype=bool)

    @property
    def weights(self) -> Sequence[Tensor]:
        return self.networks.weights

    @property
    def points(self) -> int:
        return self.x.shape[1]

    @property
    def sizes(self) -> Sequence[int]:
        return [w.shape[2] for w in self.weights]

    @property
    def outputs(self) -> int:
        return self.y.shape[2]

    @property
    def capacity(self) -> int:
        return self.points  # training needs more memory and has split the stack already

    @cached_property
    def features(self) -> list[Tensor]:
        """z^0, ..., z^L, (cells, points, n_l) each."""
        return self.networks.features(self.x)

    def batches(self, description: str) -> Iterator[Batch]:
        yield slice(0, self.points), self.features[:-1], self.y

    def track(self, items: Sequence[T], description: str) -> Iterable[T]:
        return items

    def gradient(self) -> tuple[Tensor, Sequence[Tensor]]:
        loss, gradient, _ = self.networks.gradient_at(self.features, self.y, None)
        return loss, gradient

    def gradient_from(self, source: int, z: Tensor, y: Tensor, shares: Tensor) -> Sequence[Tensor | None]:
        _, gradient, _ = self.networks.after(source).gradient(z, y, shares)
        return [None] * source + gradient

    @property
    def neurons(self) -> Sequence[Neurons]:
        phi = ACTIVATIONS[self.networks.activation]
        smooth = phi.curvature is not None
        return [
            Neurons(l, l + 1, odd=phi.odd, homogeneous=phi.homogeneous, smooth=smooth)
            for l in range(len(self.weights) - 1)
        ]

    def incoming(self, neurons: Neurons) -> Tensor:
        matrix: Tensor = self.networks.matrix(neurons.layer + 1)
        return matrix

    @cached_property
    def _deltas(self) -> list[Tensor]:
        """p_i times the derivatives of the loss in W_l z^{l-1} + b_l, (cells, points, n_l) each."""
        output = LOSSES[self.networks.loss].gradient(self.features[-1], self.y, 1 / self.points, FRESH)[1]
        return self.networks.deltas(self.features[:-1], output)

    def potential(
        self, neurons: Neurons, weight_decay: NDArray[np.float64], bias_decay: NDArray[np.float64]
    ) -> Potential:
        phi, z = ACTIVATIONS[self.networks.activation].value, self.features[neurons.layer]
        decay, next_decay = torch.from_numpy(weight_decay[:, [neurons.layer, neurons.layer + 1]]).unbind(1)
        shares = torch.ones(len(z), z.shape[2] + (self.networks.biases is not None), dtype=torch.float64)
        if self.networks.biases is not None:
            shares[:, -1] = torch.from_numpy(bias_decay[:, neurons.layer]) / decay
        delta = self._deltas[neurons.layer + 1]
        return Potential(self.networks.with_ones(z), delta, lambda t: phi(t, None), decay, next_decay, shares)
