"""What the options of every kind of data have."""

from typing import ClassVar

from nrc.options import Options

__all__ = ["DataOptions"]


class DataOptions(Options):
    """Options of a kind of data.

    Attributes
    ----------
    default_sigma : sequence of float or None
        The axis sigma of a grid on the data that does not have it; None if it must be given.
    """

    default_sigma: ClassVar[tuple[float, ...] | None] = (0.0,)
