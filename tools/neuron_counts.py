"""Write parts of docs/explanation/neurons.md: distinct neurons by seed, after a push, by width, with kinks.

python -m tools.neuron_counts     after a run of the desk scale in results/; takes ten minutes of a core
python -m tools.neuron_counts --parts digits      one of the parts seeds, pushes, digits, widths and kinks;
                                                  only widths needs the run
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.stats import kendalltau

import nrc
from nrc.data.mixture import Options, draw
from nrc.data.mnist import CLASSES, read_split
from nrc.data.points import Points
from nrc.data.subsets import balanced_subsets
from nrc.determinism import make_deterministic
from nrc.grid import Value, notation
from nrc.networks.activations import ACTIVATIONS, LEAK
from nrc.theory.neurons import MERGED, Tree, tree
from nrc.theory.ranks import exact_rank, relative_distance
from tools import potential_map
from tools.markdown import between, filled, span, table
from tools.potential_map import CHANGE, objective

PROJECT = Path(__file__).parents[1]
PAGE, RESOURCES = PROJECT / "docs/explanation/neurons.md", PROJECT / "resources/mnist"
PARTS = ("seeds", "pushes", "digits", "widths", "kinks")

# cells of Figure 1, with one data set
CLUSTERS, SIGMAS, DECAY, SEEDS = 5, [0.05, 0.15, 0.16, 0.17, 0.18, 0.2, 0.3], 1e-2, list(range(20))
CELLS: dict[str, Value | list[Value]] = {"weight_decay": DECAY, "width": 20, "depth": 4}
TOLERANCE, EPOCHS = 1e-8, 30_000
# largest relative distance to rank K of the layers of a network that has rank K
NEAR = 0.02
# number of networks from which a correlation is computed
ENOUGH = 10
# norms of random changes of the weights, relative to those of the layers, and the networks that are changed
PUSHED: dict[str, Any] = {"sigma": [0.15, 0.17, 0.2], "seed": SEEDS[:5]}
PUSHES = [0.01, 0.1, 0.5]
# stationary MNIST networks of a run
MNIST, DEPTH = "*_stationary/measures.nc", 4
# networks on one choice of images from several initial weights; 200 epochs of Adam, and then Newton's method
IMAGES, DIGITS = 500, {"weight_decay": 3e-3, "sigma": 0.0, "width": 64, "depth": 4, "seed": [0, 1, 2, 3, 4]}
# seeds and epochs of networks with one hidden layer and an activation that may have kinks
FEW, BUDGET = [0, 1, 2], 5000
# a point is at a kink of a neuron up to this share of the product of their norms
KINK = 1e-3

Array = NDArray[np.float64]


def merged(network: xr.Dataset, layer: int, activation: str = "tanh") -> Tree:
    """The dendrogram of the neurons of a hidden layer of one network."""
    phi = ACTIVATIONS[activation]
    return tree(network[f"W{layer}"].values, phi.odd, phi.homogeneous)


def distinct(network: xr.Dataset, activation: str = "tanh") -> list[int]:
    """Numbers of distinct neurons of the hidden layers of one network."""
    layers = range(1, int(network["depth"]))
    return [int(merged(network, l, activation).groups(MERGED).max(initial=-1)) + 1 for l in layers]


def spread(counts: Sequence[Sequence[int]]) -> str:
    """Smallest and largest numbers of each layer."""
    return ", ".join(span(of_layer) for of_layer in zip(*counts, strict=True))


def blobs() -> Points:
    """The data set of Figure 1 of seed 0, for all networks."""
    return draw(Options(clusters=CLUSTERS, points=200, dimension=20), seed=0)


def by_seed(networks: xr.Dataset) -> str:
    """Rows for each noise level: networks of one data set from several initial weights, by their rank."""
    rows = []
    for sigma in SIGMAS:
        f = objective(networks).sel(sigma=sigma).values
        cells = [networks.sel(sigma=sigma).isel(seed=place) for place in range(len(f))]
        counts = np.array([distinct(cell) for cell in cells])
        near = np.array([max(distances(cell)) <= NEAR for cell in cells])
        for name, some in (("K", near), ("above K", ~near)):
            if some.any():
                enough = some.sum() >= ENOUGH and len(set(counts[some].sum(1))) > 1
                tau = kendalltau(counts[some].sum(1), f[some]) if enough else None
                rows.append(
                    {
                        "sigma": notation(sigma),
                        "rank": name,
                        "networks": int(some.sum()),
                        "distinct neurons": spread(counts[some].tolist()),
                        "objective": f"{f[some].min():.5f} to {f[some].max():.5f}",
                        "different objectives": different(f[some]),
                        "tau": f"{tau.statistic:.2f} ({tau.pvalue:.2g})" if tau else "",
                    }
                )
    return table(rows)


def digits_by_seed() -> str:
    """A row for each of several initial weights: stationary MNIST networks on the same images."""
    images, labels = read_split(RESOURCES, "test")
    chosen, tests = balanced_subsets(labels, [IMAGES, 1000], 0, CLASSES)
    images, labels = images.reshape(len(images), -1) / 255, labels.astype(np.int64)
    points = Points(0, images[chosen], labels[chosen])
    first = nrc.train(
        DIGITS,
        points,
        task="classify",
        method={"name": "adam", "learning_rate": 1e-3, "batch": 100, "schedule": "cosine"},
        epochs=200,
    )
    networks = nrc.train(
        DIGITS, points, task="classify", method="newton", tolerance=TOLERANCE, epochs=5000, warm_start=first
    )
    rows = []
    for seed in DIGITS["seed"]:
        cell = networks.sel(seed=seed)
        outputs = nrc.module(cell, network="mlp")(torch.from_numpy(images[tests])).argmax(1).numpy()
        spectra = [np.linalg.svd(cell[f"W{l}"].values, compute_uv=False) for l in range(1, DEPTH + 1)]
        rows.append(
            {
                "seed": seed,
                "residual": f"{float(cell['relative_residual']):.0e}",
                "distinct neurons": "-".join(map(str, distinct(cell))),
                "exact ranks": "-".join(f"{exact_rank(s):.0f}" for s in spectra),
                "objective": f"{float(objective(networks).sel(seed=seed)):.6f}",
                "loss": f"{float(cell['loss']):.6f}",
                "test accuracy": f"{(outputs == labels[tests]).mean():.1%}",
            }
        )
    return table(rows)


def distances(network: xr.Dataset) -> list[float]:
    """Relative distances to rank K of all layers of one network."""
    weights = [network[f"W{l}"].values for l in range(1, int(network["depth"]) + 1)]
    return [float(relative_distance(np.linalg.svd(w, compute_uv=False), CLUSTERS)) for w in weights]


def different(values: Array) -> int:
    """How many numbers differ by a relative change that counts."""
    ordered = np.sort(values)
    return 1 + int((np.diff(ordered) > CHANGE * ordered[:-1]).sum())


def after_a_push(networks: xr.Dataset) -> str:
    """A row for each size of a random change of all weights, after which training continues."""
    rows, old = [], objective(networks)
    for push in PUSHES:
        rng, start = np.random.default_rng(0), networks.copy(deep=True)
        for l in range(1, int(networks["depth"]) + 1):
            w = networks[f"W{l}"]
            noise = xr.DataArray(rng.standard_normal(w.shape), dims=w.dims)
            norms = [np.sqrt((of**2).sum(w.dims[-2:])) for of in (w, noise)]
            start[f"W{l}"] = (w + push * norms[0] / norms[1] * noise).transpose(*w.dims)
        end = trained(networks, "lbfgs", start)
        change = objective(end) / old - 1
        cells = [{"sigma": sigma, "seed": seed} for sigma in PUSHED["sigma"] for seed in PUSHED["seed"]]
        moved = np.array([float(change.sel(cell)) for cell in cells])
        same_d = np.array([distinct(networks.sel(cell)) == distinct(end.sel(cell)) for cell in cells])
        same = np.abs(moved) <= CHANGE
        rows.append(
            {
                "push": notation(push),
                "networks": len(cells),
                "stationary again": int((end["relative_residual"] <= TOLERANCE).sum()),
                "same objective": int(same.sum()),
                "of these, same numbers of neurons": int((same & same_d).sum()),
                "other objective": int((~same).sum()),
                "of these, same numbers": int((~same & same_d).sum()),
                "lower objective": int((moved < -CHANGE).sum()),
            }
        )
    return table(rows)


def trained(of: Mapping[str, Any], method: str, start: xr.Dataset | None = None) -> xr.Dataset:
    """Stationary networks of some noise levels and seeds, from random weights or from `start`."""
    axes = {"sigma": [float(sigma) for sigma in of["sigma"]], "seed": [int(seed) for seed in of["seed"]]}
    stack = {**CELLS, **axes}
    return nrc.train(stack, blobs(), method=method, tolerance=TOLERANCE, epochs=EPOCHS, warm_start=start)


def by_width(results: Path) -> str:
    """A row for each width: distinct neurons of the hidden layers of stationary MNIST networks of a run."""
    rows: dict[int, dict[str, str]] = {}
    for file in results.glob(MNIST):
        cube = nrc.load(file).squeeze("sigma")
        if DEPTH not in cube["depth"]:
            continue
        counts = cube["distinct_neurons"].sel(depth=DEPTH, layer=list(range(1, DEPTH)))
        for width in cube["width"].values.tolist():
            row = rows[width] = {"width": f"{width}", "seeds": f"{cube.sizes['seed']}"}
            for decay in cube["weight_decay"].values:
                of = counts.sel(width=width, weight_decay=decay).transpose("seed", "layer").astype(int)
                row[f"weight decay {notation(decay)}"] = spread(of.values.tolist())
    return table([rows[width] for width in sorted(rows)])


def with_kinks() -> str:
    """A row for each data set and activation: networks with one hidden layer."""
    rows = []
    for name, points, task, sigma, width, decays in (
        ("two inputs", potential_map.points(), "regress", 0.0, 32, potential_map.DECAYS),
        ("Figure 1", blobs(), "autoencode", 0.15, 20, [1e-2, 2e-2, 5e-2]),
    ):
        x = points.x(sigma)
        y = points.targets(task, x)
        stack = {"weight_decay": [*decays], "sigma": sigma, "width": width, "depth": 2, "seed": [*FEW]}
        for activation in ("tanh", "leaky_relu", "relu"):
            networks = nrc.train(
                stack,
                points,
                task=task,
                network={"activation": activation},
                method="lbfgs",
                tolerance=TOLERANCE,
                epochs=BUDGET,
            )
            cells = [networks.sel(weight_decay=decay, seed=seed) for decay in decays for seed in FEW]
            kinks = [at_kinks(cell, x, y, activation) for cell in cells]
            residuals = networks["relative_residual"].values
            rows.append(
                {
                    "data": name,
                    "activation": activation,
                    "residual": _ends(residuals.ravel()),
                    "residual, sides of kinks chosen": _ends([of[0] for of in kinks]),
                    "points at kinks": f"{100 * np.mean([of[1] for of in kinks]):.1f}%",
                    "width": width,
                    "not at zero": spread([[len(merged(cell, 1, activation).members)] for cell in cells]),
                    "distinct": spread([distinct(cell, activation) for cell in cells]),
                }
            )  # fmt: skip
    return table(rows)


def _ends(values: Any) -> str:
    return f"{np.min(values):.0e} to {np.max(values):.0e}"


def at_kinks(network: xr.Dataset, x: Array, y: Array, activation: str) -> tuple[float, float]:
    """The smallest relative residual if the slope at kinks may have any value between those on their sides.

    Also the share of pairs of a neuron and a point that are at a kink. At a local minimum the residual is 0,
    also where the gradient does not exist.
    """
    w, v, decay = network["W1"].values, network["W2"].values, float(network["weight_decay"])
    t, low = x @ w.T, {"relu": 0.0, "leaky_relu": LEAK}.get(activation)
    z = np.tanh(t) if low is None else np.maximum(t, low * t)
    delta = (z @ v.T - y) / len(x)
    slope = 1 - z**2 if low is None else np.where(t > 0, 1.0, low)
    kink = np.abs(t) <= KINK * np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(w, axis=1)
    kink &= low is not None
    total = ((decay * v + delta.T @ z) ** 2).sum()
    for j, row in enumerate(w):
        pull = (delta @ v[:, j])[:, None] * x
        rest = decay * row + slope[~kink[:, j], j] @ pull[~kink[:, j]]
        free = pull[kink[:, j]]
        total += 2 * lsq_linear(free.T, -rest, bounds=(low, 1)).cost if len(free) else rest @ rest
    return float(np.sqrt(total) / (decay * np.sqrt((w**2).sum() + (v**2).sum()))), float(kink.mean())


def main(results: Path, parts: Sequence[str] = PARTS) -> None:
    make_deterministic()
    of_seeds = cache(lambda: trained({"sigma": SIGMAS, "seed": SEEDS}, "varpro"))
    texts: dict[str, Callable[[], str]] = {
        "seeds": lambda: by_seed(of_seeds()),
        "pushes": lambda: after_a_push(of_seeds().sel(PUSHED)),
        "digits": digits_by_seed,
        "widths": lambda: by_width(results),
        "kinks": with_kinks,
    }
    for mark in parts:
        between(PAGE, mark, filled(texts[mark]()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.neuron_counts", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="results of the desk scale")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="parts of the page")
    main(**vars(parser.parse_args()))
