"""Snapshots of networks during training: singular values, distinct neurons and class WCSS at given epochs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Architecture, Network
from nrc.objectives.protocols import per_cell
from nrc.optimize.protocols import State
from nrc.theory.neurons import MERGED, distinct
from nrc.theory.wcss import wcss

__all__ = ["ABOUT", "Snapshots", "distinct_neurons", "singular_values", "snapshot_times"]

Array = NDArray[np.float64]

# Dimensions after the dimensions of the stack, and attributes, of the variables of the trained file.
ABOUT = {
    "snapshot_singular_values": (
        ("snapshot", "layer", "index"),
        {
            "long_name": "singular values during training",
            "comment": "missing beyond the smaller side of the layer, and once a cell diverged",
        },
    ),
    "snapshot_distinct_neurons": (
        ("snapshot", "layer"),
        {
            "long_name": f"number of neurons that differ by more than {MERGED:g}, during training",
            "comment": "as distinct_neurons; missing in the last layer, and once a cell diverged",
        },
    ),
    "snapshot_wcss": (
        ("snapshot", "source"),
        {
            "long_name": "WCSS of features and targets in the classes, during training",
            "reference": "eq. 6",
            "comment": "missing once a cell diverged",
        },
    ),
}


def snapshot_times(every: int, epochs: int) -> list[int]:
    """The epochs of the snapshots: 0, multiples of `every`, and the last epoch.

    Examples
    --------
    >>> snapshot_times(every=30, epochs=100)
    [0, 30, 60, 90, 100]
    """
    return sorted({*range(0, epochs, every), epochs})


class Snapshots:
    """Takes a snapshot of each cell as soon as it has done the epochs of the next snapshot.

    After its termination, the snapshots of a cell show its end point.

    Parameters
    ----------
    architecture : Architecture or ModuleArchitecture
    x, y : Tensor
        Inputs (cells, points, n_0) and targets (cells, points, n_L); a first axis of 1 if all cells
        share them.
    labels : (cells or 1, points) integer array
    cells : int
    times : list of int
        Epochs of the snapshots.
    parameters : callable, optional
        From the coordinates in which cells are trained to their parameters.

    Examples
    --------
    A snapshot of a layer that is the identity, on points at distance 1 from the means of their classes:

    >>> x, labels = torch.tensor([[[1.0, 0.0], [3.0, 0.0]]]), np.array([[0, 0]])
    >>> snapshots = Snapshots(Architecture((2, 2)), x, torch.zeros_like(x), labels, cells=1, times=[0])
    >>> none = torch.zeros(1, dtype=torch.int64)
    >>> snapshots(cells=none, epochs=none, theta=torch.eye(2).view(1, 4), diverged=none.bool())
    >>> snapshots.singular_values.tolist(), snapshots.wcss.tolist()
    ([[[[1.0, 1.0]]]], [[[1.0]]])
    """

    def __init__(
        self,
        architecture: Any,
        x: Tensor,
        y: Tensor,
        labels: NDArray[np.integer],
        cells: int,
        times: list[int],
        parameters: Callable[[Tensor], Tensor] = lambda theta: theta,
    ) -> None:
        self._parameters = parameters
        self._architecture, self._x, self._y, self._labels = architecture, x, y, labels
        self._times = torch.tensor(times, device=x.device)
        self._taken = torch.zeros(cells, dtype=torch.int64, device=x.device)
        longest, depth = max(map(min, architecture.shapes)), len(architecture.layers)
        self.singular_values = np.full((cells, len(times), depth, longest), np.nan)
        self.distinct_neurons = np.full((cells, len(times), depth), np.nan)
        self.wcss = np.full((cells, len(times), len(architecture.sources)), np.nan)

    def __call__(self, cells: Tensor, epochs: Tensor, theta: Tensor, diverged: Tensor) -> None:
        """Take the snapshots of some cells that are due."""
        taken = self._taken[cells]
        done = torch.searchsorted(self._times, epochs, right=True)
        due = (done > taken) & ~diverged
        if due.any():
            spectra, neurons, variability = self._measure(cells[due], self._parameters(theta[due]))
            places = zip(cells[due].tolist(), taken[due].tolist(), done[due].tolist(), strict=True)
            for number, (cell, first, last) in enumerate(places):
                self.singular_values[cell, first:last] = spectra[number]
                self.distinct_neurons[cell, first:last] = neurons[number]
                self.wcss[cell, first:last] = variability[number]
        self._taken[cells] = torch.maximum(taken, done)

    def _measure(self, cells: Tensor, theta: Tensor) -> tuple[Array, Array, Array]:
        """Singular values (cells, layers, index), distinct neurons (cells, layers), WCSS (cells, sources)."""
        x, y = per_cell(self._x, cells), per_cell(self._y, cells)
        labels = per_cell(self._labels, cells.cpu().numpy())
        matrices, neurons, spaces = _seen(self._architecture, theta, x)
        # features of finite parameters can be infinite
        with np.errstate(over="ignore", invalid="ignore"):
            variability = np.array(
                [[_variability(z, y, labels, cell) for z in spaces] for cell in range(len(cells))]
            )
        variability = np.where(np.isfinite(variability), variability, np.nan)
        return singular_values(matrices), neurons, variability

    @property
    def state(self) -> State:
        return {
            "taken": self._taken,
            "singular_values": torch.as_tensor(self.singular_values),
            "distinct_neurons": torch.as_tensor(self.distinct_neurons),
            "wcss": torch.as_tensor(self.wcss),
        }

    def resume(self, state: State) -> None:
        """Take the snapshots of an earlier run."""
        self._taken = state["taken"]
        self.singular_values = state["singular_values"].cpu().numpy()
        self.distinct_neurons = state["distinct_neurons"].cpu().numpy()
        self.wcss = state["wcss"].cpu().numpy()


def _seen(architecture: Any, theta: Tensor, x: Tensor) -> tuple[Sequence[Tensor], Array, Sequence[Tensor]]:
    """Matrices of all layers, distinct neurons, and the features in all sources."""
    if not isinstance(architecture, Architecture):
        return architecture.seen(theta, x)  # type: ignore[no-any-return]
    network = architecture.network(theta)
    return network.weights, distinct_neurons(network), network.features(x)[:-1]


def singular_values(weights: Sequence[Tensor]) -> Array:
    """Singular values of every layer, (cells, layers, index), missing beyond its smaller side.

    Parameters
    ----------
    weights : sequence of Tensor
        (cells, n_l, n_{l-1}) each.

    Examples
    --------
    >>> singular_values([torch.diag(torch.tensor([2.0, 1.0]))[None], torch.tensor([[[3.0, 4.0]]])]).tolist()
    [[[2.0, 1.0], [5.0, nan]]]
    """
    found = np.full((len(weights[0]), len(weights), max(min(w.shape[1:]) for w in weights)), np.nan)
    for l, w in enumerate(weights):
        s = torch.linalg.svdvals(w.double()).cpu().numpy()
        found[:, l, : s.shape[1]] = s
    return found


def distinct_neurons(network: Network) -> Array:
    """Number of distinct neurons in every layer, (cells, layers), missing in the last.

    Examples
    --------
    >>> rows = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]]])
    >>> distinct_neurons(Network([rows, torch.ones(1, 1, 3)])).tolist()
    [[2.0, nan]]
    """
    phi = ACTIVATIONS[network.activation]
    found = np.full((len(network.weights[0]), len(network.weights)), np.nan)
    for l in range(len(network.weights) - 1):
        for cell, rows in enumerate(network.matrix(l + 1).cpu().double().numpy()):
            found[cell, l] = distinct(rows, phi.odd, phi.homogeneous)
    return found


def _variability(z: Tensor, y: Tensor, labels: NDArray[np.integer], cell: int) -> float:
    """WCSS of one cell, because numpy sums over a stack in another order."""
    space, targets = (points[cell % len(points)].cpu().double().numpy() for points in (z, y))
    return float(wcss(np.concatenate([space, targets], axis=1), labels[cell % len(labels)]))
