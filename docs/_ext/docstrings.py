"""Convert docstrings to reStructuredText: plain text with `code`, and formulas in separate lines."""

import re
from typing import Any

from sphinx.application import Sphinx

__all__ = ["plain"]

# characters that have a meaning in reStructuredText, but not in the docstrings of this project
MARKUP = re.compile(r"[*|\\]|(?<=\w)_(?!\w)")


def plain(lines: list[str]) -> list[str]:
    """Escape prose, and turn indented paragraphs into literal blocks.

    Examples
    --------
    >>> plain(["With ||W*||", "", "    a <= b", "", "`a*b`."])
    ['With \\\\|\\\\|W\\\\*\\\\|\\\\|', '', '::', '', '    a <= b', '', '`a*b`.', '']
    """
    made: list[str] = []
    for paragraph in _paragraphs(lines):
        first = paragraph[0]
        if first.lstrip().startswith(">>>"):
            made += paragraph
        elif made and _indent(first) > _indent(_before(made)) and not _is_body(made):
            made += [" " * _indent(_before(made)) + "::", "", *paragraph]
        else:
            made += [_escaped(line) for line in paragraph]
        made.append("")
    return made


def _paragraphs(lines: list[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [paragraph for paragraph in found if paragraph]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _before(made: list[str]) -> str:
    return next((line for line in reversed(made) if line.strip()), "")


def _is_body(made: list[str]) -> bool:
    """Whether the next paragraph describes a parameter, because it is in a section."""
    return any(re.fullmatch(r"-{3,}", line.strip()) for line in made)


def _escaped(line: str) -> str:
    if re.fullmatch(r"\s*-{3,}", line) or line.lstrip().startswith((">>>", "...")):
        return line
    parts = re.split(r"(`+[^`]*`+)", line)
    return "".join(
        part if part.startswith("`") else MARKUP.sub(lambda found: "\\" + found[0], part) for part in parts
    )


def _process(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    lines[:] = plain(lines) if any(line.strip() for line in lines) else []


def setup(app: Sphinx) -> dict[str, bool]:
    # before numpydoc reads the sections
    app.connect("autodoc-process-docstring", _process, priority=100)
    return {"parallel_read_safe": True}
