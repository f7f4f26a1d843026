"""A regularised loss whose products are computed in float32, and the rest in float64."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from nrc.networks.arrays import fastest, tensor
from nrc.networks.mlp import by_features
from nrc.objectives.protocols import Point
from nrc.objectives.regularised_loss import RegularisedLoss

__all__ = ["Single", "single"]


def single(loss: RegularisedLoss) -> RegularisedLoss:
    """The loss in float32, in blocks of twice as many cells.

    Examples
    --------
    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.ones(1, 3, 2, dtype=torch.float64)
    >>> loss = RegularisedLoss(Architecture((2, 1)), x, x[:, :, :1], weight_decay=x.new_ones(1))
    >>> single(loss).x.dtype
    torch.float32
    """
    x = by_features(loss.x.float())
    y = x if loss.y is loss.x else loss.y.float()
    shares = None if loss.shares is None else loss.shares.float()
    decay = loss.weight_decay.float()
    block = None if loss.block is None else 2 * loss.block
    return replace(loss, x=x, y=y, weight_decay=decay, shares=shares, block=block)


@dataclass(frozen=True)
class Single:
    """loss_lambda(Theta) by float32 products; outputs, loss, penalty and parameters are in float64.

    It is twice as fast, and accurate enough until the relative residual is near 1e-6.

    Attributes
    ----------
    loss : RegularisedLoss
        In float64.

    Raises
    ------
    ValueError
        If a weight decay is 0.

    Examples
    --------
    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64)
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=x.new_ones(1))
    >>> theta = x.new_full((1, 1), 1 / 3)
    >>> low, high = Single(loss).at(theta), loss.at(theta)
    >>> low.value.dtype, low.value.item() == high.value.item()
    (torch.float64, False)
    >>> torch.allclose(low.gradient, high.gradient, rtol=1e-6)
    True
    """

    loss: RegularisedLoss
    # relative rounding of a value
    rounding = torch.finfo(torch.float32).eps

    def __post_init__(self) -> None:
        if not (self.loss.weight_decay > 0).all():
            raise ValueError(
                "a weight decay is 0, but newton needs it above 0; the residual is relative to the penalty"
            )

    @cached_property
    def low(self) -> RegularisedLoss:
        """The loss in float32."""
        return single(self.loss)

    @property
    def variables(self) -> int:
        return self.loss.variables

    def at(self, theta: Tensor) -> Point:
        loss, low = self.loss, self.low
        rounded = theta.float()
        network = low.network(fastest(rounded))
        *z, output = network.features(fastest(low.x), low.workspace)
        outputs = tensor(output).to(theta)
        value, delta = loss.measured_by.gradient(outputs, loss.y, loss.point_weights, loss.workspace)
        gradient = torch.empty_like(rounded)
        into = low.network(fastest(gradient))
        network.pull_back(z, fastest(delta.float()), low.workspace, out=into)
        penalty, of_penalty = loss.penalty_gradient(theta)
        return Point(theta, value + penalty, of_penalty.add_(gradient))

    def relative_residual(self, theta: Tensor, gradient: Tensor) -> Tensor:
        return self.loss.relative_residual(theta, gradient)

    def select(self, cells: Tensor) -> Self:
        return replace(self, loss=self.loss.select(cells))
