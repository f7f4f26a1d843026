"""Kronecker-factored approximate curvature (Martens & Grosse 2015), as an inverse Hessian of every cell."""

from functools import cache

import torch
from torch import Tensor

from nrc.networks.arrays import Array, namespace
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.protocols import State
from nrc.random_streams import Stream, generator

__all__ = ["KFAC", "random_signs"]


class KFAC:
    """H_0 Q_l = Qb [ (Qb' Q_l Qa) / (b_i a_j + lambda) ] Qa'  for every layer l.

    A = sum_i p_i z_i z_i' = Qa a Qa' are the second moments of the inputs of the layer, and B = sum_i p_i
    u_i u_i' = Qb b Qb' the second moments of back-propagated random outputs u_i^L, for which E[u u'] is the
    curvature of the loss. The block of the layer in the Gauss-Newton matrix is about B x A. A bias is a
    feature that is 1 everywhere.

    It is computed in the precision of theta, (cells, parameters).

    Examples
    --------
    With one weight it is the inverse Hessian itself, here of f(w) = (w - 2)^2 / 2 + w^2 / 2:

    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> layers = KFAC.at(loss, torch.zeros(1, 1))
    >>> KFAC.times(loss, layers, torch.ones(1, 1))
    tensor([[0.5000]])
    """

    @staticmethod
    def at(objective: RegularisedLoss, theta: Tensor) -> dict[str, dict[str, Tensor]]:
        """Qa (if it is not the identity), Qb and 1 / (b_i a_j + lambda) of each layer, (cells, ...)."""
        network, workspace = objective.network(theta), objective.workspace
        *z, output = network.features(objective.x, workspace)
        signs = random_signs(*output.shape[1:]).to(theta)
        u = network.deltas(z, objective.measured_by.root(output, objective.y, signs), workspace)
        p, damping = objective.point_weights, objective.penalised_by.damping(objective.weight_decay)
        layers: dict[str, dict[str, Tensor]] = {}
        for l, (inputs, outgoing) in enumerate(zip(z, u, strict=True), start=1):
            layer = layers[str(l)] = {}
            if l == 1 and objective.principal_axes and network.biases is None:
                a = (p * inputs.square()).sum(1)  # of diagonal moments
            else:
                a, qa = _moments(network.with_ones(inputs), p)
                layer["qa"] = qa.expand(len(theta), -1, -1).contiguous()
            b, layer["qb"] = _moments(outgoing, p)
            layer["inverse"] = 1 / (b[:, :, None] * a[:, None, :] + damping[:, None, None])
        return layers

    @staticmethod
    def times(objective: RegularisedLoss, layers: State, q: Array) -> Array:
        """H_0 q for q (cells, parameters), with the matrices as tensors or arrays like q."""
        xp, result = namespace(q), namespace(q).empty_like(q)
        before, after = objective.network(q), objective.network(result)
        for l in range(1, len(layers) + 1):
            qa, qb, inverse = (layers[str(l)].get(name) for name in ("qa", "qb", "inverse"))
            layer = xp.matmul(qb.mT, before.matrix(l))
            layer = layer if qa is None else xp.matmul(layer, qa)
            layer *= inverse
            after.overwrite(l, xp.matmul(qb, layer if qa is None else xp.matmul(layer, qa.mT)))
        return result


def _moments(z: Tensor, p: Tensor | float) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of sum_i p_i z_i z_i'."""
    values, vectors = torch.linalg.eigh((p * z).mT @ z)
    return values.clamp_(min=0), vectors


@cache
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
