"""Status and termination reason of a cell, and how to read them from files."""

from enum import IntEnum

import xarray as xr

__all__ = ["Status", "TerminationReason", "count_flags", "flag_masks", "status_masks"]


class Status(IntEnum):
    """What the end point of a cell can be used for.

    Examples
    --------
    >>> [status.name for status in Status]
    ['CONVERGED', 'STOPPED', 'COLLAPSED_TO_ZERO']
    """

    CONVERGED = 0
    STOPPED = 1
    COLLAPSED_TO_ZERO = 2


class TerminationReason(IntEnum):
    """Why the training of a cell terminated.

    Examples
    --------
    >>> TerminationReason.TOLERANCE.status.name, TerminationReason.DIVERGED.status.name
    ('CONVERGED', 'STOPPED')
    """

    TOLERANCE = 0
    COLLAPSED_TO_ZERO = 1
    EPOCHS = 2
    NO_DESCENT = 3
    DIVERGED = 4

    @property
    def status(self) -> Status:
        return {
            TerminationReason.TOLERANCE: Status.CONVERGED,
            TerminationReason.COLLAPSED_TO_ZERO: Status.COLLAPSED_TO_ZERO,
        }.get(self, Status.STOPPED)


def flag_masks(flags: xr.DataArray) -> dict[str, xr.DataArray]:
    """A mask for each meaning of a flag variable.

    Examples
    --------
    >>> about = {"flag_values": [0, 1], "flag_meanings": "converged stopped"}
    >>> masks = flag_masks(xr.DataArray([0, 1, 0], dims="seed", attrs=about))
    >>> masks["converged"].values.tolist()
    [True, False, True]
    """
    codes = zip(flags.attrs["flag_meanings"].split(), flags.attrs["flag_values"], strict=True)
    return {meaning: flags == code for meaning, code in codes}


def status_masks(cube: xr.Dataset) -> dict[str, xr.DataArray]:
    """A mask for each status, and for the stopped cells that `diverged`.

    Examples
    --------
    >>> status = {"flag_values": [0, 1], "flag_meanings": "converged stopped"}
    >>> reasons = {"flag_values": [0, 4], "flag_meanings": "tolerance diverged"}
    >>> flags = {"status": ("seed", [0, 1], status), "termination_reason": ("seed", [0, 4], reasons)}
    >>> cube = xr.Dataset(flags)
    >>> {name: mask.values.tolist() for name, mask in status_masks(cube).items()}
    {'converged': [True, False], 'stopped': [False, True], 'diverged': [False, True]}
    """
    return {**flag_masks(cube["status"]), "diverged": flag_masks(cube["termination_reason"])["diverged"]}


def count_flags(cube: xr.Dataset) -> dict[str, int]:
    """Number of cells of each status, and number of the stopped cells that diverged.

    Examples
    --------
    >>> status = {"flag_values": [0, 1], "flag_meanings": "converged stopped"}
    >>> reasons = {"flag_values": [0, 4], "flag_meanings": "tolerance diverged"}
    >>> flags = {"status": ("seed", [0, 1, 1], status), "termination_reason": ("seed", [0, 4, 4], reasons)}
    >>> cube = xr.Dataset(flags)
    >>> count_flags(cube)
    {'converged': 1, 'stopped': 2, 'diverged': 2}
    """
    return {meaning: int(mask.sum()) for meaning, mask in status_masks(cube).items()}
