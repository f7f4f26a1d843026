"""The closing summary of a run: figures, claims, audit, networks and pages, in about ten lines."""

import csv
import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake_logger_plugin_nrc.progress import status_counts

__all__ = ["summary"]

WIDTH, INDENT = 80, 11
RESULTS = Path("results")


def summary(settings: Mapping[str, Any]) -> list[str]:
    """Lines on the results of a configuration that are in the working directory."""
    cubes = {name: RESULTS / name / "measures.nc" for name in settings["experiments"]}
    texts = {
        "figures": _figures(settings["figures"]),
        "claims": _claims(RESULTS / "claims.nc"),
        "audit": _audit(RESULTS / "audit.csv"),
        **_networks({name: status_counts(str(file)) for name, file in cubes.items() if file.exists()}),
        "pages": ", ".join(
            str(page) for name in ("summary", "explorer") if (page := RESULTS / f"{name}.html").exists()
        ),
    }
    return [_line(name, text) for name, text in texts.items() if text]


def _line(name: str, text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"  {name.rpartition('_')[2]:<{INDENT - 2}}",
        subsequent_indent=" " * INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _figures(names: Mapping[str, Any]) -> str:
    made = [name for name in names if (RESULTS / f"figures/{name}.png").exists()]
    if not made:
        return ""
    of = f" of {len(names)}" if len(made) < len(names) else ""
    return f"{len(made)}{of} in {RESULTS}/figures: {', '.join(made)}"


def _claims(path: Path) -> str:
    if not path.exists():
        return ""
    import h5py

    with h5py.File(path) as file:
        counts, about = Counter(file["verdict"][()].tolist()), dict(file["verdict"].attrs)
    meanings = about["flag_meanings"]
    words = (meanings.decode() if isinstance(meanings, bytes) else meanings).split()
    verdicts = [
        f"{counts[code]} {word}" for code, word in zip(about["flag_values"].tolist(), words, strict=True)
    ]
    return f"{', '.join(verdicts)} (a contradicted claim is a finding): {path.with_suffix('.md')}"


def _audit(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            {name: int(float(row[name])) for name in ("violations", "allowed", "checked")}
            for row in csv.DictReader(file)
        ]
    # some random bounds may fail
    beyond = sum(max(0, row["violations"] - row["allowed"]) for row in rows)
    checked = sum(row["checked"] for row in rows)
    return f"{beyond} violations in {checked:,} numbers checked: {path.with_suffix('.md')}"


def _networks(found: Mapping[str, tuple[Counter[str], float]]) -> dict[str, str]:
    """A line on all networks by status, and one on the experiments of each status but converged."""
    if not found:
        return {}
    total: Counter[str] = sum((counts for counts, _ in found.values()), Counter())
    worst = max(residual for _, residual in found.values())
    states = [state for state in ("converged", "stopped", "diverged", "collapsed_to_zero") if total[state]]
    words = ", ".join(f"{total[state]:,} {state.replace('_', ' ')}" for state in states)
    lines = {"networks": f"{total.total():,}: {words}; largest relative residual {worst:.1e}"}
    for state in states:
        if state != "converged":
            where = (
                f"{name} {n:,} of {counts.total():,}"
                for name, (counts, _) in found.items()
                if (n := counts[state])
            )
            lines[state] = ", ".join(where) + " (before they were stationary)" * (state == "stopped")
    return lines
