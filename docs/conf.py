"""Configuration of Sphinx for `make docs`: pages in Markdown, and a reference from the code."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "workflow/scripts"), str(HERE / "_ext")]

from nrc.version import __version__  # noqa: E402

project, author, project_copyright = "nrc", "the authors of nrc", "the authors of nrc"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "docstrings",
    "generated",
    "mathml",
]
exclude_patterns = ["_build", "notebooks"]
nitpicky = True

myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 4

# single backquotes in docstrings are code
default_role = "code"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_validation_checks: set[str] = set()

html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_theme = "furo"
html_title = f"nrc {version}"
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
html_copy_source = False
