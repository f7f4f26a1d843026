"""The potential of a layer, whose critical points are the neurons of a stationary network.

Let Theta be stationary with weight decay lambda > 0. Let z_i be the features that enter a hidden layer, and
delta_i the derivatives of the loss of a point in the outputs of the next layer. For incoming weights w put

    F(w) = -sum_i p_i delta_i phi(w . z_i),    G(w) = ||F(w)||^2 / (2 lambda^2) - ||w||^2 / 2.

(e) All neurons of the layer are critical points of this one function, and the outgoing weights of neuron j
are v_j = F(w_j) / lambda. Proof: column j of the next layer is stationary, so lambda v_j = F(w_j), and so is
row j of this layer, lambda w_j = J(w_j)' v_j = J' F / lambda, J = dF/dw.

(f) At a local minimum of the loss, two or more equal neurons are at a local maximum of G. Proof: moving two
of them to w +- eps u and v +- eps eta changes no output to first order, and the loss by eps^2 times
lambda ||u||^2 + lambda ||eta||^2 - <v, D^2 F[u, u]> - 2 eta . J u. For eta = J u / lambda this is
-lambda D^2 G[u, u].

In a convolution a neuron is a channel, with a row for each position in place of z_i and of delta_i
(`nrc.modules.positions`); nothing else changes in both proofs.

With weight decays lambda of this layer, mu of the next layer and beta of the biases, G(w) = ||F||^2 /
(2 lambda mu) - ||w||^2 / 2, where the coordinate of the bias counts beta / lambda times.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from nrc.random_streams import Stream, generator

__all__ = ["Potential"]

# Up to this number of incoming weights all entries of the Hessian are computed.
DENSE = 256
# Numbers in memory at a time, to compute the Hessians of several neurons together.
BLOCK = 2**25
# Relative residual at which the search for an eigenvalue ends; its error is much smaller.
ACCURACY = 1e-3


@dataclass(frozen=True)
class Potential:
    """The potential G of a hidden layer, in each cell.

    Attributes
    ----------
    z : Tensor
        The features that enter the layer, (cells, points, n), with a 1 beside them if there are biases.
    delta : Tensor
        p_i delta_i, the derivatives of the loss in the outputs of the next layer, (cells, points, m). A layer
        that acts on many positions of a point, such as tokens or patches, has a row for each.
    phi : callable
        The activation, applied entrywise.
    weight_decay, next_weight_decay : Tensor
        lambda of this layer and mu of the next, (cells,).
    shares : Tensor, optional
        Weight decay of each coordinate over lambda, (cells, n); 1 by default.

    Examples
    --------
    One point z = 1 and a linear unit, so that G(w) = (w delta)^2 / (2 lambda^2) - w^2 / 2:

    >>> one = torch.ones(1, 1, 1)
    >>> potential = Potential(one, -0.2 * one, lambda t: t, torch.tensor([0.1]), torch.tensor([0.1]))
    >>> potential.value(3 * one).item(), potential.gradient(3 * one).item()
    (13.5, 9.0)
    >>> potential.outgoing(3 * one).item(), potential.hessian(3 * one).item()
    (6.0, 3.0)
    """

    z: Tensor
    delta: Tensor
    phi: Callable[[Tensor], Tensor]
    weight_decay: Tensor
    next_weight_decay: Tensor
    shares: Tensor | float = 1.0

    def of_cell(self, cell: int) -> "Potential":
        """The potential of one cell."""
        one = slice(cell, cell + 1)
        shares = self.shares[one] if isinstance(self.shares, Tensor) else self.shares
        decays = self.weight_decay[one], self.next_weight_decay[one]
        return Potential(self.z[one], self.delta[one], self.phi, *decays, shares)

    def value(self, w: Tensor) -> Tensor:
        """G at incoming weights (cells, neurons, n), (cells, neurons)."""
        force = self._force(self.phi(self._inputs(w)))
        return (force.square().sum(2) / self._product - (self._scaled(w) * w).sum(2)) / 2

    def outgoing(self, w: Tensor) -> Tensor:
        """F(w) / mu, the outgoing weights of a neuron at w, (cells, neurons, m)."""
        return self._force(self.phi(self._inputs(w))) / self.next_weight_decay[:, None, None]

    def gradient(self, w: Tensor) -> Tensor:
        """J' F / (lambda mu) - w, (cells, neurons, n)."""
        a, slope, _ = self._derivatives(w)
        pull = -(self._along(self._force(a)) * slope).mT @ self.z
        return pull / self._product[:, :, None] - self._scaled(w)

    def gradient_bound(self, w: Tensor, v: Tensor) -> Tensor:
        """A bound on the norm of the gradient at neurons by their residuals, (cells, neurons).

        With the residuals r_j = lambda w_j - J' v_j of row j of this layer, and s_j = mu v_j - F of column j
        of the next layer, -lambda grad G(w_j) = r_j + J' s_j / mu. The norm of J is at most
        sum_i ||delta_i|| |phi'(w_j . z_i)| ||z_i||.

        Parameters
        ----------
        w, v : Tensor
            Incoming weights (cells, neurons, n) and outgoing weights (cells, neurons, m).
        """
        a, slope, _ = self._derivatives(w)
        decay, next_decay = self.weight_decay[:, None], self.next_weight_decay[:, None]
        residual = decay[:, :, None] * self._scaled(w) + (self._along(v) * slope).mT @ self.z
        next_residual = next_decay[:, :, None] * v - self._force(a)
        jacobian = (slope.abs() * (self.delta.norm(dim=2) * self.z.norm(dim=2))[:, :, None]).sum(1)
        bound: Tensor = (residual.norm(dim=2) + jacobian * next_residual.norm(dim=2) / next_decay) / decay
        return bound

    def hessian(self, w: Tensor) -> Tensor:
        """(J' J + sum_k F_k D^2 F_k) / (lambda mu) - 1, (cells, neurons, n, n)."""
        a, slope, curvature = self._derivatives(w)
        jacobian = -torch.einsum("cpm,cpj,cpn->cjmn", self.delta, slope, self.z)
        weights = -(self._along(self._force(a)) * curvature).mT
        second = (weights[:, :, None] * self.z.mT[:, None]) @ self.z[:, None]
        identity = torch.eye(self.z.shape[2], dtype=self.z.dtype) * self._coordinates[:, None, :, None]
        return (jacobian.mT @ jacobian + second) / self._product[:, :, None, None] - identity

    def largest_curvature(self, w: Tensor) -> Tensor:
        """The largest eigenvalue of the Hessian at neurons (neurons, n) of the only cell, (neurons,)."""
        if self.z.shape[2] <= DENSE:
            several = max(1, BLOCK // self.z.numel())
            parts = [w[None, first : first + several] for first in range(0, len(w), several)]
            return torch.cat([torch.linalg.eigvalsh(self.hessian(part))[0, :, -1] for part in parts])
        return torch.stack([self._found(one) for one in w])

    def _found(self, w: Tensor) -> Tensor:
        """The largest eigenvalue at one neuron (n,), by Lanczos' method."""
        z, delta, n = self.z[0], self.delta[0], len(w)
        a, slope, curvature = (found[0, :, 0] for found in self._derivatives(w[None, None]))
        weights, product = (delta @ (delta.T @ a)) * curvature, self._product[0, 0]
        shares = self._coordinates[0]

        def times(v: np.ndarray) -> np.ndarray:
            u = torch.from_numpy(v.reshape(n))
            along = z @ u
            inner = slope * (delta @ (delta.T @ (slope * along))) + weights * along
            result: np.ndarray = (z.T @ inner / product - shares * u).numpy()
            return result

        start = generator(0, Stream.EIGENVALUE_SEARCH).standard_normal(n)
        operator = LinearOperator((n, n), times, dtype=np.float64)
        (value,) = eigsh(operator, 1, which="LA", v0=start, tol=ACCURACY, return_eigenvectors=False)
        return torch.tensor(value)

    @property
    def _coordinates(self) -> Tensor:
        """Weight decay of each coordinate over lambda, (cells or 1, n)."""
        return self.z.new_ones(1, self.z.shape[2]) * self.shares

    @property
    def _product(self) -> Tensor:
        return (self.weight_decay * self.next_weight_decay)[:, None]

    def _scaled(self, w: Tensor) -> Tensor:
        return w * self._coordinates[:, None]

    def _inputs(self, w: Tensor) -> Tensor:
        return self.z @ w.mT

    def _force(self, a: Tensor) -> Tensor:
        """F from phi(w . z_i), (cells, neurons, m)."""
        return -(a.mT @ self.delta)

    def _along(self, force: Tensor) -> Tensor:
        """<F_j, delta_i>, (cells, points, neurons)."""
        return self.delta @ force.mT

    def _derivatives(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """phi and its first two derivatives at w . z_i, (cells, points, neurons) each."""
        t = self._inputs(w).detach().requires_grad_()
        with torch.enable_grad():
            a = self.phi(t)
            (slope,) = torch.autograd.grad(a.sum(), t, create_graph=True)
            curvature = torch.zeros_like(t)
            if slope.requires_grad:
                (curvature,) = torch.autograd.grad(slope.sum(), t)
        return a.detach(), slope.detach(), curvature.detach()
