"""Formulas as MathML, which browsers show without scripts and without an internet connection."""

import re

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

__all__ = ["mathml"]

# commands that docutils does not know, with commands that it knows
WORDS = {r"\lVert": r"\|", r"\rVert": r"\|", r"\dots": r"\ldots", r"\frac12": r"\frac{1}{2}"}

# A norm with an exponent or an index, which would otherwise be attached to its closing bar.
NORM = re.compile(r"(\\lVert(?:(?!\\lVert|\\rVert).)*\\rVert)(?=\s*[_^])", re.DOTALL)

ACCENTED = re.compile(
    r"<munderover>\s*(<mi>\w</mi>)\s*(<m\w+>(?:(?!munderover).)*?)\s*(<mo[^>]*>[‾\u02c6]</mo>)\s*</munderover>",
    re.DOTALL,
)


def mathml(tex: str, *, block: bool) -> str:
    """Convert a formula.

    Examples
    --------
    >>> mathml("a^2", block=False).startswith("<math")
    True
    """
    # the number of an equation in brackets, as with \\tag
    tex = re.sub(r"\\tag\{([^}]*)\}", r"\\qquad \\text{(\1)}", tex)
    tex = NORM.sub(r"{\1}", tex)
    for word, known in WORDS.items():
        tex = tex.replace(word, known)
    made = latex2mathml.tex2mathml(tex, as_block=block).replace("ˉ", "‾")
    # browsers stretch the first bar of a norm, but not the last
    made = made.replace("<mo>‖</mo>", '<mo stretchy="false">‖</mo>')
    # docutils puts the index of an accented letter below it
    return ACCENTED.sub(r'<msub><mover accent="true">\1\3</mover>\2</msub>', made)


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f"<div class='formula'>{mathml(node.astext(), block=True)}</div>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True}
