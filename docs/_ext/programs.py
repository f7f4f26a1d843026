"""What every program says of itself with `--help`."""

import argparse
import os
from importlib import import_module
from pathlib import Path

__all__ = ["text"]

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
COLUMNS = "84"


def text() -> str:
    """A section a program: the first line of its docstring, and its help."""
    sections = []
    for script in sorted(SCRIPTS.glob("*.py")):
        program = import_module(script.stem)
        parser: argparse.ArgumentParser = program.arguments()
        parser.prog = script.name
        said = _help(parser).replace(parser.description or "", "").strip()
        sections.append(f"## {script.name}\n\n{(parser.description or '').strip()}\n\n```text\n{said}\n```\n")
    return "\n".join(sections)


def _help(parser: argparse.ArgumentParser) -> str:
    """The help in a terminal of a known width."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        return parser.format_help()
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
