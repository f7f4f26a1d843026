"""Limited-memory BFGS with a weak Wolfe line search (Nocedal & Wright 2006, ch. 7)."""

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from nrc.objectives.protocols import Objective, Point, dot
from nrc.optimize.line_search import weak_wolfe
from nrc.optimize.options import MethodOptions
from nrc.optimize.protocols import Method, Phase, RunInfo, State, Step, tree_map

__all__ = ["LBFGS", "Options", "Preconditioner", "build"]

# Iterations with one initial inverse Hessian. Then it is computed again for all cells, and cells can join.
REFRESH = 50

PRECISION = torch.float32


class Preconditioner(Protocol):
    """H_0 of every cell: an inverse Hessian, up to a factor.

    Examples
    --------
    A diagonal one:

    >>> class Diagonal:
    ...     def __init__(self, h):
    ...         self.h = h
    ...
    ...     def __call__(self, q):
    ...         return self.h * q
    ...
    ...     def select(self, cells):
    ...         return Diagonal(self.h[cells])
    >>> Diagonal(torch.tensor([[2.0], [3.0]])).select(torch.tensor([1]))(torch.ones(1, 1))
    tensor([[3.]])
    """

    def __call__(self, q: Tensor) -> Tensor:
        """H_0 q for q (cells, parameters)."""

    def select(self, cells: Tensor) -> Self:
        """The inverse Hessians of some cells."""


# The objectives that H_0 is computed from.
Suitable = TypeVar("Suitable", bound=Objective)


class Options(MethodOptions):
    """Limited-memory BFGS."""

    history: int = Field(10, ge=1, description="number of pairs that L-BFGS remembers")


def build(run: RunInfo, options: Options) -> list[Phase]:
    """L-BFGS.

    Examples
    --------
    >>> [phase] = build(RunInfo(epochs=100, seeds=[0]), Options(history=5))
    >>> phase.method.history
    5
    """
    return [Phase(LBFGS(options.history))]


class LBFGS(Method[Suitable]):
    """Quasi-Newton steps from the last `history` pairs of each cell.

    A pair is (s, y) = (difference of points, difference of gradients) with rho = 1 / s'y; rho = 0 switches a
    pair off for one cell. The initial inverse Hessian is gamma H_0, gamma = s'y / y'H_0 y with the last pair.

    Parameters
    ----------
    history : int
        Number of pairs remembered.
    initial : callable, optional
        H_0 of all cells from objective and parameters, computed again every 50 iterations. Pairs remain.
        The identity if not given.

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, with the minimum at w = 1:

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> from nrc.optimize.minimise import minimise
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> end = minimise(loss, torch.full((1, 1), 3.0), [Phase(LBFGS(10))], tolerance=1e-6, epochs=20)
    >>> round(end.point.theta.item(), 4)
    1.0
    """

    def __init__(
        self, history: int, initial: Callable[[Suitable, Tensor], Preconditioner] | None = None
    ) -> None:
        super().__init__()
        self.history, self._initial = history, initial
        self._h: Preconditioner | None = None

    @property
    def can_join(self) -> bool:
        return not len(self.cells) or self.memory["iterations"] % REFRESH == 0

    def begin(self, cells: Tensor, point: Point) -> dict[str, Any]:
        pairs = self._pairs if len(self.cells) else {}
        # zeros switch pairs off
        pairs = tree_map(lambda a: a.new_zeros(len(cells), *a.shape[1:]), pairs)
        memory = {"scale": self._first_scale(point), "iterations": 0, "pairs": pairs}
        # H_0 is taken at theta
        return memory if self._initial is None else {**memory, "theta": point.theta}

    @property
    def _pairs(self) -> dict[str, dict[str, Tensor]]:
        """The pairs of all cells by the iteration that gave them, the oldest first."""
        pairs: dict[str, dict[str, Tensor]] = self.memory["pairs"]
        return pairs

    def keep(self, cells: Tensor) -> None:
        super().keep(cells)
        # if the next step computes it again, it need not be kept
        refresh = self.memory["iterations"] % REFRESH == 0
        self._h = None if self._h is None or refresh else self._h.select(cells)

    def resume(self, state: State) -> None:
        super().resume({"pairs": {}, **state})

    def step(self, objective: Suitable, point: Point) -> Step:
        self._refresh(objective, point)
        some, scale = slice(objective.variables), self.memory["scale"]
        direction = self._direction(point.gradient[:, some], scale)
        found = weak_wolfe(objective, point, direction)
        # A cell without an acceptable step forgets its pairs and tries steepest descent next;
        # if it had none to forget, rounding hides any further descent.
        stuck = self._without_pairs(~found.accepted)
        after = found.point
        s, y = (after.theta - point.theta)[:, some], (after.gradient - point.gradient)[:, some]
        scale = self._remember(s, y, scale)
        if not found.accepted.all():
            for pair in self._pairs.values():
                pair["rho"][~found.accepted] = 0
            scale = torch.where(found.accepted, scale, self._first_scale(point))
        self.memory["scale"] = scale
        self.memory["iterations"] += 1
        return Step(found.point, found.epochs, stuck)

    def _refresh(self, objective: Suitable, point: Point) -> None:
        if self._initial is None:
            return
        if self.memory["iterations"] % REFRESH == 0:
            self.memory["theta"], self._h = point.theta, None
        if self._h is None:
            self._h = self._initial(objective, self.memory["theta"])

    def _h_0(self, q: Tensor) -> Tensor:
        return q if self._h is None else self._h(q)

    def _direction(self, gradient: Tensor, scale: Tensor) -> Tensor:
        """-H gradient by the two-loop recursion, H the model of the inverse Hessian of each cell."""
        q, alphas, pairs = gradient.to(PRECISION, copy=True), [], list(self._pairs.values())
        for pair in reversed(pairs):
            alphas.append(pair["rho"] * dot(pair["s"], q))
            q.addcmul_(pair["y"], alphas[-1][:, None], value=-1)
        q = scale[:, None] * self._h_0(q)
        for pair, alpha in zip(pairs, reversed(alphas), strict=True):
            q.addcmul_(pair["s"], (alpha - pair["rho"] * dot(pair["y"], q))[:, None])
        return q.neg_().to(gradient.dtype)

    def _remember(self, s: Tensor, y: Tensor, scale: Tensor) -> Tensor:
        """Add a pair; return its scale, or the scale before if s'y is not positive."""
        s, y = s.to(PRECISION), y.to(PRECISION)
        sy = dot(s, y)
        curved = sy > 0
        pairs = self._pairs
        pairs[str(self.memory["iterations"])] = {"s": s, "y": y, "rho": torch.where(curved, 1 / sy, 0)}
        if len(pairs) > self.history:
            del pairs[next(iter(pairs))]
        return torch.where(curved, sy / dot(y, self._h_0(y)), scale)

    def _without_pairs(self, cells: Tensor) -> Tensor:
        """The cells of a mask (cells,) that remember no pair."""
        for pair in self._pairs.values():
            cells = cells & (pair["rho"] == 0)
        return cells

    def _first_scale(self, point: Point) -> Tensor:
        """Scale of the first step: 1 with H_0; otherwise at most 1, and a step of at most unit length."""
        if self._initial is not None:
            return torch.ones_like(point.value, dtype=PRECISION)
        size: Tensor = point.gradient.norm(dim=1)
        return 1 / size.clamp(min=1).to(PRECISION)
