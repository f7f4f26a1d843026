"""Kronecker-factored approximate curvature (Martens & Grosse 2015), as an inverse Hessian of every cell."""

from copy import copy
from typing import Self

import torch
from torch import Tensor

from nrc.objectives.protocols import per_cell
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.random_streams import Stream, generator

__all__ = ["KFAC", "random_signs"]


class KFAC:
    """H_0 Q_l = Qb [ (Qb' Q_l Qa) / (b_i a_j + lambda) ] Qa'  for every layer l.

    A = sum_i p_i z_i z_i' = Qa a Qa' are the second moments of the inputs of the layer, and B = sum_i p_i
    u_i u_i' = Qb b Qb' the second moments of back-propagated random outputs u_i^L, for which E[u u'] is the
    curvature of the loss. The block of the layer in the Gauss-Newton matrix is about B x A. A bias is a
    feature that is 1 everywhere.

    Parameters
    ----------
    objective : RegularisedLoss
    theta : Tensor
        (cells, parameters), in the precision in which to compute.

    Examples
    --------
    With one weight it is the inverse Hessian itself, here of f(w) = (w - 2)^2 / 2 + w^2 / 2:

    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> inverse = KFAC(loss, torch.zeros(1, 1))
    >>> inverse(torch.ones(1, 1))
    tensor([[0.5000]])
    """

    def __init__(self, objective: RegularisedLoss, theta: Tensor) -> None:
        self._architecture = objective.architecture
        network, workspace = objective.network(theta), objective.workspace
        *z, output = network.features(objective.x, workspace)
        signs = random_signs(*output.shape[1:]).to(theta)
        u = network.deltas(z, objective.measured_by.root(output, objective.y, signs), workspace)
        p, damping = objective.point_weights, objective.penalised_by.damping(objective.weight_decay)
        self._layers = []
        for l, (inputs, outgoing) in enumerate(zip(z, u, strict=True)):
            diagonal = l == 0 and objective.principal_axes and not self._architecture.bias
            a, qa = _diagonal_moments(inputs, p) if diagonal else _moments(network.with_ones(inputs), p)
            b, qb = _moments(outgoing, p)
            curvature = b[:, :, None] * a[:, None, :] + damping[:, None, None]
            self._layers.append((qa, qb, 1 / curvature))

    def select(self, cells: Tensor) -> Self:
        """The inverse Hessians of some cells."""
        some = copy(self)
        some._layers = [
            (None if qa is None else per_cell(qa, cells), qb[cells], inverse[cells])
            for qa, qb, inverse in self._layers
        ]
        return some

    def __call__(self, q: Tensor) -> Tensor:
        """H_0 q for q (cells, parameters)."""
        result = torch.empty_like(q)
        before, after = self._architecture.network(q), self._architecture.network(result)
        for l, (qa, qb, inverse) in enumerate(self._layers, start=1):
            layer = qb.mT @ before.matrix(l)
            layer = layer if qa is None else layer @ qa
            layer *= inverse
            after.overwrite(l, qb @ (layer if qa is None else layer @ qa.mT))
        return result


def _moments(z: Tensor, p: Tensor | float) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of sum_i p_i z_i z_i'."""
    values, vectors = torch.linalg.eigh((p * z).mT @ z)
    return values.clamp_(min=0), vectors


def _diagonal_moments(z: Tensor, p: Tensor | float) -> tuple[Tensor, None]:
    """Eigenvalues of diagonal moments, whose eigenvectors are the unit vectors."""
    return (p * z.square()).sum(1), None


def random_signs(*shape: int) -> Tensor:
    """Random signs, which depend on the shape alone.

    Examples
    --------
    >>> signs = random_signs(100, 3)
    >>> signs.unique().tolist()
    [-1.0, 1.0]
    >>> torch.equal(signs, random_signs(100, 3))
    True
    """
    return torch.from_numpy(generator(0, Stream.KFAC_SIGNS).choice([-1.0, 1.0], size=shape))
