"""HTML pages that need nothing beside themselves: text, and tables that sort and filter."""

import csv
import gzip
import json
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd
from docutils.core import publish_parts
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["numbers_of", "packed", "page", "shown"]


def page(templates: Path, name: str, **facts: Any) -> str:
    """A page from a template of a folder."""
    environment = Environment(
        **{"loader": FileSystemLoader(templates), "undefined": StrictUndefined, "autoescape": True},
        **{"trim_blocks": True, "lstrip_blocks": True},
    )
    environment.filters.update(rst=_rst, shown=shown, packed=packed, exact=_exact)
    return environment.get_template(name).render(facts) + "\n"


def numbers_of(path: Path) -> pd.DataFrame:
    """A CSV file, its numbers as they are written there."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return pd.DataFrame(rows, columns=header, dtype=str)


def shown(value: Any) -> str:
    """A value to read: numbers to four digits, nothing where there is none.

    Examples
    --------
    >>> shown(0.0123456), shown(12000), shown(math.nan), shown(True)
    ('0.01235', '12,000', '', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, Real):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}"


def packed(table: pd.DataFrame) -> str:
    """The rows of a table as text, compressed: for tables of thousands of rows, which a page unpacks."""
    rows = [[_exact(value) for value in row] for row in table.itertuples(index=False)]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def described(columns: Sequence[str], about: Mapping[str, str]) -> dict[str, str]:
    """What columns are, by the variables that they are of; of `loss_least` the variable is `loss`."""
    found = {}
    for column in columns:
        name, _, which = column.rpartition("_")
        if column in about:
            found[column] = about[column]
        elif name in about:
            found[column] = f"{about[name]}: {which}"
    return found


def _exact(value: Any) -> str:
    """A value with all its digits, nothing where there is none."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return "yes" if value is True else "no" if value is False else str(value)


def _rst(text: str) -> Markup:
    """reStructuredText as HTML, without remarks on what is wrong in it."""
    return Markup(publish_parts(text, writer="html5", settings_overrides={"report_level": 5})["fragment"])
