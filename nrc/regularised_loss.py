"""The loss of the networks of a stack with weight decay, as an objective of training."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from nrc.networks.mlp import Architecture, Network, Scratch
from nrc.optimize.protocols import Point

__all__ = ["RegularisedLoss"]


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
    scratch : Scratch
        Memory for the features.

    Raises
    ------
    ValueError
        If the penalty is on the product, and the network not linear or a weight decay 0.

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
    scratch: Scratch = field(default_factory=Scratch, repr=False, compare=False)

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

    @property
    def variables(self) -> int:
        """Number of parameters of a cell."""
        return self.architecture.parameters

    @property
    def rounding(self) -> float:
        """Relative rounding of a value."""
        return torch.finfo(self.x.dtype).eps

    def at(self, theta: Tensor) -> Point:
        """Value (cells,) and gradient (cells, parameters) at theta (cells, parameters)."""
        return self.at_features(theta, self.network(theta).features(self.x, self.scratch))

    def at_features(self, theta: Tensor, z: list[Tensor]) -> Point:
        """The same where the features z^0, ..., z^L are known; z^L is overwritten."""
        gradient = torch.empty_like(theta)
        loss, *_ = self.network(theta).gradient_at(
            z, self.y, self.shares, self.scratch, out=self.network(gradient)
        )
        penalty, of_penalty = self.penalty_gradient(theta)
        return Point(theta, loss + penalty, gradient.add_(of_penalty))

    def network(self, theta: Tensor) -> Network:
        """The networks of parameters (cells, parameters), whose arrays are views of them."""
        return self.architecture.network(theta, self.loss)

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

        Examples
        --------
        With weights 3 and 4, weight decay 0.1, and a gradient of norm 0.01 it is 0.01 / (0.1 * 5):

        >>> x = torch.zeros(1, 5, 2)
        >>> loss = RegularisedLoss(Architecture((2, 1)), x, x[:, :, :1], weight_decay=torch.tensor([0.1]))
        >>> round(loss.relative_residual(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.01, 0.0]])).item(), 6)
        0.02
        """
        if self.penalty == "factors":
            size = self.weight_decay * theta.norm(dim=1)
        else:
            size = self.penalty_gradient(theta)[1].norm(dim=1)
        return torch.where(size > 0, gradient.norm(dim=1) / size, torch.nan)

    def select(self, cells: Tensor) -> Self:
        """The same for some of the cells, given by index or mask.

        Examples
        --------
        >>> x = torch.zeros(1, 5, 2)
        >>> decay = torch.tensor([0.1, 0.2, 0.3])
        >>> loss = RegularisedLoss(Architecture((2, 1)), x, x[:, :, :1], decay)
        >>> loss.select(torch.tensor([2])).weight_decay
        tensor([0.3000])
        """
        shares = None if self.shares is None else self.shares[cells]
        # points that all cells share have a first axis of 1
        some = (a if len(a) == 1 < len(self.weight_decay) else a.mT[cells].mT for a in (self.x, self.y))
        x = next(some)
        y = x if self.y is self.x else next(some)
        return replace(self, x=x, y=y, weight_decay=self.weight_decay[cells], shares=shares)

    def to(self, device: torch.device) -> "RegularisedLoss":
        """The same on a device."""
        shares = None if self.shares is None else self.shares.to(device)
        x, weight_decay = self.x.to(device), self.weight_decay.to(device)
        y = x if self.y is self.x else self.y.to(device)
        return replace(self, x=x, y=y, weight_decay=weight_decay, shares=shares, scratch=Scratch())

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
        x, y = self._by_points
        return replace(self, x=some(x), y=some(y), shares=shares)

    @cached_property
    def _by_points(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets with a point in a row of memory, from which to take some."""
        return self.x.contiguous(), self.y.contiguous()
