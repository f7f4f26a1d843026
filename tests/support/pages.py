"""Follow the code on pages of the documentation in a checkout, as a reader would."""

import re

from support.checkout import PROJECT, Checkout

__all__ = ["done"]

STEP = re.compile(
    r"^\*(?:New file|In) `(\S+)`(?:, (before|in place of) the line `(.*)`)?:\*\n\n```\w+\n((?:.*\n)*?)```$",
    re.MULTILINE,
)


def done(page: str, checkout: Checkout) -> int:
    """Write the files of a page and make its edits; return their number."""
    steps = STEP.findall((PROJECT / "docs" / page).read_text(encoding="utf-8"))
    for file, where, place, code in steps:
        path = checkout.folder / file
        if where:
            before, line, after = _at_line(path.read_text(encoding="utf-8"), place)
            code = f"{before}{code}{line if where == 'before' else ''}{after}"
        path.write_text(code, encoding="utf-8")
    return len(steps)


def _at_line(text: str, place: str) -> tuple[str, str, str]:
    """Split a text before, at and after its only line that begins with the given words."""
    (found,) = re.finditer(rf"^ *{re.escape(place)}.*\n", text, re.MULTILINE)
    return text[: found.start()], found[0], text[found.end() :]
