"""What all losses with a penalty have in common."""

from typing import Any

import torch
from torch import Tensor

from nrc.objectives.penalties import PENALTIES, Penalty
from nrc.objectives.protocols import norm
from nrc.objectives.residual import relative_residual

__all__ = ["Regularised"]


class Regularised:
    """A loss with a penalty, of the networks of an architecture, for every cell.

    Attributes
    ----------
    architecture : Architecture or ModuleArchitecture
    x : Tensor
        Inputs, in the precision of the loss.
    weight_decay : Tensor
        lambda, (cells,).
    penalty : str
        A key of `nrc.objectives.penalties.PENALTIES`.
    """

    architecture: Any
    x: Tensor
    weight_decay: Tensor
    penalty: str

    @property
    def penalised_by(self) -> Penalty:
        """The penalty, from its table."""
        return PENALTIES[self.penalty]

    @property
    def variables(self) -> int:
        """Number of parameters of a cell."""
        number: int = self.architecture.parameters
        return number

    @property
    def rounding(self) -> float:
        """Relative rounding of a value."""
        return torch.finfo(self.x.dtype).eps

    def penalty_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Value (cells,) and gradient (cells, parameters) of the penalty."""
        return self.penalised_by.gradient(self.architecture, self.weight_decay, theta)

    def relative_residual(self, theta: Tensor, gradient: Tensor) -> Tensor:
        """||r|| over the norm of the gradient of the penalty, (cells,), r the gradient at theta.

        For a penalty on the factors this is ||r|| / (lambda ||Theta||), and eq. 4 holds where it is 0. It is
        missing (nan) where the gradient of the penalty is 0.

        Examples
        --------
        With weights 3 and 4, weight decay 0.1, and a gradient of norm 0.01 it is 0.01 / (0.1 * 5):

        >>> from nrc.networks.mlp import Architecture
        >>> from nrc.objectives.regularised_loss import RegularisedLoss
        >>> x = torch.zeros(1, 5, 2)
        >>> loss = RegularisedLoss(Architecture((2, 1)), x, x[:, :, :1], weight_decay=torch.tensor([0.1]))
        >>> round(loss.relative_residual(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.01, 0.0]])).item(), 6)
        0.02
        """
        penalty = self.penalised_by.gradient_norm(self.architecture, self.weight_decay, theta)
        return relative_residual(norm(gradient), penalty)
