"""Write docs/large_scale.md: the estimated cost of the large scale.

Some cells of the plane are trained, and the operations of the other experiments are counted. Run
`python -m tools.large_scale` after a run of the desk scale in results/.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bench.engine import minimum
from bench.machine import alone, name, product_rates
from bench.plane import lattice
from bench.problems import PROJECT, Problem, configured, operations
from nrc.determinism import make_deterministic
from nrc.networks.mlp import Architecture
from tools.markdown import filled, table
from workflow.config.load import read_settings

LARGE = "workflow/scales/large.yaml"
SIDE, TOLERANCE = 6, 1e-8
# number of images in the training split of MNIST
IMAGES, PIXELS, CLASSES = 60_000, 784, 10
# peak rates of an H100 SXM in TFLOP/s as stated by NVIDIA, and the share of the peak that is assumed
GPU = {"float64": 67.0, "float32": 67.0, "tf32": 495.0}
SHARE = 0.3


def thinned(axes: Mapping[str, list], epochs: int) -> tuple[Problem, int, float, list[int]]:
    """Train some cells of the plane; return the problem, how many converged, seconds and evaluations."""
    problem = configured("mixture", LARGE, **axes)
    make_deterministic()
    begin = time.process_time()
    theta, evaluations = minimum(problem, TOLERANCE, epochs)
    seconds = time.process_time() - begin
    end = problem.objective.at(theta)
    residuals = problem.objective.relative_residual(theta, end.gradient)
    return problem, int((residuals <= 1.01 * TOLERANCE).sum()), seconds, evaluations.tolist()


def epochs_of(name: str, settings: Mapping[str, Any], results: Path) -> float:
    """Epochs per network: the full budget with mini-batches, otherwise the mean of the desk run."""
    experiment = settings["experiments"][name]
    if experiment["training"]["method"].get("batch"):
        return experiment["training"]["epochs"]
    with xr.open_dataset(results / name / "measures.nc", engine="h5netcdf") as cube:
        return float(cube["evaluations"].mean())


def classifiers(settings: Mapping[str, Any], results: Path, rate: float) -> list[dict[str, Any]]:
    """Rows of the table for experiments on images."""
    rows = []
    for title, experiment in settings["experiments"].items():
        grid = experiment["grid"]
        if experiment["data"] != "digits":
            continue
        epochs, total, networks = epochs_of(title, settings, results), 0.0, 0
        each = len(grid["weight_decay"]) * len(grid["seed"])
        for width in grid["width"]:
            for depth in grid["depth"]:
                sizes = (PIXELS, *[width] * (depth - 1), CLASSES)
                total += each * epochs * operations(Architecture(sizes).shapes, IMAGES)
                networks += each
        precision = experiment["training"]["precision"]
        # newton computes nearly all of its products in float32
        unit = GPU["float32" if precision == "float64" else precision]
        rows.append(_row(title, networks, epochs, total, 2 * rate, unit))
    return rows


def _row(name: str, networks: int, epochs: float, total: float, rate: float, gpu: float) -> dict[str, Any]:
    return {
        "experiment": name,
        "networks": networks,
        "epochs per network": round(epochs),
        "operations": f"{total:.1e}",
        "hours of one core here": total / rate / 3600,
        "hours of a GPU": total / (SHARE * gpu * 1e12) / 3600,
    }


def main(results: Path) -> None:
    settings = read_settings([PROJECT / "config.yaml", PROJECT / LARGE])
    chosen = settings["experiments"]["mixture"]
    grid = chosen["grid"]
    axes = {axis: lattice(grid[axis], SIDE) for axis in ("weight_decay", "sigma")}
    problem, stationary, seconds, evaluations = alone(thinned, axes, chosen["training"]["epochs"])
    rate = problem.operations * sum(evaluations) / seconds
    peak = max(alone(product_rates, 1).values())
    cells = int(np.prod([len(values) for values in grid.values()]))
    mean = sum(evaluations) / len(evaluations)
    plane = _row("mixture", cells, mean, problem.operations * mean * cells, rate, GPU["float64"])
    page = f"""# The cost of the large scale

The large scale, `{LARGE}`, is a choice of this project for one GPU. The paper does not state its numbers of
images and epochs.

`python -m tools.large_scale` wrote this page after a run of the desk scale, on {name()}

Of the plane of `workflow/scales/large.yaml`, {SIDE} x {SIDE} of the {len(grid["weight_decay"])} x
{len(grid["sigma"])} cells were trained with seed 0 (d = width = {grid["width"][0]}, N =
{len(problem.points.labels)}, depth {grid["depth"][0]}). {stationary} of {len(evaluations)} cells reach a
relative residual of {TOLERANCE:.0e}. This takes {sum(evaluations):,} evaluations ({min(evaluations):,} to
{max(evaluations):,} per cell) and {seconds:.0f} s of one core, that is
{1e6 * seconds / sum(evaluations):,.0f} us per evaluation including the work of the method, at
{100 * rate / peak:.0f}% of the rate of the core for products.

The table is an estimate. It counts the operations of matrix products alone, as docs/bench.md does, with the
number of epochs of the cells above and of the desk run (with mini-batches, the full budget). The hours of
one core assume the rate of the cells above, and twice this rate in float32. The hours of a GPU assume
{100 * SHARE:.0f}% of the rate that NVIDIA states for an H100 ({GPU["float64"]:.0f} TFLOP/s in float64 and
float32, {GPU["tf32"]:.0f} in tf32). No GPU was available to check this, and small networks reach a smaller
share. Linear networks train on as many points as they have features, and cost minutes.

{table([plane, *classifiers(settings, results, rate)])}
"""
    (PROJECT / "docs/large_scale.md").write_text(filled(page), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.large_scale", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="results of the desk scale")
    main(parser.parse_args().results)
