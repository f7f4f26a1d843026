"""Judge claims by their statistics, within the limits of the configuration."""

import argparse
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, cast

from workflow.lib.program import Option, Settings, run

import numpy as np
import pandas as pd
import xarray as xr

from nrc import kinds, netcdf
from nrc.claims.judge import CHANCES, SEEDS, SHARE, Verdict, judge, tally
from nrc.claims.options import SOURCES, ClaimOptions, NumberOptions, OrderOptions
from nrc.cubes import join_cubes, select
from nrc.grid import notation
from nrc.metadata import provenance
from nrc.text import counted, listed

RULE = f"""A part is supported if its results would have a chance of at most 5% (1 - `level`) if it were
false, and contradicted if they would have such a chance if it were true. Chances are corrected for the
number of parts. A claim is supported if more than {1 - SHARE:.0%} of its parts are supported, and
contradicted if at least {SHARE:.0%} are contradicted. A claim with fewer than {SEEDS} seeds is inconclusive.
Tables of parts show the mean over seeds, in brackets its 95% interval, which is not corrected, and the
smaller of the two corrected chances.
"""


def _named(text: str) -> tuple[str, Path]:
    name, given, path = text.partition("=")
    if not given:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME/CUBE=PATH")
    return name, Path(path)


def main(
    settings: Annotated[
        Settings,
        "experiment (the name to write in the file), and claims: for each its statistic with its options, "
        "of (experiments), at (values of axes), statement, source, section, limits and level",
    ],
    output: Annotated[Path, "NetCDF file to write: verdicts and statistics"],
    table: Annotated[Path, "CSV file to write: every part of every claim"],
    markdown: Annotated[Path, "Markdown file to write: the claims with their parts"],
    cubes: Annotated[
        list[tuple[str, Path]],
        Option(
            "NetCDF cubes to read, on which the claims are judged; CUBE is measures or shift",
            _named,
            "NAME/CUBE=PATH",
        ),
    ] = [],  # noqa: B006
) -> None:
    claims = {name: parsed(name, claim) for name, claim in settings["claims"].items()}
    judged = judge(read(claims, dict(cubes)), claims)
    netcdf.save(judged.assign_attrs(provenance(settings)), output)
    parts = parts_table(judged, claims)
    with netcdf.atomic(table) as temporary:
        parts.to_csv(temporary, index=False)
    with netcdf.atomic(markdown) as temporary:
        temporary.write_text(page(judged, claims, parts), encoding="utf-8")


def parsed(name: str, claim: Mapping[str, Any]) -> ClaimOptions:
    """The options of a claim, by its statistic."""
    options: ClaimOptions
    try:
        _, options = kinds.parse("claims.statistics", claim, by="statistic")
    except ValueError as error:
        raise ValueError(f"claim {name}: {error}") from None
    return options


def read(claims: Mapping[str, ClaimOptions], paths: Mapping[str, Path]) -> dict[str, xr.Dataset]:
    """The cube of each claim: its experiments joined, at the values that it selects."""

    @cache
    def joined(*names: str) -> xr.Dataset:
        if missing := [name for name in names if name not in paths]:
            raise ValueError(f"--cubes has no {listed(missing, 'and no')}; add NAME/CUBE=PATH")
        return join_cubes([netcdf.load(paths[name]) for name in names])

    cubes = {}
    for name, claim in claims.items():
        paths_of = [f"{experiment}/{claim.cube}" for experiment in claim.of]
        try:
            cubes[name] = select(joined(*paths_of), cast(dict[str, Any], claim.at))
        except ValueError as error:
            raise ValueError(f"claim {name}: {error}") from None
    return cubes


def parts_table(judged: xr.Dataset, claims: Mapping[str, ClaimOptions]) -> pd.DataFrame:
    """A row for each part of a claim, as numbers."""
    names = ["of_claim", "weight_decay", "what", "mean", "low", "high", *CHANCES, "counts"]
    table = judged[[*names, "part_verdict"]].to_dataframe()[[*names, "part_verdict"]]
    table.insert(1, "source", [claims[name].source for name in table["of_claim"]])
    table.insert(2, "statement", [claims[name].statement for name in table["of_claim"]])
    table["seeds"] = judged["statistic"].count("seed").values
    table["verdict"] = [Verdict(code).name.lower() for code in table.pop("part_verdict")]
    return table.rename(columns={"of_claim": "claim"})


