"""What a network is to its measures: matrices, the spaces below them, and gradients, on some data.

Stacks of `nrc.networks.mlp` and any torch module (`nrc.measured_module`) are measured through this alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nrc.networks.mlp import Network

__all__ = ["Batch", "MeasuredStack", "Seen"]

T = TypeVar("T")
# Which points, their features of each source (cells, points, n_k), and targets (cells, points, m).
Batch = tuple[slice, Sequence[Tensor], Tensor]


class Seen(Protocol):
    """Networks that see data: one, or the cells of a stack. All tensors are in float64 on the CPU.

    Attributes
    ----------
    layers, sources : sequence
        What layers and sources are called.
    below : (layers, sources) mask
        Whether a layer acts on what the features of a source become, and on nothing else.
    weights : sequence of Tensor
        W_l, (cells, n_l, n_{l-1}) each.
    points : int
        N.
    sizes : sequence of int
        Numbers of features n_k of the sources.
    outputs : int
        Numbers in the target of a point.
    capacity : int
        Points whose features may be in memory at once, of all sources.
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

    def batches(self, doing: str) -> Iterator[Batch]:
        """All points once, in order, none overwritten later; `doing` says what for, on a progress bar."""
        ...

    def track(self, things: Sequence[T], doing: str) -> Iterable[T]:
        """The same things, with a progress bar where it is wanted."""
        ...

    def gradient(self) -> tuple[Tensor, Sequence[Tensor]]:
        """The loss (cells,), and its gradient in W_1, ..., W_L."""
        ...

    def gradient_from(self, source: int, z: Tensor, y: Tensor, shares: Tensor) -> Sequence[Tensor | None]:
        """Gradient of sum_i p_i ell(f(z_i), y_i), f the network from a source on, in every layer.

        Parameters
        ----------
        source : int
            Its place.
        z, y, shares : Tensor
            Features (cells, points, n_k), targets (cells, points, m), weights p_i (cells, points).

        Returns
        -------
        sequence of Tensor or None
            None for a layer that the source is not below.
        """
        ...


@dataclass(frozen=True)
class MeasuredStack:
    """The networks of a stack on their data: layers 1, ..., L, and sources z^0, ..., z^{L-1}.

    Attributes
    ----------
    network : Network
        In float64.
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
    >>> seen = MeasuredStack(nrc.networks.mlp.Network(weights, "linear"), x, y)
    >>> seen.below.tolist()
    [[True, False], [True, True]]
    >>> loss, gradient = seen.gradient()
    >>> loss.tolist(), gradient[1].tolist()
    ([2.0], [[[2.0, 2.0]]])
    """

    network: Network
    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        self.network.check(self.x, self.y)

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
        return self.network.weights

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
        return self.points  # a stack is split by what its training needs, which is more

    @cached_property
    def features(self) -> list[Tensor]:
        """z^0, ..., z^L, (cells, points, n_l) each."""
        return self.network.features(self.x)

    def batches(self, doing: str) -> Iterator[Batch]:
        yield slice(0, self.points), self.features[:-1], self.y

    def track(self, things: Sequence[T], doing: str) -> Iterable[T]:
        return things

    def gradient(self) -> tuple[Tensor, Sequence[Tensor]]:
        loss, gradient, _ = self.network.gradient_at(self.features, self.y, None)
        return loss, gradient

    def gradient_from(self, source: int, z: Tensor, y: Tensor, shares: Tensor) -> Sequence[Tensor | None]:
        _, gradient, _ = self.network.after(source).gradient(z, y, shares)
        return [None] * source + gradient
