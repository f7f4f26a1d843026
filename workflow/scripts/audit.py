"""Check the statements on every cell of every experiment; fail where one is violated."""

import argparse
import json

import pandas as pd

from nrc import store
from nrc.audit import audit
from workflow.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON with delta")
    parser.add_argument("--measures", nargs="+", required=True, help="NetCDF cubes")
    parser.add_argument("--csv", required=True, help="table to write")
    parser.add_argument("--markdown", required=True, help="the same to read")
    args = parser.parse_args()

    tables = []
    for path in args.measures:
        measures = store.load(path)
        table = audit(measures, args.settings["delta"])
        table.insert(0, "experiment", measures.attrs["experiment"])
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    violated = table[table["violations"] > table["allowed"]]
    if len(violated):
        raise SystemExit(
            "\n".join(
                f"{row.statement} is violated in {row.violations} of {row.checked} numbers of "
                f"{row.experiment}, by a factor of {row.largest_ratio:g} at {row.largest_at}"
                for row in violated.itertuples()
            )
        )
    with store.atomic(args.csv) as temporary:
        table.to_csv(temporary, index=False)
    with store.atomic(args.markdown) as temporary:
        temporary.write_text(table.to_markdown(index=False, floatfmt=".3g") + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
