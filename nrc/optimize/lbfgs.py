"""Limited-memory BFGS with a weak Wolfe line search for every cell (Nocedal & Wright 2006, ch. 7)."""

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from nrc.objectives.protocols import Objective, Point, dot
from nrc.optimize.line_search import weak_wolfe
from nrc.optimize.options import MethodOptions
from nrc.optimize.protocols import Phase, RunInfo, State, Step

__all__ = ["LBFGS", "Options", "Preconditioner", "build"]

# Iterations with one initial inverse Hessian. Then cells may join, for it is anew for all.
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
        """That of some cells."""


# The objectives that H_0 is made from.
Seen = TypeVar("Seen", bound=Objective)


class Options(MethodOptions):
    """Limited-memory BFGS."""

    history: int = Field(10, ge=1, description="number of pairs that it remembers")


def build(course: RunInfo, *, history: int) -> list[Phase]:
    """L-BFGS that remembers so many pairs.

    Examples
    --------
    >>> [phase] = build(RunInfo(epochs=100, seeds=[0]), history=10)
    >>> phase.method.pairs.maxlen
    10
    """
    return [Phase(LBFGS(history))]


class LBFGS(Generic[Seen]):
    """Quasi-Newton steps from the last `history` pairs of each cell.

    A pair is (s, y) = (difference of points, difference of gradients) with rho = 1 / s'y; rho = 0
    switches a pair off for one cell. The initial inverse Hessian is gamma H_0, gamma = s'y / y'H_0 y
    with the last pair.

    Parameters
    ----------
    history : int
        Number of pairs remembered.
    initial : callable, optional
        H_0 of a stack from objective and parameters, refreshed every 50 iterations; pairs survive that.
        The identity if not given.

    Examples
    --------
    One weight w, f(w) = (w - 2)^2 / 2 + w^2 / 2, which is least at w = 1:

    >>> from nrc.networks.mlp import Architecture
    >>> from nrc.optimize.minimise import minimise
    >>> from nrc.objectives.regularised_loss import RegularisedLoss
    >>> x = torch.tensor([[[1.0], [-1.0]]])
    >>> loss = RegularisedLoss(Architecture((1, 1)), x, 2 * x, weight_decay=torch.ones(1))
    >>> end = minimise(loss, torch.full((1, 1), 3.0), [Phase(LBFGS(10))], tolerance=1e-6, epochs=20)
    >>> round(end.point.theta.item(), 4)
    1.0
    """

    whole = True

    def __init__(self, history: int, initial: Callable[[Seen, Tensor], Preconditioner] | None = None) -> None:
        self.pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=history)
        self.scale = torch.empty(0)
        self._initial, self._iterations = initial, 0
        # H_0, and where it was taken
        self._h: Preconditioner | None = None
        self._theta = torch.empty(0)

    @property
    def admits(self) -> bool:
        return not len(self.scale) or self._iterations % REFRESH == 0

    def join(self, cells: Tensor, point: Point) -> None:
        scale = self._first_scale(point)
        if len(self.scale):
            self.pairs = deque(
                (
                    (_with_zeros(s, len(cells)), _with_zeros(y, len(cells)), _with_zeros(rho, len(cells)))
                    for s, y, rho in self.pairs
                ),
                self.pairs.maxlen,
            )
            self.scale = torch.cat([self.scale, scale])
        else:
            self.pairs.clear()
            self.scale, self._iterations = scale, 0

    def step(self, objective: Seen, point: Point) -> Step:
        self._refresh(objective, point)
        some = slice(objective.variables)
        direction = self._direction(point.gradient[:, some], self.scale)
        found = weak_wolfe(objective, point, direction)
        # A cell without an acceptable step forgets its pairs and tries steepest descent next;
        # if it had none to forget, rounding hides any further descent.
        stuck = self._fresh(~found.accepted)
        after = found.point
        s, y = (after.theta - point.theta)[:, some], (after.gradient - point.gradient)[:, some]
        self.scale = self._remember(s, y, self.scale)
        if not found.accepted.all():
            self._forget(~found.accepted)
            self.scale = torch.where(found.accepted, self.scale, self._first_scale(point))
        self._iterations += 1
        return Step(found.point, found.epochs, stuck)

    def keep(self, cells: Tensor) -> None:
        self.pairs = deque(((s[cells], y[cells], rho[cells]) for s, y, rho in self.pairs), self.pairs.maxlen)
        self.scale = self.scale[cells]
        # where the next step makes H_0 anew there is none to keep
        if self._initial is not None and self._iterations % REFRESH:
            self._theta = self._theta[cells]
            self._h = None if self._h is None else self._h.select(cells)

    @property
    def state(self) -> State:
        state = {"scale": self.scale, "iterations": self._iterations, "theta": self._theta}
        if not self.pairs:
            return state
        s, y, rho = (torch.stack(parts) for parts in zip(*self.pairs, strict=True))
        return {**state, "s": s, "y": y, "rho": rho}

    def resume(self, state: State) -> None:
        self.scale, self._iterations = state["scale"], int(state["iterations"])
        self._theta = state["theta"]
        if "s" in state:
            self.pairs.extend(zip(state["s"], state["y"], state["rho"], strict=True))

    def _refresh(self, objective: Seen, point: Point) -> None:
        if self._initial is None:
            return
        if self._iterations % REFRESH == 0:
            self._theta, self._h = point.theta, None
        if self._h is None:
            self._h = self._initial(objective, self._theta)

    def _h_0(self, q: Tensor) -> Tensor:
        return q if self._h is None else self._h(q)

    def _direction(self, gradient: Tensor, scale: Tensor) -> Tensor:
        """-H gradient by the two-loop recursion, H the inverse Hessian model of each cell."""
        q, alphas = gradient.to(PRECISION, copy=True), []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * dot(s, q))
            q.addcmul_(y, alphas[-1][:, None], value=-1)
        q = scale[:, None] * self._h_0(q)
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q.addcmul_(s, (alpha - rho * dot(y, q))[:, None])
        return q.neg_().to(gradient.dtype)

    def _remember(self, s: Tensor, y: Tensor, scale: Tensor) -> Tensor:
        """Take up a pair; the scale that it gives, or the one before where s'y is not positive."""
        s, y = s.to(PRECISION), y.to(PRECISION)
        sy = dot(s, y)
        curved = sy > 0
        self.pairs.append((s, y, torch.where(curved, 1 / sy, 0)))
        return torch.where(curved, sy / dot(y, self._h_0(y)), scale)

    def _forget(self, cells: Tensor) -> None:
        for _, _, rho in self.pairs:
            rho[cells] = 0

    def _fresh(self, cells: Tensor) -> Tensor:
        """Those of a mask (cells,) that remember nothing."""
        for _, _, rho in self.pairs:
            cells = cells & (rho == 0)
        return cells

    def _first_scale(self, point: Point) -> Tensor:
        """Scale of the first step: Newton's with H_0, else at most the gradient, at most unit length."""
        if self._initial is not None:
            return torch.ones_like(point.value, dtype=PRECISION)
        size: Tensor = point.gradient.norm(dim=1)
        return 1 / size.clamp(min=1).to(PRECISION)


def _with_zeros(part: Tensor, cells: int) -> Tensor:
    """What some cells remember of a pair, and behind them others that remember none."""
    return torch.cat([part, part.new_zeros(cells, *part.shape[1:])])
