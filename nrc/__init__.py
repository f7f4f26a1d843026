"""Neural rank collapse: stacks of small networks trained until stationary, and what is measured on them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors
    from nrc.api import measure as measure
    from nrc.api import spectra as spectra
    from nrc.comparison import compare as compare
    from nrc.condensed import condense as condense
    from nrc.figures.notebook import plot as plot
    from nrc.modules.trained_module import module as module
    from nrc.netcdf import load as load
    from nrc.netcdf import save as save
    from nrc.recorder import Recorder as Recorder
    from nrc.training.run import train as train
    from nrc.version import __version__ as __version__

# The module of each public name. A module is only imported when one of its names is used.
_PLACES = {
    "Recorder": "nrc.recorder",
    "__version__": "nrc.version",
    "compare": "nrc.comparison",
    "condense": "nrc.condensed",
    "load": "nrc.netcdf",
    "measure": "nrc.api",
    "module": "nrc.modules.trained_module",
    "plot": "nrc.figures.notebook",
    "save": "nrc.netcdf",
    "spectra": "nrc.api",
    "train": "nrc.training.run",
}
_MODULES = (
    *("data", "figures", "measured_network", "measures", "netcdf", "networks", "objectives", "optimize"),
    *("theory", "training"),
)
# packages of the extra `figures`
_FIGURES = ("matplotlib", "seaborn")

__all__ = ["Recorder", "compare", "condense", "load", "measure", "module", "plot", "save", "spectra", "train"]


def __getattr__(name: str) -> Any:
    try:
        if name in _PLACES:
            return getattr(import_module(_PLACES[name]), name)
        if name in _MODULES:
            return import_module(f"nrc.{name}")
    except ModuleNotFoundError as error:
        if error.name not in _FIGURES:
            raise
        raise ModuleNotFoundError(
            f'nrc.{name} needs {error.name}; install it by: pip install "nrc[figures]"', name=error.name
        ) from None
    raise AttributeError(f"module 'nrc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_PLACES, *_MODULES])
