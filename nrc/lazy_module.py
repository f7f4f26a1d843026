"""Modules that are imported when they are first used, because their import takes seconds."""

from importlib import import_module
from typing import Any

__all__ = ["LazyModule"]


class LazyModule:
    """A module that is imported when its first attribute is read.

    Examples
    --------
    >>> LazyModule("math").sqrt(4)
    2.0
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(import_module(self._name), attribute)
        setattr(self, attribute, found)  # from then on it is found without this method
        return found
