"""How the training of a cell ends, and what its end point may be used for."""

from enum import IntEnum

__all__ = ["Ended", "Status"]


class Status(IntEnum):
    """What a cell's end point may be used for.

    Examples
    --------
    >>> [status.name for status in Status]
    ['CONVERGED', 'STOPPED', 'DEAD']
    """

    CONVERGED = 0
    STOPPED = 1
    DEAD = 2


class Ended(IntEnum):
    """Why a cell left the stack.

    Examples
    --------
    >>> Ended.TOLERANCE.status.name, Ended.DIVERGED.status.name
    ('CONVERGED', 'STOPPED')
    """

    TOLERANCE = 0
    ORIGIN = 1
    PASSES = 2
    WALL_CLOCK = 3
    NO_DESCENT = 4
    DIVERGED = 5

    @property
    def status(self) -> Status:
        return {Ended.TOLERANCE: Status.CONVERGED, Ended.ORIGIN: Status.DEAD}.get(self, Status.STOPPED)
