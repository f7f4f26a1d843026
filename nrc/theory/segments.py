"""Lemma 3.3 along segments: second derivatives are bounded where they enter the remainder.

With p_j = (z_j^k, y_j), c_j the centroid of its cluster and g_j(t) = grad_{W_l} ell at the point
c_j + t (p_j - c_j), the first-order terms cancel at centroids, and Taylor's remainder leaves

    gap_{k,l} <= (1/N) sum_j int_0^1 (1 - t) ||g_j''(t)|| dt.

Each segment is cut into pieces. On a piece all functions of t are enclosed around their values in the middle,
so the bound tends to this integral as the pieces become short, while `centroid_gap_bound` multiplies suprema
that the network does not attain at the same place. In this module a point is a column, (cells, n, points),
and derivatives are in s, which runs over [-1, 1] on a piece.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations_with_replacement
from math import inf

import torch
from torch import Tensor

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Network
from nrc.theory.centroids import centroids

__all__ = ["segment_gap_bound"]

# Pieces of each segment: time is proportional to their number, and more of them improve the bound little.
PIECES = 3
# Numbers in an array of a block, chosen so that its arrays fit into a core's cache.
BLOCK = 2**14


@dataclass(frozen=True)
class Enclosure:
    """A function of s with bounds on the distance to its value at s = 0.

    Attributes
    ----------
    middle : Tensor
        The value at 0, (cells, n, points).
    radius : Tensor
        A bound on the distance of each entry, likewise.
    reach : Tensor or float
        A bound on the norm of the difference, (cells, 1, points), by spectral norms. It is used where it is
        smaller than the norm of `radius`.
    """

    middle: Tensor
    radius: Tensor
    reach: Tensor | float = inf

    @cached_property
    def ball(self) -> Tensor:
        return _norm(self.radius).clamp(max=self.reach)

    @cached_property
    def absolute(self) -> Tensor:
        return self.middle.abs()

    @cached_property
    def largest(self) -> Tensor:
        return self.absolute + self.radius

    def __add__(self, other: "Enclosure") -> "Enclosure":
        return Enclosure(self.middle + other.middle, self.radius + other.radius, self.ball + other.ball)

    def __sub__(self, other: "Enclosure") -> "Enclosure":
        return Enclosure(self.middle - other.middle, self.radius + other.radius, self.ball + other.ball)

    def __mul__(self, other: "Enclosure") -> "Enclosure":
        """Entry by entry."""
        radius = torch.addcmul(self.largest * other.radius, self.radius, other.absolute)
        reach = _largest(self.largest) * other.ball + self.ball * _largest(other.absolute)
        return Enclosure(self.middle * other.middle, radius, reach)

    def within(self, derivative: "Enclosure") -> "Enclosure":
        """The enclosure, tightened by the mean value theorem."""
        radius = torch.minimum(self.radius, derivative.largest)
        reach = torch.minimum(self.ball, _norm(derivative.middle) + derivative.ball)
        return Enclosure(self.middle, radius, reach)


@dataclass(frozen=True)
class Matrix:
    """Matrices (cells, m, n), with their spectral norms (cells, 1, 1)."""

    entries: Tensor
    norm: Tensor

    @cached_property
    def absolute(self) -> Tensor:
        return self.entries.abs()

    @property
    def transposed(self) -> "Matrix":
        return Matrix(self.entries.mT, self.norm)

    def __matmul__(self, x: Enclosure) -> Enclosure:
        return Enclosure(self.entries @ x.middle, self.absolute @ x.radius, self.norm * x.ball)


@dataclass(frozen=True)
class Jet:
    """A function of s with its first two derivatives."""

    value: Enclosure
    first: Enclosure
    second: Enclosure

    @classmethod
    def of(cls, value: Enclosure, first: Enclosure, second: Enclosure) -> "Jet":
        """The jet with enclosures tightened by the derivatives."""
        first = first.within(second)
        return cls(value.within(first), first, second)

    @classmethod
    def line(cls, middle: Tensor, step: Tensor) -> "Jet":
        """middle + s step."""
        zero = torch.zeros_like(step)
        return cls(Enclosure(middle, step.abs()), Enclosure(step, zero), Enclosure(zero, zero))

    def shifted(self, by: Tensor) -> "Jet":
        return replace(self, value=replace(self.value, middle=self.value.middle + by))

    def __sub__(self, other: "Jet") -> "Jet":
        return Jet.of(self.value - other.value, self.first - other.first, self.second - other.second)

    def __mul__(self, other: "Jet") -> "Jet":
        """Entry by entry, by Leibniz' rule."""
        cross = self.first * other.first
        return Jet.of(
            self.value * other.value,
            self.first * other.value + self.value * other.first,
            self.second * other.value + cross + cross + self.value * other.second,
        )

    def through(self, matrix: Matrix) -> "Jet":
        """The function after a linear map."""
        return Jet.of(matrix @ self.value, matrix @ self.first, matrix @ self.second)

    def activated(self, activation: str) -> tuple["Jet", "Jet"]:
        """phi and phi' of the function, by the chain rule."""
        phi, d1, d2, d3 = _over_range(activation, self.value)
        slope = Jet.of(d1, d2 * self.first, d3 * (self.first * self.first) + d2 * self.second)
        value = Jet.of(phi, d1 * self.first, slope.first * self.first + d1 * self.second)
        return value, slope

    def outer_second(self, other: "Jet") -> Tensor:
        """A bound on the norm of the second derivative of the outer product, (cells, points)."""
        cross = self.first + self.first
        pairs = (self.second, other.value), (cross, other.first), (self.value, other.second)
        square = radius = self.value.middle.new_zeros(())
        for (u, v), (other_u, other_v) in combinations_with_replacement(pairs, 2):
            inner = _inner(u.middle, other_u.middle) * _inner(v.middle, other_v.middle)
            square = square + (inner if u is other_u else 2 * inner)
        for u, v in pairs:
            radius = radius + _norm(u.middle) * v.ball + u.ball * (_norm(v.middle) + v.ball)
        return (square.clamp(min=0).sqrt() + radius)[:, 0]


