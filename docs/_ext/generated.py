"""Parts of pages that are generated from the code when the documentation is built."""

import re
from collections.abc import Callable
from pathlib import Path

import configuration
import programs
import variables
from sphinx.application import Sphinx

__all__ = ["PARTS", "modules"]

ROOT = Path(__file__).parents[2]
# pages with a text between marks
PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "reference/configuration": ("configuration", configuration.text),
    "reference/files": ("variables", variables.text),
    "reference/programs": ("programs", programs.text),
}
# modules whose public names are documented as names of nrc, on the page reference/api/api
PUBLIC = {"nrc", "nrc.api", "nrc.recorder", "nrc.figures.notebook", "nrc.training.run"}
LISTED = re.compile(r"^\.\. modules:: (.*)$", re.MULTILINE)


def modules(name: str) -> list[str]:
    """A module, or a package with all of its modules, by their full names.

    Examples
    --------
    >>> modules("nrc.grid")
    ['nrc.grid']
    """
    folder = ROOT.joinpath(*name.split("."))
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names if name.removesuffix(".__init__") not in PUBLIC]


def _sections(listed: re.Match[str]) -> str:
    """A section for each module of the packages that are listed; `others` are those on no other page."""
    names = [module for name in listed[1].split() for module in modules(name)]
    if listed[1] == "others":
        names = [module for module in modules("nrc") if module not in _on_pages()]
    return "\n\n".join(
        f"{name}\n{'-' * len(name)}\n\n.. automodule:: {name}\n   :members:\n   :exclude-members: set"
        for name in names
    )


def _on_pages() -> set[str]:
    """The modules of all packages that pages list by name."""
    pages = (ROOT / "docs/reference/api").glob("*.rst")
    listed = [name for page in pages for name in LISTED.findall(page.read_text(encoding="utf-8"))]
    return {module for name in " ".join(listed).replace("others", "").split() for module in modules(name)}


def _fill(app: Sphinx, page: str, source: list[str]) -> None:
    if page in PARTS:
        mark, text = PARTS[page]
        between = re.compile(f"<!-- {mark} -->.*<!-- /{mark} -->", re.DOTALL)
        source[0], found = between.subn(lambda _: text(), source[0])
        assert found == 1, f"{page} must have one place for {mark}"
    source[0] = LISTED.sub(_sections, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}