def page(judged: xr.Dataset, claims: Mapping[str, ClaimOptions], parts: pd.DataFrame) -> str:
    """A table of the claims of each source, then tables of parts, with a row per weight decay."""
    tables, sections = [], []
    for source, title in SOURCES.items():
        chosen = {name: claim for name, claim in claims.items() if claim.source == source}
        rows = []
        for name, claim in chosen.items():
            row = {
                str(key): value.sel(claim=name).item()
                for key, value in judged.items()
                if value.dims == ("claim",)
            }
            of_claim = parts[parts["claim"] == name]
            rows.append(_summary(name, claim, row, of_claim))
            sections.append(_section(name, claim, row, of_claim))
        if rows:
            tables.append(f"## {title}\n\n{pd.DataFrame(rows).to_markdown(index=False)}\n")
    return "\n".join(["# Claims\n", RULE, *tables, *sections])


def _summary(name: str, claim: ClaimOptions, row: Mapping[str, Any], parts: pd.DataFrame) -> dict[str, str]:
    """The row of a claim in the table of its source."""
    return {
        "claim": name,
        "statement": claim.statement.replace("|", r"\|"),
        "section": claim.section or "",
        "of": ", ".join(claim.of),
        "parts": tally(parts[parts["counts"]]["verdict"]) or "none",
        "verdict": f"**{Verdict(row['verdict']).name.lower()}**",
        "not converged": _not_converged(row),
    }


def _section(name: str, claim: ClaimOptions, row: Mapping[str, Any], parts: pd.DataFrame) -> str:
    """Statistic and limits of a claim, and the number and the verdict of each part."""
    at = [
        f"{axis} {', '.join(map(notation, values))}"
        for axis, values in cast(dict[str, Any], claim.at).items()
    ]
    own = [option for option in type(claim).model_fields if option not in NumberOptions.model_fields]
    options = [
        f"{option.replace('_', ' ')} {_written(getattr(claim, option))}"
        for option in own
        if option != "trend"
    ]
    judged = (
        f"the number {claim.trend} with weight decay" if isinstance(claim, OrderOptions) else _limited(row)
    )
    if isinstance(claim, NumberOptions) and claim.weight_decays == "largest":
        judged += ", at the largest weight decay"
    about = "; ".join([", ".join(claim.of), *at, *options])
    cells = parts.assign(
        weight_decay=["all" if np.isnan(decay) else notation(decay) for decay in parts["weight_decay"]],
        result=[_result(part) for part in parts.itertuples()],
    )
    table = cells.pivot(index="weight_decay", columns="what", values="result")
    # in the order of the parts
    table = table.reindex(pd.unique(cells["weight_decay"])).reindex(columns=pd.unique(cells["what"]))
    lines = [
        f"## {name}: {claim.statement}\n",
        f"{str(claim.__doc__).removesuffix('.')} ({about}). Supported if {judged}.\n",
        table.rename_axis("weight decay").to_markdown() if len(table) else "There are no parts to judge.",
    ]
    return "\n".join([*lines, ""])


def _limited(row: Mapping[str, Any]) -> str:
    limits = {"at least": row["at_least"], "at most": row["at_most"]}
    words = listed(f"{word} {limit:g}" for word, limit in limits.items() if not np.isnan(limit))
    return f"the mean is {words}"


def _result(part: Any) -> str:
    """Mean, interval and verdict of a part, with the chance that decided it."""
    if np.isnan(part.mean):
        return "no number"
    note = "" if part.counts else ", not counted"
    if part.seeds < SEEDS:
        return f"{part.mean:.3g}, {counted(part.seeds, 'seed')}: inconclusive{note}"
    spread = "" if np.isnan(part.low) else f" ({part.low:.3g} to {part.high:.3g})"
    chance = min(part.chance_if_false, part.chance_if_true)
    return f"{part.mean:.3g}{spread}, chance {chance:.2g}: {part.verdict}{note}"


def _not_converged(row: Mapping[str, Any]) -> str:
    statuses = ("stopped", "diverged", "collapsed_to_zero")
    counts = [f"{row[status]} {status.replace('_', ' ')}" for status in statuses if row[status]]
    return f"{', '.join(counts) or 'none'} of {row['cells']}"


def _written(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    run(main)
