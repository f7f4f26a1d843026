"""Judge claims by their statistics, within the limits of the configuration."""

import argparse
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nrc import store
from nrc.claims import STATISTICS, Verdict, judge
from nrc.cubes import join_cubes, select
from nrc.grid import notation
from nrc.labels import provenance
from pipeline.program import program, run

COLUMNS = (
    *("claim", "experiments", "statistic", "mean", "interval", "seeds", "not converged"),
    *("confirmed if", "verdict"),
)


def main(args: argparse.Namespace) -> None:
    claims = args.settings["claims"]
    judged = judge(read(claims, dict(args.cubes)), claims)
    store.save(judged.assign_attrs(provenance(args.settings)), args.output)
    with store.atomic(args.markdown) as temporary:
        temporary.write_text(table(judged, claims).to_markdown(index=False) + "\n", encoding="utf-8")


def read(claims: Mapping[str, Mapping[str, Any]], paths: Mapping[str, Path]) -> dict[str, xr.Dataset]:
    """The cube of each claim, of all its experiments, at its selection."""

    @cache
    def joined(*names: str) -> xr.Dataset:
        if missing := [name for name in names if name not in paths]:
            raise ValueError(f"--cubes gives no {' and no '.join(missing)}; add it as NAME/CUBE=PATH")
        return join_cubes([store.load(paths[name]) for name in names])

    cubes = {}
    for name, claim in claims.items():
        kind = STATISTICS[claim["statistic"]].cube
        try:
            cubes[name] = select(joined(*(f"{experiment}/{kind}" for experiment in claim["of"])), claim["at"])
        except ValueError as error:
            raise ValueError(f"claim {name}: {error}") from None
    return cubes


def table(judged: xr.Dataset, claims: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each claim, to read."""
    rows = []
    for name, claim in claims.items():
        row = {key: value.sel(claim=name).item() for key, value in judged.items() if value.ndim == 1}
        at = [
            f"{axis} {', '.join(map(notation, np.atleast_1d(values)))}"
            for axis, values in claim["at"].items()
        ]
        limits = {"at least": row["least"], "at most": row["most"]}
        interval = "one seed" if np.isnan(row["low"]) else f"{row['low']:.3g} to {row['high']:.3g}"
        ended = [f"{row[how]} {how}" for how in ("stopped", "diverged", "dead") if row[how]]
        rows.append(
            (
                claim["says"].replace("|", r"\|"),
                "; ".join([", ".join(claim["of"]), *at]),
                STATISTICS[claim["statistic"]].measure,
                "too few values" if np.isnan(row["mean"]) else f"{row['mean']:.3g}",
                interval,
                int(judged["statistic"].sel(claim=name).count()),
                f"{', '.join(ended) or 'none'} of {row['cells']}",
                " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if not np.isnan(limit)),
                Verdict(row["verdict"]).name.lower(),
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def arguments() -> argparse.ArgumentParser:
    parser = program(
        __doc__,
        "experiment (the name to write in the file), and claims: for each its statistic with its options, "
        "of (experiments), at (values of axes), says, least, most and level",
    )
    parser.add_argument(
        "--cubes",
        nargs="*",
        default=[],
        type=_named,
        metavar="NAME/CUBE=PATH",
        help="NetCDF cubes that the claims are judged on; CUBE is measures or shift",
    )
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")
    parser.add_argument("--markdown", type=Path, required=True, help="the same to read")
    return parser


def _named(text: str) -> tuple[str, Path]:
    name, given, path = text.partition("=")
    if not given:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME/CUBE=PATH")
    return name, Path(path)


if __name__ == "__main__":
    run(main, arguments())
