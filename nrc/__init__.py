"""Neural rank collapse: stacks of small networks trained until stationary, and what is measured on them."""

from importlib import import_module
from typing import Any

# Where each public name is: nothing is imported before it is asked for.
_PLACES = {
    "Recorder": "nrc.recorder",
    "__version__": "nrc.version",
    "load": "nrc.store",
    "measure": "nrc.face",
    "plot": "nrc.figures.own",
    "spectra": "nrc.face",
}
_MODULES = ("data", "figures", "measures", "network", "optimize", "seen", "store", "theory")

__all__ = ["Recorder", "load", "measure", "plot", "spectra"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in _MODULES:
        return import_module(f"nrc.{name}")
    raise AttributeError(f"module 'nrc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_PLACES, *_MODULES])
