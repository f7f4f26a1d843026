"""Time of training a plane of networks as one stack, and one by one.

Both follow the same method for the same number of passes, and end in the same bits.
"""

import time

import numpy as np
import torch

from nrc.data.mixture import draw_mixture
from nrc.determinism import make_deterministic
from nrc.grid import Stack
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.minimise import minimise
from nrc.stacks import architecture_of, initial_parameters, regularised_loss, training_sample

PASSES = 200
SHAPES = [(64, 100, 10), (64, 200, 20), (64, 500, 50), (16, 1000, 100)]


def plane(cells: int, points: int, dimension: int):
    side = int(cells**0.5)
    values = {
        "weight_decay": np.geomspace(1e-3, 1e-1, side).tolist(),
        "sigma": np.geomspace(0.03, 1, side).tolist(),
    }
    stack = Stack({**values, "width": dimension, "depth": 4, "seed": 0})
    mixture = draw_mixture(
        clusters=5,
        points=points,
        dimension=dimension,
        separation=2,
        covariance="isotropic",
        weights=None,
        seed=0,
    )
    seen = training_sample(stack, {0: mixture}, "autoencode", centroids=False, linear=False)
    architecture = architecture_of(stack, dimension, dimension, "tanh", bias=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loss = regularised_loss(stack, architecture, seen, torch.float64).to(device)
    return loss, initial_parameters(stack, architecture).to(device)


def seconds(loss, start) -> float:
    begin = time.perf_counter()
    minimise(loss, start, LBFGS(10), tolerance=1e-12, passes=PASSES)
    return time.perf_counter() - begin


def main() -> None:
    make_deterministic()
    print(f"{'cells':>5} {'points':>6} {'width':>5} {'stack, s':>9} {'loop, s':>9} {'gain':>6}")
    for shape in SHAPES:
        loss, start = plane(*shape)
        seconds(loss.select(torch.tensor([0])), start[:1])
        stacked = seconds(loss, start)
        looped = sum(seconds(loss.select(torch.tensor([c])), start[c : c + 1]) for c in range(len(start)))
        print("{:5d} {:6d} {:5d} {:9.2f} {:9.2f} {:6.1f}".format(*shape, stacked, looped, looped / stacked))


if __name__ == "__main__":
    main()
