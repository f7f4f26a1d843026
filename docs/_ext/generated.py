"""Pages made from the code when the manual is built: what stands between two marks gives way to the text."""

import re
from collections.abc import Callable

import configuration
import programs
import variables
from sphinx.application import Sphinx

__all__ = ["PARTS"]

PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "reference/configuration": ("configuration", configuration.text),
    "reference/files": ("variables", variables.text),
    "reference/programs": ("programs", programs.text),
}


def _fill(app: Sphinx, page: str, source: list[str]) -> None:
    if page in PARTS:
        mark, text = PARTS[page]
        between = re.compile(f"<!-- {mark} -->.*<!-- /{mark} -->", re.DOTALL)
        source[0], found = between.subn(lambda _: text(), source[0])
        assert found == 1, f"{page} has no place for {mark}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}
