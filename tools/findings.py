"""Write the numbers and pictures of the documentation from a finished run.

python -m tools.findings      after `make`: writes docs/findings.json, docs/claims.md, the pictures in docs/,
                              and the parts of pages between <!-- marks -->
python -m tools.findings --branches FOLDER/results      also with a run of workflow/scales/branches.yaml
python -m tools.findings --fresh FOLDER/results         also with a run of workflow/scales/fresh_seeds.yaml
"""

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from nrc import netcdf
from nrc.audit import STATEMENTS
from nrc.claims.judge import Verdict, tally
from nrc.claims.options import SOURCES
from nrc.figures import branches as branch_figure
from nrc.figures import plane, sweeps
from nrc.figures.cube import relative_bound
from nrc.grid import notation
from nrc.status import flag_masks
from tools import permuted
from tools.markdown import between, filled, span, table

__all__ = ["FINDINGS", "PAGES", "blocks", "branches", "found", "verdicts"]

PROJECT = Path(__file__).parents[1]
FINDINGS = PROJECT / "docs/findings.json"
# the page of each marked part
PAGES = {
    mark: PROJECT / f"docs/explanation/{page}.md"
    for mark, page in {
        "plane": "plane",
        "certified": "bounds",
        "mnist": "mnist",
        "claims": "verdicts",
        "audit": "bounds",
        "brackets": "bounds",
        "zeros": "numbers",
        "branches": "branches",
        "neurons": "neurons",
    }.items()
}
# pictures in docs/, with their names in results/figures
PICTURES = {
    "figure1": "figure1",
    "figure1_neurons": "figure1_neurons",
    "figure2": "figure2",
    "forecast": "forecast",
    "figure3": "figure3",
    "figure3_stationary": "figure3_stationary",
    "figure4": "figure4",
    "figure4_stationary": "figure4_stationary",
    "figure5": "figure5",
    "figure5_stationary": "figure5_stationary",
    "rate": "rate",
    "certified": "certified_mnist_stationary",
    "certified_neurons": "certified_neurons",
    "neurons": "neurons",
    "neurons_width": "neurons_width",
    "hysteresis": "hysteresis",
    "branches": "branches",
}
# the two groups of MNIST networks
GROUPS = {"after 200 epochs": "mnist", "at stationary points": "mnist_stationary"}
# networks and decades of the histogram of singular values
ZEROS = ("mixture", "mnist_stationary")
DECADES = [0, *(10.0**power for power in range(-12, 1))]
AUDITED = ("mixture", "linear_product")
# networks of the table of distinct neurons, and ends of the ranges of angles between neurons
NEURONS = {
    "Figure 1": ["mixture"],
    "MNIST after 200 epochs": ["mnist", "width", "depth"],
    "MNIST at stationary points": ["mnist_stationary", "width_stationary", "depth_stationary"],
}
ANGLES = (1e-5, 1e-3, 1e-1)
COLLAPSED = 0.1
# relative distance of all collapsed layers of Figure 1
TIGHT = 0.02
# bounds of the table of certified layers: a word for each, and its variable
BOUNDS = {"measured": "bound_measured", "projected": "bound_projected", "permuted": "bound_permuted"}


def found(results: Path) -> dict[str, Any]:
    """All numbers that the documentation takes from a run of the desk scale."""

    def cube(name: str) -> xr.Dataset:
        return netcdf.load(results / name / "measures.nc")

    return {
        "plane": {
            **_plane(cube("mixture")),
            "permutations": permuted.certified_layers(results, ["mixture"], COLLAPSED),
        },
        "certified": {
            when: _certified([cube(f"{name}{suffix}") for name in ("mnist", "width", "depth")])
            for when, suffix in (("after 200 epochs", ""), ("at stationary points", "_stationary"))
        },
        "mnist": {when: _mnist(cube(name)) for when, name in GROUPS.items()},
        "brackets": {name: _bracket(cube(name)) for name in ("mixture", "mnist", "mnist_stationary")},
        "zeros": {name: _decades(cube(name)) for name in ZEROS},
        "neurons": neurons(
            {name: [cube(one) for one in experiments] for name, experiments in NEURONS.items()}
        ),
        "claims": verdicts(results),
        "audit": _audit(pd.read_csv(results / "audit.csv")),
    }


