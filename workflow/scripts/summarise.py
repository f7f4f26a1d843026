"""Summarise a run: pages of claims, audit, networks, settings, and of the numbers behind figures."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from nrc import netcdf
from nrc.claims.judge import tally
from workflow.lib import summary_tables
from workflow.lib.html import described, numbers_of, page
from workflow.lib.program import add_file, program, run


@dataclass(frozen=True)
class Run:
    """What a run has left, and the settings that it was made by."""

    settings: Mapping[str, Any]
    measures: Mapping[str, xr.Dataset]
    judged: xr.Dataset | None
    audit: pd.DataFrame
    data: list[Path]
    about: Mapping[str, str]


def main(args: argparse.Namespace) -> None:
    """Make all pages, then write them."""
    cubes = [netcdf.load(path) for path in args.cubes]
    made = Run(
        args.settings,
        # cubes of shifts tell of pairs of networks, not of networks
        {cube.attrs["experiment"]: cube for cube in cubes if "termination_reason" in cube},
        netcdf.load(args.claims) if args.claims else None,
        pd.read_csv(args.audit),
        args.data,
        {str(name): of.attrs["long_name"] for cube in cubes for name, of in cube.variables.items()},
    )
    written = {path: page_named(path.stem, made, args.templates) for path in args.pages}
    for numbers, caption, path in zip(args.numbers, args.captions, args.numbers_pages, strict=True):
        table = numbers_of(numbers)
        written[path] = page(
            args.templates,
            "page.html",
            title=f"{numbers.stem}: the numbers drawn",
            caption=caption.read_text(encoding="utf-8"),
            about=described(table.columns, made.about),
            tables=[("", table, True)],
        )
    for path, text in written.items():
        with netcdf.atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def page_named(name: str, made: Run, templates: Path) -> str:
    """One of `PAGES`."""
    return summary(made, templates) if name == "summary" else tables(name, made, templates)


def summary(made: Run, templates: Path) -> str:
    """The page to read first: all in short."""
    claims = None if made.judged is None else summary_tables.claims(made.judged)
    return page(
        templates,
        "summary.html",
        title="Neural rank collapse: a summary",
        claims=claims,
        verdicts="" if claims is None else tally(claims["verdict"]),
        statements=summary_tables.statements(made.audit),
        networks=summary_tables.networks(made.measures),
        figures=made.settings["figures"],
        experiments=summary_tables.experiments(made.settings),
        made_with=summary_tables.made_with(made.measures),
        data=summary_tables.digests(made.data),
    )


# Of each page of tables its title, and its tables: a heading, the rows, and whether they are many.
TABLES: dict[str, tuple[str, Callable[[Run], list]]] = {
    "claims": (
        "Claims, part by part",
        lambda made: [
            ("", summary_tables.claims(made.judged), False),
            ("Every part", summary_tables.parts(made.judged), False),
        ],
    ),
    "audit": ("Audit", lambda made: [("", made.audit, False)]),
    "networks": (
        "Networks",
        lambda made: [
            ("", summary_tables.networks(made.measures), False),
            ("Every network", summary_tables.cells(made.measures), True),
        ],
    ),
    "settings": (
        "Settings",
        lambda made: [
            ("Experiments", summary_tables.experiments(made.settings), False),
            ("Every key", summary_tables.keys(made.settings), False),
        ],
    ),
}
PAGES = ("summary", *TABLES)


def tables(name: str, made: Run, templates: Path) -> str:
    """A page of tables, with the caption of its name."""
    title, of = TABLES[name]
    caption = (templates / f"{name}.rst").read_text(encoding="utf-8")
    return page(templates, "page.html", title=title, caption=caption, about=made.about, tables=of(made))


def arguments() -> argparse.ArgumentParser:
    parser = program(__doc__, "the whole configuration, complete")
    add_file(parser, "--cubes", "NetCDF cubes of measures and of shifts", nargs="+")
    parser.add_argument("--claims", type=Path, help="NetCDF file of judged claims, if there are claims")
    add_file(parser, "--audit", "CSV file of the audit")
    add_file(parser, "--data", "files of the data, for digests", nargs="+")
    add_file(parser, "--templates", "folder of the pages' templates and captions", metavar="FOLDER")
    add_file(
        parser, "--pages", f"HTML files to write, of these names: {', '.join(PAGES)}", type=_page, nargs="+"
    )
    parser.add_argument("--numbers", type=Path, nargs="*", default=[], help="CSV files of numbers drawn")
    parser.add_argument("--captions", type=Path, nargs="*", default=[], help="the captions of these figures")
    parser.add_argument(
        "--numbers-pages", type=Path, nargs="*", default=[], help="HTML files to write, one for each of them"
    )
    return parser


def _page(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".html" or path.stem not in PAGES:
        raise argparse.ArgumentTypeError(f"{text!r} is not {'.html, '.join(PAGES)}.html in some folder")
    return path


if __name__ == "__main__":
    run(main, arguments())
