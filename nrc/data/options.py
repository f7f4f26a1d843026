"""Options that every kind of data has."""

from typing import ClassVar

from nrc.options import Options

__all__ = ["DataOptions"]


class DataOptions(Options):
    """Options of a kind of data.

    Attributes
    ----------
    seeded : bool
        Whether points without noise depend on the seed.
    default_sigma : sequence of float or None
        The axis sigma of a grid on the data that does not have it; None if it must be given.
    places : sequence of str
        Options that say where the bytes of the data are, which changes no result.
    rule : str or None
        Name of the rule that makes the data; None for ``make_{kind}``.
    input_shape : tuple of int or None
        Shape of a point, (channels, height, width) of images; None for points that are lists of features.
    """

    seeded: ClassVar[bool] = True
    default_sigma: ClassVar[tuple[float, ...] | None] = (0.0,)
    places: ClassVar[tuple[str, ...]] = ()
    rule: ClassVar[str | None] = None

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        return None
