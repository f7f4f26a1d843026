"""The residual r = gradient of the loss + gradient of the penalty, 0 at a stationary point (eq. 4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["layer_residuals", "relative_residual"]


def relative_residual(residual: Tensor, penalty: Tensor) -> Tensor:
    """||r|| / ||gradient of the penalty||; missing (nan) where the gradient of the penalty is 0.

    Parameters
    ----------
    residual, penalty : Tensor
        Norms of the residual and of the gradient of the penalty, of one shape.

    Examples
    --------
    >>> relative_residual(torch.tensor([0.01, 0.01]), torch.tensor([0.5, 0.0]))
    tensor([0.0200,    nan])
    """
    return torch.where(penalty > 0, residual / penalty, torch.nan)


def layer_residuals(gradient: Sequence[Tensor], weights: Sequence[Tensor], weight_decay: Tensor) -> Tensor:
    """Norms of r_l = gradient of the loss in W_l + lambda_l W_l, (cells, layers).

    Parameters
    ----------
    gradient, weights : sequence of Tensor
        (cells, n_l, n_{l-1}) each.
    weight_decay : Tensor
        lambda_l, (cells, layers).

    Examples
    --------
    >>> layer_residuals([torch.tensor([[[1.0]]])], [torch.tensor([[[2.0]]])], torch.tensor([[1.0]]))
    tensor([[3.]])
    """
    layers = zip(gradient, weights, weight_decay[:, :, None, None].unbind(1), strict=True)
    return torch.stack([(g + decay * w).norm(dim=(1, 2)) for g, w, decay in layers], dim=1)
