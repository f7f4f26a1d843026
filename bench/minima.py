"""Which minima variable projection ends in, beside plain L-BFGS and a mere change of rounding.

python -m bench.minima        writes docs/minima.md; ten minutes on two cores
"""

from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray

from bench.machine import name
from bench.page import filled, table
from bench.problems import PROJECT, configured
from nrc.determinism import make_deterministic
from nrc.optimize import build
from nrc.optimize.minimise import minimise
from nrc.optimize.protocols import RunInfo

SEEDS = [0, 1, 2]
SIDE, TOLERANCE, PASSES = 10, 1e-8, 100_000
# singular values above these shares of the largest count for the rank
COUNTS = (1e-1, 1e-3)
# relative change of the initial weights that stands for a change of rounding
ROUNDING = 1e-15
LBFGS = {"name": "lbfgs", "history": 10}
WAYS = {
    "plain L-BFGS": (LBFGS, 0.0),
    "plain L-BFGS, initial weights changed by 1e-15": (LBFGS, ROUNDING),
    **{
        f"variable projection after {plain:,} plain epochs": (
            {"name": "varpro", "plain": plain, "history": 5},
            0.0,
        )
        for plain in (0, 100, 1000)
    },
}

Ends = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], int]


def ends(way: str, seed: int) -> Ends:
    """Singular values (cells, layers, index), losses, who is stationary, and all evaluations."""
    make_deterministic()
    method, change = WAYS[way]
    options = dict(method)
    axes = {"weight_decay": np.geomspace(2e-3, 1e-1, SIDE), "sigma": np.geomspace(0.03, 1, SIDE)}
    problem = configured("mixture", **{axis: values.tolist() for axis, values in axes.items()}, seed=seed)
    loss, start = problem.objective, problem.start()
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=tuple(start.shape))
    start = start * (1 + change * torch.from_numpy(signs))
    phases = build(options.pop("name"), options, RunInfo(PASSES, [seed] * len(start), TOLERANCE))
    end = minimise(loss, start, phases, tolerance=TOLERANCE, epochs=PASSES)
    weights = torch.stack(loss.network(end.point.theta).weights, dim=1)
    return (
        torch.linalg.svdvals(weights).numpy(),
        end.point.value.numpy(),
        (end.residual <= TOLERANCE).numpy(),
        int(end.evaluations.sum()),
    )


def row(way: str, found: dict[tuple[str, int], Ends]) -> dict[str, object]:
    """A way beside the first, over all seeds."""
    first = next(iter(WAYS))
    there, here = ([found[which, seed] for seed in SEEDS] for which in (first, way))
    s, s_first = (np.concatenate([end[0] for end in some]) for some in (here, there))
    value, value_first = (np.concatenate([end[1] for end in some]) for some in (here, there))
    same = {}
    for share in COUNTS:
        ranks, ranks_first = ((a > share * a[..., :1]).sum(-1) for a in (s, s_first))
        same[f"same ranks, above {share:g}"] = int((ranks == ranks_first).all(1).sum())
    distance, distance_first = (
        np.linalg.norm(a[..., 5:], axis=-1) / np.linalg.norm(a, axis=-1) for a in (s, s_first)
    )
    return {
        "way": way,
        "stationary": int(sum(end[2].sum() for end in here)),
        "evaluations": sum(end[3] for end in here),
        **same,
        "same loss": int((np.abs(value / value_first - 1) < 1e-6).sum()),
        "lower": int((value < value_first * (1 - 1e-3)).sum()),
        "higher": int((value > value_first * (1 + 1e-3)).sum()),
        "largest change of a distance": f"{np.abs(distance - distance_first).max():.3f}",
    }


def main() -> None:
    pairs = list(product(WAYS, SEEDS))
    with ProcessPoolExecutor(mp_context=get_context("forkserver")) as pool:
        found = dict(zip(pairs, pool.map(ends, *zip(*pairs, strict=True)), strict=True))
    cells = SIDE**2 * len(SEEDS)
    page = f"""# Which minimum

Written by `python -m bench.minima`, on {name()}

Training starts at given initial weights, and which of many minima it ends in depends on them.
Variable projection ignores the initial last layer, and a stretch of plain L-BFGS before gives it a say:
enough for losses that differ about as often as a change of rounding makes them differ and mostly for the
same large singular values, not for the same small ones, which a thousand epochs do not fix either. Here
are {cells} cells ({SIDE} x {SIDE} values of
weight decay and sigma, seeds {", ".join(map(str, SEEDS))}, tanh, depth 4, d = width = 20, N = 200),
all trained to a relative residual of {TOLERANCE:.0e} or for {PASSES:,} epochs, held against plain
L-BFGS: in how many cells all four layers have the same rank (singular values above a share of the
largest), the loss is the same to 1e-6, lower or higher by more than 1e-3, and the largest change of a
relative distance to rank 5.

{table([row(way, found) for way in WAYS])}

The second row is plain L-BFGS against itself, where every initial weight is changed in its last
places: what no program can hold. So the singular values of one network mean something only with the
minimum that it is in; what a figure shows is the picture that many cells give together.
"""
    path = PROJECT / "docs/minima.md"
    path.write_text(filled(page), encoding="utf-8")


if __name__ == "__main__":
    main()
