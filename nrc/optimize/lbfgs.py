"""Limited-memory BFGS (Nocedal & Wright 2006, ch. 7)."""

from typing import Any, Protocol, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from nrc.networks.arrays import Array, fastest, inner, namespace, tensor
from nrc.objectives.protocols import Objective, Point
from nrc.optimize.line_search import LineSearch
from nrc.optimize.options import SingleStartOptions
from nrc.optimize.protocols import Phase, RunInfo, State, tree_map
from nrc.optimize.single_start import single_start

__all__ = ["LBFGS", "Options", "Preconditioner", "build"]

# Iterations of a cell with one initial inverse Hessian.
REFRESH = 50

PRECISION = torch.float32


Suitable = TypeVar("Suitable", bound=Objective)
# The objectives that H_0 is computed from.
Source = TypeVar("Source", bound=Objective, contravariant=True)


class Preconditioner(Protocol[Source]):
    """H_0 of every cell: an inverse Hessian, up to a factor.

    Examples
    --------
    A diagonal one:

    >>> class Diagonal:
    ...     @staticmethod
    ...     def at(objective, theta):
    ...         return {"h": 2 * torch.ones_like(theta)}
    ...
    ...     @staticmethod
    ...     def times(objective, matrices, q):
    ...         return matrices["h"] * q
    """

    def at(self, objective: Source, theta: Tensor) -> State:
        """Matrices with a row for each cell, from which H_0 at theta is computed."""

    def times(self, objective: Source, matrices: State, q: Array) -> Array:
        """H_0 q for q (cells, variables), with the matrices as arrays like q."""


class Options(SingleStartOptions):
    """Limited-memory BFGS."""

    history: int = Field(10, ge=1, description="number of pairs that L-BFGS remembers")


def build(run: RunInfo, options: Options) -> list[Phase]:
    """L-BFGS, after L-BFGS in float32 if the options ask for it.

    Examples
    --------
    >>> phases = build(RunInfo(epochs=100, seeds=[0]), Options(history=5, float32_until=1e-3))
    >>> [(phase.method.history, phase.epochs) for phase in phases]
    [(5, 50), (5, inf)]
    """
    start = single_start(LBFGS(options.history), run, options)
    return [*start, Phase(LBFGS(options.history))]


