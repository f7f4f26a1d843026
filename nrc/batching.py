"""From the cells of a stack to tensors, and from arrays to datasets with the stack's dimensions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc import netcdf
from nrc.data.points import Points, one_hot
from nrc.grid import Cell, Stack
from nrc.networks import Network, architecture
from nrc.networks.mlp import Architecture, by_features
from nrc.objectives.module_loss import RegularisedModuleLoss
from nrc.objectives.penalties import PENALTIES
from nrc.objectives.regularised_loss import RegularisedLoss

__all__ = [
    "Sample",
    "architecture_of",
    "equivalent_points",
    "initial_parameters",
    "load_points",
    "regularised_loss",
    "sample",
    "test_sample",
    "training_sample",
    "unflatten",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """The points of the networks of a stack; a first axis of 1 if all cells share them.

    Attributes
    ----------
    x, y : (cells or 1, points, features) and (cells or 1, points, outputs) arrays
        Inputs and targets.
    labels : (cells or 1, points) integer array
    shares : (cells or 1, points) array, optional
        Weights of the points in the loss; 1/N each if not given.

    Examples
    --------
    >>> x = np.zeros((1, 5, 2))
    >>> Sample(x, x, labels=np.zeros((1, 5), dtype=int)).of_cells(3).x.shape
    (3, 5, 2)
    """

    x: Array
    y: Array
    labels: NDArray[np.int64]
    shares: Array | None = None

    def of_cells(self, cells: int) -> "Sample":
        """The points with a first axis of all cells."""
        x, y = (np.broadcast_to(a, (cells, *a.shape[1:])).copy() for a in (self.x, self.y))
        labels = np.broadcast_to(self.labels, (cells, *self.labels.shape[1:])).copy()
        return Sample(x, x if self.y is self.x else y, labels, self.shares)


def load_points(stack: Stack, paths: Sequence[str]) -> dict[int, Points]:
    """The data of every seed of a stack, from one file per seed, or from one file for all seeds.

    Noise that is not in the file depends on the seed.

    Examples
    --------
    >>> stack = Stack({"weight_decay": 0.1, "sigma": 0.5, "width": 4, "depth": 2, "seed": [1, 2]})
    >>> netcdf.save(Points(0, np.eye(3), np.array([0, 0, 1])).to_dataset(), "data.nc")
    >>> {seed: points.clusters for seed, points in load_points(stack, ["data.nc"]).items()}
    {1: 2, 2: 2}
    """
    datasets = [netcdf.load(path) for path in paths]
    if len(datasets) < len(stack.seeds):
        datasets = datasets * len(stack.seeds)
    return {
        seed: Points.from_dataset(dataset.assign_attrs(seed=seed))
        for seed, dataset in zip(stack.seeds, datasets, strict=True)
    }


def sample(stack: Stack, points: Mapping[int, Points], task: str, *, centroids: bool = False) -> Sample:
    """Inputs and targets of every cell, on request with each point at the centroid of its cluster.

    Parameters
    ----------
    stack : Stack
    points : mapping
        The data of every seed.
    task : {"autoencode", "classify", "regress"}
    centroids : bool

    Raises
    ------
    ValueError
        If the data do not fit the task.

    Examples
    --------
    >>> stack = Stack({"weight_decay": 0.1, "sigma": [0.0, 0.5], "width": 4, "depth": 2, "seed": 0})
    >>> points = {0: Points(0, np.eye(3), np.array([0, 0, 1]))}
    >>> sample(stack, points, "classify").y[0].tolist()
    [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    >>> sample(stack, points, "autoencode", centroids=True).x[0].tolist()
    [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """

    def of_cell(cell: Cell) -> Sample:
        data = points[cell["seed"]]
        x = data.x(cell["sigma"])
        y = data.targets(task, x)
        if centroids:
            x_means, y_means = (data.means_of(a)[data.labels] for a in (x, y))
            x, y = x_means, x_means if y is x else y_means
        return Sample(x, y, data.labels)

    return _stacked(stack, of_cell)


def test_sample(stack: Stack, points: Mapping[int, Points]) -> Sample | None:
    """Test points of a classifier, and one-hot classes; None if the data have none.

    Examples
    --------
    >>> stack = Stack({"weight_decay": 0.1, "sigma": 0.0, "width": 4, "depth": 2, "seed": 0})
    >>> labels = np.array([0, 0, 1])
    >>> points = Points(0, np.eye(3), labels, test_base=np.eye(3)[1:], test_labels=labels[1:])
    >>> test_sample(stack, {0: points}).y.tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """
    classes = {seed: data.test_labels for seed, data in points.items() if data.test_labels is not None}
    if len(classes) < len(points):
        return None

    def of_cell(cell: Cell) -> Sample:
        data, labels = points[cell["seed"]], classes[cell["seed"]]
        return Sample(data.test_x(cell["sigma"]), one_hot(labels, data.clusters), labels)

    return _stacked(stack, of_cell)


def training_sample(
    stack: Stack, points: Mapping[int, Points], task: str, *, centroids: bool, linear: bool
) -> Sample:
    """The points in the loss of every cell, and their weights in it.

    Parameters
    ----------
    stack, points, task
        As in `sample`.
    centroids : bool
        Whether to train on the centroids of the clusters, with weights N_i / N, instead of on all points,
        with weights 1/N (eq. 8 with k = 0).
    linear : bool
        Whether the network is a linear autoencoder without biases. Then as many points as features suffice,
        with the same second moments.

    Examples
    --------
    >>> stack = Stack({"weight_decay": 0.1, "sigma": 0.0, "width": 4, "depth": 2, "seed": 0})
    >>> points = {0: Points(0, np.eye(4), np.array([0, 0, 0, 1]))}
    >>> centroids = training_sample(stack, points, "autoencode", centroids=True, linear=False)
    >>> centroids.x.shape, centroids.shares.tolist()
    ((1, 2, 4), [[0.75, 0.25]])
    """
    if not centroids and not linear:
        return sample(stack, points, task)

    def of_cell(cell: Cell) -> Sample:
        data = points[cell["seed"]]
        x = data.x(cell["sigma"])
        y = data.targets(task, x)
        shares, labels = np.full(len(x), 1 / len(x)), data.labels
        if centroids:
            x_means = data.means_of(x)
            x, y = x_means, x_means if y is x else data.means_of(y)
            shares, labels = data.sizes / len(data.labels), np.arange(data.clusters)
        if linear:
            x, shares = equivalent_points(x, shares)
            y, labels = x, np.zeros(len(x), dtype=np.int64)
        return Sample(x, y, labels, shares)

    return _stacked(stack, of_cell)


def _stacked(stack: Stack, of_cell: Callable[[Cell], Sample]) -> Sample:
    """The sample of a stack from the samples of its cells, which have no first axis.

    One cell suffices if no axis that changes the points is stacked.
    """
    cells = list(stack.cells())
    if not {"sigma", "seed"} & set(stack.dims):
        cells = cells[:1]
    samples = [of_cell(cell) for cell in cells]
    x = np.stack([part.x for part in samples])
    y = x if samples[0].y is samples[0].x else np.stack([part.y for part in samples])
    shares = [part.shares for part in samples if part.shares is not None]
    return Sample(x, y, np.stack([part.labels for part in samples]), np.stack(shares) if shares else None)


def equivalent_points(x: Array, shares: Array) -> tuple[Array, Array]:
    """As many points as features, with the second moments of the points x.

    The squared error of a linear autoencoder depends on its points only through sum_i p_i x_i x_i'. So
    these points give the same loss at a cost that does not grow with N. They are the rows of R in a QR
    decomposition of the weighted points, each of weight 1, and more accurate than a root of the moments.

    Parameters
    ----------
    x : (points, features) array
    shares : (points,) array
        p_i.

    Returns
    -------
    x : (features, features) array
    shares : (features,) array

    Examples
    --------
    >>> x, shares = np.random.default_rng(0).standard_normal((100, 3)), np.full(100, 0.01)
    >>> few, one_each = equivalent_points(x, shares)
    >>> few.shape, np.allclose(few.T @ few, x.T @ x / 100)
    ((3, 3), True)
    """
    features = x.shape[1]
    root = np.zeros((features, features))
    r = np.linalg.qr(np.sqrt(shares)[:, None] * x, mode="r")
    root[: len(r)] = r
    return root, np.ones(features)


def architecture_of(
    stack: Stack, input_shape: tuple[int, ...], outputs: int, network: Network = "mlp"
) -> Any:
    """The architecture of the networks of a stack: see `nrc.networks.architecture`.

    Examples
    --------
    >>> stack = Stack({"weight_decay": 0.1, "sigma": 0.5, "width": 8, "depth": 3, "seed": 0})
    >>> architecture_of(stack, (20,), outputs=5).sizes
    (20, 8, 8, 5)
    """
    return architecture(network, input_shape, outputs, stack.width, stack.depth)


def regularised_loss(
    stack: Stack,
    architecture: Any,
    points: Sample,
    dtype: torch.dtype,
    *,
    loss: str = "squared_error",
    penalty: str = "factors",
) -> Any:
    """loss_lambda of every cell on its points; of torch modules a `RegularisedModuleLoss`.

    Examples
    --------
    >>> stack = Stack({"weight_decay": [0.1, 0.2], "sigma": 0.0, "width": 2, "depth": 2, "seed": 0})
    >>> data = sample(stack, {0: Points(0, np.eye(3), np.array([0, 0, 1]))}, "autoencode")
    >>> architecture = architecture_of(stack, (3,), 3)
    >>> loss = regularised_loss(stack, architecture, data, torch.float64)
    >>> origin = torch.zeros(2, architecture.parameters, dtype=torch.float64)
    >>> loss.at(origin).value.tolist()  # half the mean of |x|^2, for every weight decay
    [0.5, 0.5]
    """
    weight_decay = torch.tensor([cell["weight_decay"] for cell in stack.cells()], dtype=dtype)
    x = torch.tensor(points.x, dtype=dtype)
    y = x if points.y is points.x else torch.tensor(points.y, dtype=dtype)
    shares = None if points.shares is None else torch.tensor(points.shares, dtype=dtype)
    if shares is not None and len(shares) < len(weight_decay):
        shares = shares.expand(len(weight_decay), -1)
    if not isinstance(architecture, Architecture):
        if not PENALTIES[penalty].ridge:
            raise ValueError(
                f"penalty is {penalty!r}, but must be factors for networks of other kinds than mlp"
            )
        return RegularisedModuleLoss(architecture, x, y, weight_decay, shares, loss)
    rows = by_features(x)
    targets = rows if y is x else by_features(y)
    return RegularisedLoss(architecture, rows, targets, weight_decay, shares, penalty, loss)


def initial_parameters(stack: Stack, architecture: Any) -> Tensor:
    """Initial parameters of every cell, (cells, parameters), from its seed.

    Examples
    --------
    >>> stack = Stack({"weight_decay": [0.1, 0.2], "sigma": 0.0, "width": 2, "depth": 2, "seed": 0})
    >>> theta = initial_parameters(stack, architecture_of(stack, (3,), 3))
    >>> theta.shape, torch.equal(theta[0], theta[1])
    (torch.Size([2, 12]), True)
    """
    return torch.stack([architecture.initial(cell["seed"]) for cell in stack.cells()])


def unflatten(stack: Stack, dataset: xr.Dataset) -> xr.Dataset:
    """Replace the dimension `cell`, in the order of the stack's cells, by the stack's dimensions.

    Examples
    --------
    >>> stack = Stack({"weight_decay": [0.1, 0.2], "sigma": 0.0, "width": 2, "depth": 2, "seed": 0})
    >>> dataset = unflatten(stack, xr.Dataset({"loss": ("cell", [0.5, 0.25])}))
    >>> float(dataset["loss"].sel(weight_decay=0.2))
    0.25
    """
    if not stack.dims:
        return dataset.isel(cell=0).assign_coords(stack.coords)
    cells = pd.MultiIndex.from_product([stack.values(axis) for axis in stack.dims], names=stack.dims)
    labelled = dataset.assign_coords(xr.Coordinates.from_pandas_multiindex(cells, "cell"))
    return labelled.unstack("cell").assign_coords(stack.coords).transpose(*stack.dims, ...)
