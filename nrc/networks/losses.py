"""The table of losses ell(f(x), y) of a point, with first and second derivatives in the outputs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nrc.networks.arrays import Array, inner, namespace, tensor
from nrc.networks.workspace import Workspace

__all__ = ["LOSSES", "Loss"]


@dataclass(frozen=True)
class Loss:
    """A convex loss ell of the outputs of a point.

    Attributes
    ----------
    gradient : callable
        From outputs (cells, points, n_L), targets, weights p_i of the points and a workspace: the loss
        sum_i p_i ell_i of every cell, (cells,), and its derivative in the outputs. In a workspace the outputs
        are overwritten. All are tensors, or arrays of numpy.
    curvature : callable
        The product C v with the second derivative C of ell in the outputs, from outputs, targets and v,
        (cells, points, n_L) each.
    root : callable
        u with E[u u'] = C, from outputs, targets and random signs.
    squared : bool
        Whether ell is (1/2) ||f(x) - y||^2.

    Examples
    --------
    Of the cross-entropy where both classes have probability 1/2, C = [[1/4, -1/4], [-1/4, 1/4]]:

    >>> output, y = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0.0]]])
    >>> LOSSES["cross_entropy"].curvature(output, y, y)
    tensor([[[ 0.2500, -0.2500]]])
    """

    gradient: Callable[[Array, Array, Array | float, Workspace], tuple[Array, Array]]
    curvature: Callable[[Tensor, Tensor, Tensor], Tensor]
    root: Callable[[Tensor, Tensor, Tensor], Tensor]
    squared: bool = False


def _squared_error(output: Array, y: Array, p: Array | float, workspace: Workspace) -> tuple[Array, Array]:
    xp, p = namespace(output), p if isinstance(p, float) else p.mT
    error = xp.subtract(output.mT, y.mT, out=workspace.over(output.mT))
    delta = xp.multiply(error, p, out=workspace.buffer("delta", error, *error.shape))
    squares = inner(error.reshape(len(error), -1), delta.reshape(len(delta), -1))
    return squares / 2, delta.mT


def _cross_entropy(output: Array, y: Array, p: Array | float, workspace: Workspace) -> tuple[Array, Array]:
    if isinstance(output, np.ndarray):
        p = p if isinstance(p, float) else tensor(p)
        value, delta = _cross_entropy(tensor(output), tensor(y), p, workspace)
        return value.numpy(), delta.numpy()
    logs = output.log_softmax(-1)
    return -(p * y * logs).flatten(1).sum(1), p * (logs.exp() * y.sum(-1, keepdim=True) - y)


def _softmax_product(output: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """C = diag(s) - s s' for one-hot targets, s the softmax."""
    s = output.softmax(-1)
    along = s * v
    return y.sum(-1, keepdim=True) * (along - s * along.sum(-1, keepdim=True))


def _softmax_root(output: Tensor, y: Tensor, signs: Tensor) -> Tensor:
    s = output.softmax(-1)
    root = s.sqrt() * signs
    return y.sum(-1, keepdim=True).sqrt() * (root - s * root.sum(-1, keepdim=True))


LOSSES = {
    "squared_error": Loss(
        _squared_error, lambda output, y, v: v, lambda output, y, signs: signs.expand_as(output), squared=True
    ),
    # ell = -sum_j y_j log softmax(f)_j, y a distribution over the classes
    "cross_entropy": Loss(_cross_entropy, _softmax_product, _softmax_root),
}
