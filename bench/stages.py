"""How the time of a finished run is distributed over its stages: elapsed as Snakemake measures it, and of the
processor as each job writes it into its log, because Snakemake looks at a job only every 30 s."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tools.markdown import table

__all__ = ["section", "times"]

# smallest share of the total time for which a row is shown
SMALLEST_SHARE = 0.01
# the stage of a folder or file of an experiment
STAGES = {"train": "train", "measure": "measure", "measures": "collect", "shift": "compare"}


def experiment_and_stage(file: Path) -> tuple[str, str]:
    """Experiment and stage of a file below results/benchmarks.

    Data, figures, audit and claims do not belong to a single experiment; theirs is "all".
    """
    first, *rest = file.with_suffix("").parts
    return (first, STAGES[rest[0]]) if rest and rest[0] in STAGES else ("all", first)


def processor_seconds(log: Path) -> float:
    """The processor time of a job by its log; missing (nan) in logs without it."""
    found = re.findall(r"^processor seconds: (.*)$", log.read_text(encoding="utf-8"), re.MULTILINE)
    return float(found[-1]) if found else np.nan


def times(results: Path) -> pd.DataFrame:
    """A row per job: experiment, stage, seconds, processor seconds and memory in MB."""
    folder = results / "benchmarks"
    jobs = []
    for file in sorted(folder.rglob("*.tsv")):
        measured = pd.read_csv(file, sep="\t", na_values="-").iloc[0]
        experiment, stage = experiment_and_stage(file.relative_to(folder))
        cpu = processor_seconds(results / "logs" / file.relative_to(folder).with_suffix(".log"))
        jobs.append((experiment, stage, measured["s"], cpu, measured["max_rss"]))
    return pd.DataFrame(jobs, columns=["experiment", "stage", "s", "cpu", "memory"])


def summed(jobs: pd.DataFrame, by: list[str]) -> list[dict[str, Any]]:
    """Rows of a table of total times, longest first."""
    sums = jobs.groupby(by, as_index=False).agg(
        jobs=("s", "size"),
        s=("s", "sum"),
        cpu=("cpu", lambda cpu: cpu.sum(skipna=False)),
        memory=("memory", "max"),
    )
    return [
        {
            **{name: getattr(row, name) for name in by},
            "jobs": int(row.jobs),
            "seconds": float(row.s),
            "processor seconds": float(row.cpu),
            "% of total": f"{100 * row.s / jobs['s'].sum():.1f}",
            "largest job, MB": float(row.memory),
        }
        for row in sums.sort_values("s", ascending=False).itertuples()
    ]


def section(results: Path) -> str:
    """Section of the page."""
    head = "## A run of the pipeline\n"
    jobs = times(results)
    if jobs.empty:
        return f"{head}\n{results}/benchmarks is empty: run `make` first, then `make bench`.\n"
    by_experiment = summed(jobs, ["experiment", "stage"])
    shown = [row for row in by_experiment if row["seconds"] >= SMALLEST_SHARE * jobs["s"].sum()]
    return f"""{head}
The {len(jobs)} jobs of the last run took {jobs["s"].sum():,.0f} s in total. Several jobs run at the same
time.

{table(summed(jobs, ["stage"]))}

By experiment, for rows of at least {100 * SMALLEST_SHARE:.0f}% of the total:

{table(shown)}
"""
