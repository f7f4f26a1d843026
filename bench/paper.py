"""What the paper's scale costs: a thinned plane of it, trained, and operations counted for the rest.

python -m bench.paper         writes docs/paper_scale.md, after a run of the desk scale in results/
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bench.engine import minimum
from bench.machine import alone, name, product_rates
from bench.page import filled, table
from bench.plane import lattice
from bench.problems import PROJECT, Problem, configured, operations
from bench.rules import of_a_run
from nrc.determinism import make_deterministic
from nrc.networks.mlp import Architecture
from workflow.config.load import read_settings

PAPER = "workflow/scales/paper.yaml"
SIDE, TOLERANCE = 6, 1e-8
# images of MNIST's training split
IMAGES, PIXELS, CLASSES = 60_000, 784, 10
# a data-centre GPU, NVIDIA's figures for an H100 SXM in TFLOP/s, and the share of them that is assumed
GPU = {"float64": 67.0, "float32": 67.0, "tf32": 495.0}
SHARE = 0.3


def thinned(axes: Mapping[str, list], epochs: int) -> tuple[Problem, int, float, list[int]]:
    """Some cells of the plane, seed 0: the problem, how many are stationary, seconds, evaluations."""
    problem = configured("mixture", PAPER, **axes)
    make_deterministic()
    begin = time.process_time()
    theta, evaluations = minimum(problem, TOLERANCE, epochs)
    seconds = time.process_time() - begin
    end = problem.objective.at(theta)
    residuals = problem.objective.relative_residual(theta, end.gradient)
    return problem, int((residuals <= 1.01 * TOLERANCE).sum()), seconds, evaluations.tolist()


def passes_of(name: str, settings: Mapping[str, Any], results: Path) -> float:
    """Passes of a network: the whole budget in mini-batches, else the mean of the desk run."""
    experiment = settings["experiments"][name]
    if experiment["training"]["method"].get("batch"):
        return experiment["training"]["epochs"]
    with xr.open_dataset(results / name / "measures.nc", engine="h5netcdf") as cube:
        return float(cube["evaluations"].mean())


def classifiers(settings: Mapping[str, Any], results: Path, rate: float) -> list[dict[str, Any]]:
    """Rows of the experiments on images."""
    rows = []
    for title, experiment in settings["experiments"].items():
        grid = experiment["grid"]
        if experiment["data"] != "digits":
            continue
        epochs, total, networks = passes_of(title, settings, results), 0.0, 0
        each = len(grid["weight_decay"]) * len(grid["seed"])
        for width in grid["width"]:
            for depth in grid["depth"]:
                sizes = (PIXELS, *[width] * (depth - 1), CLASSES)
                total += each * epochs * operations(Architecture(sizes).shapes, IMAGES)
                networks += each
        precision = experiment["training"]["precision"]
        # newton computes nearly all its products in float32
        unit = GPU["float32" if precision == "float64" else precision]
        rows.append(_row(title, networks, epochs, total, 2 * rate, unit))
    return rows


def _row(name: str, networks: int, epochs: float, total: float, rate: float, gpu: float) -> dict[str, Any]:
    return {
        "experiment": name,
        "networks": networks,
        "epochs a network": round(epochs),
        "operations": f"{total:.1e}",
        "here, hours of one core": total / rate / 3600,
        "on a GPU, hours": total / (SHARE * gpu * 1e12) / 3600,
    }


def main(results: Path) -> None:
    settings = read_settings([PROJECT / "config.yaml", PROJECT / PAPER])
    chosen = settings["experiments"]["mixture"]
    grid = chosen["grid"]
    axes = {axis: lattice(grid[axis], SIDE) for axis in ("weight_decay", "sigma")}
    problem, stationary, seconds, evaluations = alone(thinned, axes, chosen["training"]["epochs"])
    rate = problem.operations * sum(evaluations) / seconds
    peak = max(alone(product_rates, 1).values())
    cells = int(np.prod([len(values) for values in grid.values()]))
    mean = sum(evaluations) / len(evaluations)
    plane = _row("mixture", cells, mean, problem.operations * mean * cells, rate, GPU["float64"])
    page = f"""# What the paper's scale costs

Written by `python -m bench.paper` after a run of the desk scale, on {name()}

The plane of `workflow/scales/paper.yaml`, thinned: {SIDE} x {SIDE} of its {len(grid["weight_decay"])} x
{len(grid["sigma"])} cells, seed 0 (d = width = {grid["width"][0]}, N = {len(problem.points.labels)},
depth {grid["depth"][0]}). {stationary} of {len(evaluations)} cells reach a relative residual of
{TOLERANCE:.0e}, in {sum(evaluations):,} evaluations ({min(evaluations):,} to {max(evaluations):,} a cell)
and {seconds:.0f} s of one core: {1e6 * seconds / sum(evaluations):,.0f} us an evaluation with all that the
method does, {100 * rate / peak:.0f}% of the core's rate for products.

What follows is estimated: operations of the products alone, counted as in docs/bench.md, with the epochs of
the thinned plane and of the desk run (in mini-batches the whole budget). Hours of one core are at the rate
of the thinned plane, twice that in float32; hours of a GPU at {100 * SHARE:.0f}% of what NVIDIA states for an
H100 ({GPU["float64"]:.0f} TFLOP/s in float64 and float32, {GPU["tf32"]:.0f} in tf32): none was at hand, and
small networks do worse. Linear networks train on as many points as they have features and cost minutes.

{table([plane, *classifiers(settings, results, rate)])}
"""
    (PROJECT / "docs/paper_scale.md").write_text(filled(page), encoding="utf-8")


if __name__ == "__main__":
    main(**vars(of_a_run("bench.paper", __doc__).parse_args()))
