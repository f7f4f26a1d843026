"""The variables of every kind of file, from docs/reference/variables.json (`python -m bench.variables`)."""

import json
from pathlib import Path

__all__ = ["text"]

VARIABLES = Path(__file__).parents[1] / "reference/variables.json"


def text() -> str:
    """A section a kind of file, a table of its variables."""
    sections = []
    for kind, variables in json.loads(VARIABLES.read_text(encoding="utf-8")).items():
        rows = [
            f"| `{name}` | {', '.join(about['dims']) or 'scalar'} | {_words(about)} | {about.get('units', '')} | "
            f"{_cell(about.get('reference', ''))} |"
            for name, about in variables.items()
        ]
        head = "| variable | dimensions | what it is | units | from |\n|---|---|---|---|---|"
        sections.append(f"### `{kind}`\n\n{head}\n" + "\n".join(rows) + "\n")
    return "\n".join(sections)


def _words(about: dict[str, str]) -> str:
    return _cell("; ".join(filter(None, [about["long_name"], about.get("values"), about.get("comment")])))


def _cell(words: str) -> str:
    return words.replace("|", r"\|").replace("*", r"\*").replace("_", r"\_").replace("<", r"\<")
