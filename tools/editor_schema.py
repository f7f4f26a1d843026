"""Write workflow/schemas/config.schema.json, by which editors complete and check configuration files.

python -m tools.editor_schema
"""

import json
from pathlib import Path
from typing import Any

from workflow.config.schema import file_schema

__all__ = ["FILE", "text"]

FILE = Path(__file__).parents[1] / "workflow/schemas/config.schema.json"


def text() -> str:
    """The contents of the file, one line for each definition."""
    part = file_schema()
    definitions = _lines(part.pop("$defs"))
    return f'{{{_lines(part)},\n"$defs": {{{definitions}}}}}\n'


def _lines(part: dict[str, Any]) -> str:
    return ",".join(f"\n{json.dumps(key)}: {json.dumps(about)}" for key, about in part.items())


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
