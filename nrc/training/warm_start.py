"""Where training starts: from initial weights, or from the networks of an earlier training, cell by cell."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from nrc import netcdf
from nrc.grid import AXES, Stack, Value, notation
from nrc.training.snapshots import ABOUT as ABOUT_SNAPSHOTS
from nrc.training.trained_file import Arrays, cell_arrays, diverged_cells, parameter_names

__all__ = ["InitialPoint", "read_warm_start"]


@dataclass(frozen=True)
class InitialPoint:
    """Initial parameters of the cells of a stack, and the earlier training that led to them.

    Attributes
    ----------
    theta : Tensor
        (cells, parameters), in float64.
    epochs : int
        Budget of all earlier training, in epochs since the initial weights.
    fingerprints : sequence of str
        Of the earlier training of each cell; empty for initial weights.
    times : sequence of int
        Epochs of the earlier snapshots, since the initial weights.
    snapshots : mapping
        Earlier snapshots, arrays (cells, snapshot, ...) by their names in the trained file.

    Examples
    --------
    After 100 epochs of earlier training, the snapshot at epoch 0 is the last earlier one:

    >>> initial = InitialPoint(torch.zeros(1, 4), epochs=100, times=[0, 50, 100])
    >>> initial.new_times([0, 50])
    [50]
    >>> initial.all_times([50])
    [0, 50, 100, 150]
    """

    theta: Tensor
    epochs: int = 0
    fingerprints: Sequence[str] = ()
    times: Sequence[int] = ()
    snapshots: Arrays = field(default_factory=dict)

    @classmethod
    def of(
        cls, trained: xr.Dataset, stack: Stack, along: str | None = None, name: str | Path = "the warm start"
    ) -> Self:
        """The networks of a trained dataset, as initial parameters of the cells of a stack.

        A network that collapsed to zero starts where it collapsed.

        Parameters
        ----------
        trained : Dataset
            Has all cells of the stack, and maybe more.
        stack : Stack
        along : str, optional
            Axis on which the dataset has one value, another one than the stack. On all other axes a cell
            starts from the same cell.
        name : str or path
            Name of the dataset in messages.

        Raises
        ------
        ValueError
            If the dataset does not have a cell of the stack, or the cell diverged.
        """
        flat, diverged = cell_arrays(trained), diverged_cells(trained)
        axes = [axis for axis in AXES if axis != along]
        numbers = {_key(cell, axes): number for number, cell in enumerate(Stack.of(trained).cells())}
        chosen = []
        for cell in stack.cells():
            number = numbers.get(_key(cell, axes))
            label = ", ".join(f"{axis} {notation(cell[axis])}" for axis in axes)
            if number is None:
                raise ValueError(f"{name} has no network of {label} to start from; train it there first")
            if diverged[number]:
                raise ValueError(
                    f"{name}: the network of {label} diverged, so no training can start from it; train it by "
                    "another method or with other options, or leave it out of every grid"
                )
            chosen.append(number)
        theta = np.concatenate(
            [flat[name][chosen].reshape(len(chosen), -1) for name in parameter_names(trained)], axis=1
        )
        return cls(
            torch.from_numpy(theta.astype(np.float64)),
            int(trained.attrs.get("start", 0)) + _epochs_of(trained),
            flat["fingerprint"][chosen].astype(str).tolist() if "fingerprint" in flat else (),
            trained["snapshot"].values.tolist() if "snapshot" in trained.coords else (),
            {key: flat[key][chosen] for key in ABOUT_SNAPSHOTS if key in flat},
        )

    def new_times(self, times: list[int]) -> list[int]:
        """Epochs of the new snapshots: the last earlier one is the snapshot at epoch 0."""
        return times[1:] if len(self.times) else times

    def all_times(self, times: Sequence[int]) -> list[int]:
        """Epochs of all snapshots since the initial weights, if there are new ones."""
        return [*self.times, *(self.epochs + time for time in times)] if len(times) else []

    def with_earlier_snapshots(self, arrays: Arrays, cells: NDArray[np.int64]) -> Arrays:
        """The arrays of some cells, with the earlier snapshots before the new ones."""
        joined = {
            name: np.concatenate([earlier[cells], arrays[name]], axis=1)
            for name, earlier in self.snapshots.items()
            if name in arrays
        }
        return arrays | joined


def read_warm_start(path: str | Path, stack: Stack, along: str | None = None) -> InitialPoint:
    """`InitialPoint.of` the networks of a trained file."""
    return InitialPoint.of(netcdf.load(path), stack, along, path)


def _epochs_of(trained: xr.Dataset) -> int:
    """The budget of the training of a dataset; if it has no settings, the epochs that were used."""
    if "settings" in trained.attrs:
        return int(json.loads(trained.attrs["settings"])["training"]["epochs"])
    return int(trained["evaluations"].max())


def _key(cell: Mapping[str, Value], axes: Sequence[str]) -> tuple[Value, ...]:
    return tuple(cell[axis] for axis in axes)
