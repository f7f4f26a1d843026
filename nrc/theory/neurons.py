"""Groups of neurons: which neurons of a layer are equal, and the distance to rank d that groups certify.

A neuron of a layer is its incoming weights, a row of [W_l b_l], or of an unfolded kernel: a channel is a
neuron. Neurons with equal rows, up to sign if phi is odd, are equal functions of a point, and at stationary
points with weight decay many neurons coincide. Groups of neurons bound distances to rank d as groups of
points do in Theorem 3.4, which divides the columns of the features of all points where this divides the rows:

(a) dist(W_l, M_d)^2 <= NS_d, the scatter of the rows in d groups. Proof: with its signed mean in place of
each row the matrix has rank d at most. Neither data nor stationarity is needed.
(b) dist(W_{l+1}, M_d) <= (||r_{l+1}|| + root of the scatter of the columns of the gradient) / lambda; proof
in `neuron_bound`.
(c) Groups of equal neurons have no scatter, so rank W_l <= min(d_{l-1}, d_l) at a stationary point.

In a residual stream the rows of a block are its neurons, and (a) holds. Columns that are equal are
coordinates of the stream that all blocks share, so (b) does not follow from the rows of one layer.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

__all__ = ["MERGED", "MOST", "Tree", "angles", "distinct", "layer_rank_bound", "neuron_bound", "tree"]

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

# Neurons that differ by at most this are one neuron. At a relative residual of 1e-8, differences of merged
# neurons are below 1e-4, most below 1e-7, and other differences are above 1e-3.
MERGED = 1e-3
# In layers with more neurons these are not compared.
MOST = 4096
# A neuron is at zero if the norm of its row is at most this share of the largest.
ZERO = 1e-6
# Above this cosine an angle is computed from the difference of the directions, which is accurate to rounding.
NEAR = 0.99
# Numbers in the differences that are computed at a time.
BLOCK = 2**22


def angles(rows: Array, odd: bool) -> Array:
    """Angles between rows in radians, (n, n); between the lines along them if signs do not count.

    Parameters
    ----------
    rows : (n, p) array
        None is 0.
    odd : bool
        Whether phi is odd. Then w with outgoing weights v and -w with -v are the same neuron.

    Examples
    --------
    >>> rows = np.array([[1.0, 0.0], [-2.0, 2e-9]])
    >>> float(angles(rows, odd=True)[0, 1]), float(angles(rows, odd=False)[0, 1].round(4))
    (1e-09, 3.1416)
    """
    u = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = u @ u.T
    sign = np.where(odd & (cosines < 0), -1.0, 1.0)
    cosines *= sign
    found: Array = np.arccos(np.clip(cosines, -1, 1))
    first, second = np.nonzero(np.triu(cosines > NEAR, 1))
    for part in np.array_split(np.arange(len(first)), 1 + len(first) * rows.shape[1] // BLOCK):
        i, j = first[part], second[part]
        chords = np.linalg.norm(u[i] - sign[i, j, None] * u[j], axis=1)
        found[i, j] = found[j, i] = 2 * np.arcsin(chords / 2)
    np.fill_diagonal(found, 0)
    return found


@dataclass(frozen=True)
class Tree:
    """The dendrogram of the neurons of a layer, by complete linkage of their differences.

    Attributes
    ----------
    rows : (n, p) array
        Incoming weights.
    odd : bool
        Whether signs do not count.
    scales : (n,) array
        1, or a multiple of the norm of a row if phi is positively homogeneous: neurons of one direction are
        then multiples of each other.
    members : (alive,) integer array
        The neurons that are not at zero. These form a group of their own, which counts as 0.
    angles : (alive, alive) array
        Angles between them.
    merges : (alive - 1, 4) array
        As `scipy.cluster.hierarchy.linkage`: the two groups that are joined, the largest difference within
        the group that they form, and its size.
    """

    rows: Array
    odd: bool
    scales: Array
    members: Labels
    angles: Array
    merges: Array

    def groups(self, tolerance: float) -> Labels:
        """The group of each neuron, 0, 1, ..., (n,): no difference within a group is above the tolerance.

        Neurons at zero have -1.
        """
        count = len(self.members)
        joined = self.merges[self.merges[:, 2] <= tolerance, :2].astype(int)
        # from the last merge to the first, each group passes its name on to its parts
        name = np.arange(count + len(joined))
        for new in reversed(range(len(joined))):
            name[joined[new]] = name[count + new]
        labels = np.full(len(self.rows), -1)
        labels[self.members] = np.unique(name[:count], return_inverse=True)[1]
        return labels

    def coefficients(self, labels: Labels) -> Array:
        """a_j, the signed scale of each neuron relative to the first of its group, (n,).

        Examples
        --------
        >>> pair = tree(np.array([[1.0, 2.0], [-1.0, -2.0]]), odd=True)
        >>> pair.coefficients(pair.groups(1e-6)).tolist()
        [1.0, -1.0]
        """
        _, first, group = np.unique(labels, return_index=True, return_inverse=True)
        opposite = self.odd & (np.einsum("jp,jp->j", self.rows, self.rows[first[group]]) < 0)
        return np.where(opposite, -self.scales, self.scales)

    def permuted(self, rng: np.random.Generator) -> "Tree":
        """Random groups of the same sizes, a control."""
        return replace(self, members=rng.permutation(self.members))

    def scatter(self, *vectors: Array) -> list[Array]:
        """Scatter of the rows, and of other vectors of the neurons, in d groups, for d = 1, ..., n.

        The scatter is sum_j ||v_j - a_j c||^2, with a_j the signed scale of neuron j and c = sum_j a_j v_j /
        sum_j a_j^2 of its group; without scales a_j c is the signed mean. Signs follow from the rows. Neurons
        at zero count with c = 0.

        Parameters
        ----------
        *vectors : (n, q) arrays

        Returns
        -------
        list of (n,) array
            NS_d of the rows, then of the vectors.

        Examples
        --------
        Of the rows 1, -1, 3 the first two are one neuron up to sign; the mean of all three is 5/3:

        >>> of_lines = tree(np.array([[1.0, 0.0], [-1.0, 0.0], [3.0, 0.0]]), odd=True)
        >>> of_lines.scatter()[0].round(4).tolist()
        [2.6667, 0.0, 0.0]
        """
        count, at_zero = len(self.members), np.setdiff1d(np.arange(len(self.rows)), self.members)
        # side by side, because one operation on a long vector is faster than several on short ones
        starts = np.cumsum([0, *(v.shape[1] for v in (self.rows, *vectors))])
        side_by_side = np.concatenate([self.rows, *vectors], axis=1)
        weights, centres = np.zeros(2 * count), np.zeros((2 * count, starts[-1]))
        weights[:count] = self.scales[self.members] ** 2
        centres[:count] = side_by_side[self.members] / self.scales[self.members, None]
        added, of_rows = np.zeros((count, len(starts) - 1)), starts[1]
        for step, (i, j) in enumerate(self.merges[:, :2].astype(int), start=1):
            opposite = self.odd and centres[i, :of_rows] @ centres[j, :of_rows] < 0
            apart = centres[i] + centres[j] if opposite else centres[i] - centres[j]
            both = weights[i] + weights[j]
            weights[count + step - 1] = both
            centres[count + step - 1] = centres[i] - weights[j] / both * apart
            added[step] = weights[i] * weights[j] / both * np.add.reduceat(apart * apart, starts[:-1])
        of_zero = np.add.reduceat((side_by_side[at_zero] ** 2).sum(0), starts[:-1])
        totals = np.cumsum(added, axis=0)[::-1] + of_zero
        full = np.broadcast_to(of_zero, (len(at_zero), len(of_zero)))
        return list(np.concatenate([totals, full]).T)


def tree(rows: Array, odd: bool, homogeneous: bool = False) -> Tree:
    """The dendrogram of neurons by their incoming weights.

    The difference of two neurons is the angle between their rows, or the logarithm of the ratio of their
    norms if that is larger.

    Parameters
    ----------
    rows : (n, p) array
        [W_l b_l], or an unfolded kernel.
    odd : bool
        Whether phi(-t) = -phi(t): then w and -w are one neuron.
    homogeneous : bool
        Whether phi(a t) = a phi(t) for a > 0, as for ReLU: then norms do not count.

    Examples
    --------
    >>> rows = np.array([[1.0, 2.0], [0.0, 0.0], [-1.0, -2.0], [2.0, -1.0], [1.0, 2.0]])
    >>> tree(rows, odd=True).groups(1e-6).tolist(), tree(rows, odd=False).groups(1e-6).tolist()
    ([1, -1, 1, 0, 1], [2, -1, 0, 1, 2])
    """
    scaled = rows / (np.abs(rows).max(initial=0) or 1)  # squares of weights that diverge overflow
    norms = np.linalg.norm(scaled, axis=1)
    members = np.flatnonzero(norms > ZERO * norms.max(initial=0))
    scales = np.where(norms > 0, norms, 1) if homogeneous else np.ones(len(rows))
    found, merges = angles(scaled[members], odd), np.zeros((0, 4))
    if len(members) > 1:
        sizes = np.zeros(len(members)) if homogeneous else np.log(norms[members])
        differences = np.maximum(found, np.abs(sizes[:, None] - sizes))
        merges = linkage(squareform(differences, checks=False), "complete")
    return Tree(rows, odd, scales, members, found, merges)


def distinct(rows: Array, odd: bool, homogeneous: bool = False) -> int:
    """Number of neurons that differ by more than `MERGED`, without those at zero.

    Parameters
    ----------
    rows, odd, homogeneous
        As for `tree`.

    Examples
    --------
    >>> distinct(np.array([[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]]), odd=True)
    1
    """
    return int(tree(rows, odd, homogeneous).groups(MERGED).max(initial=-1)) + 1


def neuron_bound(residual: float, scatter: Array, weight_decay: float) -> Array:
    """(||r|| + sqrt(scatter)) / lambda, a bound on the distance of W_{l+1} to rank d from groups of neurons.

    The scatter is that of the columns of the gradient g = (1/N) sum_i delta_i z_i' in W_{l+1}, in groups of
    the neurons of layer l. Proof: let ztilde have the signed mean of its group in place of each neuron. Then
    lambda W_{l+1} = r - g, and (1/N) sum_i delta_i ztilde_i' has rank d at most and distance sqrt(scatter)
    from g. It holds for any weights, partition and phi. For columns in blocks, as those of the next kernel or
    of the features behind a channel, d groups certify the rank d times the size of a block.

    Parameters
    ----------
    residual : float
        ||r_{l+1}||
    scatter : (d,) array
        From `Tree.scatter`.
    weight_decay : float
        lambda; the bound is missing where it is 0.

    Examples
    --------
    >>> neuron_bound(0.1, np.array([4.0, 0.0]), 0.5).tolist()
    [4.2, 0.2]
    """
    bound: Array = (residual + np.sqrt(scatter)) / (weight_decay or np.nan)
    return bound


def layer_rank_bound(before: Array, after: Array) -> Array:
    """min(d_{l-1}, d_l), the bound on the rank of W_l by the distinct neurons on its two sides.

    At a stationary point -lambda W_l = (1/N) sum_i delta_i^l (z_i^{l-1})', whose rows are equal up to sign
    where neurons of layer l are, and whose columns are where neurons of layer l-1 are. The inequality is a
    theorem, up to rounding; that it is an equality is an observation.

    Parameters
    ----------
    before, after : array
        d_{l-1} and d_l of each layer, of one shape: d_0 is the rank of the inputs, and d_L the rank of the
        derivatives of the loss in the outputs. Missing if it is not known.

    Examples
    --------
    >>> layer_rank_bound(np.array([600, 40, 13, 15]), np.array([40, 13, 15, 9])).tolist()
    [40, 13, 13, 9]
    """
    bound: Array = np.fmin(before, after)
    return bound
