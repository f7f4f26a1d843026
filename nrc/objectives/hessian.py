"""Second derivatives of a regularised loss in its parameters, as products with vectors."""

import torch
from torch import Tensor

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.arrays import Array, fastest, namespace, tensor
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
        self._objective, self._network = objective, objective.network(fastest(theta))
        network, self._workspace = self._network, Workspace()
        activation = ACTIVATIONS[network.activation]
        if activation.curvature is None or not objective.penalised_by.ridge:
            raise ValueError(
                f"activation {network.activation}, penalty on the {objective.penalty}: products with the "
                "Hessian need an activation with a second derivative and the penalty on the factors"
            )
        memory = Workspace()
        *z, output = network.features(fastest(objective.x), memory)
        self._output = tensor(output)
        _, delta = objective.measured_by.gradient(self._output, objective.y, objective.point_weights, FRESH)
        # from here on a feature is a row
        self._delta = [d.mT for d in network.deltas(z, fastest(delta), memory)]
        self._z = [a.mT for a in z]
        self._slopes, self._bends = [], []
        for l, (w, d) in enumerate(zip(network.weights[1:], self._delta[1:], strict=True), start=1):
            a = network.slope_argument(l, z, memory)
            self._slopes.append(activation.derivative(a, None))
            self._bends.append(namespace(w).matmul(w.mT, d) * fastest(activation.curvature(tensor(a))))

    def __call__(self, v: Tensor) -> Tensor:
        """Hessian times v, (cells, parameters)."""
        product, objective = torch.empty_like(v), self._objective
        along, into = (objective.architecture.network(fastest(a)) for a in (v, product))
        ra, rz = self._forward(along)
        rd = objective.measured_by.curvature(self._output, objective.y, tensor(ra[-1]).mT)
        rd = fastest((objective.point_weights * rd).mT)
        xp = namespace(rd)
        for l in reversed(range(len(self._z))):
            xp.matmul(rd, self._z[l].mT, out=into.weights[l])
            if into.biases is not None:
                xp.sum(rd, 2, out=into.biases[l])
            if l:
                into.weights[l][...] += xp.matmul(self._delta[l], rz[l - 1].mT)
                rd = self._backward(l, along.weights[l], rd, ra[l - 1])
        return objective.penalised_by.add_hessian_product(product, v, objective.weight_decay)

    def _forward(self, along: Network) -> tuple[list[Array], list[Array]]:
        """R a^l and R z^l of all layers."""
        ra: list[Array] = []
        rz: list[Array] = []
        for l, (v, z) in enumerate(zip(along.weights, self._z, strict=True)):
            a = self._product(("a", l), v, z)
            if l:
                a += self._product("more", self._network.weights[l], rz[-1])
            if along.biases is not None:
                a += along.biases[l][:, :, None]
            ra.append(a)
            if l < len(self._slopes):
                into = self._workspace.buffer(("z", l), a, *a.shape)
                rz.append(namespace(a).multiply(a, self._slopes[l], out=into))
        return ra, rz

    def _backward(self, l: int, v: Array, rd: Array, ra: Array) -> Array:
        """R delta before layer l + 1, from R delta after it."""
        before = self._product(("d", l), self._network.weights[l].mT, rd)
        before += self._product("more", v.mT, self._delta[l])
        before *= self._slopes[l - 1]
        # R a^l is not needed any more
        ra *= self._bends[l - 1]
        before += ra
        return before

    def _product(self, name: object, a: Array, b: Array) -> Array:
        into = self._workspace.buffer(name, b, len(a), a.shape[1], b.shape[2])
        return namespace(b).matmul(a, b, out=into)
