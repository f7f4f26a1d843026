"""Write docs/minima.md: which minima variable projection and plain L-BFGS end in.

python -m tools.minima        takes ten minutes on two cores
"""

from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray

from bench.machine import name
from bench.problems import PROJECT, configured
from nrc.determinism import make_deterministic
from nrc.optimize import build
from nrc.optimize.minimise import minimise
from nrc.optimize.protocols import RunInfo
from nrc.theory.ranks import EXACT
from nrc.training.parallel import in_blocks
from tools.markdown import filled, table

SEEDS = [0, 1, 2]
SIDE, TOLERANCE, EPOCHS = 10, 1e-8, 100_000
# shares of the largest singular value above which a singular value counts for the rank
SHARES = (1e-3, EXACT)
# relative change of the initial weights, of the size of rounding errors
ROUNDING = 1e-15
LBFGS = {"name": "lbfgs", "history": 10}
METHODS = {
    "plain L-BFGS": (LBFGS, 0.0),
    "plain L-BFGS, initial weights changed by a factor of 1 +- 1e-15": (LBFGS, ROUNDING),
    "L-BFGS in float32 to 3e-4, then in float64": ({**LBFGS, "float32_until": 3e-4}, 0.0),
    **{
        f"variable projection after {plain:,} epochs of plain L-BFGS": (
            {"name": "varpro", "plain_epochs": plain},
            0.0,
        )
        for plain in (0, 100, 300)
    },
    "variable projection after 100 epochs of plain L-BFGS, all in float64": (
        {"name": "varpro", "plain_epochs": 100, "float32_until": None},
        0.0,
    ),
}

Ends = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], int]


def ends(name: str, seed: int) -> Ends:
    """Singular values (cells, layers, index), losses, convergence of cells, and number of evaluations."""
    make_deterministic()
    method, change = METHODS[name]
    options = dict(method)
    axes = {"weight_decay": np.geomspace(2e-3, 1e-1, SIDE), "sigma": np.geomspace(0.03, 1, SIDE)}
    problem = configured("mixture", **{axis: values.tolist() for axis, values in axes.items()}, seed=seed)
    start = problem.start()
    loss, window = in_blocks(problem.objective, problem.objective.x.shape[1])
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=tuple(start.shape))
    start = start * (1 + change * torch.from_numpy(signs))
    phases = build(options.pop("name"), options, RunInfo(EPOCHS, [seed] * len(start), TOLERANCE))
    end = minimise(loss, start, phases, tolerance=TOLERANCE, epochs=EPOCHS, window=window)
    weights = torch.stack(loss.network(end.point.theta).weights, dim=1)
    return (
        torch.linalg.svdvals(weights).numpy(),
        end.point.value.numpy(),
        (end.residual <= TOLERANCE).numpy(),
        int(end.evaluations.sum()),
    )


def row(name: str, found: dict[tuple[str, int], Ends]) -> dict[str, object]:
    """A method compared with the first one, over all seeds."""
    first = next(iter(METHODS))
    there, here = ([found[which, seed] for seed in SEEDS] for which in (first, name))
    s, s_first = (np.concatenate([end[0] for end in some]) for some in (here, there))
    value, value_first = (np.concatenate([end[1] for end in some]) for some in (here, there))
    ranks = {share: [(a > share * a[..., :1]).sum(-1) for a in (s, s_first)] for share in SHARES}
    distance, distance_first = (
        np.linalg.norm(a[..., 5:], axis=-1) / np.linalg.norm(a, axis=-1) for a in (s, s_first)
    )
    return {
        "method": name,
        "converged": int(sum(end[2].sum() for end in here)),
        "evaluations": sum(end[3] for end in here),
        **{
            f"same ranks, threshold {share:g}": int((of_here == of_first).all(1).sum())
            for share, (of_here, of_first) in ranks.items()
        },
        "same loss": int((np.abs(value / value_first - 1) < 1e-6).sum()),
        "lower loss": int((value < value_first * (1 - 1e-3)).sum()),
        "higher loss": int((value > value_first * (1 + 1e-3)).sum()),
        "largest difference of a relative distance": f"{np.abs(distance - distance_first).max():.3f}",
    }


def main() -> None:
    pairs = list(product(METHODS, SEEDS))
    with ProcessPoolExecutor(mp_context=get_context("forkserver")) as pool:
        found = dict(zip(pairs, pool.map(ends, *zip(*pairs, strict=True)), strict=True))
    cells = SIDE**2 * len(SEEDS)
    page = f"""# Which minimum

`python -m tools.minima` wrote this page, on {name()}

The objective has many minima, and the initial weights decide in which of them training ends. Variable
projection ignores the initial last layer. After some epochs of plain L-BFGS, the initial last layer has an
influence: the losses then differ from the losses of plain L-BFGS by more than 1e-3 about as often as after
a change of the initial weights by rounding errors. However, the minimum is usually a different one: hardly
any loss is equal to 1e-6.

The table compares methods with plain L-BFGS on {cells} cells: {SIDE} x {SIDE} values of weight decay and
sigma, seeds {", ".join(map(str, SEEDS))}, tanh, depth 4, d = width = 20, N = 200. All cells are trained to a
relative residual of {TOLERANCE:.0e} or for {EPOCHS:,} epochs. The columns count the cells in which all four
layers have the same rank (the number of singular values above a threshold times the largest), in which the
loss is the same to 1e-6, and in which it is lower or higher by more than 1e-3; the last column has the
largest difference of a relative distance to rank 5.

{table([row(name, found) for name in METHODS])}

The second row compares plain L-BFGS with itself after a change of the initial weights in their last digits,
which can be due to rounding. A beginning in float32 changes more digits. The singular values of a single
network therefore depend on the minimum in which training ended, and only many cells together can be
interpreted.
"""
    path = PROJECT / "docs/minima.md"
    path.write_text(filled(page), encoding="utf-8")


if __name__ == "__main__":
    main()
