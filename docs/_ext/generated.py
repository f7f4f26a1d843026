"""Pages made from the code when the manual is built: in their place `<!-- NAME -->` comes the text."""

from collections.abc import Callable

import configuration
import programs
import variables
from sphinx.application import Sphinx

__all__ = ["PARTS"]

PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "reference/configuration": ("<!-- configuration -->", configuration.text),
    "reference/files": ("<!-- variables -->", variables.text),
    "reference/programs": ("<!-- programs -->", programs.text),
}


def _fill(app: Sphinx, page: str, source: list[str]) -> None:
    if page in PARTS:
        mark, text = PARTS[page]
        source[0] = source[0].replace(mark, text())


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}
