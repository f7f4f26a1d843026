"""Neural rank collapse: stacks of small networks trained until stationary, and what is measured on them."""

from importlib import import_module
from typing import Any

# Where each public name is: nothing is imported before it is asked for.
_PLACES = {
    "Recorder": "nrc.recorder",
    "__version__": "nrc.version",
    "load": "nrc.netcdf",
    "measure": "nrc.api",
    "plot": "nrc.figures.notebook",
    "spectra": "nrc.api",
}
_MODULES = (
    *("data", "figures", "measured_network", "measures", "netcdf", "networks", "optimize", "theory"),
    "training",
)

__all__ = ["Recorder", "load", "measure", "plot", "spectra"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in _MODULES:
        return import_module(f"nrc.{name}")
    raise AttributeError(f"module 'nrc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_PLACES, *_MODULES])
