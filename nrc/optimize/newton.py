"""Newton's method by conjugate gradients, after L-BFGS, both preconditioned by K-FAC.

L-BFGS with float32 products reaches the accuracy of these products. From there a few Newton steps reach
any tolerance (Nocedal & Wright 2006, ch. 7.1). Torch modules are trained without K-FAC, and steps along
directions of negative curvature leave saddles.
"""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from nrc.networks.activations import smooth
from nrc.networks.arrays import Array, fastest, tensor
from nrc.objectives.hessian import Hessian
from nrc.objectives.mixed_precision import Single, single
from nrc.objectives.module_loss import RegularisedModuleLoss, SingleModuleLoss
from nrc.objectives.penalties import ridge
from nrc.objectives.protocols import Point, dot
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.kfac import KFAC
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.line_search import LineSearch, Suitable
from nrc.optimize.options import MethodOptions
from nrc.optimize.protocols import Phase, RunInfo, State, tree_map
from nrc.options import Requirement, equal, positive

__all__ = ["ModuleNewtonCG", "NewtonCG", "Options", "build", "conjugate_gradients"]

# Cells train in the principal axes of their inputs, one cell at a time.
ROTATES = True
# Largest number of conjugate-gradient steps of a Newton step, with K-FAC and without.
STEPS, PLAIN_STEPS = 250, 500


class Options(MethodOptions):
    """Newton's method by conjugate gradients, after L-BFGS in float32, both preconditioned by K-FAC for
    networks of the kind mlp.
    """

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
    if run.modules:
        plain = Phase(LBFGS(options.history), SingleModuleLoss, tolerance=options.switch)
        return [plain, Phase(ModuleNewtonCG(run.tolerance))]
    first = Phase(LBFGS(options.history, _SingleKFAC), Single, tolerance=options.switch)
    return [first, Phase(NewtonCG(run.tolerance))]


class _SingleKFAC:
    """K-FAC by float32 products."""

    @staticmethod
    def at(objective: Single, theta: Tensor) -> State:
        return KFAC.at(objective.low, theta.float())

    @staticmethod
    def times(objective: Single, layers: State, q: Array) -> Array:
        return KFAC.times(objective.low, layers, q)


class NewtonCG(LineSearch[Suitable]):
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

    def directions(self, objective: Suitable, point: Point, cells: Tensor) -> tuple[Tensor, Tensor]:
        objective, point = objective.select(cells), point[cells]
        residual = objective.relative_residual(point.theta, point.gradient)
        # of norm 1, because squares of a small gradient would underflow
        size = point.gradient.norm(dim=1, keepdim=True)
        downhill, accuracy = -point.gradient / size, self._accuracy(residual)
        direction, products = self._solution(objective, point.theta, downhill, accuracy)
        return direction * size, products

    def _solution(
        self, objective: Suitable, theta: Tensor, b: Tensor, accuracy: Tensor
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(objective, RegularisedLoss)
        low, theta = single(objective), theta.float()
        layers = tree_map(fastest, KFAC.at(low, theta))

        def inverse(q: Tensor) -> Tensor:
            return tensor(KFAC.times(low, layers, fastest(q)))

        return conjugate_gradients(Hessian(low, theta), inverse, b.float(), accuracy.float())

    def _accuracy(self, residual: Tensor) -> Tensor:
        """Relative accuracy of the solution, for superlinear convergence, but not beyond the tolerance."""
        return torch.maximum(residual.sqrt().clamp(max=0.1), 0.3 * self.tolerance / residual).clamp(min=1e-3)


class ModuleNewtonCG(NewtonCG[RegularisedModuleLoss]):
    """The same steps without a preconditioner, for torch modules.

    Examples
    --------
    It leaves the saddle at 0 of f(u, v) = (u v - 1)^2 / 2 + (u^2 + v^2) / 4, whose minima have u v = 1/2:

    >>> from nrc.networks.module_architecture import ModuleArchitecture
    >>> from nrc.optimize.minimise import minimise
    >>> def make():
    ...     return torch.nn.Sequential(*(torch.nn.Linear(1, 1, bias=False) for _ in range(2)))
    >>> x = torch.ones(1, 1, 1).double()
    >>> loss = RegularisedModuleLoss(ModuleArchitecture(make, (1,), 1), x, x, x.new_full((1,), 0.5))
    >>> start = torch.tensor([[1e-6, 1e-6]]).double()
    >>> end = minimise(loss, start, [Phase(ModuleNewtonCG(1e-8))], tolerance=1e-8, epochs=99)
    >>> round(end.point.theta.prod().item(), 6)
    0.5
    """

    def _solution(
        self, objective: RegularisedModuleLoss, theta: Tensor, b: Tensor, accuracy: Tensor
    ) -> tuple[Tensor, Tensor]:
        hessian = objective.to(torch.float32).hessian(theta.float())
        b, accuracy = b.float(), accuracy.float()
        return conjugate_gradients(hessian, torch.clone, b, accuracy, steps=PLAIN_STEPS, follow=True)


def conjugate_gradients(
    hessian: Callable[[Tensor], Tensor],
    inverse: Callable[[Tensor], Tensor],
    b: Tensor,
    accuracy: Tensor,
    *,
    steps: int = STEPS,
    follow: bool = False,
) -> tuple[Tensor, Tensor]:
    """Solve hessian(x) = b for every cell, or stop at the first direction of negative curvature.

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
    steps : int
        Largest number of products.
    follow : bool
        Whether x includes the direction of negative curvature, as far as if the curvature were positive.

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
    for _ in range(steps):
        along = hessian(p)
        products += going
        curvature = dot(p, along)
        # the first direction is a descent direction, whatever its curvature
        bent = going & (curvature <= 0)
        x = torch.where((bent & (products == 1))[:, None], p, x)
        if follow:
            length = torch.where(bent & (curvature < 0), rz / curvature.abs(), 0)[:, None]
            x = torch.where((bent & (products > 1))[:, None], x + length * p, x)
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
