"""The tables of the summary: outcomes of training, claims, statements, settings, and provenance."""

import json
from collections.abc import Iterable, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from nrc.claims.judge import CHANCES, Verdict, tally
from nrc.figures.cube import status_counts
from nrc.grid import AXES, notation
from nrc.status import flag_masks
from nrc.text import written
from workflow.lib.changed_settings import leaves

__all__ = [
    "cells",
    "claims",
    "digests",
    "experiments",
    "keys",
    "made_with",
    "networks",
    "parts",
    "statements",
]

Settings = Mapping[str, Any]
Cubes = Mapping[str, xr.Dataset]


def networks(cubes: Cubes) -> pd.DataFrame:
    """Outcomes of training, one row per experiment; stopped networks exclude those that diverged."""
    rows = []
    for name, cube in cubes.items():
        facts, converged = status_counts(cube), flag_masks(cube["status"])["converged"]
        rows.append(
            {
                "experiment": name,
                "networks": facts["cells"],
                "converged": facts["converged"],
                "stopped": facts["stopped"] - facts["diverged"],
                "diverged": facts["diverged"],
                "collapsed_to_zero": facts["collapsed_to_zero"],
                "worst residual, converged": float(cube["relative_residual"].where(converged).max()),
                "worst residual, stopped": facts["worst_stopped"],
            }
        )
    return pd.DataFrame(rows)


def cells(cubes: Cubes) -> pd.DataFrame:
    """Outcomes of training, one row per cell."""
    flags = ["status", "termination_reason"]
    columns = [*flags, "relative_residual", "gradient_norm", "loss", "iterations", "evaluations"]
    tables = []
    for name, cube in cubes.items():
        # an experiment whose grid is not full has no status where it has no cell
        table = cube[columns].to_dataframe().reset_index().dropna(subset="status")
        for flag in flags:
            table[flag] = table[flag].map(dict(enumerate(flag_masks(cube[flag]))))
        tables.append(table.assign(experiment=name)[["experiment", *AXES, *columns]])
    return pd.concat(tables, ignore_index=True)


def claims(judged: xr.Dataset) -> pd.DataFrame:
    """Each claim with its verdict, in the order of the configuration."""
    configured, of_parts = json.loads(judged.attrs["settings"])["claims"], parts(judged)
    rows = []
    for name in judged["claim"].values.tolist():
        claim, of_claim = configured[name], judged.sel(claim=name)
        counted = of_parts[(of_parts["claim"] == name) & of_parts["counts"]]
        outcomes = {word: of_claim[word].item() for word in ("stopped", "diverged", "collapsed_to_zero")}
        missing = ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in outcomes.items() if count)
        rows.append(
            {
                "claim": name,
                "source": claim["source"],
                "verdict": _verdict(of_claim["verdict"].item()),
                "statement": claim["statement"],
                "parts": tally(counted["verdict"]) or "none",
                "experiments": ", ".join(claim["of"]),
                "not converged": f"{missing or 'none'} of {of_claim['cells'].item()}",
            }
        )
    return pd.DataFrame(rows)


def parts(judged: xr.Dataset) -> pd.DataFrame:
    """Each part of each claim with its number and its limits."""
    names = ["of_claim", "weight_decay", "what", "mean", "low", "high", *CHANCES, "counts", "part_verdict"]
    table = judged[names].to_dataframe()[names].rename(columns={"of_claim": "claim"})
    limits = judged[["at_least", "at_most"]].to_dataframe().reindex(table["claim"])
    table.insert(3, "at_least", limits["at_least"].to_list())
    table.insert(4, "at_most", limits["at_most"].to_list())
    table["seeds"] = judged["statistic"].count("seed").values
    table["verdict"] = table.pop("part_verdict").map(_verdict)
    return table


def statements(audit: pd.DataFrame) -> pd.DataFrame:
    """Each statement of the audit, over all experiments."""
    columns = dict.fromkeys(("checked", "void", "violations", "allowed"), "sum")
    table = audit.groupby("statement", sort=False).agg(
        {"experiment": "nunique", **columns, "largest_ratio": "max"}
    )
    names = {"experiment": "experiments", "largest_ratio": "largest ratio to its bound"}
    return table.rename(columns=names).reset_index()


def experiments(settings: Settings) -> pd.DataFrame:
    """The settings of each experiment in short."""
    rows = []
    for name, experiment in settings["experiments"].items():
        training = experiment["training"]
        chosen = {
            **{key: experiment[key] for key in ("data", "task", "network")},
            **{axis: _span(values) for axis, values in experiment["grid"].items()},
            **{key: experiment[key] for key in ("loss",)},
            **{
                key: training[key]
                for key in ("loss_on", "penalty", "method", "warm_start", "tolerance", "epochs")
            },
        }
        rows.append({"experiment": name, **{key: written(value) for key, value in chosen.items()}})
    return pd.DataFrame(rows)


def keys(settings: Settings) -> pd.DataFrame:
    """Every key of the configuration with its value."""
    rows = [(".".join(path), written(value)) for path, value in leaves(settings).items()]
    return pd.DataFrame(rows, columns=["key", "value"])


def made_with(cubes: Cubes) -> str:
    """Versions, devices and precisions of all trainings and measures."""
    found = []
    for name in ("nrc", "python", "torch", "device", "precision"):
        words = [word for cube in cubes.values() for word in str(cube.attrs[name]).split(", ")]
        found.append(f"{name} {' and '.join(dict.fromkeys(words))}")
    return ", ".join(found)


def digests(files: Iterable[Path]) -> pd.DataFrame:
    """The SHA-256 of files, as `sha256sum` prints it."""
    rows = []
    for path in files:
        with path.open("rb") as file:
            rows.append({"file": str(path), "SHA-256": file_digest(file, "sha256").hexdigest()})
    return pd.DataFrame(rows)


def _verdict(code: int) -> str:
    return Verdict(code).name.lower()


def _span(values: list[Any]) -> str:
    """Values of an axis; only the first and the last if they are many."""
    if len(values) > 4:
        return f"{notation(values[0])} to {notation(values[-1])} ({len(values)})"
    return ", ".join(map(notation, values))
