"""The loss of the networks of a stack with weight decay, as an objective of training."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from nrc.networks.arrays import Array, fastest, tensor
from nrc.networks.losses import LOSSES, Loss
from nrc.networks.mlp import Architecture, Network
from nrc.networks.workspace import Workspace
from nrc.objectives.protocols import Point, evaluated, per_cell
from nrc.objectives.regularised import Regularised

__all__ = ["RegularisedLoss"]


@dataclass(frozen=True)
class RegularisedLoss(Regularised):
    """loss_lambda(Theta) = loss(Theta) + penalty(Theta) for every cell of a stack.

    Points are rows in code and columns in formulas.

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
    penalty, loss : str
        Keys of `nrc.objectives.penalties.PENALTIES` and `nrc.networks.losses.LOSSES`.
    principal_axes : bool
        Whether the second moments sum_i p_i x_i x_i' of the inputs are diagonal.
    block : int, optional
        Number of cells that are evaluated at a time; all if not given. It changes no number.
    workspace : Workspace
        Memory for features and derivatives.

    Raises
    ------
    ValueError
        If the penalty is not defined for the architecture or for a weight decay.

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, which is least at w = 1:

    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> loss.at(torch.tensor([[1.0]]))
    Point(theta=tensor([[1.]]), value=tensor([1.]), gradient=tensor([[0.]]))
    """

    architecture: Architecture
    x: Tensor
    y: Tensor
    weight_decay: Tensor
    shares: Tensor | None = None
    penalty: str = "factors"
    loss: str = "squared_error"
    principal_axes: bool = False
    block: int | None = None
    workspace: Workspace = field(default_factory=Workspace, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.penalised_by.check(self.architecture, self.weight_decay)

    @property
    def measured_by(self) -> Loss:
        """The loss of a point, from its table."""
        return LOSSES[self.loss]

    @property
    def point_weights(self) -> Tensor | float:
        """p_i, (cells, points, 1), or 1/N if `shares` is not given."""
        return 1 / self.x.shape[1] if self.shares is None else self.shares[:, :, None]

    @cached_property
    def blocks(self) -> list[tuple[slice, Self]]:
        """The cells of each block, and their losses, which share the workspace."""
        cells, size = len(self.weight_decay), self.block or len(self.weight_decay)
        if cells <= size:
            return [(slice(None), self)]
        return [(some, self.select(some)) for some in (slice(k, k + size) for k in range(0, cells, size))]

    def at(self, theta: Tensor) -> Point:
        """Value (cells,) and gradient (cells, parameters) at theta, computed in the precision of x."""
        return evaluated(self, theta.to(self.x.dtype)).to(theta.dtype)

    def write(self, theta: Array, value: Array, gradient: Array) -> None:
        """Write value and gradient at theta into arrays."""
        features = self.network(theta).features(fastest(self.x), self.workspace)
        self.write_at(features, theta, value, gradient)

    def write_at(self, z: list[Array], theta: Array, value: Array, gradient: Array) -> None:
        """Write value and gradient from known features z^0, ..., z^L; z^L is overwritten."""
        shares = None if self.shares is None else fastest(self.shares)
        loss, *_ = self.network(theta).gradient_at(
            z, fastest(self.y), shares, self.workspace, out=self.network(gradient)
        )
        penalty, of_penalty = map(fastest, self.penalty_gradient(tensor(theta)))
        value[...] = loss + penalty
        gradient += of_penalty

    def network(self, theta: Array) -> Network:
        """The networks of parameters (cells, parameters), whose arrays are views of them."""
        return self.architecture.network(theta, self.loss)

    def select(self, cells: Tensor | slice) -> Self:
        """The losses of some cells, given by index, mask or slice.

        Examples
        --------
        >>> x = torch.zeros(1, 5, 2)
        >>> decay = torch.tensor([0.1, 0.2, 0.3])
        >>> loss = RegularisedLoss(Architecture((2, 1)), x, x[:, :, :1], decay)
        >>> loss.select(torch.tensor([2])).weight_decay
        tensor([0.3000])
        """
        # a feature stays a row of memory
        x = per_cell(self.x.mT, cells).mT
        y = x if self.y is self.x else per_cell(self.y.mT, cells).mT
        shares = None if self.shares is None else self.shares[cells]
        return replace(self, x=x, y=y, weight_decay=self.weight_decay[cells], shares=shares)

    def to(self, device: torch.device) -> "RegularisedLoss":
        """The losses on a device."""
        shares = None if self.shares is None else self.shares.to(device)
        x, weight_decay = self.x.to(device), self.weight_decay.to(device)
        y = x if self.y is self.x else self.y.to(device)
        return replace(self, x=x, y=y, weight_decay=weight_decay, shares=shares, workspace=Workspace())

    def on(self, points: Tensor) -> "RegularisedLoss":
        """The losses on some points, (1 or cells, batch) by index: an unbiased estimate on random points.

        The points keep their weights, times N / batch.
        """

        def some(values: Tensor) -> Tensor:
            if len(values) == 1:
                return values[0][points]
            return values[torch.arange(len(values), device=values.device)[:, None], points]

        share = self.x.shape[1] / points.shape[1]
        shares = None if self.shares is None else some(self.shares) * share
        x, y = self._by_points
        return replace(self, x=some(x), y=some(y), shares=shares)

    @cached_property
    def _by_points(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets with a point in a row of memory, from which to take some."""
        return self.x.contiguous(), self.y.contiguous()
