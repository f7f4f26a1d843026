"""Check the statements on every cell of every experiment; fail where one is violated."""

import argparse

import pandas as pd

from nrc import netcdf
from nrc.audit import audit
from workflow.lib.program import add_file, program, run


def main(args: argparse.Namespace) -> None:
    tables = []
    for path in args.measures:
        cube = netcdf.load(path)
        experiment = cube.attrs["experiment"]
        if experiment not in args.settings["delta"]:
            raise ValueError(f"delta has no value for experiment {experiment}, which {path} is of; give one")
        table = audit(cube, args.settings["delta"][experiment])
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
    with netcdf.atomic(args.csv) as temporary:
        table.to_csv(temporary, index=False)
    with netcdf.atomic(args.markdown) as temporary:
        temporary.write_text(table.to_markdown(index=False, floatfmt=".3g") + "\n", encoding="utf-8")


def arguments() -> argparse.ArgumentParser:
    parser = program(__doc__, "delta: for each experiment the probability that its random bounds fail")
    add_file(parser, "--measures", "NetCDF cubes of measures or shifts to read", nargs="+")
    add_file(parser, "--csv", "CSV file to write: a row a statement")
    add_file(parser, "--markdown", "Markdown file to write: the same table")
    return parser


if __name__ == "__main__":
    run(main, arguments())
