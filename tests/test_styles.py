"""What is displayed of a figure: its SVG in a browser, and under settings of the user."""

import hashlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import font_manager, image
from matplotlib.text import Text
from scipy.ndimage import gaussian_filter

from nrc.figures.style import FORMATS, picture, styled
from support.browser import browser_in
from support.made_up import KINDS, SWEEPS, branches, cube, drawn, shift

# Dots per inch at which a pixel of a PNG is a pixel of a browser.
DPI = 96


def made_up(kind):
    """A figure of each kind, laid out as for a file."""
    cubes = (
        list(branches().values()) if kind in SWEEPS else [shift()] if kind == "shift" else [cube(sigma=[0.3])]
    )
    figure = drawn(kind, *cubes, render=True)
    figure.set_layout_engine("none")
    return figure


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browser_in(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def page_of(svg):
    """A page with an SVG and the font of matplotlib, which the machine may not have."""
    faces = "".join(
        f"@font-face {{font-family: 'DejaVu Sans'; src: url('file://{font_manager.findfont(font)}'); {style}}}"
        for font, style in (
            ("DejaVu Sans", ""),
            ("DejaVu Sans:oblique", "font-style: oblique"),
            ("DejaVu Sans:bold", "font-weight: bold"),
        )
    )
    head = f"<meta charset='utf-8'><style>body {{margin: 0}} svg {{display: block}} {faces}</style>"
    return head + svg[svg.index("<svg") :]


# Symbols of mathematics in the texts of figures, and how they are displayed.
SYMBOLS = {
    r"\lambda": "λ",
    r"\sigma": "\N{GREEK SMALL LETTER SIGMA}",
    r"\ell": "\N{SCRIPT SMALL L}",
    r"\chi": "χ",
    r"\leq": "≤",
    r"\|": "‖",
}


@pytest.mark.workflow
@pytest.mark.parametrize("kind", KINDS)
def test_a_browser_displays_an_svg_like_the_png(kind, browser, tmp_path):
    figure = made_up(kind)
    with styled():
        svg, png = (picture(figure, form, DPI) for form in ("svg", "png"))
    drawn = image.imread(io.BytesIO(png))[..., :3].mean(2)
    (tmp_path / "page.html").write_text(page_of(svg.decode()), encoding="utf-8")
    browser.resize(drawn.shape[1], drawn.shape[0])
    browser.open(tmp_path / "page.html")
    browser.wait("document.fonts.status === 'loaded'")
    shown = image.imread(io.BytesIO(browser.get_screenshot_as_png()))[..., :3].mean(2)
    assert shown.shape == drawn.shape
    # thin lines may be elsewhere by a part of a pixel
    one, other = (gaussian_filter(1 - found, 3) for found in (shown, drawn))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.96

    words = " ".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())
    displayed = browser.value(
        "[...document.querySelectorAll('svg text')].map(text => text.textContent).join(' ')"
    )
    symbols = {shown for written, shown in SYMBOLS.items() if written in words}
    assert symbols, "every kind of figure has mathematics"
    assert symbols <= {shown for shown in SYMBOLS.values() if shown in displayed}
    # the places of Computer Modern's symbols in its fonts, and of letters in private fonts
    assert not re.findall("[\x00-\x08\x0e-\x1f\x7f-\x9f\xa1-\xb6\xb8-\xd6\ue000-\uf8ff\ufffd]", displayed)


HOSTILE = """text.usetex: True
font.size: 30
font.family: serif
mathtext.fontset: cm
svg.fonttype: path
axes.facecolor: red
axes.prop_cycle: cycler('color', ['red'])
figure.autolayout: True
lines.linewidth: 9
image.cmap: jet
savefig.bbox: tight
savefig.facecolor: black
xtick.direction: in
"""


def digests():
    found = {}
    for kind in ("plane", "rank_curves"):
        with styled():
            figure = drawn(kind, cube(sigma=[0.3]), render=True)
            files = [picture(figure, form, 50) for form in FORMATS]
        found[kind] = hashlib.sha256(b"".join(files)).hexdigest()
    return found


def test_the_style_does_not_depend_on_settings_of_the_user(tmp_path):
    (tmp_path / "matplotlibrc").write_text(HOSTILE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import test_styles; print(test_styles.digests())"],
        env={
            **os.environ,
            "MPLCONFIGDIR": str(tmp_path),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(digests())
    with mpl.rc_context({"text.usetex": True}):
        assert str(digests()) == done.stdout.strip()
        assert mpl.rcParams["text.usetex"], "the settings of the user are as before"