def branches(results: Path) -> dict[str, Any]:
    """Numbers of a run of workflow/scales/branches.yaml."""
    names = {"random start": "random_start", "sweep up": "sweep_up", "sweep down": "sweep_down"}
    cubes = {title: netcdf.load(results / name / "measures.nc") for title, name in names.items()}
    options = branch_figure.Options(of=names, apart=COLLAPSED)
    facts, cells = branch_figure.summary(cubes, options), sweeps.load(cubes, options)
    up, down = cells.sel(start=sweeps.UP), cells.sel(start=sweeps.DOWN)
    both = sweeps.rivals(cells, COLLAPSED).sel(start=sweeps.DOWN) & ~up["saddles"] & ~down["saddles"]
    return {
        **{name: facts[name] for name in ("cells", "both", "lower", "step", "ratios")},
        "without saddles": [int(both.sum()), int((both & (up["objective"] < down["objective"])).sum())],
        "ends": {start: _ends(cube, facts["layer"]) for start, cube in cubes.items()},
    }


def _ends(cube: xr.Dataset, layer: int) -> dict[str, dict[str, float]]:
    """End points of rank K and of higher rank: numbers of each kind, and smallest curvature over lambda."""
    distance, kinds = cube["relative_distance"].sel(layer=layer), flag_masks(cube["extremum"])
    curvature = cube["curvature"] / cube["weight_decay"]
    low = distance <= COLLAPSED
    return {
        rank: {
            **{kind: int((mask & here).sum()) for kind, mask in kinds.items()},
            "smallest": float(curvature.where(here).min()),
        }
        for rank, here in (("rank K", low), ("higher rank", ~low & distance.notnull()))
    }


def _plane(cube: xr.Dataset) -> dict[str, Any]:
    facts = plane.summary({"mixture": cube}, plane.Options(of=["mixture"], certified=COLLAPSED))
    certified = {
        name: int((relative_bound(cube, f"bound_{name}") <= COLLAPSED).sum())
        for name in ("permuted", "segments", "analytic")
    }
    distance = cube["relative_distance"]
    tight = {
        "layers": distance,
        "projected": relative_bound(cube, "bound_projected"),
        "permuted": relative_bound(cube, "bound_permuted"),
    }
    low = distance.where(distance < 0.3).max()
    ratio = cube["distance"] / cube["bound_projected"].min("source")
    collapsed = (cube["relative_distance"] <= COLLAPSED) & (cube["distance"] > 1e-9)
    medians = ratio.where(collapsed).median([dim for dim in ratio.dims if dim != "layer"])
    return {
        **certified,
        **{name: facts[name] for name in ("cells", "converged", "layers", "collapsed", "certified")},
        "tight": {name: int((values <= TIGHT).sum()) for name, values in tight.items()},
        "analytic below the norm": int((relative_bound(cube, "bound_analytic") < 1).sum()),
        "worst": float(cube["relative_residual"].max()),
        "below": float(low),
        "above": float(distance.where(distance >= 0.3).min()),
        "sharp": medians.values.tolist(),
    }


def _certified(cubes: Sequence[xr.Dataset]) -> dict[str, int]:
    """Numbers of networks, of layers, of layers with low rank, and of layers that each bound certifies."""
    counts = dict.fromkeys(("networks", "layers", "collapsed", *BOUNDS), 0)
    for cube in cubes:
        # the last layer has rank K because of its shape
        distance = cube["relative_distance"].where(cube["layer"] < cube["depth"])
        counts["networks"] += int(cube["status"].count())
        counts["layers"] += int(distance.count())
        counts["collapsed"] += int((distance <= COLLAPSED).sum())
        for name, variable in BOUNDS.items():
            relative = relative_bound(cube, variable).where(distance.notnull())
            counts[name] += int((relative <= COLLAPSED).sum())
    return counts


