"""Judge the paper's claims on all experiments, by the rules of the configuration."""

import argparse
import json

import numpy as np
import pandas as pd

from nrc import store
from nrc.claims import CLAIMS, Verdict, judge
from workflow.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: level, and rule of each claim"
    )
    parser.add_argument(
        "--cubes", nargs="+", required=True, help="NetCDF cubes, each after its experiment and kind and a ="
    )
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    parser.add_argument("--markdown", required=True, help="the same to read")
    args = parser.parse_args()

    cubes = {}
    for item in args.cubes:
        name, _, path = item.partition("=")
        cubes[tuple(name.split("/"))] = store.load(path)
    judged = judge(cubes, args.settings["rules"], args.settings["level"])
    settings = {"experiment": "claims", **args.settings}
    store.save(judged.assign_attrs(store.provenance(settings)), args.output)
    with store.atomic(args.markdown) as temporary:
        temporary.write_text(table(judged).to_markdown(index=False) + "\n", encoding="utf-8")


def table(judged) -> pd.DataFrame:
    """A row for each claim, to read."""
    rows = []
    for name, claim in CLAIMS.items():
        row = judged.sel(claim=name)
        least, most = float(row["least"]), float(row["most"])
        limits = {"at least": least, "at most": most}
        rule = " and ".join(f"{word} {value:g}" for word, value in limits.items() if not np.isnan(value))
        rows.append(
            {
                "claim": claim.says,
                "experiment": claim.file[0],
                "statistic": claim.measure,
                "mean": f"{float(row['mean']):.3g}",
                "interval": f"{float(row['low']):.3g} to {float(row['high']):.3g}",
                "seeds": int(row["statistic"].notnull().sum()),
                "confirmed if": rule,
                "verdict": Verdict(int(row["verdict"])).name.lower(),
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    run(main)
