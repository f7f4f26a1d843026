"""The Levenberg-Marquardt method for linear networks with a penalty on the product of their layers."""

import torch
from torch import Tensor

from nrc.objectives.penalties import on_product
from nrc.objectives.protocols import Point
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.options import MethodOptions
from nrc.optimize.protocols import Method, Phase, RunInfo, Step
from nrc.options import Requirement, equal

__all__ = ["LevenbergMarquardt", "Options", "build"]

FASTER, SLOWER = 1 / 5, 4
FIRST_DAMPING, LARGEST_DAMPING = 1e-2, 1e12


class Options(MethodOptions):
    """Levenberg-Marquardt, for the penalty on the product."""

    requires = (Requirement({"network.kind": equal("mlp"), "training.penalty": on_product}),)


def build(run: RunInfo, options: Options) -> list[Phase]:
    """The Levenberg-Marquardt method.

    Examples
    --------
    >>> [phase] = build(RunInfo(epochs=100, seeds=[0]), Options())
    >>> phase.method.can_join
    True
    """
    return [Phase(LevenbergMarquardt())]


class LevenbergMarquardt(Method[RegularisedLoss]):
    """Damped Gauss-Newton steps, with a damping for each cell.

    In the product W = W_L ... W_1 the objective is, up to a constant, (1/2) ||(W - W*) C||^2 with
    C C' = XX'/N + lambda I (Remark 5.2). With A_l = W_L ... W_{l+1}, B_l = W_{l-1} ... W_1 C and
    E = (W - W*) C the step is

        dW_l = -A_l' Y B_l',    sum_l A_l A_l' Y B_l' B_l + damping Y = E:

    a dense system in the n_L n_0 entries of Y, whatever the depth and the width of the network. First-order
    methods are slow here, because the minimum is degenerate if W* has small singular values.

    Examples
    --------
    Two weights whose product w has f(w) = (w - 2)^2 / 2 + w^2 / 2, which is least at w = 1:

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.optimize.minimise import minimise
    >>> x = torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64)
    >>> decay, linear = x.new_ones(1), Architecture((1, 1, 1), activation="linear")
    >>> loss = RegularisedLoss(linear, x, 2 * x, decay, penalty="product")
    >>> theta = torch.tensor([[3.0, 0.5]], dtype=torch.float64)
    >>> end = minimise(loss, theta, [Phase(LevenbergMarquardt())], tolerance=1e-9, epochs=50)
    >>> round(end.point.theta.prod().item(), 6)
    1.0
    """

    def begin(self, cells: Tensor, point: Point, objective: RegularisedLoss) -> dict[str, Tensor]:
        return {"damping": torch.full_like(point.value, FIRST_DAMPING)}

    def step(self, objective: RegularisedLoss, point: Point) -> Step:
        damping = self.memory["damping"]
        trial = objective.at(point.theta + _damped_step(objective, point.theta, damping))
        # near the minimum, rounding hides the decrease of the value, but not the decrease of the gradient
        lower = trial.value < point.value
        flatter = (trial.value <= point.value * (1 + 1e-12)) & (
            trial.gradient.norm(dim=1) < 0.9 * point.gradient.norm(dim=1)
        )
        accepted = trial.finite & (lower | flatter)
        self.memory["damping"] = damping = torch.where(accepted, damping * FASTER, damping * SLOWER)
        after = point.clone()
        after.put(accepted, trial[accepted])
        once = torch.ones_like(point.value, dtype=torch.int64)
        return Step(after, once, stuck=damping > LARGEST_DAMPING)


def _damped_step(objective: RegularisedLoss, theta: Tensor, damping: Tensor) -> Tensor:
    architecture, x, shares = objective.architecture, objective.x, objective.shares
    weights = architecture.network(theta).weights
    cells, n_in, n_out = len(theta), architecture.sizes[0], architecture.sizes[-1]

    def eye(size: int) -> Tensor:
        return torch.eye(size, dtype=theta.dtype, device=theta.device).expand(cells, -1, -1)

    weighted = x / x.shape[1] if shares is None else shares[:, :, None] * x
    moments = weighted.mT @ x + objective.weight_decay[:, None, None] * eye(n_in)
    c = torch.linalg.cholesky(moments)
    after, before = [eye(n_out)], [c]
    for w in reversed(weights[1:]):
        after.insert(0, after[0] @ w)
    for w in weights[:-1]:
        before.append(w @ before[-1])
    product = after[0] @ weights[0]
    slope = product @ moments - objective.y.mT @ weighted
    e = torch.linalg.solve_triangular(c, slope.mT, upper=False).mT
    parts = (torch.einsum("cij,ckl->cikjl", a @ a.mT, b.mT @ b) for a, b in zip(after, before, strict=True))
    system = sum(parts, theta.new_zeros(())).reshape(cells, n_out * n_in, n_out * n_in)
    diagonal = system.diagonal(dim1=1, dim2=2)
    smallest = torch.finfo(theta.dtype).eps * diagonal.sum(1)
    diagonal += torch.maximum(damping, smallest)[:, None]
    # a step without a factor, because of rounding, is not finite, and not accepted
    factor, failed = torch.linalg.cholesky_ex(system)
    y = torch.cholesky_solve(e.reshape(cells, -1, 1), factor).reshape(cells, n_out, n_in)
    step = architecture.join([-(a.mT @ y @ b.mT) for a, b in zip(after, before, strict=True)])
    return torch.where(failed[:, None] > 0, torch.nan, step)
