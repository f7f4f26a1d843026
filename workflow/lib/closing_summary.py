"""What a run has brought, in ten lines."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workflow.lib.progress import ends_of

__all__ = ["summary"]

WIDTH, INDENT = 80, 11


def summary(
    title: str,
    *,
    figures: Iterable[str] = (),
    cubes: Mapping[str, str] | None = None,
    claims: str | None = None,
    audit: str | None = None,
    pages: Iterable[str] = (),
) -> str:
    """A title, and a line each for figures, claims, audit, networks and pages, of those that are there.

    Parameters
    ----------
    title : str
    figures : iterable of path
        Pictures that were asked for.
    cubes : mapping
        Path of the measures of each experiment that was asked for.
    claims, audit : path, optional
        NetCDF file of claims, and table of the audit, as CSV.
    pages : iterable of path
        Pages to look at that were asked for.
    """
    told = {
        "figures": _figures(list(figures)),
        "claims": _claims(claims),
        "audit": _audit(audit),
        **_cells({name: ends_of(path) for name, path in (cubes or {}).items() if Path(path).exists()}),
        "pages": ", ".join(page for page in pages if Path(page).exists()),
    }
    lines = [_line(name, text) for name, text in told.items() if text]
    return "\n".join(["", title, *lines])


def _line(name: str, text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"  {name:<{INDENT - 2}}",
        subsequent_indent=" " * INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _figures(asked: list[str]) -> str:
    made = [Path(path) for path in asked if Path(path).exists()]
    if not asked:
        return ""
    of = f"{len(made)} of {len(asked)}" if len(made) < len(asked) else f"{len(made)}"
    return f"{of} in {Path(asked[0]).parent}: {', '.join(path.stem for path in made)}"


def _claims(path: str | None) -> str:
    if path is None or not Path(path).exists():
        return ""
    import h5py

    with h5py.File(path) as file:
        verdicts, about = file["verdict"][()], dict(file["verdict"].attrs)
    counts = Counter(verdicts.tolist())
    words = zip(about["flag_values"].tolist(), _text(about["flag_meanings"]).split(), strict=True)
    told = ", ".join(f"{counts[code]} {word}" for code, word in words)
    return f"{told} (a contradicted claim is a finding): {Path(path).with_suffix('.md')}"


def _audit(path: str | None) -> str:
    if path is None or not Path(path).exists():
        return ""
    import csv

    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    violations, allowed, checked = (
        [int(float(row[name])) for row in rows] for name in ("violations", "allowed", "checked")
    )
    # of random bounds some may fail
    beyond = sum(max(0, number - most) for number, most in zip(violations, allowed, strict=True))
    return f"{beyond} violations in {sum(checked):,} numbers checked: {Path(path).with_suffix('.md')}"


def _cells(ends: Mapping[str, tuple[Counter, float]]) -> dict[str, str]:
    """How cells ended: a line for all, and one by experiments for each way that is no convergence."""
    if not ends:
        return {}
    total, worst = sum((counts for counts, _ in ends.values()), Counter()), max(w for _, w in ends.values())
    ways = [
        f"{total[way]:,} {way}"
        for way in ("converged", "stopped", "diverged", "collapsed_to_zero")
        if total[way]
    ]
    of = "" if total["converged"] == total.total() else ", of one that did not converge"
    lines = {"networks": f"{total.total():,}: {', '.join(ways)}; worst relative residual {worst:.1e}{of}"}
    for way, says in (
        ("stopped", " (before they were stationary)"),
        ("diverged", ""),
        ("collapsed_to_zero", ""),
    ):
        told = ", ".join(
            f"{name} {counts[way]:,} of {counts.total():,}"
            for name, (counts, _) in ends.items()
            if counts[way]
        )
        lines[way] = f"{told}{says}" if told else ""
    return lines


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
