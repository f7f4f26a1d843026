"""Limited-memory BFGS with a weak Wolfe line search for every cell (Nocedal & Wright 2006, ch. 7)."""

from collections import deque

import torch
from torch import Tensor

from nrc.optimize.line_search import weak_wolfe
from nrc.optimize.point import Course, Objective, Point, State, Step, dot

__all__ = ["LBFGS", "build"]


def build(course: Course, *, history: int) -> "LBFGS":
    return LBFGS(history)


class LBFGS:
    """Quasi-Newton steps from the last `history` pairs of each cell.

    A pair is (s, y) = (difference of points, difference of gradients) with rho = 1 / s'y; rho = 0
    switches a pair off for one cell.

    Parameters
    ----------
    history : int
        Number of pairs remembered.
    """

    whole = True

    def __init__(self, history: int) -> None:
        self.pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=history)
        self.scale: Tensor | None = None

    def step(self, objective: Objective, point: Point) -> Step:
        if self.scale is None:
            self.scale = _steepest_scale(point)
        direction = self._direction(point.gradient)
        found = weak_wolfe(objective, point, direction)
        # A cell without an acceptable step forgets its pairs and tries steepest descent next;
        # if it had none to forget, rounding hides any further descent.
        stuck = ~found.accepted & self._fresh()
        self._remember(found.point.theta - point.theta, found.point.gradient - point.gradient)
        self._forget(~found.accepted, _steepest_scale(point))
        return Step(found.point, found.passes, stuck)

    def keep(self, cells: Tensor) -> None:
        self.pairs = deque(((s[cells], y[cells], rho[cells]) for s, y, rho in self.pairs), self.pairs.maxlen)
        if self.scale is not None:
            self.scale = self.scale[cells]

    @property
    def state(self) -> State:
        if self.scale is None:
            return {}
        s, y, rho = (torch.stack(parts) for parts in zip(*self.pairs, strict=True))
        return {"s": s, "y": y, "rho": rho, "scale": self.scale}

    def resume(self, state: State) -> None:
        if state:
            self.pairs.extend(zip(state["s"], state["y"], state["rho"], strict=True))
            self.scale = state["scale"]

    def _direction(self, gradient: Tensor) -> Tensor:
        """-H gradient by the two-loop recursion, H the inverse Hessian model of each cell."""
        q, alphas = gradient, []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * dot(s, q))
            q = q - alphas[-1][:, None] * y
        q = self.scale[:, None] * q
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q + (alpha - rho * dot(y, q))[:, None] * s
        return -q

    def _remember(self, s: Tensor, y: Tensor) -> None:
        sy, yy = dot(s, y), dot(y, y)
        curved = sy > 0
        self.pairs.append((s, y, torch.where(curved, 1 / sy, 0)))
        self.scale = torch.where(curved, sy / yy, self.scale)

    def _forget(self, cells: Tensor, scale: Tensor) -> None:
        for _, _, rho in self.pairs:
            rho[cells] = 0
        self.scale = torch.where(cells, scale, self.scale)

    def _fresh(self) -> Tensor:
        """Mask (cells,) of the cells that remember nothing."""
        fresh = torch.ones_like(self.scale, dtype=torch.bool)
        for _, _, rho in self.pairs:
            fresh &= rho == 0
        return fresh


def _steepest_scale(point: Point) -> Tensor:
    """Scale of a steepest-descent step: at most the gradient, at most unit length."""
    return 1 / point.gradient.norm(dim=1).clamp(min=1)
