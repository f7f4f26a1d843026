"""Variable projection: the last layer by ridge regression, the others by preconditioned L-BFGS.

For a squared error, a penalty on the factors and a last layer without activation, the best last
layer for given W_1, ..., W_{L-1} is a ridge regression (Golub & Pereyra 1973). The minimum over the last
layer is a function of the other layers with the same stationary points, and far better conditioned.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Self

from pydantic import Field
from torch import Tensor

from nrc.networks.activations import smooth
from nrc.networks.arrays import Array, fastest, inner, namespace, tensor
from nrc.networks.mlp import Network
from nrc.objectives.mixed_precision import single
from nrc.objectives.penalties import ridge
from nrc.objectives.protocols import Point, evaluated
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.kfac import random_signs
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.options import Float32Until, SingleStartOptions
from nrc.optimize.protocols import Phase, RunInfo, State
from nrc.optimize.single_start import single_start
from nrc.options import Requirement, equal, positive

__all__ = ["Options", "Projected", "RightInverse", "build"]

# The preconditioner adds this multiple of weight decay to every eigenvalue.
DAMPING = 10


class Options(SingleStartOptions):
    """Variable projection, for the squared error: ridge regression for the last layer, then L-BFGS."""

    requires = (
        Requirement(
            {
                "network.kind": equal("mlp"),
                "loss": equal("squared_error"),
                "network.activation": smooth,
                "training.penalty": ridge,
                "grid.weight_decay": positive,
            }
        ),
    )

    plain_epochs: int = Field(
        100, ge=0, description="epochs of L-BFGS on all layers, before the last layer is projected out"
    )
    history: int = Field(5, ge=1, description="number of pairs that L-BFGS remembers")
    float32_until: Float32Until = 3e-4

    def check(self, epochs: int, points: int | None) -> None:
        if self.plain_epochs >= epochs:
            raise ValueError(
                f"plain_epochs is {self.plain_epochs}, but must be less than training.epochs, {epochs}"
            )


def build(run: RunInfo, options: Options) -> list[Phase]:
    """L-BFGS on all layers for some epochs, so that the initial last layer counts; then on the other layers.

    Examples
    --------
    >>> phases = build(RunInfo(epochs=1000, seeds=[0]), Options(plain_epochs=20))
    >>> [phase.epochs for phase in phases]
    [20, 500, inf]
    """
    plain, history = options.plain_epochs, options.history
    start = single_start(LBFGS(history, RightInverse), run, options)
    return [
        *([Phase(LBFGS(history), epochs=plain)] if plain else []),
        *(replace(phase, objective=_projected_single) for phase in start),
        Phase(LBFGS(history, RightInverse), Projected),
    ]


@dataclass(frozen=True)
class Projected:
    """phi(W_1, ..., W_{L-1}) = min over W_L (and b_L) of the regularised loss.

    With points as columns, P = diag(p_i), Z the last features and Y the targets, the minimum is at
    W_L' = (Z P Z' + lambda I)^{-1} Z P Y'. There the gradient in W_L is 0, and by the envelope theorem the
    gradient of phi is the gradient in the other layers. A bias is a feature that is 1 everywhere.

    Raises
    ------
    ValueError
        If the loss is not a squared error with a positive penalty on the factors.

    Examples
    --------
    Two weights with f = (w_2 w_1 - 2)^2 / 2 + (w_1^2 + w_2^2) / 2: the best w_2 for w_1 = 1 is 1.

    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> linear = Architecture((1, 1, 1), activation="linear")
    >>> projected = Projected(RegularisedLoss(linear, x, 2 * x, weight_decay=torch.ones(1)))
    >>> projected.variables
    1
    >>> projected.at(torch.tensor([[1.0, 9.0]])).theta
    tensor([[1., 1.]])
    """

    loss: RegularisedLoss

    def __post_init__(self) -> None:
        loss = self.loss
        if not (loss.measured_by.squared and loss.penalised_by.ridge and (loss.weight_decay > 0).all()):
            decay = float(loss.weight_decay.min())
            raise ValueError(
                "variable projection needs the squared error, and a weight decay above 0 on the factors; "
                f"this is {loss.loss} with weight decay {decay:g} on the {loss.penalty}"
            )

    @property
    def variables(self) -> int:
        architecture = self.loss.architecture
        # biases come after W_L
        return architecture.parameters - (0 if architecture.bias else prod(architecture.shapes[-1]))

    @property
    def rounding(self) -> float:
        return self.loss.rounding

    @cached_property
    def blocks(self) -> list[tuple[slice, Self]]:
        return [(cells, replace(self, loss=loss)) for cells, loss in self.loss.blocks]

    def at(self, theta: Tensor) -> Point:
        """Value and gradient with the best last layer for the others, computed in the precision of x."""
        return evaluated(self, theta.to(self.loss.x.dtype, copy=True)).to(theta.dtype)

    def write(self, theta: Array, value: Array, gradient: Array) -> None:
        """Write the best last layer into theta, and value and gradient into arrays."""
        loss = self.loss
        network = loss.network(theta)
        z = network.hidden(fastest(loss.x), loss.workspace)
        _fit_last_layer(network, z[-1], loss)
        loss.write_at([*z, network.output(z, loss.workspace)], theta, value, gradient)

    def relative_residual(self, theta: Tensor, gradient: Tensor) -> Tensor:
        return self.loss.relative_residual(theta, gradient)

    def select(self, cells: Tensor) -> Self:
        return replace(self, loss=self.loss.select(cells))


def _projected_single(loss: RegularisedLoss) -> Projected:
    return Projected(single(loss))


def _fit_last_layer(network: Network, z: Array, loss: RegularisedLoss) -> None:
    """Overwrite W_L and b_L by the ridge regression of the targets on the features z^{L-1}."""
    xp, z = namespace(z), network.with_ones(z)
    # if all weights of points are 1/N both sides are multiplied by N
    weighted, times = (z, z.shape[1]) if loss.shares is None else (z * fastest(loss.shares)[:, :, None], 1)
    moments = xp.matmul(weighted.mT, z)
    damping = times * fastest(loss.penalised_by.damping(loss.weight_decay))
    moments.reshape(len(moments), -1)[:, :: moments.shape[1] + 1] += damping[:, None]
    network.overwrite(
        len(network.weights), xp.linalg.solve(moments, xp.matmul(weighted.mT, fastest(loss.y))).mT
    )


class RightInverse:
    """The right half of K-FAC (Martens & Grosse 2015): Q_l -> Q_l (c_l A_l + 10 lambda I)^{-1}.

    A_l = z^{l-1} P z^{l-1}' are second moments of the layer's inputs, and c_l is the mean curvature
    sum_i p_i ||u_i^l||^2 / n_l of its outputs, with u_i^l the derivative in them of a combination of the
    network's outputs with random signs.

    Examples
    --------
    For w_1 = w_2 = 1 and inputs of mean square 1 it divides w_1 by 1 + 10 lambda:

    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> linear = Architecture((1, 1, 1), activation="linear")
    >>> projected = Projected(RegularisedLoss(linear, x, 2 * x, weight_decay=torch.tensor([0.1])))
    >>> inverses = RightInverse.at(projected, torch.ones(1, 2))
    >>> RightInverse.times(projected, inverses, torch.ones(1, 1))
    tensor([[0.5000]])
    """

    @staticmethod
    def at(objective: Projected, theta: Tensor) -> dict[str, Tensor]:
        """(c_l A_l + 10 lambda I)^{-1} of each layer l that is a variable, (cells, n_{l-1}, n_{l-1})."""
        loss, theta = objective.loss, fastest(theta.to(objective.loss.x.dtype))
        architecture, network, xp = loss.architecture, loss.network(theta), namespace(theta)
        z = network.hidden(fastest(loss.x), loss.workspace)
        signs = random_signs(loss.x.shape[1], architecture.sizes[-1]).to(loss.x)
        u = network.deltas(z, fastest(signs.expand(len(theta), -1, -1)), loss.workspace)
        p = 1 / loss.x.shape[1] if loss.shares is None else fastest(loss.shares)[:, None, :]
        inverses, damping = {}, DAMPING * fastest(loss.penalised_by.damping(loss.weight_decay))
        layers = list(zip(z, u, strict=True))[: None if architecture.bias else -1]
        for l, (inputs, outgoing) in enumerate(layers, start=1):
            a = network.with_ones(inputs).mT
            u_l = outgoing.mT.reshape(len(theta), -1)
            curvature = inner((p * outgoing.mT).reshape(len(theta), -1), u_l) / outgoing.shape[2]
            moments = curvature[:, None, None] * xp.matmul(p * a, a.mT)
            moments.reshape(len(moments), -1)[:, :: moments.shape[1] + 1] += damping[:, None]
            inverses[str(l)] = tensor(xp.linalg.inv(moments)).float()
        return inverses

    @staticmethod
    def times(objective: Projected, inverses: State, q: Array) -> Array:
        """Each layer of q (cells, variables) times its inverse."""
        xp, result = namespace(q), namespace(q).empty_like(q)
        layers, results = objective.loss.network(q), objective.loss.network(result)
        for l in range(1, len(inverses) + 1):
            results.overwrite(l, xp.matmul(layers.matrix(l), inverses[str(l)]))
        return result
