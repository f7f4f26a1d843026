"""Write the pages of a run: claims, audit, networks, settings, and the numbers behind figures."""

from pathlib import Path
from typing import Annotated

from workflow.lib.program import Option, Settings, run

import pandas as pd

from nrc import netcdf
from nrc.claims.judge import tally
from workflow.lib import summary_tables as tables
from workflow.lib.html import TEMPLATES, page, read_numbers


def main(
    settings: Annotated[Settings, "the whole configuration, complete"],
    cubes: Annotated[list[Path], "NetCDF cubes of measures and of shifts"],
    audit: Annotated[Path, "CSV file of the audit"],
    data: Annotated[list[Path], "files of the data, for their digests"],
    output: Annotated[
        Path,
        Option("folder of the pages: summary, claims, audit, networks, settings (.html)", Path, "FOLDER"),
    ],
    claims: Annotated[Path | None, "NetCDF file of judged claims, if there are claims"] = None,
    numbers: Annotated[
        list[Path],
        "CSV files with the numbers of figures; NAME.csv and the caption NAME.rst beside it make NAME.html",
    ] = [],  # noqa: B006
) -> None:
    """Make all pages, then write them."""
    loaded = [netcdf.load(path) for path in cubes]
    # a cube of shifts is about pairs of networks
    measures = {cube.attrs["experiment"]: cube for cube in loaded if "termination_reason" in cube}
    about = {str(name): of.attrs["long_name"] for cube in loaded for name, of in cube.variables.items()}
    audited, networks = pd.read_csv(audit), tables.networks(measures)
    judged = netcdf.load(claims) if claims else None
    of_claims = tables.claims(judged) if judged is not None else None
    # headings and tables of each page
    content = {
        "audit": [("Audit", audited)],
        "networks": [("Networks", networks), ("Every network", tables.cells(measures))],
        "settings": [("Experiments", tables.experiments(settings)), ("Every key", tables.keys(settings))],
    }
    if judged is not None and of_claims is not None:
        content["claims"] = [("Claims, part by part", of_claims), ("Every part", tables.parts(judged))]
    pages = {
        output / f"{name}.html": page(
            "page.html",
            caption=(TEMPLATES / f"{name}.rst").read_text(encoding="utf-8"),
            tables=of,
            about=about,
        )
        for name, of in content.items()
    }
    pages[output / "summary.html"] = page(
        "summary.html",
        claims=of_claims,
        verdicts=None if of_claims is None else tally(of_claims["verdict"]),
        statements=tables.statements(audited),
        networks=networks,
        figures=settings["figures"],
        experiments=tables.experiments(settings),
        made_with=tables.made_with(measures),
        data=tables.digests(data),
    )
    for path in numbers:
        caption = path.with_suffix(".rst").read_text(encoding="utf-8")
        drawn = (f"{path.stem}: the numbers in the figure", read_numbers(path))
        pages[path.with_suffix(".html")] = page("page.html", caption=caption, tables=[drawn], about=about)
    for path, text in pages.items():
        with netcdf.atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