def _mnist(cube: xr.Dataset) -> dict[str, list[float]]:
    """Medians over seeds, for each weight decay.

    NC1 is left out at stationary points, where the threshold of its directions decides its value.
    """
    tail = cube["relative_tail"].reindex(index=[cube.attrs["clusters"]]).squeeze("index")
    last = int(cube["depth"].item()) - 1
    quantities = {
        "relative tail beyond rank 10, middle layers": tail.sel(layer=slice(2, last)).mean("layer"),
        "relative tail beyond rank 10, layer 1": tail.sel(layer=1),
        "class WCSS, last hidden space": cube["wcss_class"].sel(source=last),
    }
    if cube.attrs["experiment"] == GROUPS["after 200 epochs"]:
        quantities["NC1, last hidden space"] = cube["nc1"].sel(source=last)
    return {
        name: [float(median) for median in values.median("seed").squeeze(drop=True)]
        for name, values in quantities.items()
    } | {"weight decay": cube["weight_decay"].values.tolist()}


def _bracket(cube: xr.Dataset) -> list[float]:
    """Median and largest width of the bracket of the TCV, relative to its upper end."""
    width = 1 - cube["tcv_lower"] / cube["tcv_upper"]
    return [float(width.median()), float(width.max())]


def _decades(cube: xr.Dataset) -> list[int]:
    """Number of singular values in each decade of `DECADES` relative to the largest of their layer."""
    s = cube["singular_values"]
    share = (s / s.isel(index=0)).values
    return [int(((share > low) & (share <= high)).sum()) for low, high in pairwise(DECADES)]


def neurons(groups: Mapping[str, Sequence[xr.Dataset]]) -> dict[str, Any]:
    """Numbers of the page on merged neurons, for groups of experiments.

    Collapsed layers of Figure 1 are counted by themselves.
    """
    numbers = {}
    for name, cubes in groups.items():
        distances = [cube["relative_distance"] for cube in cubes]
        if name == "Figure 1":
            for part, masks in (
                ("collapsed layers", [distance <= COLLAPSED for distance in distances]),
                ("other layers", [distance > COLLAPSED for distance in distances]),
            ):
                numbers[f"{name}, {part}"] = _neurons(cubes, masks)
        else:
            numbers[name] = _neurons(cubes, [distance.notnull() for distance in distances])
    return numbers


def _neurons(cubes: Sequence[xr.Dataset], masks: Sequence[xr.DataArray]) -> dict[str, Any]:
    """Numbers of some layers of some experiments."""

    def values(find: Callable[[xr.Dataset], xr.DataArray]) -> NDArray[np.float64]:
        found = [find(cube).where(mask).values.ravel() for cube, mask in zip(cubes, masks, strict=True)]
        flat = np.concatenate(found)
        finite: NDArray[np.float64] = flat[np.isfinite(flat)]
        return finite

    def bound(name: str) -> list[float]:
        """Minimum, median and maximum at as many groups as the layer before has distinct neurons."""
        return _spread(
            values(
                lambda cube: (
                    cube[name].where(cube["index"] == cube["distinct_neurons"].shift(layer=1)).max("index")
                )
            )
        )

    angles = sum(
        cube["neuron_angles"].where(mask).sum([dim for dim in cube["neuron_angles"].dims if dim != "decade"])
        for cube, mask in zip(cubes, masks, strict=True)
    )
    assert isinstance(angles, xr.DataArray)
    ends = [-np.inf, *np.log10(ANGLES).round(), np.inf]
    excess = values(lambda cube: cube["exact_rank"] - cube["neuron_rank"])
    tested = values(lambda cube: cube["merged_groups"].where(cube["groups_at_maxima"].notnull()))
    return {
        "networks": sum(int(cube["status"].count()) for cube in cubes),
        "layers": len(excess),
        "equal": int((excess == 0).sum()),
        "gradient": float(values(lambda cube: cube["potential_gradient"]).max(initial=0)),
        "groups": int(tested.sum()),
        "at maxima": int(values(lambda cube: cube["groups_at_maxima"]).sum()),
        "bound": bound("neuron_bound"),
        "random": bound("neuron_bound_random"),
        "angles": [
            int(angles.where((angles["decade"] >= low) & (angles["decade"] < high)).sum())
            for low, high in pairwise(ends)
        ],
    }


def _spread(values: NDArray[np.float64]) -> list[float]:
    return [float(values.min()), float(np.median(values)), float(values.max())] if len(values) else []