def segment_gap_bound(
    network: Network, z: Tensor, y: Tensor, labels: Tensor, clusters: int, pieces: int = PIECES
) -> Tensor:
    """A bound on gap_{k,l} from second derivatives along the segments from centroids to points.

    Parameters
    ----------
    network, z, y, labels, clusters
        As in `nrc.theory.centroids.centroid_gap_bound`.
    pieces : int
        Number of pieces of each segment.

    Returns
    -------
    Tensor
        (cells, L - k), one column per layer; missing if the activation is not smooth or the loss is not the
        squared error.

    Raises
    ------
    ValueError
        As in `nrc.theory.centroids.centroid_gap_bound`.

    Examples
    --------
    One weight w = 1 has g(t) = (t z)^2 along a segment from the centroid 0. The bound is attained:

    >>> network = Network([torch.ones(1, 1, 1)])
    >>> z, labels = torch.tensor([[[-1.0], [1.0]]]), torch.zeros(1, 2, dtype=torch.int64)
    >>> segment_gap_bound(network, z, torch.zeros_like(z), labels, clusters=1).round(decimals=6)
    tensor([[1.]])
    """
    network.check(z, y)
    bound = z.new_full((len(z), len(network.weights)), torch.nan)
    if network.loss != "squared_error" or not _derivatives(network.activation):
        return bound
    segments = [_segments(points, labels, clusters) for points in (z, y)]
    width = max(z.shape[2], *(w.shape[1] for w in network.weights))
    for cells in _slices(len(z), BLOCK // (width * z.shape[1])):
        some = network.select(cells)
        matrices = [Matrix(w, torch.linalg.matrix_norm(w, 2)[:, None, None]) for w in some.weights]
        biases = some.biases or []
        bound[cells] = 0
        for points in _slices(z.shape[1], BLOCK // width):
            part = [[array[cells, :, points] for array in segment] for segment in segments]
            for piece in range(pieces):
                t, half = (piece + 0.5) / pieces, 0.5 / pieces
                inputs, targets = (Jet.line(start + t * step, half * step) for start, step in part)
                seconds = _second_derivatives(network.activation, matrices, biases, inputs, targets)
                # (1 - t) dt has the integral 2 half (1 - t), and d/ds is half d/dt
                bound[cells] += 2 * (1 - t) / half * seconds.sum(2) / z.shape[1]
    return bound


def _segments(points: Tensor, labels: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """The starts of the segments, at centroids, and the steps from there to the points."""
    means, _ = centroids(points, labels, clusters)
    start = means.gather(1, labels[:, :, None].expand_as(points)).mT
    return start, points.mT - start


def _second_derivatives(
    activation: str, matrices: list[Matrix], biases: list[Tensor], inputs: Jet, targets: Jet
) -> Tensor:
    """Bounds on ||g''|| for g = delta^l z^{l-1}' of every layer, (cells, layers, points)."""
    depth, features, slopes = len(matrices), [inputs], []
    for l, matrix in enumerate(matrices):
        a = features[-1].through(matrix)
        if biases:
            a = a.shifted(biases[l][:, :, None])
        if l < depth - 1:
            feature, slope = a.activated(activation)
            features.append(feature)
            slopes.append(slope)
    delta = a - targets
    columns: list[Tensor] = []
    for l in reversed(range(depth)):
        columns.insert(0, delta.outer_second(features[l]))
        if l:
            delta = slopes[l - 1] * delta.through(matrices[l].transposed)
    return torch.stack(columns, dim=1)


def _over_range(activation: str, a: Enclosure) -> list[Enclosure]:
    """phi and its first three derivatives on the range of a, with extremes at ends and turning points."""
    value = ACTIVATIONS[activation].value
    low, middle, high = (value(a.middle + sign * a.radius, None) for sign in (-1, 0, 1))
    enclosures = [Enclosure(middle, torch.maximum(high - middle, middle - low))]
    for derivative, turning in _derivatives(activation):
        at, radius = derivative(middle), torch.zeros_like(middle)
        for phi in (low, high, *(low.clamp(min=turn).minimum(high) for turn in turning)):
            radius = torch.maximum(radius, (derivative(phi) - at).abs())
        enclosures.append(Enclosure(at, radius))
    return enclosures


def _derivatives(activation: str) -> list[tuple[Callable[[Tensor], Tensor], tuple[float, ...]]]:
    """The first three derivatives in terms of phi, each with its turning points; empty if one is missing."""
    about = ACTIVATIONS[activation]
    if about.curvature is None or about.third is None or about.turning is None:
        return []
    derivatives = (lambda phi: about.derivative(phi, None)), about.curvature, about.third
    return list(zip(derivatives, about.turning, strict=True))


def _inner(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(1, keepdim=True)


def _norm(x: Tensor) -> Tensor:
    """The norm of each column, (cells, 1, points); several times as fast as torch along this axis."""
    return _inner(x, x).sqrt()


def _largest(x: Tensor) -> Tensor:
    return x.amax(1, keepdim=True)


def _slices(length: int, size: int) -> Iterator[slice]:
    size = max(1, size)
    return (slice(first, first + size) for first in range(0, length, size))
