"""What the desk scale shows: the numbers of the manual, from a finished run.

python -m bench.findings      after `make`: writes docs/findings.json, docs/claims.md, the pictures of docs/,
                              and the parts of the manual's pages between <!-- marks -->
python -m bench.findings --branches FOLDER/results      with those of workflow/scales/branches.yaml
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from bench.page import between, filled, table
from bench.problems import PROJECT
from bench.rules import of_a_run
from nrc import figures, netcdf
from nrc.claims.judge import Verdict, tally
from nrc.figures.cube import relative_bound
from nrc.grid import notation

__all__ = ["FINDINGS", "PAGES", "blocks", "branches", "found"]

FINDINGS = PROJECT / "docs/findings.json"
# the page of each part
PAGES = {
    mark: PROJECT / f"docs/explanation/{page}.md"
    for mark, page in {
        "plane": "plane",
        "certified": "bounds",
        "mnist": "mnist",
        "claims": "verdicts",
        "audit": "bounds",
        "brackets": "bounds",
        "branches": "branches",
    }.items()
}
# pictures of docs/, by their names in results/figures
PICTURES = {
    "figure1": "figure1",
    "figure2": "figure2",
    "forecast": "forecast",
    "figure3": "figure3_stationary",
    "certified": "certified_mnist_stationary",
    "hysteresis": "hysteresis",
}
# the two kinds of MNIST networks
ENDS = {"after 200 epochs": "mnist", "at stationary points": "mnist_stationary"}
AUDITED = ("mixture", "linear_product")
COLLAPSED = 0.1
# what all of them meet
TIGHT = 0.02


def found(results: Path) -> dict[str, Any]:
    """Every number that the manual tells of a run of the desk scale."""

    def cube(name: str) -> xr.Dataset:
        return netcdf.load(results / name / "measures.nc")

    return {
        "plane": _plane(cube("mixture")),
        "certified": {
            when: _certified([cube(f"{name}{kind}") for name in ("mnist", "width", "depth")])
            for when, kind in (("after 200 epochs", ""), ("at stationary points", "_stationary"))
        },
        "mnist": {when: _mnist(cube(name)) for when, name in ENDS.items()},
        "brackets": {name: _bracket(cube(name)) for name in ("mixture", "mnist", "mnist_stationary")},
        "claims": _claims(results),
        "audit": _audit(pd.read_csv(results / "audit.csv")),
    }


def branches(results: Path) -> dict[str, Any]:
    """What a run of workflow/scales/branches.yaml shows."""
    names = {"random start": "random_start", "sweep up": "sweep_up", "sweep down": "sweep_down"}
    cubes = {title: netcdf.load(results / name / "measures.nc") for title, name in names.items()}
    facts = figures.kind("hysteresis").summary(cubes, {"layer": None, "apart": COLLAPSED, "shown": None})
    widths = pd.read_csv(results / "claims.csv").groupby("claim")["mean"].agg(["min", "max"])
    return {
        **{name: facts[name] for name in ("cells", "both", "lower", "step", "ratios")},
        "widths": {name: widths.loc[name].tolist() for name in ("cliff", "cliff_whole")},
    }


def _plane(cube: xr.Dataset) -> dict[str, Any]:
    facts = figures.kind("plane").summary({"mixture": cube}, {"certified": COLLAPSED})
    certified = {
        name: int((relative_bound(cube, f"bound_{name}") <= COLLAPSED).sum())
        for name in ("shuffled", "segments", "analytic")
    }
    distance = cube["relative_distance"]
    tight = {
        "there": distance,
        "sharpened": relative_bound(cube, "bound_projected"),
        "shuffled": relative_bound(cube, "bound_permuted"),
    }
    low = distance.where(distance < 0.3).max()
    ratio = cube["distance"] / cube["bound_projected"].min("source")
    collapsed = (cube["relative_distance"] <= COLLAPSED) & (cube["distance"] > 1e-9)
    return {
        **certified,
        **{name: facts[name] for name in ("cells", "converged", "layers", "collapsed", "certified")},
        "tight": {name: int((of <= TIGHT).sum()) for name, of in tight.items()},
        "worst": float(cube["relative_residual"].max()),
        "below": float(low),
        "above": float(distance.where(distance >= 0.3).min()),
        "sharp": [float(of) for of in ratio.where(collapsed).median([d for d in ratio.dims if d != "layer"])],
    }


def _certified(cubes: Sequence[xr.Dataset]) -> dict[str, int]:
    """Layers of all networks, those of a tail of at most 0.1, and how many of them each bound certifies."""
    counts = dict.fromkeys(("networks", "layers", "collapsed", "measured", "sharpened", "shuffled"), 0)
    for cube in cubes:
        # the last layer has rank K by its shape
        distance = cube["relative_distance"].where(cube["layer"] < cube["depth"])
        counts["networks"] += int(cube["status"].count())
        counts["layers"] += int(distance.count())
        for name, relative in (
            ("collapsed", distance),
            ("measured", relative_bound(cube, "bound_measured")),
            ("sharpened", relative_bound(cube, "bound_projected")),
            ("shuffled", relative_bound(cube, "bound_permuted")),
        ):
            counts[name] += int((relative.where(distance.notnull()) <= COLLAPSED).sum())
    return counts


def _mnist(cube: xr.Dataset) -> dict[str, list[float]]:
    """Medians over seeds, for each weight decay."""
    tail = cube["relative_tail"].reindex(index=[cube.attrs["clusters"]]).squeeze("index")
    last = int(cube["depth"].item()) - 1
    of = {
        "relative tail beyond 10 of the middle layers": tail.sel(layer=slice(2, last)).mean("layer"),
        "of layer 1": tail.sel(layer=1),
        "class WCSS of the last hidden space": cube["wcss_class"].sel(source=last),
        "NC1 of the last hidden space": cube["nc1"].sel(source=last),
    }
    return {
        name: [float(median) for median in values.median("seed").squeeze(drop=True)]
        for name, values in of.items()
    } | {"weight decay": cube["weight_decay"].values.tolist()}


def _bracket(cube: xr.Dataset) -> list[float]:
    """Width of the TCV's bracket over its upper end, median and largest."""
    width = 1 - cube["tcv_lower"] / cube["tcv_upper"]
    return [float(width.median()), float(width.max())]


