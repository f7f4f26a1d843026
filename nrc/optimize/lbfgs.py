"""Limited-memory BFGS with a weak Wolfe line search (Nocedal & Wright 2006, ch. 7)."""

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from nrc.networks.arrays import Array, fastest, inner, namespace, tensor
from nrc.objectives.protocols import Objective, Point
from nrc.optimize.line_search import weak_wolfe
from nrc.optimize.options import MethodOptions
from nrc.optimize.protocols import Method, Phase, RunInfo, Step

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
        # the pair of iteration k is at place k modulo history; zeros switch a pair off
        none = point.theta.new_zeros((len(cells), self.history, point.theta.shape[1]), dtype=PRECISION)
        pairs = {"s": none, "y": none.clone(), "rho": none.new_zeros(none.shape[:2])}
        memory = {"scale": self._first_scale(point), "iterations": 0, **pairs}
        # H_0 is taken at theta
        return memory if self._initial is None else {**memory, "theta": point.theta}

    def keep(self, cells: Tensor) -> None:
        super().keep(cells)
        # if the next step computes it again, it need not be kept
        refresh = self.memory["iterations"] % REFRESH == 0
        self._h = None if self._h is None or refresh else self._h.select(cells)

    def step(self, objective: Suitable, point: Point) -> Step:
        self._refresh(objective, point)
        some = slice(objective.variables)
        found = weak_wolfe(objective, point, self._direction(point.gradient[:, some]))
        # A cell without an acceptable step forgets its pairs and tries steepest descent next;
        # if it had none to forget, rounding hides any further descent.
        rho, scale, failed = self.memory["rho"], self.memory["scale"], ~found.accepted
        stuck = failed & ~rho.any(1)
        self._remember(found.point, point, some)
        if failed.any():
            rho[failed], scale[failed] = 0, self._first_scale(point)[failed]
        self.memory["iterations"] += 1
        return Step(found.point, found.epochs, stuck)

    def _refresh(self, objective: Suitable, point: Point) -> None:
        if self._initial is None:
            return
        if self.memory["iterations"] % REFRESH == 0:
            self.memory["theta"], self._h = point.theta, None
        if self._h is None:
            self._h = self._initial(objective, self.memory["theta"])

    def _h_0(self, q: Array) -> Array:
        return q if self._h is None else fastest(self._h(tensor(q)))

    def _direction(self, gradient: Tensor) -> Tensor:
        """-H gradient by the two-loop recursion, H the model of the inverse Hessian of each cell."""
        s, y, rho, scale = (fastest(self.memory[name]) for name in ("s", "y", "rho", "scale"))
        s, y = s[:, :, : gradient.shape[1]], y[:, :, : gradient.shape[1]]
        xp, iterations, alpha = namespace(s), self.memory["iterations"], {}
        kept = [k % self.history for k in range(max(0, iterations - self.history), iterations)]
        q = xp.asarray(fastest(gradient), dtype=s.dtype, copy=True)
        for k in reversed(kept):
            alpha[k] = rho[:, k] * inner(s[:, k], q)
            q -= alpha[k][:, None] * y[:, k]
        q = scale[:, None] * self._h_0(q)
        for k in kept:
            q += (alpha[k] - rho[:, k] * inner(y[:, k], q))[:, None] * s[:, k]
        return -tensor(q).to(gradient.dtype)

    def _remember(self, after: Point, before: Point, some: slice) -> None:
        """Remember a pair and its scale. If s'y is not positive, the pair is off, and the scale stays."""
        rho, scale = fastest(self.memory["rho"]), fastest(self.memory["scale"])
        xp, k = namespace(rho), self.memory["iterations"] % self.history
        s, y = (fastest(self.memory[name])[:, k, some] for name in ("s", "y"))
        xp.subtract(fastest(after.theta)[:, some], fastest(before.theta)[:, some], out=s)
        xp.subtract(fastest(after.gradient)[:, some], fastest(before.gradient)[:, some], out=y)
        sy = inner(s, y)
        curved = sy > 0
        rho[:, k] = 1 / xp.where(curved, sy, xp.inf)
        scale[:] = xp.where(curved, sy / xp.where(curved, inner(y, self._h_0(y)), 1), scale)

    def _first_scale(self, point: Point) -> Tensor:
        """Scale of the first step: 1 with H_0; otherwise at most 1, and a step of at most unit length."""
        if self._initial is not None:
            return torch.ones_like(point.value, dtype=PRECISION)
        size: Tensor = point.gradient.norm(dim=1)
        return 1 / size.clamp(min=1).to(PRECISION)
