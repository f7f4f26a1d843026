"""Merged neurons of every layer, bounds by their groups, and the potential of each layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc.measured_network import MeasuredNetwork, Neurons
from nrc.metadata import describe
from nrc.random_streams import Stream, generator
from nrc.theory.neurons import MERGED, MOST, Tree, layer_rank_bound, neuron_bound, tree
from nrc.theory.potential import Potential
from nrc.theory.ranks import exact_rank

__all__ = ["neurons"]

Array = NDArray[np.float64]

# A tolerance far below `MERGED`, to show that numbers of distinct neurons do not depend on it.
STRICT = 1e-6
# Above this relative gradient of the potential, neurons are not at critical points.
CRITICAL = 1e-3
# Powers of ten of the angles that are counted.
DECADES = np.arange(-17, 1)

HIDDEN = "missing in the last layer, in layers of more than 4096 neurons and where the cell collapsed to zero"
EQUAL = (
    "up to sign where the activation is odd or not known, and to a positive factor where it is homogeneous"
)
VOID = "missing where weight decay is 0, and where the layers are not neighbours in a chain"
MEMORY = (
    "and where the features of all points do not fit into memory, or pooling between them is not by averages"
)
A, B, C, E, F, G = ({"reference": f"merged neurons ({name})"} for name in "abcefg")
ABOUT = {
    "distinct_neurons": {
        "long_name": f"number of neurons that differ by more than {MERGED:g}, without those at zero",
        "comment": f"by angle, and by norm; {EQUAL}; {HIDDEN}",
    },
    "distinct_neurons_strict": {
        "long_name": f"number of neurons that differ by more than {STRICT:g}, without those at zero",
        "comment": HIDDEN,
    },
    "dead_neurons": {"long_name": "number of neurons at zero", "comment": HIDDEN},
    "merged_groups": {"long_name": "number of groups of two or more equal neurons", "comment": HIDDEN},
    "largest_group": {
        "long_name": "number of neurons in the largest group of equal neurons",
        "comment": HIDDEN,
    },
    "norm_spread": {
        "long_name": f"largest relative difference of norms of neurons at an angle of at most {MERGED:g}",
        "comment": f"0 if there are no two; {HIDDEN}",
    },
    "neuron_angles": {
        "long_name": "number of pairs of neurons at an angle between a power of ten and the next, in radians",
        "comment": f"of the lines along the rows where signs do not count; the first has all below; {HIDDEN}",
    },
    "neuron_scatter": {
        "long_name": "bound on relative_tail by the scatter of the rows in index groups of neurons",
        "comment": HIDDEN,
        **A,
    },
    "neuron_scatter_random": {
        "long_name": "neuron_scatter of random groups, a control: groups of the same sizes",
        "comment": HIDDEN,
        **A,
    },
    "neuron_bound": {
        "long_name": "bound on relative_tail by index groups of the neurons of the layer before",
        "comment": VOID,
        **B,
    },
    "neuron_bound_random": {
        "long_name": "neuron_bound of random groups, a control: groups of the same sizes",
        "comment": VOID,
        **B,
    },
    "neuron_rank": {
        "long_name": "smaller number of distinct neurons on the two sides of the layer",
        "comment": "distinct_neurons; the rank of the inputs before the first layer, and of the derivatives "
        f"of the loss in the outputs after the last; {VOID}",
        **C,
    },
    "neuron_gap": {
        "long_name": "singular value behind neuron_rank over the one at neuron_rank",
        "comment": "small where the rank is neuron_rank, however small the last singular value is; "
        f"missing where neuron_rank is the smaller side of the layer; {VOID}",
        **C,
    },
    "potential_gradient": {
        "long_name": "largest relative gradient ||grad G(w)|| / ||w|| of the potential at the neurons",
        "comment": f"{VOID}, {MEMORY}",
        **E,
    },
    "potential_gradient_bound": {
        "long_name": "bound on potential_gradient by the residuals of the neurons",
        "comment": f"{VOID}, {MEMORY}",
        **G,
    },
    "groups_at_maxima": {
        "long_name": "number of groups of two or more equal neurons at local maxima of the potential",
        "comment": f"missing where potential_gradient is above {CRITICAL:g}, or the activation is not smooth",
        **F,
    },
    "potential_curvature_groups": {
        "long_name": "largest eigenvalue of the Hessian of the potential at groups of equal neurons",
        "comment": "missing where there are none, and as groups_at_maxima",
        **F,
    },
    "potential_curvature_single": {
        "long_name": "largest eigenvalue of the Hessian of the potential at neurons that are alone",
        "comment": "missing where there are none, and as groups_at_maxima",
        **F,
    },
}
COUNTS = ("distinct_neurons", "distinct_neurons_strict", "dead_neurons", "merged_groups", "largest_group")
CURVES = ("neuron_scatter", "neuron_scatter_random", "neuron_bound", "neuron_bound_random")


def neurons(
    network: MeasuredNetwork,
    collapsed: NDArray[np.bool_],
    seeds: Sequence[int],
    gradient: Sequence[Tensor] | None = None,
    residual: Array | None = None,
    weight_decay: Array | None = None,
    bias_decay: Array | None = None,
) -> xr.Dataset:
    """Numbers of distinct neurons, bounds by groups of neurons, and the potential at the neurons.

    Parameters
    ----------
    network : MeasuredNetwork
    collapsed : (cells,) mask
        Cells whose weights are 0 up to rounding: all numbers are missing.
    seeds : sequence of int
        The seed of each cell, for random groups.
    gradient : sequence of Tensor, optional
        The gradient of the loss in W_1, ..., W_L, (cells, n_l, n_{l-1}) each. Measures that need it are left
        out if it is None.
    residual, weight_decay : (cells, layers) array, optional
        Norms ||r_l||, and lambda.
    bias_decay : (cells, layers) array, optional
        Weight decay of the biases; by default, the weight decay of the weights.

    Examples
    --------
    Three neurons, of which the last is the first with the opposite sign:

    >>> rows = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]]]).double()
    >>> weights = [rows, torch.ones(1, 1, 3).double()]
    >>> x, y = torch.ones(1, 4, 2).double(), torch.zeros(1, 4, 1).double()
    >>> stack = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network(weights), x, y)
    >>> found = neurons(stack, np.array([False]), seeds=[0])
    >>> found["distinct_neurons"].values.tolist(), found["neuron_scatter"].values[0, 0].round(4).tolist()
    ([[2.0, nan]], [0.7454, 0.0])
    """
    stationary = None
    if gradient is not None and residual is not None and weight_decay is not None:
        stationary = _Stationarity(gradient, residual, weight_decay)
    layers = _Layers(network, collapsed, seeds, stationary)
    for of in network.neurons:
        if network.weights[of.layer].shape[1] > MOST:
            continue
        trees = layers.count(of)
        if weight_decay is not None and of.after is not None:
            potential = network.potential(
                of, weight_decay, weight_decay if bias_decay is None else bias_decay
            )
            if potential is not None:
                layers.place(of, trees, potential)
    return layers.dataset()


@dataclass(frozen=True)
class _Stationarity:
    """The gradient of the loss in each layer, norms of residuals, and weight decay, (cells, layers)."""

    gradient: Sequence[Tensor]
    residual: Array
    weight_decay: Array

    def columns(self, cell: int, of: Neurons) -> Array:
        """The columns of the gradient in the next layer for each neuron, (n, ...)."""
        assert of.after is not None
        g = self.gradient[of.after][cell]
        return _columns(g[None], of.block)[0].numpy()

    def bound(self, cell: int, of: Neurons, scatter: Array) -> Array:
        """Bounds on the distance of the next layer to rank 1, 2, ...

        d groups certify the rank d * block and, until the next multiple, larger ranks.
        """
        assert of.after is not None
        at = cell, of.after
        bound = neuron_bound(float(self.residual[at]), scatter, float(self.weight_decay[at]))
        return np.concatenate([np.full(of.block - 1, np.nan), np.repeat(bound, of.block)])


class _Layers:
    """The measures of all layers, which are missing until they are found."""

    def __init__(
        self,
        network: MeasuredNetwork,
        collapsed: NDArray[np.bool_],
        seeds: Sequence[int],
        stationary: _Stationarity | None,
    ) -> None:
        self.network, self.stationary, self.cells = network, stationary, np.flatnonzero(~collapsed).tolist()
        self.random = [generator(seed, Stream.RANDOM_GROUPS) for seed in seeds]
        shape = len(collapsed), len(network.layers)
        longest = max(min(w.shape[1:]) for w in network.weights)
        sizes: dict[str, tuple[int, ...]] = dict.fromkeys(ABOUT, ())
        sizes |= dict.fromkeys(CURVES, (longest,)) | {"neuron_angles": (len(DECADES),)}
        self.found = {name: np.full((*shape, *size), np.nan) for name, size in sizes.items()}
        self.before, self.after = np.full((2, *shape), np.nan)
        self.followers = {of.after for of in network.neurons}
        # ranks of derivatives behind layers, and layers that have a potential
        self.behind: dict[int, Array] = {}
        self.placed = set[int]()

    def count(self, of: Neurons) -> dict[int, Tree]:
        """Count the distinct neurons of a layer; the dendrogram of each cell."""
        rows = self.network.incoming(of).numpy()
        trees = {c: tree(rows[c], of.odd, of.homogeneous) for c in self.cells}
        for c, of_cell in trees.items():
            here = c, of.layer
            sizes, strict = _sizes(of_cell, MERGED), _sizes(of_cell, STRICT)
            dead = len(rows[c]) - len(of_cell.members)
            counts = len(sizes), len(strict), dead, np.sum(sizes > 1), sizes.max(initial=0)
            for name, number in zip(COUNTS, counts, strict=True):
                self.found[name][here] = number
            self.found["norm_spread"][here], self.found["neuron_angles"][here] = _pairs(of_cell)
            for name, groups in (("", of_cell), ("_random", of_cell.permuted(self.random[c]))):
                self._bound(name, c, of, groups)
            self.after[here] = len(sizes)
            if of.after is not None:
                self.before[c, of.after] = len(sizes) * of.block
        return trees

    def _bound(self, name: str, cell: int, of: Neurons, groups: Tree) -> None:
        """Bound the tails of the layer by the scatter of its rows, and of the next layer by its gradient."""
        w = self.network.weights
        vectors = [w[of.layer][cell].numpy()]
        if self.stationary is not None and of.after is not None:
            vectors.append(self.stationary.columns(cell, of))
        _, of_rows, *of_columns = groups.scatter(*vectors)
        self._curve(f"neuron_scatter{name}", (cell, of.layer), w[of.layer], np.sqrt(of_rows))
        if self.stationary is not None and of.after is not None:
            bound = self.stationary.bound(cell, of, *of_columns)
            self._curve(f"neuron_bound{name}", (cell, of.after), w[of.after], bound)

    def place(self, of: Neurons, trees: dict[int, Tree], potential: Potential) -> None:
        """Gradient and curvature of the potential at the neurons."""
        assert of.after is not None
        self.placed.add(of.layer)
        if of.layer not in self.followers:
            self.before[:, of.layer] = _ranks(potential.z)
        # each entry of the kernel of a convolution has a row
        cells, points, numbers = potential.delta.shape
        delta = potential.delta.reshape(cells, points, numbers // of.block, of.block)
        self.behind[of.after] = _ranks(delta.mT.flatten(1, 2))
        w, v = self.network.incoming(of), _columns(self.network.weights[of.after], of.block)
        norms = w.norm(dim=2)
        alive = torch.zeros_like(norms, dtype=torch.bool)
        for c, of_cell in trees.items():
            alive[c, of_cell.members] = True
        for name, values in (
            ("potential_gradient", potential.gradient(w).norm(dim=2)),
            ("potential_gradient_bound", potential.gradient_bound(w, v)),
        ):
            relative = torch.where(alive, values / norms, -torch.inf).amax(1).numpy()
            self.found[name][:, of.layer] = np.where(np.isfinite(relative), relative, np.nan)
        critical = self.found["potential_gradient"][:, of.layer] <= CRITICAL
        for c, of_cell in trees.items():
            if of.smooth and critical[c]:
                labels = of_cell.groups(MERGED)
                _, first, sizes = np.unique(labels[labels >= 0], return_index=True, return_counts=True)
                chosen = of_cell.members[first] if len(of_cell.members) else np.zeros(0, dtype=int)
                self._curvature((c, of.layer), potential.of_cell(c).largest_curvature(w[c, chosen]), sizes)

    def _curvature(self, here: tuple[int, int], found: Tensor, sizes: NDArray[np.int64]) -> None:
        groups, single = found.numpy()[sizes > 1], found.numpy()[sizes == 1]
        self.found["groups_at_maxima"][here] = np.sum(groups < 0)
        for name, values in (("groups", groups), ("single", single)):
            if len(values):
                self.found[f"potential_curvature_{name}"][here] = values.max()

    def _curve(self, name: str, here: tuple[int, int], w: Tensor, bound: Array) -> None:
        """Store a bound on the tail beyond 1, 2, ... directions, relative to the norm of the layer."""
        length = min(*w.shape[1:], len(bound))
        norm = w[here[0]].norm().item()
        self.found[name][here][:length] = bound[:length] / (norm or np.nan)

    def dataset(self) -> xr.Dataset:
        if self.stationary is not None:
            ranks = self._ranks(self.stationary.weight_decay)
            self.found["neuron_rank"], self.found["neuron_gap"] = ranks, self._gaps(ranks)
        extra = dict.fromkeys(CURVES, ("index",)) | {"neuron_angles": ("decade",)}
        longest = self.found["neuron_scatter"].shape[2]
        about = {"long_name": "power of ten of an angle in radians", "units": "1"}
        dataset = xr.Dataset(
            {name: (("cell", "layer", *extra.get(name, ())), values) for name, values in self.found.items()},
            {"index": np.arange(1, longest + 1), "decade": ("decade", DECADES, about)},
        )
        return describe(dataset, **ABOUT)

    def _ranks(self, weight_decay: Array) -> Array:
        """The number of distinct neurons on the smaller side of each layer."""
        for l, ranks in self.behind.items():
            if l not in self.placed:
                self.after[:, l] = ranks
        known = np.zeros_like(weight_decay, dtype=bool)
        known[self.cells] = weight_decay[self.cells] > 0
        both = layer_rank_bound(self.before, self.after)
        return np.where(known & np.isfinite(self.before), both, np.nan)

    def _gaps(self, ranks: Array) -> Array:
        """The ratio of the singular values behind and at a rank, where there are both, (cells, layers)."""
        gaps = np.full(ranks.shape, np.nan)
        for l, w in enumerate(self.network.weights):
            known = np.flatnonzero((ranks[:, l] > 0) & (ranks[:, l] < min(w.shape[1:])))
            if len(known):
                s, r = torch.linalg.svdvals(w[known]).numpy(), ranks[known, l].astype(int)
                cells = np.arange(len(known))
                gaps[known, l] = s[cells, r] / s[cells, r - 1]
        return gaps


def _columns(w: Tensor, block: int) -> Tensor:
    """The columns of a matrix (cells, m, n * block) for each neuron, (cells, n, m * block)."""
    cells, rows, columns = w.shape
    return w.reshape(cells, rows, columns // block, block).transpose(1, 2).flatten(2)


def _sizes(of_cell: Tree, tolerance: float) -> NDArray[np.int64]:
    """Sizes of the groups of neurons that are not at zero."""
    labels = of_cell.groups(tolerance)
    return np.bincount(labels[labels >= 0])


def _pairs(of_cell: Tree) -> tuple[float, Array]:
    """The largest relative difference of norms at one direction, and the numbers of angles by decade."""
    norms = np.linalg.norm(of_cell.rows[of_cell.members], axis=1)
    pairs = np.triu_indices(len(norms), 1)
    found = of_cell.angles[pairs]
    ratios = np.abs(np.log(norms[:, None] / norms))[pairs]
    decades = np.floor(np.log10(np.maximum(found, 10.0 ** DECADES[0])))
    counts = np.bincount((decades - DECADES[0]).astype(int), minlength=len(DECADES))
    return float(ratios[found <= MERGED].max(initial=0)), counts.astype(float)


def _ranks(z: Tensor) -> Array:
    """Rank of features or derivatives (cells, points, n), by singular values above `EXACT` of the largest."""
    # as many rows as columns have the same singular values
    ranks: Array = exact_rank(torch.linalg.svdvals(torch.linalg.qr(z, mode="r").R).numpy())
    return ranks
