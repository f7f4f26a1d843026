"""Numbers, tables and paragraphs in Markdown."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["between", "filled", "rounded", "span", "table"]

WIDTH = 120


def rounded(value: Any) -> str:
    """Text unchanged, integers with thousands separators, other numbers to three digits."""
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


def span(counts: Sequence[int]) -> str:
    """The smallest and the largest of several numbers, or the number that all of them are."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table, with text aligned to the left and numbers to the right."""
    heads = list(rows[0])
    texts = [[rounded(row[head]) for head in heads] for row in rows]
    left = [all(text[:1].isalpha() for text in column) for column in zip(*texts, strict=True)]
    lines = [heads, ["---" if text else "---:" for text in left], *texts]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(text: str) -> str:
    """Text with its paragraphs and list items wrapped; headings and tables are not changed."""
    return "\n\n".join(_wrapped(block) for block in text.strip().split("\n\n")) + "\n"


def _wrapped(block: str) -> str:
    if block.startswith(("#", "|")):
        return block
    if block.startswith("- "):
        items = re.split(r"\n(?=- )", block)
        return "\n".join(textwrap.fill(" ".join(i.split()), WIDTH, subsequent_indent="  ") for i in items)
    return textwrap.fill(" ".join(block.split()), WIDTH)


def between(page: Path, mark: str, text: str) -> None:
    """Put text between the lines `<!-- mark -->` and `<!-- /mark -->` of a page."""
    first, last = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    whole = page.read_text(encoding="utf-8")
    if whole.count(first) != 1 or whole.count(last) != 1:
        raise ValueError(f"{page} must have one line {first} and one line {last}")
    before, after = whole.partition(first)[0], whole.partition(last)[2]
    page.write_text(f"{before}{first}\n{text}{last}{after}", encoding="utf-8")
