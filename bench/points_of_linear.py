"""Time of a step of linear training against the number of points: the points' second moments are enough."""

import time

import torch

from nrc.data.mixture import draw_mixture
from nrc.determinism import make_deterministic
from nrc.grid import Stack
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.minimise import minimise
from nrc.stacks import architecture_of, initial_parameters, regularised_loss, training_sample

PASSES = 300
POINTS = [1_000, 10_000, 100_000, 1_000_000]
# All points themselves, beside: only up to here.
LARGEST_PLAIN = 100_000


def milliseconds(points: int, linear: bool) -> float:
    stack = Stack({"weight_decay": 1e-2, "sigma": [0.1, 1.0], "width": 10, "depth": 4, "seed": 0})
    mixture = draw_mixture(
        clusters=5, points=points, dimension=10, separation=2, covariance="isotropic", weights=None, seed=0
    )
    seen = training_sample(stack, {0: mixture}, "autoencode", centroids=False, linear=linear)
    architecture = architecture_of(stack, 10, 10, "linear", bias=False)
    loss = regularised_loss(stack, architecture, seen, torch.float64)
    theta = initial_parameters(stack, architecture)
    begin = time.perf_counter()
    end = minimise(loss, theta, LBFGS(10), tolerance=1e-14, passes=PASSES)
    return 1000 * (time.perf_counter() - begin) / int(end.evaluations.max())


def main() -> None:
    make_deterministic()
    milliseconds(POINTS[0], linear=True)
    print(f"{'points':>9} {'second moments, ms':>19} {'all points, ms':>15}")
    for points in POINTS:
        plain = f"{milliseconds(points, linear=False):15.2f}" if points <= LARGEST_PLAIN else f"{'-':>15}"
        print(f"{points:9d} {milliseconds(points, linear=True):19.2f} {plain}")


if __name__ == "__main__":
    main()
