"""Write parts of docs/how-to/condense.md and docs/explanation/neurons.md: channels of convolutional networks.

python -m tools.convolutions     takes a few minutes of a core
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

import nrc
from nrc.data.images import averaged
from nrc.data.mnist import CLASSES, read_split
from nrc.data.points import Points
from nrc.data.subsets import balanced_subsets
from nrc.determinism import make_deterministic
from nrc.grid import notation
from tools import condensed
from tools.condensed import SEED, Trained
from tools.markdown import between, filled, table

PROJECT = Path(__file__).parents[1]
EXPLANATION = PROJECT / "docs/explanation/neurons.md"
# images to train and to test on, their side, and weight decays
IMAGES, TESTS, SIDE, DECAYS = 300, 1000, 14, [1e-3, 3e-3]
TOLERANCE, EPOCHS = 1e-9, 20_000


def digits() -> Points:
    """Images of MNIST, averaged to a smaller side."""
    images, labels = read_split(PROJECT / "resources/mnist", "test")
    chosen, tests = balanced_subsets(labels, [IMAGES, TESTS], SEED, CLASSES)
    x = averaged(images, SIDE).reshape(len(images), -1) / 255
    classes = labels.astype(np.int64)
    return Points(
        SEED, x[chosen], classes[chosen],
        test_base=x[tests], test_labels=classes[tests], image_shape=(1, SIDE, SIDE),
    )  # fmt: skip


def network(input_shape: tuple[int, ...], outputs: int, width: int, depth: int) -> nn.Module:
    """Convolutions with 8, 16 and 16 channels, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, width // 2, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Conv2d(width, width, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(width * 16, outputs),
    )


def trained() -> Iterator[Trained]:
    """Stationary networks."""
    points = digits()
    stack = {"weight_decay": DECAYS, "sigma": 0.0, "width": 16, "depth": 4, "seed": SEED}
    networks = nrc.train(
        stack,
        points,
        task="classify",
        network=network,
        method="newton",
        tolerance=TOLERANCE,
        epochs=EPOCHS,
    )
    name = f"convolutions with 8, 16 and 16 channels, {IMAGES} images"
    x, test_x = (
        torch.from_numpy(base).reshape(-1, 1, SIDE, SIDE) for base in (points.base, points.test_base)
    )
    y, test_y = (torch.from_numpy(labels) for labels in (points.labels, points.test_labels))
    for decay in DECAYS:
        model = nrc.module(networks, network=network, weight_decay=decay)
        yield Trained(name, model, decay, x, y, test_x, test_y)


def rows(of: Trained) -> Iterator[dict[str, object]]:
    """A row for each hidden layer: distinct channels, exact rank, and the potential at the channels."""
    found = nrc.measure(of.model, of.x, of.y, weight_decay=of.weight_decay, sources=["input"], restarts=1)
    for place, layer in enumerate(found["layer"].values[:-1], start=1):
        at = found.sel(layer=layer)
        yield {
            "weight decay": notation(of.weight_decay),
            "residual": f"{float(found['relative_residual']):.0e}",
            "layer": place,
            "channels": len(of.model.get_submodule(layer).weight),
            "distinct": int(at["distinct_neurons"]),
            "exact rank": int(at["exact_rank"]),
            "relative gradient": f"{float(at['potential_gradient']):.0e}",
            "bound": f"{float(at['potential_gradient_bound']):.0e}",
            "groups": int(at["merged_groups"]),
            "at local maxima": int(at["groups_at_maxima"]),
            "curvature at groups": float(at["potential_curvature_groups"]),
            "curvature at others": float(at["potential_curvature_single"]),
        }


def main() -> None:
    make_deterministic()
    networks = list(trained())
    between(condensed.PAGE, "channels", filled(table([condensed.shape(of) for of in networks])))
    between(EXPLANATION, "channels", filled(table([row for of in networks for row in rows(of)])))


if __name__ == "__main__":
    main()