def _claims(results: Path) -> list[dict[str, str]]:
    judged, parts = netcdf.load(results / "claims.nc"), pd.read_csv(results / "claims.csv")
    claims, rows = json.loads(judged.attrs["settings"])["claims"], []
    for name in map(str, judged["claim"].values):
        of_claim = parts[(parts["claim"] == name) & parts["counts"]]["verdict"]
        rows.append(
            {
                "claim": name,
                "statement": claims[name]["statement"],
                "parts": tally(of_claim) or "too little",
                "verdict": Verdict(int(judged["verdict"].sel(claim=name))).name.lower(),
            }
        )
    return rows


def _audit(audited: pd.DataFrame) -> list[dict[str, Any]]:
    told = audited[audited["experiment"].isin(AUDITED)]
    told = told.drop_duplicates("statement")
    columns = ["statement", "description", "experiment", "checked", "median_ratio", "largest_ratio"]
    rows = told[columns].to_dict("records")
    return [
        *({key: None if value != value else value for key, value in row.items()} for row in rows),
        {"statement": "violations", "checked": int(audited["violations"].sum()), "rows": len(audited)},
    ]


def blocks(numbers: Mapping[str, Any]) -> dict[str, str]:
    """The parts of the manual's pages, by their marks."""
    return {
        "plane": _plane_block(numbers["plane"]),
        "certified": _certified_block(numbers["certified"], numbers["plane"]),
        "mnist": _mnist_block(numbers["mnist"]),
        "claims": _claims_block(numbers["claims"]),
        "audit": _audit_block(numbers["audit"]),
        "brackets": _brackets_block(numbers["brackets"]),
        "branches": _branches_block(numbers["branches"]),
    }


def _plane_block(plane: Mapping[str, Any]) -> str:
    return f"""{plane["converged"]:,} of {plane["cells"]:,} networks converged, the worst to a relative
residual of {plane["worst"]:.1e}. The transition follows a line sigma^2 ~ weight decay, and it leaves rank K
by a jump: none of the {plane["layers"]:,} layers has a relative distance between {plane["below"]:.1%} and
{plane["above"]:.0%}."""


def _certified_block(certified: Mapping[str, Any], plane: Mapping[str, Any]) -> str:
    rows = [
        {
            "layers with a relative distance of at most 0.1": f"Figure 1, of {plane['layers']:,}",
            "there are": plane["collapsed"],
            "certified by the measured bound": plane["certified"]["bound_measured"],
            "by the sharpened one": plane["certified"]["bound_projected"],
            "by shuffled labels": plane["shuffled"],
        }
    ]
    for when, of in certified.items():
        name = f"{of['networks']} MNIST networks {when}, of {of['layers']}"
        values = [name, of["collapsed"], of["measured"], of["sharpened"], of["shuffled"]]
        rows.append(dict(zip(rows[0], values, strict=True)))
    tight = plane["tight"]
    sharp = ", ".join(f"{ratio:.2f}" for ratio in plane["sharp"])
    return f"""{table(rows)}

The last layers of the MNIST networks, of rank 10 by their shape, are left out. At a tail of {TIGHT}, which
{tight["there"]:,} layers of Figure 1 meet, the sharpened bound certifies {tight["sharpened"]:,} of them, and
that of shuffled labels {tight["shuffled"]:,}. In the collapsed layers of the plane the distance is in the
median {sharp} of the sharpened bound, layers 1 to 4. The bound along segments certifies
{plane["segments"]:,} of them, the analytic one {plane["analytic"]:,}."""


