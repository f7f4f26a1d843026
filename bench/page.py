"""How numbers stand on a page."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["between", "filled", "rounded", "table"]

WIDTH = 120


def rounded(value: Any) -> str:
    """Text as it is, whole numbers with their thousands set apart, others to three digits."""
    if value is None or value != value:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}"
    digits = f"{value:#.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return digits.rstrip(".")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table, text to the left and numbers to the right."""
    heads = list(rows[0])
    texts = [[rounded(row[head]) for head in heads] for row in rows]
    left = [all(text[:1].isalpha() for text in column) for column in zip(*texts, strict=True)]
    lines = [heads, ["---" if text else "---:" for text in left], *texts]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(text: str) -> str:
    """The same with the lines of its paragraphs filled; headings and tables are left as they are."""
    blocks = text.strip().split("\n\n")
    kept = [
        block if block.startswith(("#", "|")) else textwrap.fill(" ".join(block.split()), WIDTH)
        for block in blocks
    ]
    return "\n\n".join(kept) + "\n"


def between(page: Path, mark: str, text: str) -> None:
    """Put text between a page's lines `<!-- mark -->` and `<!-- /mark -->`."""
    first, last = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    whole = page.read_text(encoding="utf-8")
    if whole.count(first) != 1 or whole.count(last) != 1:
        raise ValueError(f"{page} has no place for it: a line {first} and a line {last}")
    before, after = whole.partition(first)[0], whole.partition(last)[2]
    page.write_text(f"{before}{first}\n{text}{last}{after}", encoding="utf-8")
