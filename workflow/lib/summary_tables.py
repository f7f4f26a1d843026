"""The tables of a summary: how networks ended, claims, statements, settings, and what all was made from."""

import json
from collections.abc import Iterable, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from nrc.claims.judge import Verdict, tally
from nrc.figures.cube import endings
from nrc.grid import AXES, notation
from nrc.status import flag_masks, status_masks
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

VERSIONS = ("nrc", "python", "torch", "device", "precision")


def networks(cubes: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """How the networks of each experiment ended; those that diverged are not among the stopped ones."""
    rows = []
    for name, cube in cubes.items():
        facts, converged = endings(cube), status_masks(cube)["converged"]
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


def cells(cubes: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """How each network ended, a row a cell; where an experiment has no such cell there is no row."""
    numbers = ["relative_residual", "gradient_norm", "loss", "iterations", "evaluations"]
    tables = []
    for name, cube in cubes.items():
        told = cube[["status", "termination_reason", *numbers]]
        table = told.to_dataframe().reset_index().dropna(subset="status")
        for flag in ("status", "termination_reason"):
            words = dict(enumerate(flag_masks(cube[flag])))
            table[flag] = table[flag].map(words)
        table.insert(0, "experiment", name)
        tables.append(table[["experiment", *AXES, "status", "termination_reason", *numbers]])
    return pd.concat(tables, ignore_index=True)


def claims(judged: xr.Dataset) -> pd.DataFrame:
    """Each claim with its verdict, in the order of the configuration."""
    asked, of_parts = json.loads(judged.attrs["settings"])["claims"], parts(judged)
    rows = []
    for name in judged["claim"].values.tolist():
        of_claim = judged.sel(claim=name)
        counted = of_parts[(of_parts["claim"] == name) & of_parts["counts"]]
        ended = {how: of_claim[how].item() for how in ("stopped", "diverged", "collapsed_to_zero")}
        missing = ", ".join(f"{count} {how}" for how, count in ended.items() if count)
        rows.append(
            {
                "claim": name,
                "verdict": Verdict(of_claim["verdict"].item()).name.lower(),
                "statement": asked[name]["statement"],
                "its parts": tally(counted["verdict"]) or "none",
                "judged on": ", ".join(asked[name]["of"]),
                "not converged": f"{missing or 'none'} of {of_claim['cells'].item()}",
            }
        )
    return pd.DataFrame(rows)


def parts(judged: xr.Dataset) -> pd.DataFrame:
    """Each part of each claim with its number and its limits."""
    names = ["of_claim", "weight_decay", "what", "mean", "low", "high", "chance", "counts", "part_verdict"]
    table = judged[names].to_dataframe()[names].rename(columns={"of_claim": "claim"})
    limits = judged[["at_least", "at_most"]].to_dataframe()
    for place, end in ((3, "at_least"), (4, "at_most")):
        table.insert(place, end, limits[end].reindex(table["claim"]).values)
    table["seeds"] = judged["statistic"].count("seed").values
    table["verdict"] = [Verdict(code).name.lower() for code in table.pop("part_verdict")]
    return table


def statements(audit: pd.DataFrame) -> pd.DataFrame:
    """Each statement of the audit, over all experiments."""
    of_all = audit.groupby("statement", sort=False).agg(
        experiments=("experiment", "nunique"),
        checked=("checked", "sum"),
        void=("void", "sum"),
        violations=("violations", "sum"),
        allowed=("allowed", "sum"),
        largest=("largest_ratio", "max"),
    )
    return of_all.rename(columns={"largest": "largest ratio to its bound"}).reset_index()


def experiments(settings: Settings) -> pd.DataFrame:
    """What an experiment is, in a row."""
    rows = []
    for name, experiment in settings["experiments"].items():
        grid, training = experiment["grid"], experiment["training"]
        options = {key: value for key, value in training["method"].items() if key != "name"}
        rows.append(
            {
                "experiment": name,
                "data": experiment["data"],
                "task": experiment["task"],
                "network": _network(experiment),
                "weight decay": _span(grid["weight_decay"]),
                "sigma": _span(grid["sigma"]),
                "seeds": _span(grid["seed"]),
                "loss": _loss(experiment),
                "method": f"{training['method']['name']} {_written(options)}".strip(),
                "starts from": _written(training["warm_start"] or "initial weights"),
                "tolerance": training["tolerance"],
                "epochs": training["epochs"],
            }
        )
    return pd.DataFrame(rows)


def keys(settings: Settings) -> pd.DataFrame:
    """Every key of the configuration with its value."""
    rows = [(".".join(path), _written(value)) for path, value in leaves(settings).items()]
    return pd.DataFrame(rows, columns=["key", "value"])


def made_with(cubes: Mapping[str, xr.Dataset]) -> list[str]:
    """Versions, devices and precisions of trainings and measures, all that occur."""
    said = []
    for name in VERSIONS:
        words = [word for cube in cubes.values() for word in str(cube.attrs[name]).split(", ")]
        said.append(f"{name} {' and '.join(dict.fromkeys(words))}")
    return said


def digests(files: Iterable[Path]) -> pd.DataFrame:
    """The SHA-256 of files, as `sha256sum` prints it."""
    rows = []
    for path in files:
        with path.open("rb") as file:
            rows.append({"file": str(path), "SHA-256": file_digest(file, "sha256").hexdigest()})
    return pd.DataFrame(rows)


def _network(experiment: Settings) -> str:
    network, grid = experiment["network"], experiment["grid"]
    biases = " with biases" if network["bias"] else ""
    return f"{network['activation']}{biases}, width {_span(grid['width'])}, depth {_span(grid['depth'])}"


def _loss(experiment: Settings) -> str:
    """The loss, with what is not as usual of it: what it is on, and what the penalty is on."""
    training, loss = experiment["training"], experiment["loss"].replace("_", " ")
    on = "" if training["loss_on"] == "data" else f", on {training['loss_on']}"
    return loss + on + ("" if training["penalty"] == "factors" else f", penalty on the {training['penalty']}")


def _span(values: list[Any]) -> str:
    """Values of an axis, the ends of many."""
    if len(values) > 4:
        return f"{notation(values[0])} to {notation(values[-1])} ({len(values)})"
    return ", ".join(map(notation, values))


def _written(value: Any) -> str:
    """A value as one would write it in a configuration, without quotes and brackets."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_written(of_key)}".replace("_", " ") for key, of_key in value.items())
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return notation(value)
    return "none" if value is None else str(value)