def _mnist_block(mnist: Mapping[str, Any]) -> str:
    first, *_ = mnist.values()
    rows = []
    for name in (key for key in first if key != "weight decay"):
        for when, of in mnist.items():
            decays = (notation(decay) for decay in of["weight decay"])
            rows.append({"weight decay": f"{name}, {when}", **dict(zip(decays, of[name], strict=True))})
    return table(rows)


def _claims_block(claims: list[dict[str, str]]) -> str:
    counts = {
        verdict: sum(row["verdict"] == verdict for row in claims) for verdict in ("supported", "contradicted")
    }
    rest = len(claims) - sum(counts.values())
    rows = [{**row, "statement": row["statement"].replace("|", r"\|")} for row in claims]
    supported, contradicted = counts["supported"], counts["contradicted"]
    return f"""Of {len(claims)} claims {supported} are supported, {contradicted} contradicted and {rest}
inconclusive:

{table(rows)}"""


def _audit_block(audit: list[dict[str, Any]]) -> str:
    *statements, violations = audit
    rows = [
        {
            "statement": row["statement"],
            "description": row["description"],
            "checked": row["checked"],
            "quantity over bound, median": row["median_ratio"],
            "largest": row["largest_ratio"],
        }
        for row in statements
    ]
    return f"""{violations["checked"]} violations in {violations["rows"]} rows of results/audit.md. Of the
plane of Figure 1 and, where they are about it, of linear networks with the penalty on the product:

{table(rows)}"""


def _brackets_block(brackets: Mapping[str, list[float]]) -> str:
    told = {
        name: f"{median:.0%} wide in the median and {largest:.0%} at most"
        for name, (median, largest) in brackets.items()
    }
    return f"""On the mixture of Figure 1 the bracket is {told["mixture"]}; on MNIST it is {told["mnist"]}
after 200 epochs, {told["mnist_stationary"]} at stationary points."""


def _branches_block(found: Mapping[str, Any]) -> str:
    words = {
        "down_ends": "continued from more noise the network returns to rank K",
        "random_jumps": "from a random start it leaves rank K",
        "overtaken": "continued from less noise it no longer has the lowest objective of the three",
        "crossing": "the objectives of the two sweeps cross",
        "up_ends": "continued from less noise it leaves rank K",
    }
    rows = []
    for name, says in words.items():
        ratio = found["ratios"][name]
        rows.append(
            {
                "noise level over that of the linear forecast": says,
                "mean": f"{ratio['mean']:.3f}",
                "95% interval over seeds": f"{ratio['low']:.3f} to {ratio['high']:.3f}",
                "rows": ratio["count"],
            }
        )
    half, whole = ((10**least, 10**most) for least, most in found["widths"].values())
    return f"""{table(rows)}

On this grid, of steps of {found["step"] - 1:.1%}, the distance goes from a tenth of its range to half of it
within a factor of {half[0]:.2f} to {half[1]:.2f} in the noise level, means of three seeds, and to nine tenths
within {whole[0]:.2f} to {whole[1]:.2f}.

Both branches are in {found["both"]} of {found["cells"]} cells, and in {found["lower"]} of these the network
of rank K has the lower of the two objectives."""


def write(numbers: Mapping[str, Any]) -> None:
    """The JSON file, and the parts of pages."""
    FINDINGS.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    for mark, text in blocks(numbers).items():
        between(PAGES[mark], mark, filled(text))


def main(results: Path, branches_results: Path | None) -> None:
    old = json.loads(FINDINGS.read_text(encoding="utf-8")) if FINDINGS.exists() else {}
    told = branches(branches_results) if branches_results else old.get("branches")
    if told is None:
        raise ValueError("docs/findings.json has no branches yet; give their run by --branches")
    write({**found(results), "branches": told})
    shutil.copyfile(results / "claims.md", PROJECT / "docs/claims.md")
    for picture, name in PICTURES.items():
        for folder in filter(None, (results, branches_results)):
            if (made := folder / "figures" / f"{name}.png").exists():
                shutil.copyfile(made, PROJECT / f"docs/{picture}.png")


if __name__ == "__main__":
    parser = of_a_run("bench.findings", __doc__.partition("\n")[0])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--branches",
        type=Path,
        metavar="FOLDER",
        help="results of workflow/scales/branches.yaml (default: the last)",
    )
    given = parser.parse_args()
    main(given.results, given.branches)
