"""The loss of torch modules with weight decay, as an objective of training, by autograd.

A cell is evaluated alone, so its bits do not depend on its stack. Batches of cells by `torch.func.vmap` take
as long or longer on a CPU.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from nrc.networks.losses import LOSSES
from nrc.networks.workspace import FRESH
from nrc.objectives.protocols import Point, per_cell
from nrc.objectives.regularised import Regularised

if TYPE_CHECKING:
    from nrc.networks.module_architecture import ModuleArchitecture

__all__ = ["ModuleHessian", "RegularisedModuleLoss", "SingleModuleLoss", "twice_differentiable"]


def twice_differentiable() -> AbstractContextManager[None]:
    """Attention of torch by its backend that has second derivatives, in all threads."""
    return sdpa_kernel(SDPBackend.MATH)


@dataclass(frozen=True)
class RegularisedModuleLoss(Regularised):
    """loss(Theta) + (lambda / 2) ||Theta||^2 for every cell, Theta all parameters of its module.

    Attributes
    ----------
    architecture : ModuleArchitecture
    x, y : Tensor
        Points (cells, points, features) and targets (cells, points, outputs); a first axis of 1 if all cells
        share them.
    weight_decay : Tensor
        lambda, (cells,).
    shares : Tensor, optional
        Weights of the points in the loss, (cells, points); 1/N each if not given.
    loss : str
        A key of `nrc.networks.losses.LOSSES`.
    template : Module, optional
        A copy of the module in the precision and on the device of x, which no other thread uses.

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, which is least at w = 1:

    >>> from nrc.networks.module_architecture import ModuleArchitecture
    >>> architecture = ModuleArchitecture(lambda: torch.nn.Linear(1, 1, bias=False), (1,), 1)
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedModuleLoss(architecture, x, 2 * x, weight_decay=torch.ones(1))
    >>> loss.at(torch.tensor([[1.0]]))
    Point(theta=tensor([[1.]]), value=tensor([1.]), gradient=tensor([[0.]]))
    """

    architecture: ModuleArchitecture
    x: Tensor
    y: Tensor
    weight_decay: Tensor
    shares: Tensor | None = None
    loss: str = "squared_error"
    template: nn.Module | None = field(default=None, repr=False, compare=False)
    penalty = "factors"

    def __post_init__(self) -> None:
        if self.template is None:
            object.__setattr__(self, "template", copy.deepcopy(self.architecture.template).to(self.x))

    def at(self, theta: Tensor) -> Point:
        """Value (cells,) and gradient (cells, parameters) at theta (cells, parameters)."""
        (value, gradient), (penalty, of_penalty) = self.loss_gradient(theta), self.penalty_gradient(theta)
        return Point(theta, value + penalty, gradient + of_penalty)

    def loss_gradient(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Value (cells,) and gradient (cells, parameters) of the loss without the penalty."""
        value, gradient = torch.empty_like(theta[:, 0]), torch.empty_like(theta)
        for cell, of_cell in enumerate(theta):
            loss, parameters = self.loss_of(cell, of_cell)
            value[cell] = loss.detach()
            (gradient[cell],) = torch.autograd.grad(loss, parameters)
        return value, gradient

    def loss_of(self, cell: int, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a cell without the penalty, and the parameters in which it can be differentiated."""
        assert self.template is not None
        x, y = self.x[cell % len(self.x)], self.y[cell % len(self.y)]
        p = 1 / len(x) if self.shares is None else self.shares[cell][None, :, None]
        parameters = theta.detach().clone().requires_grad_()
        with torch.enable_grad():
            outputs = self.architecture.outputs_of(self.template, parameters, x)
            value, _ = LOSSES[self.loss].gradient(outputs[None], y[None], p, FRESH)
        return value[0], parameters

    def hessian(self, theta: Tensor) -> ModuleHessian:
        """The Hessian at theta (cells, parameters), in the context `twice_differentiable`."""
        return ModuleHessian([self.loss_of(*cell) for cell in enumerate(theta)], self.weight_decay)

    def select(self, cells: Tensor) -> Self:
        """The losses of some cells, given by index or mask."""
        x, y = per_cell(self.x, cells), per_cell(self.y, cells)
        shares = None if self.shares is None else self.shares[cells]
        return replace(self, x=x, y=y, weight_decay=self.weight_decay[cells], shares=shares)

    def to(self, where: torch.device | torch.dtype) -> Self:
        """The losses on a device or in a precision, with a module of their own."""
        shares = None if self.shares is None else self.shares.to(where)
        x, y, weight_decay = (a.to(where) for a in (self.x, self.y, self.weight_decay))
        return replace(self, x=x, y=y, weight_decay=weight_decay, shares=shares, template=None)

    def on(self, points: Tensor) -> Self:
        """The losses on some points, (1 or cells, batch) by index: an unbiased estimate on random points."""
        rows = points.expand(len(self.weight_decay), -1)
        x, y = (a.expand(len(rows), -1, -1).take_along_dim(rows[:, :, None], 1) for a in (self.x, self.y))
        scale = self.x.shape[1] / points.shape[1]
        shares = None if self.shares is None else self.shares.take_along_dim(rows, 1) * scale
        return replace(self, x=x, y=y, shares=shares)


@dataclass(frozen=True)
class SingleModuleLoss:
    """The same function, with the loss in float32 and the penalty in float64; as fast as float32.

    Attributes
    ----------
    loss : RegularisedModuleLoss
        In float64.
    """

    loss: RegularisedModuleLoss
    # relative rounding of a value
    rounding = torch.finfo(torch.float32).eps

    @cached_property
    def low(self) -> RegularisedModuleLoss:
        """The loss in float32."""
        return self.loss.to(torch.float32)

    @property
    def variables(self) -> int:
        return self.loss.variables

    def at(self, theta: Tensor) -> Point:
        value, gradient = self.low.loss_gradient(theta.float())
        penalty, of_penalty = self.loss.penalty_gradient(theta)
        return Point(theta, value + penalty, gradient + of_penalty)

    def relative_residual(self, theta: Tensor, gradient: Tensor) -> Tensor:
        return self.loss.relative_residual(theta, gradient)

    def select(self, cells: Tensor) -> Self:
        return replace(self, loss=self.loss.select(cells))


class ModuleHessian:
    """The Hessian of every cell's regularised loss: derivatives of g'v, by one graph for all products.

    Parameters
    ----------
    losses : sequence
        The loss without the penalty and the parameters of each cell.
    weight_decay : Tensor
        (cells,)

    Examples
    --------
    >>> w = torch.tensor([3.0], requires_grad=True)
    >>> ModuleHessian([(2 * w[0] ** 2, w)], torch.tensor([0.5]))(torch.ones(1, 1))
    tensor([[4.5000]])
    """

    def __init__(self, losses: Sequence[tuple[Tensor, Tensor]], weight_decay: Tensor) -> None:
        self._weight_decay = weight_decay
        self._cells = [(torch.autograd.grad(loss, w, create_graph=True)[0], w) for loss, w in losses]

    def __call__(self, v: Tensor) -> Tensor:
        """Hessian times v, (cells, parameters)."""
        product = self._weight_decay[:, None] * v
        for cell, (gradient, w) in enumerate(self._cells):
            if gradient.requires_grad:  # otherwise the loss is linear
                (of_cell,) = torch.autograd.grad(gradient, w, v[cell], retain_graph=True)
                product[cell] += of_cell
        return product
