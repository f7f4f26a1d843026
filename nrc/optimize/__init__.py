"""Training: one driver, `minimise`, and methods, a module each, found by their name."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # options of methods are read without torch
    from nrc.optimize.protocols import Phase, RunInfo

__all__ = ["build", "rotates"]


def build(name: str, options: Mapping[str, Any], course: "RunInfo") -> "list[Phase]":
    """Fresh phases of the method of a name, with its options.

    Examples
    --------
    >>> from nrc.optimize.protocols import RunInfo
    >>> phases = build("varpro", {"plain_epochs": 20, "history": 10}, RunInfo(epochs=100, seeds=[0]))
    >>> [type(phase.method).__name__ for phase in phases]
    ['LBFGS', 'LBFGS']
    """
    phases: list[Phase] = import_module(f"nrc.optimize.{name}").build(course, **options)
    return phases


def rotates(name: str) -> bool:
    """Whether a method is for inputs in their principal axes: see `Rotation`.

    Examples
    --------
    >>> rotates("newton"), rotates("gd")
    (True, False)
    """
    return getattr(import_module(f"nrc.optimize.{name}"), "ROTATES", False)