def verdicts(results: Path) -> dict[str, Any]:
    """Verdicts on all claims, and the seeds that they are on."""
    judged, parts = netcdf.load(results / "claims.nc"), pd.read_csv(results / "claims.csv")
    claims, rows = json.loads(judged.attrs["settings"])["claims"], []
    for name in map(str, judged["claim"].values):
        rows.append(
            {
                "claim": name,
                **{key: claims[name][key] for key in ("source", "section", "statement")},
                "parts": tally(parts[(parts["claim"] == name) & parts["counts"]]["verdict"]),
                "verdict": Verdict(int(judged["verdict"].sel(claim=name))).name.lower(),
            }
        )
    return {"seeds": judged["seed"].values.tolist(), "claims": rows}


def _audit(audited: pd.DataFrame) -> list[dict[str, Any]]:
    shown = audited[audited["experiment"].isin(AUDITED)].drop_duplicates("statement")
    ratios = ["median_ratio", "largest_ratio"]
    columns = ["statement", "description", "experiment", "checked", "violations", *ratios]
    rows = shown[columns].to_dict("records")
    observed = audited["statement"].isin([of.name for of in STATEMENTS if of.observed])
    proved = audited[~observed & (audited["checked"] > 0)]
    return [
        *({key: None if value != value else value for key, value in row.items()} for row in rows),
        {"statement": "violations", "checked": int(proved["violations"].sum()), "rows": len(proved)},
    ]


def blocks(numbers: Mapping[str, Any]) -> dict[str, str]:
    """The marked parts of pages, by their marks."""
    return {
        "plane": _plane_block(numbers["plane"]),
        "certified": _certified_block(numbers["certified"], numbers["plane"]),
        "mnist": _mnist_block(numbers["mnist"]),
        "claims": _claims_block(numbers["claims"], numbers.get("fresh")),
        "audit": _audit_block(numbers["audit"]),
        "brackets": _brackets_block(numbers["brackets"]),
        "zeros": _zeros_block(numbers["zeros"]),
        "branches": _branches_block(numbers["branches"]),
        "neurons": _neurons_block(numbers["neurons"]),
    }


def _plane_block(plane: Mapping[str, Any]) -> str:
    return f"""{plane["converged"]:,} of {plane["cells"]:,} networks converged; the largest relative residual
is {plane["worst"]:.1e}. At the transition, the layers jump away from rank K: none of the
{plane["layers"]:,} layers has a relative distance between {plane["below"]:.1%} and {plane["above"]:.0%}."""


def _certified_block(certified: Mapping[str, Any], plane: Mapping[str, Any]) -> str:
    rows = [
        {
            "networks": "Figure 1",
            "layers": plane["layers"],
            "with a relative distance of at most 0.1": plane["collapsed"],
            "certified by the measured bound": plane["certified"]["bound_measured"],
            "by the projected bound": plane["certified"]["bound_projected"],
            "by the projected bound with permuted labels": plane["permuted"],
        }
    ]
    for when, counts in certified.items():
        name = f"{counts['networks']} MNIST networks {when}"
        values = [name, *(counts[key] for key in ("layers", "collapsed", *BOUNDS))]
        rows.append(dict(zip(rows[0], values, strict=True)))
    tight, permutations = plane["tight"], plane["permutations"]
    sharp = ", ".join(f"{ratio:.2f}" for ratio in plane["sharp"])
    return f"""{table(rows)}

The last layers of the MNIST networks are not counted, because their shape gives them rank 10. In Figure 1,
{tight["layers"]:,} layers have a relative distance of at most {TIGHT}; for that distance the projected bound
certifies {tight["projected"]:,} of them, and with permuted labels {tight["permuted"]:,}. With
{len(permutations["measured"])} other permutations of the labels, the measured bound certifies
{span(permutations["measured"])} layers of Figure 1, and the projected bound
{span(permutations["projected"])}. The median ratio of the distance to the projected bound in the
collapsed layers of Figure 1 is {sharp} for layers 1 to 4. The bound along segments certifies
{plane["segments"]:,} of these layers, and the analytic bound {plane["analytic"]:,}; the analytic bound
is below the norm of the layer in {plane["analytic below the norm"]:,} of the {plane["layers"]:,} layers."""


def _mnist_block(mnist: Mapping[str, Any]) -> str:
    first, *_ = mnist.values()
    rows = []
    for name in (key for key in first if key != "weight decay"):
        for when, medians in ((when, medians) for when, medians in mnist.items() if name in medians):
            decays = (notation(decay) for decay in medians["weight decay"])
            rows.append({"weight decay": f"{name}, {when}", **dict(zip(decays, medians[name], strict=True))})
    return table(rows)


