"""The residual r = gradient of the loss + gradient of the penalty, 0 at a stationary point (eq. 4).

`RegularisedLoss.relative_residual` computes the two norms of the relative residual in training, and
`total_residual` for the layers of a torch module.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ABOUT", "layer_residuals", "relative_residual", "total_residual"]

# Attributes of the variables in files.
ABOUT = {
    "gradient_norm": {"long_name": "norm ||r|| of the residual of all layers", "reference": "eq. 4"},
    "relative_residual": {
        "long_name": "relative residual ||r|| / ||gradient of the penalty||",
        "reference": "eq. 4",
    },
}


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


def total_residual(
    residuals: NDArray[np.float64], weights: Sequence[Tensor], weight_decay: NDArray[np.float64]
) -> tuple[float, float]:
    """||r|| and the relative residual of all layers of a network together.

    Parameters
    ----------
    residuals, weight_decay : (layers,) array
        ||r_l|| and lambda_l.
    weights : sequence of Tensor
        W_l, with the penalty (lambda_l / 2) ||W_l||^2.

    Examples
    --------
    >>> total_residual(np.array([0.03, 0.04]), [torch.tensor(3.0), torch.tensor(4.0)], np.array([0.1] * 2))
    (0.05, 0.1)
    """
    of_penalty = [decay * w.norm().item() for decay, w in zip(weight_decay, weights, strict=True)]
    residual, penalty = (torch.tensor(np.linalg.norm(norms)) for norms in (residuals, of_penalty))
    return residual.item(), relative_residual(residual, penalty).item()
