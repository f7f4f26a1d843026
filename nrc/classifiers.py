"""Stacks of networks that classify images: their points, snapshots on the way, and accuracy."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from nrc.clusters import wcss
from nrc.data.mnist import CLASSES
from nrc.network import Architecture, features
from nrc.optimize.point import State

__all__ = ["Snapshots", "accuracy", "classifier", "image_points"]

Array = NDArray[np.float64]


def image_points(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], chosen: NDArray[np.integer]
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Inputs (points, pixels) in [0, 1], one-hot targets (points, classes) and labels of some images."""
    labels = labels[chosen].astype(np.int64)
    x = images[chosen].reshape(len(chosen), -1) / 255
    return x, one_hot(torch.from_numpy(labels), CLASSES).double().numpy(), labels


def classifier(width: int, depth: int, inputs: int, activation: str) -> Architecture:
    """A network from `inputs` pixels to the classes, hidden layers of one width."""
    return Architecture((inputs, *[width] * (depth - 1), CLASSES), activation)


def accuracy(weights: Sequence[Tensor], x: Tensor, labels: Tensor, activation: str) -> Tensor:
    """Share of the points (1 or cells, points, n_0) whose largest output is their label, (cells,)."""
    output = features(list(weights), x, activation)[-1]
    return (output.argmax(-1) == labels).double().mean(1)


class Snapshots:
    """Singular values and class WCSS of every layer, taken every so many epochs and at the end.

    Attributes
    ----------
    epochs : list of int
    singular_values : list of arrays
        (cells, layers, index) each, missing beyond the smaller side of a layer.
    wcss : list of arrays
        WCSS of (z^k, y) in the classes, (cells, sources) each (eq. 6).
    """

    def __init__(
        self,
        architecture: Architecture,
        x: Tensor,
        y: Tensor,
        labels: NDArray[np.integer],
        every: int,
        last: int,
    ) -> None:
        self._network, self._x, self._y, self._labels = architecture, x, y, labels
        self._every, self._last = every, last
        self.epochs: list[int] = []
        self.singular_values: list[Array] = []
        self.wcss: list[Array] = []

    def __call__(self, epoch: int, theta: Tensor, diverged: Tensor) -> None:
        """Look at parameters (cells, parameters); cells of the mask (cells,) have missing values."""
        if epoch % self._every and epoch != self._last:
            return
        weights = self._network.split(theta.detach())
        spaces = features(weights, self._x, self._network.activation)[:-1]
        # parameters may be finite and their features not
        with np.errstate(over="ignore", invalid="ignore"):
            variability = np.array(
                [[self._variability(z, cell) for z in spaces] for cell in range(len(theta))]
            )
        spectra, lost = _spectra(weights), diverged.cpu().numpy()
        spectra[lost], variability[lost] = np.nan, np.nan
        self.epochs.append(epoch)
        self.singular_values.append(spectra)
        self.wcss.append(np.where(np.isfinite(variability), variability, np.nan))

    def _variability(self, z: Tensor, cell: int) -> float:
        """Of one cell: numpy sums in another order over a whole stack."""
        space, targets = (points[cell % len(points)].cpu().double().numpy() for points in (z, self._y))
        return float(wcss(np.concatenate([space, targets], axis=1), self._labels))

    @property
    def state(self) -> State:
        return {
            name: torch.as_tensor(np.array(getattr(self, name)))
            for name in ("epochs", "singular_values", "wcss")
        }

    def resume(self, state: State) -> None:
        """Take up the looks of an earlier call."""
        self.epochs = state["epochs"].tolist()
        self.singular_values = list(state["singular_values"].cpu().numpy())
        self.wcss = list(state["wcss"].cpu().numpy())


def _spectra(weights: Sequence[Tensor]) -> Array:
    s = [torch.linalg.svdvals(w.double()).cpu().numpy() for w in weights]
    longest = max(values.shape[1] for values in s)
    padded = [np.pad(v, ((0, 0), (0, longest - v.shape[1])), constant_values=np.nan) for v in s]
    return np.stack(padded, axis=1)
