"""Second derivatives: of the losses in a network's outputs, and of a regularised loss in its parameters."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nrc.networks.mlp import ACTIVATIONS, LOSSES, Network, Scratch
from nrc.regularised_loss import RegularisedLoss

__all__ = ["CURVATURES", "Curvature", "Hessian"]


@dataclass(frozen=True)
class Curvature:
    """The second derivative C of ell in the outputs of a point, a positive semidefinite matrix.

    Attributes
    ----------
    product : callable
        C v, from outputs, targets and v, (cells, points, n_L) each.
    root : callable
        u with E[u u'] = C, from outputs, targets and random signs.

    Examples
    --------
    Of the cross-entropy where both classes have probability 1/2, C = [[1/4, -1/4], [-1/4, 1/4]]:

    >>> output, y = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0.0]]])
    >>> CURVATURES["cross_entropy"].product(output, y, y)
    tensor([[[ 0.2500, -0.2500]]])
    """

    product: Callable[[Tensor, Tensor, Tensor], Tensor]
    root: Callable[[Tensor, Tensor, Tensor], Tensor]


def _softmax_product(output: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """C = diag(s) - s s' for one-hot targets, s the softmax."""
    s = output.softmax(-1)
    along = s * v
    return y.sum(-1, keepdim=True) * (along - s * along.sum(-1, keepdim=True))


def _softmax_root(output: Tensor, y: Tensor, signs: Tensor) -> Tensor:
    s = output.softmax(-1)
    root = s.sqrt() * signs
    return y.sum(-1, keepdim=True).sqrt() * (root - s * root.sum(-1, keepdim=True))


CURVATURES = {
    "squared_error": Curvature(lambda output, y, v: v, lambda output, y, signs: signs.expand_as(output)),
    "cross_entropy": Curvature(_softmax_product, _softmax_root),
}


class Hessian:
    """The Hessian of every cell's regularised loss at theta, as a product with vectors (Pearlmutter 1994).

    Along V the derivative R of features and deltas is, with points as columns,

        R a^l = W_l R z^{l-1} + V_l z^{l-1},   R z^l = phi'(a^l) R a^l,
        R delta^{l-1} = phi' (W_l' R delta^l + V_l' delta^l) + phi'' (W_l' delta^l) R a^{l-1}  at a^{l-1},

    and the product's layer l is R delta^l z^{l-1}' + delta^l R z^{l-1}' + lambda V_l: less than two
    evaluations of the gradient.

    Parameters
    ----------
    objective : RegularisedLoss
        With the penalty on the factors, and an activation that has a second derivative.
    theta : Tensor
        (cells, parameters), in the precision in which to compute.

    Raises
    ------
    ValueError
        If the activation has no second derivative, or the penalty is on the product.

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, whose second derivative is 2:

    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> hessian = Hessian(loss, torch.tensor([[5.0]]))
    >>> hessian(torch.tensor([[1.0]]))
    tensor([[2.]])
    """

    def __init__(self, objective: RegularisedLoss, theta: Tensor) -> None:
        self._objective, self._network = objective, objective.network(theta)
        network, scratch = self._network, Scratch()
        activation = ACTIVATIONS[network.activation]
        if activation.curvature is None or objective.penalty != "factors":
            raise ValueError(
                f"activation {network.activation}, penalty on the {objective.penalty}: products with the "
                "Hessian need a smooth activation (tanh, linear) and the penalty on the factors"
            )
        *z, self._output = network.features(objective.x, scratch)
        self._p = 1 / objective.x.shape[1] if objective.shares is None else objective.shares[:, :, None]
        _, delta = LOSSES[objective.loss](self._output, objective.y, self._p, None)
        # from here on a feature is a row
        self._delta = [d.mT for d in network.deltas(z, delta, scratch)]
        self._z = [a.mT for a in z]
        self._slopes, self._bends = [], []
        for a, w, d in zip(self._z[1:], network.weights[1:], self._delta[1:], strict=True):
            self._slopes.append(activation.derivative(a, None))
            self._bends.append((w.mT @ d).mul_(activation.curvature(a)))
        self._ra = [torch.empty_like(d) for d in self._delta]
        self._rz = [torch.empty_like(a) for a in self._z[1:]]
        self._rd = [torch.empty_like(a) for a in self._z[1:]]

    def __call__(self, v: Tensor) -> Tensor:
        """Hessian times v, (cells, parameters)."""
        product, architecture = torch.empty_like(v), self._objective.architecture
        along, into = architecture.network(v), architecture.network(product)
        self._forward(along)
        rd = CURVATURES[self._objective.loss].product(self._output, self._objective.y, self._ra[-1].mT)
        rd = (self._p * rd).mT
        for l in reversed(range(len(self._z))):
            torch.matmul(rd, self._z[l].mT, out=into.weights[l])
            if into.biases is not None:
                into.biases[l].copy_(rd.sum(2))
            if l:
                into.weights[l].baddbmm_(self._delta[l], self._rz[l - 1].mT)
                rd = self._backward(l, along.weights[l], rd)
        return product.addcmul_(v, self._objective.weight_decay[:, None])

    def _forward(self, along: Network) -> None:
        """R a^l and R z^l of all layers."""
        for l, (v, z, ra) in enumerate(zip(along.weights, self._z, self._ra, strict=True)):
            torch.matmul(v, z, out=ra)
            if l:
                ra.baddbmm_(self._network.weights[l], self._rz[l - 1])
            if along.biases is not None:
                ra += along.biases[l][:, :, None]
            if l < len(self._rz):
                torch.mul(ra, self._slopes[l], out=self._rz[l])

    def _backward(self, l: int, v: Tensor, rd: Tensor) -> Tensor:
        """R delta before a layer, from that behind it."""
        before = self._rd[l - 1]
        torch.matmul(self._network.weights[l].mT, rd, out=before)
        before.baddbmm_(v.mT, self._delta[l])
        return before.mul_(self._slopes[l - 1]).addcmul_(self._bends[l - 1], self._ra[l - 1])
