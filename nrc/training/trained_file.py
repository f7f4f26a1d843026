"""The trained file: weights of networks, and how each cell was trained."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from nrc.grid import Stack
from nrc.metadata import flag_attributes
from nrc.networks.mlp import Architecture, Network
from nrc.objectives import residual
from nrc.objectives.module_loss import RegularisedModuleLoss
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.minimise import Minimum
from nrc.optimize.protocols import State
from nrc.status import Status, TerminationReason
from nrc.training.snapshots import ABOUT as ABOUT_SNAPSHOTS
from nrc.training.snapshots import Snapshots

__all__ = [
    "Arrays",
    "as_arrays",
    "cell_arrays",
    "diverged_cells",
    "in_order",
    "network_arrays",
    "parameter_names",
    "require_parameters",
    "trained_dataset",
    "trained_network",
    "trained_parameters",
    "training_info",
]

# Arrays (cells, ...) of some cells, by their names in the file.
Arrays = dict[str, NDArray[Any]]

ABOUT = {
    "loss": {"long_name": "loss without the penalty", "comment": "missing where the cell diverged"},
    "gradient_norm": {**residual.ABOUT["gradient_norm"], "comment": "missing where the cell diverged"},
    "relative_residual": {
        **residual.ABOUT["relative_residual"],
        "comment": "missing where weight decay is 0, and where the cell diverged",
    },
    "iterations": {"long_name": "iterations of the method"},
    "evaluations": {"long_name": "epochs: evaluations of the loss with its gradient on all points"},
    "status": {"long_name": "status of the cell", **flag_attributes(Status)},
    "termination_reason": {
        "long_name": "reason why training terminated",
        **flag_attributes(TerminationReason),
    },
    "fingerprint": {"long_name": "SHA-256 of all that the cell's training depends on"},
}


def network_arrays(
    objective: RegularisedLoss | RegularisedModuleLoss, end: Minimum, snapshots: Snapshots | None = None
) -> Arrays:
    """Trained parameters of some cells, such as the weights W1..WL, and how they were trained.

    Examples
    --------
    >>> from nrc.networks.mlp import Architecture
    >>> architecture, x = Architecture((3, 2, 3)), torch.eye(3, dtype=torch.float64)[None]
    >>> loss = RegularisedLoss(architecture, x, x, torch.tensor([0.1], dtype=torch.float64))
    >>> end = Minimum.begin(architecture.initial(0)[None])
    >>> end.termination_reason[:] = TerminationReason.EPOCHS
    >>> arrays = network_arrays(loss, end)
    >>> arrays["W1"].shape, Status(arrays["status"][0]).name
    ((1, 2, 3), 'STOPPED')
    """
    point, diverged = end.point, (end.termination_reason == TerminationReason.DIVERGED).cpu().numpy()
    with np.errstate(over="ignore"):  # of cells that diverged, whose numbers are missing
        penalty, _ = objective.penalty_gradient(point.theta)
    numbers = {
        "loss": point.value - penalty,
        "gradient_norm": point.gradient.norm(dim=1),
        "relative_residual": end.residual,
    }
    counts = {
        "iterations": end.iterations,
        "evaluations": end.evaluations,
        "termination_reason": end.termination_reason.char(),
    }
    arrays = as_arrays(objective.architecture.arrays(point.theta) | counts)
    arrays |= {name: np.where(diverged, np.nan, values) for name, values in as_arrays(numbers).items()}
    arrays["status"] = np.array(
        [TerminationReason(code).status for code in end.termination_reason.tolist()], dtype=np.int8
    )
    if snapshots is not None:
        arrays["snapshot_singular_values"] = snapshots.singular_values
        arrays["snapshot_distinct_neurons"] = snapshots.distinct_neurons
        arrays["snapshot_wcss"] = snapshots.wcss
    return arrays


def trained_dataset(
    stack: Stack, arrays: Arrays, architecture: Any, times: Sequence[int] = (), start: int = 0
) -> xr.Dataset:
    """The arrays of all cells of a stack, with its dimensions and coordinates.

    Parameters
    ----------
    stack : Stack
    arrays : mapping
        Of all cells.
    architecture : Architecture or ModuleArchitecture
        Of their networks.
    times : sequence of int
        Epochs of the snapshots, if there are any.
    start : int
        Epochs of earlier training, since the initial weights. If there are any, this is an attribute of the
        dataset and of the coordinate of the snapshots.

    Examples
    --------
    >>> stack = Stack({"weight_decay": [0.1, 0.2], "sigma": 0.0, "width": 2, "depth": 1, "seed": 0})
    >>> arrays = {name: np.zeros(2) for name in ABOUT} | {"W1": np.ones((2, 3, 3))}
    >>> dataset = trained_dataset(stack, arrays, nrc.networks.mlp.Architecture((3, 3)))
    >>> dataset["W1"].dims
    ('weight_decay', 'n1', 'n0')
    """
    about: dict[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
        name: (dims, {"long_name": architecture.long_name(name)}) for name, dims in architecture.dims.items()
    }
    about |= {name: ((), attributes) for name, attributes in ABOUT.items() if name in arrays}
    coordinates = {}
    if len(times):
        about |= ABOUT_SNAPSHOTS
        longest = arrays["snapshot_singular_values"].shape[-1]
        coordinates = _snapshot_coordinates(times, architecture, longest)
    dataset = xr.Dataset(
        {
            name: (
                stack.dims + dims,
                arrays[name].reshape(stack.shape + arrays[name].shape[1:]),
                {"units": "1", **attributes},
            )
            for name, (dims, attributes) in about.items()
        },
        {**stack.coords, **coordinates},
    )
    if not isinstance(architecture, Architecture):
        dataset.attrs.update(input_shape=architecture.input_shape, outputs=architecture.outputs)
    if start:
        for part in (dataset, *([dataset["snapshot"]] if len(times) else [])):
            part.attrs["start"] = start
    return dataset


def _snapshot_coordinates(
    times: Sequence[int], architecture: Any, longest: int
) -> dict[str, tuple[Any, ...]]:
    about = {
        "snapshot": (times, "epochs"),
        "layer": (architecture.layers, "layer, from the input"),
        "index": (range(1, longest + 1), "position in the spectrum, from 1"),
        "source": (architecture.sources, "space of the features that enter, the inputs first"),
    }
    return {
        name: (name, np.array(values), {"long_name": long_name, "units": "1"})
        for name, (values, long_name) in about.items()
    }


def trained_network(dataset: xr.Dataset, activation: str, loss: str) -> Network:
    """The networks of all cells of a trained dataset, in float64.

    The weights of a cell that diverged, which may be too large to compute with, are 0.

    Raises
    ------
    ValueError
        If a weight is not finite.

    Examples
    --------
    >>> weights = {"W1": (("n1", "n0"), np.ones((2, 3))), "W2": (("n2", "n1"), np.ones((3, 2)))}
    >>> weights["termination_reason"] = TerminationReason.TOLERANCE.value
    >>> dataset = xr.Dataset(weights, {"depth": 2})
    >>> network = trained_network(dataset, "linear", "squared_error")
    >>> [tuple(w.shape) for w in network.weights]
    [(1, 2, 3), (1, 3, 2)]
    """
    diverged = diverged_cells(dataset)

    def parameter(name: str) -> torch.Tensor:
        values, inner = dataset[name].values, 2 if name[0] == "W" else 1
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has a weight that is not finite; train the stack again")
        cells = values.reshape(-1, *values.shape[values.ndim - inner :]).astype(np.float64)
        cells[diverged] = 0
        return torch.from_numpy(cells)

    layers = range(1, int(dataset["depth"]) + 1)
    biases = [parameter(f"b{l}") for l in layers] if "b1" in dataset else None
    return Network([parameter(f"W{l}") for l in layers], activation, loss, biases)


def trained_parameters(dataset: xr.Dataset) -> torch.Tensor:
    """The parameters of all cells of a trained dataset, (cells, parameters), in float64.

    The parameters of a cell that diverged, which may be too large to compute with, are 0.

    Raises
    ------
    ValueError
        If a parameter is not finite.

    Examples
    --------
    >>> weights = {"W1": (("n1", "n0"), [[1.0, 2.0]]), "b1": ("n1", [3.0])}
    >>> weights["termination_reason"] = TerminationReason.TOLERANCE.value
    >>> trained_parameters(xr.Dataset(weights, {axis: 1 for axis in nrc.grid.AXES})).tolist()
    [[1.0, 2.0, 3.0]]
    """
    arrays, diverged = cell_arrays(dataset), diverged_cells(dataset)
    rows = []
    for name in parameter_names(dataset):
        values = arrays[name].reshape(len(diverged), -1).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has a weight that is not finite; train the stack again")
        rows.append(np.where(diverged[:, None], 0, values))
    return torch.from_numpy(np.concatenate(rows, axis=1))


def training_info(dataset: xr.Dataset) -> xr.Dataset:
    """A trained dataset without parameters: how each cell was trained, and its snapshots.

    Examples
    --------
    >>> dataset = xr.Dataset({"W1": 1.0, "b1": 0.0, "loss": 0.5, "fingerprint": "9f86d0"})
    >>> list(training_info(dataset))
    ['loss']
    """
    return dataset.drop_vars([*parameter_names(dataset), "fingerprint"])


def parameter_names(dataset: xr.Dataset) -> list[str]:
    """Names of the parameters in a trained dataset, in their order in a network.

    Examples
    --------
    >>> parameter_names(xr.Dataset({"W1": 1.0, "b1": 0.0, "loss": 0.5}))
    ['W1', 'b1']
    """
    return [name for name in map(str, dataset.data_vars) if name not in {**ABOUT, **ABOUT_SNAPSHOTS}]


def require_parameters(dataset: xr.Dataset, architecture: Any) -> None:
    """Check that the networks of a trained dataset have the parameters of an architecture.

    Raises
    ------
    ValueError
        If a name, a shape or the order differs.

    Examples
    --------
    >>> weights = xr.Dataset({"W1": (("n1", "n0"), np.ones((3, 4)))}, {axis: 1 for axis in nrc.grid.AXES})
    >>> require_parameters(weights, nrc.networks.mlp.Architecture((4, 3)))
    >>> require_parameters(weights, nrc.networks.mlp.Architecture((4, 5)))
    Traceback (most recent call last):
        ...
    ValueError: the trained networks have W1 of shape (3, 4), but network has W1 of shape (5, 4); use the
    network with which they were trained, or train again
    """
    arrays, theta = cell_arrays(dataset), torch.zeros(1, architecture.parameters)
    found = [(name, arrays[name].shape[1:]) for name in parameter_names(dataset)]
    needed = [(name, tuple(values.shape[1:])) for name, values in architecture.arrays(theta).items()]
    for pair in zip_longest(found, needed):
        if pair[0] != pair[1]:
            has, needs = (f"{of[0]} of shape {of[1]}" if of else "no further parameter" for of in pair)
            raise ValueError(
                f"the trained networks have {has}, but network has {needs}; use the network with which they "
                "were trained, or train again"
            )


def diverged_cells(dataset: xr.Dataset) -> NDArray[np.bool_]:
    """Mask (cells,) of the cells of a trained dataset that diverged.

    Examples
    --------
    >>> ended = np.array([TerminationReason.TOLERANCE, TerminationReason.DIVERGED])
    >>> diverged_cells(xr.Dataset({"termination_reason": ("weight_decay", ended)})).tolist()
    [False, True]
    """
    diverged: NDArray[np.bool_] = dataset["termination_reason"].values.ravel() == TerminationReason.DIVERGED
    return diverged


def cell_arrays(dataset: xr.Dataset) -> Arrays:
    """The arrays of a trained dataset with cells as the first axis, in the order of its stack.

    Examples
    --------
    >>> axes = {"weight_decay": [0.1, 0.2], "sigma": 0.0, "width": 2, "depth": 2, "seed": 0}
    >>> dataset = xr.Dataset({"loss": ("weight_decay", [0.5, 0.25])}, axes)
    >>> cell_arrays(dataset)["loss"].tolist()
    [0.5, 0.25]
    """
    stack = Stack.of(dataset)
    return {
        str(name): variable.values.reshape(len(stack), *variable.shape[len(stack.dims) :])
        for name, variable in dataset.data_vars.items()
    }


def as_arrays(tensors: State) -> Arrays:
    """Tensors as arrays on the CPU.

    Examples
    --------
    >>> as_arrays({"loss": torch.tensor([0.5, 0.25])})["loss"].tolist()
    [0.5, 0.25]
    """
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def in_order(pieces: Sequence[tuple[NDArray[np.int64], Arrays]]) -> Arrays:
    """The arrays of all cells in order, from the arrays of parts with the numbers of their cells.

    Examples
    --------
    >>> second, first = {"loss": np.array([0.25])}, {"loss": np.array([0.5])}
    >>> in_order([(np.array([1]), second), (np.array([0]), first)])["loss"].tolist()
    [0.5, 0.25]
    """
    order = np.argsort(np.concatenate([cells for cells, _ in pieces]))
    return {name: np.concatenate([arrays[name] for _, arrays in pieces])[order] for name in pieces[0][1]}
