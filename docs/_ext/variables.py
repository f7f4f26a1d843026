"""Tables of variables from docs/reference/variables.json, which `python -m tools.variables` writes."""

import json
from pathlib import Path
from typing import Any

__all__ = ["text"]

VARIABLES = Path(__file__).parents[1] / "reference/variables.json"


def text() -> str:
    """A section with a table for each kind of file."""
    sections = []
    for kind, variables in json.loads(VARIABLES.read_text(encoding="utf-8")).items():
        rows = [_row(name, about) for name, about in variables.items()]
        head = "| variable | dimensions | description | units | reference |\n|---|---|---|---|---|"
        sections.append(f"### `{kind}`\n\n{head}\n" + "\n".join(rows) + "\n")
    return "\n".join(sections)


def _row(name: str, about: dict[str, Any]) -> str:
    dimensions = _cell(", ".join(about["dims"])) or "scalar"
    cells = dimensions, _words(about), about.get("units", ""), _cell(about.get("reference", ""))
    return f"| `{name}` | {' | '.join(cells)} |"


def _words(about: dict[str, Any]) -> str:
    return _cell("; ".join(filter(None, [about["long_name"], about.get("values"), about.get("comment")])))


def _cell(words: str) -> str:
    return words.replace("|", r"\|").replace("*", r"\*").replace("_", r"\_").replace("<", r"\<")
