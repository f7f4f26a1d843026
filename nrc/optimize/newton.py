"""Newton's method by conjugate gradients, after L-BFGS, both preconditioned by K-FAC.

L-BFGS with float32 products reaches the accuracy of these products. From there a few Newton steps reach
any tolerance (Nocedal & Wright 2006, ch. 7.1).
"""

from collections.abc import Callable
from functools import partial

import torch
from pydantic import Field
from torch import Tensor

from nrc.networks.activations import smooth
from nrc.networks.arrays import Array, fastest, tensor
from nrc.objectives.hessian import Hessian
from nrc.objectives.mixed_precision import Single, single
from nrc.objectives.penalties import ridge
from nrc.objectives.protocols import Point, dot
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.kfac import KFAC
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.line_search import LineSearch
from nrc.optimize.options import MethodOptions
from nrc.optimize.protocols import Phase, RunInfo, State, tree_map
from nrc.options import Requirement, equal, positive

__all__ = ["NewtonCG", "Options", "build", "conjugate_gradients"]

# Cells train in the principal axes of their inputs, one cell at a time.
ROTATES = True
# Largest number of conjugate-gradient steps of a Newton step.
STEPS = 250


class Options(MethodOptions):
    """Newton's method by conjugate gradients, after L-BFGS in float32, both preconditioned by K-FAC."""

    requires = (
        Requirement(
            {
                "network.activation": smooth,
                "training.penalty": ridge,
                "training.precision": equal("float64"),
                "grid.weight_decay": positive,
            }
        ),
    )

    history: int = Field(10, ge=1, description="number of pairs that L-BFGS remembers")
    switch: float = Field(1e-5, gt=0, description="relative residual at which Newton's method takes over")


def build(run: RunInfo, options: Options) -> list[Phase]:
    """L-BFGS to the relative residual `switch`, and then Newton's method.

    Examples
    --------
    >>> phases = build(RunInfo(epochs=1000, seeds=[0]), Options(switch=1e-5))
    >>> [phase.tolerance for phase in phases]
    [1e-05, 0.0]
    """
    first = Phase(LBFGS(options.history, _SingleKFAC), Single, tolerance=options.switch)
    return [first, Phase(NewtonCG(run.tolerance))]


class _SingleKFAC:
    """K-FAC by float32 products."""

    @staticmethod
    def at(objective: Single, theta: Tensor) -> State:
        return KFAC.at(objective.low, theta.float())

    @staticmethod
    def times(objective: Single, layers: State, q: Array) -> Array:
        return fastest(KFAC.times(objective.low, tree_map(tensor, layers), tensor(q)))


class NewtonCG(LineSearch[RegularisedLoss]):
    """Steps along inexact solutions of H d = -gradient, by products with the Hessian H in float32.

    A product with H counts as an epoch.

    Parameters
    ----------
    tolerance : float
        Relative residual of the run. No system is solved more accurately than it needs.

    Examples
    --------
    One step from anywhere to the minimum of a quadratic function, f(w) = (w - 2)^2 / 2 + w^2 / 2:

    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64)
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=x.new_ones(1))
    >>> method, point = NewtonCG(1e-8), loss.at(x.new_full((1, 1), 3))
    >>> method.join(torch.tensor([0]), point, loss)
    >>> step = method.step(loss, point)
    >>> round(step.point.theta.item(), 6), step.epochs.item()
    (1.0, 2)
    """

    def __init__(self, tolerance: float) -> None:
        super().__init__()
        self.tolerance = tolerance

    def directions(self, objective: RegularisedLoss, point: Point, cells: Tensor) -> tuple[Tensor, Tensor]:
        objective, point = objective.select(cells), point[cells]
        low, theta = single(objective), point.theta.float()
        residual = objective.relative_residual(point.theta, point.gradient)
        # of norm 1, because squares of a small gradient would underflow
        size = point.gradient.norm(dim=1, keepdim=True)
        direction, products = conjugate_gradients(
            Hessian(low, theta),
            partial(KFAC.times, low, KFAC.at(low, theta)),
            (-point.gradient / size).float(),
            self._accuracy(residual).float(),
        )
        return direction * size, products

    def _accuracy(self, residual: Tensor) -> Tensor:
        """Relative accuracy of the solution, for superlinear convergence, but not beyond the tolerance."""
        return torch.maximum(residual.sqrt().clamp(max=0.1), 0.3 * self.tolerance / residual).clamp(min=1e-3)


def conjugate_gradients(
    hessian: Callable[[Tensor], Tensor], inverse: Callable[[Tensor], Tensor], b: Tensor, accuracy: Tensor
) -> tuple[Tensor, Tensor]:
    """Solve hessian(x) = b for every cell, or stop before the first direction of negative curvature.

    Parameters
    ----------
    hessian : callable
        A symmetric matrix per cell, as a product with (cells, parameters).
    inverse : callable
        A positive definite matrix per cell, near the inverse of the Hessian.
    b : Tensor
        (cells, parameters)
    accuracy : Tensor
        A cell is done at ||hessian(x) - b|| <= accuracy ||b||, (cells,).

    Returns
    -------
    x : Tensor
        With b'x > 0.
    products : Tensor
        Number of products with the Hessian, (cells,).

    Examples
    --------
    >>> b, accuracy = torch.tensor([[2.0, 4.0]]), torch.tensor([1e-3])
    >>> x, products = conjugate_gradients(lambda v: 2 * v, lambda v: v, b, accuracy)
    >>> x.tolist(), products.tolist()
    ([[1.0, 2.0]], [1])
    """
    x, rest, enough = torch.zeros_like(b), b.clone(), accuracy * b.norm(dim=1)
    z = inverse(rest)
    p, rz = z.clone(), dot(rest, z)
    going, products = torch.ones_like(rz, dtype=torch.bool), torch.zeros_like(rz, dtype=torch.int64)
    for _ in range(STEPS):
        along = hessian(p)
        products += going
        curvature = dot(p, along)
        # the first direction is a descent direction, whatever its curvature
        x = torch.where((going & (curvature <= 0) & (products == 1))[:, None], p, x)
        going = going & (curvature > 0)
        length = torch.where(going, rz / curvature, 0)[:, None]
        x.addcmul_(p, length)
        rest.addcmul_(along, length, value=-1)
        going = going & (rest.norm(dim=1) > enough)
        if not going.any():
            break
        z = inverse(rest)
        rz, before = dot(rest, z), rz
        p = p.mul_((rz / before)[:, None]).add_(z)
    return x, products
