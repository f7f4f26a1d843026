"""Where training starts: at initial weights, or at the networks of an earlier training, cell by cell."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc import netcdf
from nrc.grid import AXES, Stack, Value, notation
from nrc.training.snapshots import ABOUT as ABOUT_SNAPSHOTS
from nrc.training.trained_file import Arrays, cells_of, diverged_cells

__all__ = ["Start", "read_start"]


@dataclass(frozen=True)
class Start:
    """Parameters that the cells of a stack start from, and the way that led there.

    Attributes
    ----------
    theta : Tensor
        (cells, parameters), in float64.
    epochs : int
        Budget of all training before, in epochs since the initial weights.
    fingerprints : sequence of str
        Of each cell's training before; empty at initial weights.
    times : sequence of int
        Passes of the looks before, since the initial weights.
    looks : mapping
        What they saw, arrays (cells, snapshot, ...) by their names in the file.

    Examples
    --------
    Training went on after 100 epochs, and the look at its pass 0 is the last one before:

    >>> start = Start(torch.zeros(1, 4), epochs=100, times=[0, 50, 100])
    >>> start.to_come([0, 50])
    [50]
    >>> start.since_the_beginning([50])
    [0, 50, 100, 150]
    """

    theta: Tensor
    epochs: int = 0
    fingerprints: Sequence[str] = ()
    times: Sequence[int] = ()
    looks: Arrays = field(default_factory=dict)

    def to_come(self, times: list[int]) -> list[int]:
        """Of the looks of the training from here on, those that are new: the last before is at its pass 0."""
        return times[1:] if len(self.times) else times

    def since_the_beginning(self, times: Sequence[int]) -> list[int]:
        """Passes since the initial weights of all looks, if there are any from here on."""
        return [*self.times, *(self.epochs + time for time in times)] if len(times) else []

    def whole_way(self, arrays: Arrays, cells: NDArray[np.int64]) -> Arrays:
        """The arrays of some cells, trained from here on, with the looks before in front of their own."""
        joined = {
            name: np.concatenate([before[cells], arrays[name]], axis=1)
            for name, before in self.looks.items()
            if name in arrays
        }
        return arrays | joined


def read_start(path: str | Path, stack: Stack, along: str | None = None) -> Start:
    """The networks of a trained file as a start for the cells of a stack, which the file has and maybe more.

    A dead network starts where it died.

    Parameters
    ----------
    path : path
    stack : Stack
    along : str, optional
        Axis on which the file is of another value than the stack, one alone; on all others a cell starts
        from the same cell.

    Raises
    ------
    ValueError
        If the file lacks a cell of the stack, or one diverged: from there nothing goes on.
    """
    trained = netcdf.load(path)
    flat, lost = cells_of(trained), diverged_cells(trained)
    axes = [axis for axis in AXES if axis != along]
    there = {_key(cell, axes): place for place, cell in enumerate(Stack.of(trained).cells())}
    places = []
    for cell in stack.cells():
        said = ", ".join(f"{axis} {notation(cell[axis])}" for axis in axes)
        if _key(cell, axes) not in there:
            raise ValueError(f"{path} has no network of {said} to start from; train it there first")
        if lost[there[_key(cell, axes)]]:
            raise ValueError(
                f"{path}: the network of {said} diverged, and nothing goes on from it; train it by another "
                "method or with other options, or leave it out of every grid"
            )
        places.append(there[_key(cell, axes)])
    layers = range(1, int(next(stack.cells())["depth"]) + 1)
    names = [*(f"W{l}" for l in layers), *(f"b{l}" for l in layers if f"b{l}" in flat)]
    theta = np.concatenate([flat[name][places].reshape(len(places), -1) for name in names], axis=1)
    own = json.loads(trained.attrs["settings"])["training"]["epochs"]
    return Start(
        torch.from_numpy(theta.astype(np.float64)),
        int(trained.attrs.get("start", 0)) + own,
        flat["fingerprint"][places].astype(str).tolist(),
        trained["snapshot"].values.tolist() if "snapshot" in trained.coords else (),
        {name: flat[name][places] for name in ABOUT_SNAPSHOTS if name in flat},
    )


def _key(cell: Mapping[str, Value], axes: Sequence[str]) -> tuple[Value, ...]:
    return tuple(cell[axis] for axis in axes)