class LBFGS(LineSearch[Suitable]):
    """Quasi-Newton steps from the last `history` pairs of each cell.

    A pair is (s, y) = (difference of points, difference of gradients); it is 0 if it is off. The initial
    inverse Hessian is gamma H_0, gamma = s'y / y'H_0 y with the last pair. With the pairs as the columns of S
    and Y in their order, and D and R the diagonal and the upper triangle of S'Y, the direction is

        -(r + S b),  a = R^{-1} S'g,  r = gamma H_0 (g - Y a),  b = R^{-T} (D a - Y'r),

    which is the two-loop recursion for a gradient g (Byrd, Nocedal & Schnabel 1994).

    Parameters
    ----------
    history : int
        Number of pairs remembered.
    initial : Preconditioner, optional
        H_0, computed again every 50 iterations of a cell. Pairs remain. The identity if not given.

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

    def __init__(self, history: int, initial: Preconditioner[Suitable] | None = None) -> None:
        super().__init__()
        self.history, self._initial = history, initial
        # row k is true where a pair is not older than another, if the newest one is at place k
        age = (torch.arange(history)[:, None] - torch.arange(history)) % history
        self._newer = age[:, None, :] <= age[:, :, None]

    def begin(self, cells: Tensor, point: Point, objective: Suitable) -> dict[str, Any]:
        # the pair of iteration k is at place k modulo history
        none = point.theta.new_zeros((len(cells), self.history, objective.variables), dtype=PRECISION)
        memory: dict[str, Any] = {"s": none, "y": none.clone(), "gamma": self._first_scale(point)}
        memory["iterations"] = torch.zeros_like(cells)
        if self._initial is not None:
            memory["h"] = self._initial.at(objective, point.theta)
        return {**super().begin(cells, point, objective), **memory}

    def directions(self, objective: Suitable, point: Point, cells: Tensor) -> tuple[Tensor, int]:
        self._refresh(objective, point, cells)
        s, y, gamma, iterations = self._named("s", "y", "gamma", "iterations")
        xp, m = namespace(s), self.history
        g = xp.asarray(fastest(point.gradient)[:, : s.shape[2]], dtype=s.dtype)[:, :, None]
        sy = xp.matmul(s, y.mT)
        d = xp.einsum("cii->ci", sy)
        r = sy * fastest(self._newer.to(point.theta.device))[(iterations - 1) % m]
        r.reshape(-1, m * m)[:, :: m + 1] += d == 0
        a = xp.linalg.solve(r, xp.matmul(s, g))
        rest = gamma[:, None] * self._h_0(objective, (g - xp.matmul(y.mT, a))[:, :, 0])
        b = xp.linalg.solve(r.mT, d[:, :, None] * a - xp.matmul(y, rest[:, :, None]))
        direction = tensor(-(rest + xp.matmul(s.mT, b)[:, :, 0]))
        return direction if len(cells) == len(direction) else direction[cells], 0

    def ended(
        self, objective: Suitable, after: Point, before: Point, accepted: Array, failed: Array
    ) -> Array:
        """Remember the pairs of cells that have moved. Others forget all pairs, and are stuck without any."""
        s, y, gamma, iterations = self._named("s", "y", "gamma", "iterations")
        stuck = failed
        if failed.any():
            stuck = failed & ~(s.any(2).any(1) | y.any(2).any(1))
            s[failed], y[failed] = 0, 0
            gamma[failed] = fastest(self._first_scale(before))[failed]
        self._remember(objective, after, before, accepted)
        iterations += accepted | failed
        return stuck

    def _remember(self, objective: Suitable, after: Point, before: Point, accepted: Array) -> None:
        """Remember the pair of the accepted step. If s'y is not positive it is off, and gamma stays."""
        direction, t, gamma, iterations = self._named("direction", "t", "gamma", "iterations")
        ss, ys = self._named("s", "y")
        xp, variables = namespace(ss), ss.shape[2]
        s = xp.asarray(t[:, None] * direction, dtype=ss.dtype)
        y = fastest(after.gradient)[:, :variables] - fastest(before.gradient)[:, :variables]
        y = xp.asarray(y, dtype=ss.dtype)
        sy, curvature = inner(s, y), inner(y, self._h_0(objective, y))
        curved = accepted & (sy > 0) & (curvature > 0)
        gamma[...] = xp.where(curved, sy / curvature, gamma)
        if not curved.all():
            s[~curved], y[~curved] = 0, 0
        cells = xp.argwhere(accepted)[:, 0]
        places = iterations[cells] % self.history
        here = slice(None) if len(cells) == len(s) else cells
        ss[cells, places], ys[cells, places] = s[here], y[here]

    def _refresh(self, objective: Suitable, point: Point, cells: Tensor) -> None:
        """Compute H_0 of some cells again, if it is time."""
        iterations = self.arrays["iterations"][fastest(cells)]
        due = (iterations > 0) & (iterations % REFRESH == 0)
        if self._initial is not None and due.any():
            some = cells[tensor(due)]
            new = self._initial.at(objective.select(some), point.theta[some])
            tree_map(lambda old, new: old.index_copy_(0, some, new), self.memory["h"], new)

    def _h_0(self, objective: Suitable, q: Array) -> Array:
        if self._initial is None:
            return q
        return self._initial.times(objective, self.arrays["h"], q)

    def _first_scale(self, point: Point) -> Tensor:
        """Scale of the first step: 1 with H_0; otherwise at most 1, and a step of at most unit length."""
        if self._initial is not None:
            return torch.ones_like(point.value, dtype=PRECISION)
        size: Tensor = point.gradient.norm(dim=1)
        return 1 / size.clamp(min=1).to(PRECISION)
