"""Check the statements on every cell of every experiment; fail where one is violated."""

from pathlib import Path
from typing import Annotated

from workflow.lib.program import Settings, run

import pandas as pd

from nrc import netcdf
from nrc.audit import audit


def main(
    settings: Annotated[Settings, "delta: for each experiment the probability that its random bounds fail"],
    measures: Annotated[list[Path], "NetCDF cubes of measures or shifts to read"],
    csv: Annotated[Path, "CSV file to write: one row per statement"],
    markdown: Annotated[Path, "Markdown file to write: the table of the CSV file"],
) -> None:
    tables = []
    for path in measures:
        cube = netcdf.load(path)
        experiment = cube.attrs["experiment"]
        if experiment not in settings["delta"]:
            raise ValueError(f"delta has no value for experiment {experiment} of {path}; add a value")
        table = audit(cube, settings["delta"][experiment])
        table.insert(0, "experiment", experiment)
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    violated = table[table["violations"] > table["allowed"]]
    if len(violated):
        raise ValueError(
            "\n".join(
                f"{row.statement} is violated in {row.violations} of {row.checked} numbers of "
                f"{row.experiment}, by a factor of {row.largest_ratio:g} at {row.largest_at}"
                for row in violated.itertuples()
            )
        )
    with netcdf.atomic(csv) as temporary:
        table.to_csv(temporary, index=False)
    with netcdf.atomic(markdown) as temporary:
        temporary.write_text(table.to_markdown(index=False, floatfmt=".3g") + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
