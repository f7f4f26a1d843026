"""The help of every program, as `--help` prints it."""

import argparse
import os
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from workflow.lib.program import parser_of

__all__ = ["text"]

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


def text() -> str:
    """One section per program: its description and its options."""
    sections = []
    for script in sorted(SCRIPTS.glob("*.py")):
        parser = parser_of(import_module(script.stem).main)
        parser.prog, about = script.name, parser.description or ""
        parser.description = None
        sections.append(f"## {script.name}\n\n{about.strip()}\n\n```text\n{_help(parser)}\n```\n")
    return "\n".join(sections)


def _help(parser: argparse.ArgumentParser) -> str:
    """The help in a terminal of 84 columns."""
    with patch.dict(os.environ, COLUMNS="84"):
        return parser.format_help().strip()
