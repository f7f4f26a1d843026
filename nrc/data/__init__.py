"""Data sets: a kind each, one signature. Every point is base + sigma * noise.

A kind is a module of this package, found by its name, with

    SEEDED                        whether a draw depends on the seed
    check(options)                ValueError, beginning with the option's name, before any job
    size(options) -> Size         known before the data are drawn or read
    draw(options, seed, files) -> Points
"""

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

__all__ = ["Size", "kind"]


class Size(NamedTuple):
    """Numbers of points, features, clusters and outputs; None where only the data tell.

    Examples
    --------
    >>> Size(points=200, features=20, clusters=5, outputs=None).features
    20
    """

    points: int
    features: int
    clusters: int | None
    outputs: int | None


def kind(name: str) -> ModuleType:
    """The module of a kind of data.

    Examples
    --------
    >>> kind("mixture").SEEDED
    True
    """
    return import_module(f"nrc.data.{name}")
