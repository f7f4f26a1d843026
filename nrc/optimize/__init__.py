"""Minimisation: one driver, `nrc.optimize.minimise`, and methods, each a module that is found by its name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nrc import kinds

if TYPE_CHECKING:  # options of methods are read without torch
    from nrc.optimize.protocols import Phase, RunInfo

__all__ = ["build", "rotates"]


def build(name: str, options: Mapping[str, Any], run: "RunInfo") -> "list[Phase]":
    """Phases of the method of a name, new ones for each run.

    Parameters
    ----------
    name : str
        A module of `nrc.optimize`.
    options : mapping
        Options of the method; the class `Options` of the module has their defaults.
    run : RunInfo

    Examples
    --------
    >>> from nrc.optimize.protocols import RunInfo
    >>> phases = build("varpro", {"plain_epochs": 20, "history": 10}, RunInfo(epochs=100, seeds=[0]))
    >>> [type(phase.method).__name__ for phase in phases]
    ['LBFGS', 'LBFGS', 'LBFGS']
    """
    method, parsed = kinds.parse("optimize", {"name": name, **options}, by="name")
    if run.modules and any("network.kind" in requirement.needs for requirement in method.Options.requires):
        raise ValueError(
            f"method is {name!r}, which needs networks of kind mlp; use lbfgs, newton, adam, sgd or gd"
        )
    phases: list[Phase] = method.build(run, parsed)
    return phases


def rotates(name: str) -> bool:
    """Whether a method works in the principal axes of the inputs: see `nrc.objectives.principal_axes`.

    Examples
    --------
    >>> rotates("newton"), rotates("gd")
    (True, False)
    """
    return getattr(kinds.module("optimize", name), "ROTATES", False)
