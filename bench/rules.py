"""Where the time of a finished run went, by what Snakemake noted of its jobs."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from bench.page import table

__all__ = ["of_a_run", "section", "times"]

# share of all time from which a row is shown
LEAST = 0.01
# the stage of an experiment's folder or file
STAGES = {"train": "train", "measure": "measure", "measures": "collect", "shift": "compare"}


def of_a_run(module: str, about: str) -> argparse.ArgumentParser:
    """The command line of a program that looks at a finished run."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="FOLDER",
        help="of a finished run of the desk scale (default: results)",
    )
    return parser


def place_of(file: Path) -> tuple[str, str]:
    """What a file below results/benchmarks is of, and its stage: data, figures, audit, claims are of all."""
    first, *rest = file.with_suffix("").parts
    return (first, STAGES[rest[0]]) if rest and rest[0] in STAGES else ("all", first)


def times(results: Path) -> pd.DataFrame:
    """Every job: experiment, stage, and what Snakemake noted."""
    folder = results / "benchmarks"
    jobs = []
    for file in sorted(folder.rglob("*.tsv")):
        noted = pd.read_csv(file, sep="\t", na_values="-").iloc[0]
        experiment, stage = place_of(file.relative_to(folder))
        jobs.append((experiment, stage, noted["s"], noted["cpu_time"], noted["max_rss"]))
    return pd.DataFrame(jobs, columns=["experiment", "stage", "s", "cpu", "memory"])


def summed(jobs: pd.DataFrame, by: list[str]) -> list[dict[str, Any]]:
    """Rows of a table, longest first."""
    sums = jobs.groupby(by, as_index=False).agg(
        jobs=("s", "size"), s=("s", "sum"), cpu=("cpu", "sum"), memory=("memory", "max")
    )
    return [
        {
            **{name: getattr(row, name) for name in by},
            "jobs": int(row.jobs),
            "s": float(row.s),
            "s of processor": float(row.cpu),
            "% of all": f"{100 * row.s / jobs['s'].sum():.1f}",
            "largest job, MB": float(row.memory),
        }
        for row in sums.sort_values("s", ascending=False).itertuples()
    ]


def section(results: Path) -> str:
    """Section of the page."""
    head = "## A run of the pipeline\n"
    jobs = times(results)
    if jobs.empty:
        return f"{head}\n{results}/benchmarks holds nothing: run `make` first, then `make bench`.\n"
    of_both = summed(jobs, ["experiment", "stage"])
    shown = [row for row in of_both if row["s"] >= LEAST * jobs["s"].sum()]
    return f"""{head}
Seconds of all jobs of the last run, which run side by side: {jobs["s"].sum():,.0f} s in {len(jobs)} jobs.

{table(summed(jobs, ["stage"]))}

By experiment, what is at least {100 * LEAST:.0f}% of all:

{table(shown)}
"""