def _claims_block(first: Mapping[str, Any], fresh: Mapping[str, Any] | None) -> str:
    """A table of each source, with the verdicts on the first seeds beside those on fresh seeds."""
    runs = [first, fresh] if fresh else [first]
    decided = {f"on seeds {_in_words(run['seeds'])}": _by_name(run) for run in runs}
    tables = []
    for source, title in SOURCES.items():
        claims = [claim for claim in first["claims"] if claim["source"] == source]
        if not claims:
            continue
        rows = [
            {
                "claim": claim["claim"],
                "statement": claim["statement"].replace("|", r"\|"),
                **({"section": claim["section"]} if source == "paper" else {}),
                **{seeds: found.get(claim["claim"], "not judged") for seeds, found in decided.items()},
            }
            for claim in claims
        ]
        tables.append(f"**{title}**\n\n{table(rows)}")
    counts = " ".join(
        f"Of {len(_of_paper(run))} tests of sentences of the paper, {tally(_of_paper(run))} {seeds}."
        for seeds, run in zip(decided, runs, strict=True)
    )
    return "\n\n".join([counts, *tables])


def _of_paper(run: Mapping[str, Any]) -> list[str]:
    return [row["verdict"] for row in run["claims"] if row["source"] == "paper"]


def _by_name(run: Mapping[str, Any]) -> dict[str, str]:
    """The verdict on each claim, with those on its parts."""
    return {row["claim"]: f"{row['verdict']} ({row['parts'] or 'too few networks'})" for row in run["claims"]}


