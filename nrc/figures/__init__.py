"""Figures: a kind each, one signature.

A kind is a module of this package, found by its name, with

    rows(cubes, options) -> DataFrame     the numbers drawn
    draw(cubes, options) -> Figure        drawn in the context `style.styled()`
    summary(cubes, options) -> dict       what a caption tells of them

`cubes` gives a name to each cube: `shift` draws a row of panels for each, `hysteresis` holds three
against each other, every other kind draws one cube.
K, N and d are a cube's attributes `clusters`, `points` and `dimension`. `options` are the figure's
complete settings, of which a kind reads its own and `colour_map`.
"""

from importlib import import_module
from types import ModuleType

__all__ = ["kind"]


def kind(name: str) -> ModuleType:
    """The module of a kind of figure.

    Examples
    --------
    >>> kind("plane").__name__
    'nrc.figures.plane'
    """
    return import_module(f"nrc.figures.{name}")
