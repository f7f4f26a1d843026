"""Second derivatives of a regularised loss in its parameters, as products with vectors."""

import torch
from torch import Tensor

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Network
from nrc.networks.workspace import FRESH, Workspace
from nrc.objectives.regularised_loss import RegularisedLoss

__all__ = ["Hessian"]


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
        network, workspace = self._network, Workspace()
        activation = ACTIVATIONS[network.activation]
        if activation.curvature is None or not objective.penalised_by.ridge:
            raise ValueError(
                f"activation {network.activation}, penalty on the {objective.penalty}: products with the "
                "Hessian need an activation with a second derivative and the penalty on the factors"
            )
        *z, self._output = network.features(objective.x, workspace)
        _, delta = objective.measured_by.gradient(self._output, objective.y, objective.point_weights, FRESH)
        # from here on a feature is a row
        self._delta = [d.mT for d in network.deltas(z, delta, workspace)]
        self._z = [a.mT for a in z]
        self._slopes, self._bends = [], []
        for l, (w, d) in enumerate(zip(network.weights[1:], self._delta[1:], strict=True), start=1):
            a = network.slope_argument(l, z, workspace)
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
        objective = self._objective
        rd = objective.measured_by.curvature(self._output, objective.y, self._ra[-1].mT)
        rd = (objective.point_weights * rd).mT
        for l in reversed(range(len(self._z))):
            torch.matmul(rd, self._z[l].mT, out=into.weights[l])
            if into.biases is not None:
                into.biases[l].copy_(rd.sum(2))
            if l:
                into.weights[l].baddbmm_(self._delta[l], self._rz[l - 1].mT)
                rd = self._backward(l, along.weights[l], rd)
        return objective.penalised_by.add_hessian_product(product, v, objective.weight_decay)

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
        """R delta before layer l + 1, from R delta after it."""
        before = self._rd[l - 1]
        torch.matmul(self._network.weights[l].mT, rd, out=before)
        before.baddbmm_(v.mT, self._delta[l])
        return before.mul_(self._slopes[l - 1]).addcmul_(self._bends[l - 1], self._ra[l - 1])
