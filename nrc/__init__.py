"""Neural rank collapse: stacks of small networks trained until stationary, and what is measured on them."""

from importlib import import_module
from typing import Any

# Where each public name is: nothing is imported before it is asked for.
_PLACES = {"__version__": "nrc.version", "load": "nrc.store", "plot": "nrc.figures.own"}
_MODULES = ("data", "figures", "measures", "network", "optimize", "store", "theory")

__all__ = ["load", "plot"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in _MODULES:
        return import_module(f"nrc.{name}")
    raise AttributeError(f"module 'nrc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_PLACES, *_MODULES])
