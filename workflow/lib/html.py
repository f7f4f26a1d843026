"""HTML pages that load no other file: text, and tables that a reader can sort and filter."""

import csv
import gzip
import json
import math
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from docutils.core import publish_parts
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["page", "read_numbers", "table"]

TEMPLATES = Path(__file__).parents[1] / "report"


def page(template: str, **facts: Any) -> str:
    """A page from a template in workflow/report."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(rst=_rst, table=table)
    return environment.get_template(template).render(facts) + "\n"


def read_numbers(path: Path) -> pd.DataFrame:
    """A CSV file, with its numbers as the text in the file."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return pd.DataFrame(rows, columns=header, dtype=str)


def table(frame: pd.DataFrame, about: Mapping[str, str] = {}) -> Markup:
    """An element that page.js fills with a table; the rows, which may be thousands, are compressed.

    Parameters
    ----------
    frame : DataFrame
    about : mapping, optional
        What columns are, by name. A column such as `loss_median` also takes the text of `loss`.

    Examples
    --------
    >>> str(table(pd.DataFrame({"claim": ["one"]})))
    '<div class="table" data-columns="[[&#34;claim&#34;, &#34;&#34;]]" data-rows="H4s...'
    """
    columns = [(name, about.get(name) or about.get(name.rpartition("_")[0], "")) for name in frame.columns]
    rows = json.dumps([[_text(value) for value in row] for row in frame.itertuples(index=False)])
    packed = b64encode(gzip.compress(rows.encode(), mtime=0)).decode()
    return Markup('<div class="table" data-columns="{}" data-rows="{}"></div>').format(
        json.dumps(columns), packed
    )


def _text(value: Any) -> str:
    """A value with all its digits; empty if it is missing."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return "yes" if value is True else "no" if value is False else str(value)


def _rst(text: str) -> Markup:
    """reStructuredText as HTML, without remarks on errors in it."""
    return Markup(publish_parts(text, writer="html5", settings_overrides={"report_level": 5})["fragment"])
