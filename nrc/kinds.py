"""Kinds, found by their names: of data, methods, figures and statistics.

A kind is a module of its package that has a class `Options` (`nrc.options`).
"""

import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["module", "names", "options", "parse"]

ROOT = Path(__file__).parent
# Modules that a declaration of options may use: they are imported in no time.
LIGHT = (
    *("collections.abc", "pathlib", "typing", "typing_extensions", "pydantic"),
    *("nrc.options", "nrc.option_types", "nrc.grid", "nrc.networks.activations", "nrc.objectives.penalties"),
    *("nrc.data.options", "nrc.networks.options", "nrc.optimize.options", "nrc.figures.options"),
    "nrc.claims.options",
)
# The class of options, and imports from these modules.
DECLARATIONS = re.compile(
    rf"^from (?:{'|'.join(map(re.escape, LIGHT))}) import (?:\([^)]*\)|.*)$"
    r"|^class Options\(.*\n(?:(?: .*|#.*|\):)?\n)*",
    re.MULTILINE,
)


@cache
def names(package: str) -> tuple[str, ...]:
    """Names of all kinds of a package, in alphabetical order.

    Examples
    --------
    >>> "mixture" in names("data")
    True
    """
    files = sorted(ROOT.joinpath(*package.split(".")).glob("*.py"))
    return tuple(file.stem for file in files if "\nclass Options(" in file.read_text(encoding="utf-8"))


def module(package: str, name: str) -> ModuleType:
    """The module of a kind.

    Raises
    ------
    ValueError
        If there is no kind of this name.

    Examples
    --------
    >>> module("data", "mixture").__name__
    'nrc.data.mixture'
    """
    if name not in names(package):
        raise ValueError(f"{name!r} must be one of {', '.join(names(package))}")
    return import_module(f"nrc.{package}.{name}")


def parse(package: str, entry: Mapping[str, Any], by: str = "kind") -> tuple[ModuleType, Any]:
    """The module of the kind that an entry of the configuration names, and its checked options.

    Raises
    ------
    ValueError
        In one line, if there is no such kind, or an option is unknown, missing or not allowed.

    Examples
    --------
    >>> module, options = parse("optimize", {"name": "gd", "step": 0.1}, by="name")
    >>> options.step
    0.1
    """
    kind = module(package, str(entry.get(by)))
    return kind, kind.Options.checked({key: value for key, value in entry.items() if key != by})


@cache
def options(package: str, name: str) -> type[Any]:
    """The options of a kind.

    The module is not imported for that, only its class `Options` is read: whoever checks a configuration
    need not wait for torch and matplotlib, which take seconds.

    Examples
    --------
    >>> options("data", "mixture").model_fields["points"].description
    'number of points N'
    """
    full = f"nrc.{package}.{name}"
    if full in sys.modules:
        found: type[Any] = sys.modules[full].Options
        return found
    file = ROOT.joinpath(*package.split("."), f"{name}.py")
    namespace = {"__name__": full}
    exec("\n".join(DECLARATIONS.findall(file.read_text(encoding="utf-8"))), namespace)
    declared: type[Any] = namespace["Options"]  # type: ignore[assignment]
    return declared