def _in_words(seeds: Sequence[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 2 else " and ".join(map(str, seeds))


def _claims_page(results: Path) -> str:
    """All parts of the claims of a run, with its seeds in the title."""
    page = (results / "claims.md").read_text(encoding="utf-8")
    return page.replace("# Claims", f"# Claims on seeds {_in_words(verdicts(results)['seeds'])}", 1)


def _audit_block(audit: list[dict[str, Any]]) -> str:
    *statements, violations = audit
    rows = [
        {
            "statement": row["statement"],
            "description": row["description"],
            "checked": row["checked"],
            "exceptions": row["violations"],
            "quantity over bound, median": row["median_ratio"],
            "largest": row["largest_ratio"],
        }
        for row in statements
    ]
    violated = violations["checked"]
    return f"""`results/audit.md` has {violations["rows"]} rows of theorems, with {violated} violations in
total. In its other rows, about (c) and (f) of merged neurons, exceptions are counted, because these hold up
to rounding or at minima only. The table shows the rows of the networks of Figure 1, and the rows of linear
networks with the penalty on the product for statements about these:

{table(rows)}"""


def _brackets_block(brackets: Mapping[str, list[float]]) -> str:
    widths = {
        name: f"{median:.0%} (median) and at most {largest:.0%}"
        for name, (median, largest) in brackets.items()
    }
    return f"""Relative to its upper end, the width of the bracket is {widths["mixture"]} on the mixture of
Figure 1. On MNIST it is {widths["mnist"]} after 200 epochs, and {widths["mnist_stationary"]} at stationary
points."""


def _zeros_block(counts: Mapping[str, list[int]]) -> str:
    titles = {"mixture": "Figure 1", "mnist_stationary": "stationary MNIST networks"}
    rows = [
        {
            "share of the largest": f"{low:.0e} to {high:.0e}" if low else f"up to {high:.0e}",
            **{titles[name]: of_decade[place] for name, of_decade in counts.items()},
        }
        for place, (low, high) in enumerate(pairwise(DECADES))
    ]
    return table(rows)


def _branches_block(found: Mapping[str, Any]) -> str:
    events = {
        "down_ends": "the sweep down returns to rank K",
        "random_jumps": "networks from a random start leave rank K",
        "overtaken": "a network of higher rank has a lower objective than the sweep up",
        "crossing": "the objectives of the two sweeps cross",
        "up_ends": "the sweep up leaves rank K",
    }
    rows = []
    for name, event in events.items():
        ratio = found["ratios"][name]
        rows.append(
            {
                "event": event,
                "noise level over the forecast, mean": f"{ratio['mean']:.3f}",
                "95% interval over seeds": f"{ratio['low']:.3f} to {ratio['high']:.3f}",
                "rows of the plane": ratio["count"],
            }
        )
    ends = [
        {
            "end points of": start,
            "rank": rank,
            "minima": of["minimum"],
            "saddles": of["saddle"],
            "undetermined": of["undetermined"],
            "smallest eigenvalue over weight decay": f"{of['smallest']:.2g}",
        }
        for start, by_rank in found["ends"].items()
        for rank, of in by_rank.items()
    ]
    return f"""{table(rows)}

The grid has steps of {found["step"] - 1:.1%} in the noise level.

{table(ends)}

Both branches exist in {found["both"]} of {found["cells"]} cells. In {found["lower"]} of these, the network of
rank K has the lower objective. Without cells in which one of the two is a saddle, these numbers are
{found["without saddles"][0]} and {found["without saddles"][1]}."""


def _neurons_block(found: Mapping[str, Any]) -> str:
    tables: dict[str, list[dict[str, Any]]] = {"layers": [], "bounds": [], "angles": []}
    for name, of in found.items():
        tables["layers"].append(
            {
                "layers of": f"{name}, {of['networks']:,} networks",
                "layers": of["layers"],
                "rank = smaller number of distinct neurons": of["equal"],
                "largest relative gradient": of["gradient"],
                "groups": of["groups"],
                "at local maxima": of["at maxima"],
            }
        )
        row: dict[str, Any] = {"layers of": name}
        for key, title in (("bound", "groups of equal neurons"), ("random", "random groups")):
            row[f"{title}, median"] = of[key][1] if of[key] else None
            row[f"{title}, range"] = f"{of[key][0]:.1e} to {of[key][2]:.1e}" if of[key] else ""
        tables["bounds"].append(row)
        ends = [f"up to {ANGLES[0]:g}", *(f"{low:g} to {high:g}" for low, high in pairwise(ANGLES))]
        titles = [*ends, f"above {ANGLES[-1]:g}"]
        tables["angles"].append({"layers of": name, **dict(zip(titles, of["angles"], strict=True))})
    return f"""{table(tables["layers"])}

Gradients are those of the potential at the neurons, over their norms. Groups are of two or more equal
neurons, in networks whose relative gradients are at most 1e-3; they are at a local maximum if the largest
eigenvalue of the Hessian of the potential is negative.

Bound (b) on the distance to rank d, over the norm of the layer, with d the number of distinct neurons before
the layer, is:

{table(tables["bounds"])}

These are the numbers of pairs of neurons by the angle between them in radians:

{table(tables["angles"])}"""


def write(numbers: Mapping[str, Any]) -> None:
    """Write the JSON file and the marked parts of pages."""
    FINDINGS.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    for mark, text in blocks(numbers).items():
        between(PAGES[mark], mark, filled(text))


def main(results: Path, branches_results: Path | None, fresh_results: Path | None) -> None:
    old = json.loads(FINDINGS.read_text(encoding="utf-8")) if FINDINGS.exists() else {}
    of_branches = branches(branches_results) if branches_results else old.get("branches")
    if of_branches is None:
        raise ValueError("docs/findings.json has no numbers of branches.yaml; pass its results by --branches")
    of_fresh = verdicts(fresh_results) if fresh_results else old.get("fresh")
    write({**found(results), "branches": of_branches, "fresh": of_fresh})
    for name, folder in (("claims", results), ("claims_fresh", fresh_results)):
        if folder:
            (PROJECT / f"docs/{name}.md").write_text(_claims_page(folder), encoding="utf-8")
    for picture, name in PICTURES.items():
        for folder in filter(None, (results, branches_results)):
            if (file := folder / "figures" / f"{name}.png").exists():
                shutil.copyfile(file, PROJECT / f"docs/{picture}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tools.findings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="results of the desk scale")
    for option, scale in (("--branches", "branches"), ("--fresh", "fresh_seeds")):
        parser.add_argument(
            option,
            type=Path,
            metavar="FOLDER",
            help=f"results of workflow/scales/{scale}.yaml (default: keep the numbers in docs/findings.json)",
        )
    given = parser.parse_args()
    main(given.results, given.branches, given.fresh)
