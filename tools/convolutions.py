"""Write parts of docs/how-to/condense.md and docs/explanation/neurons.md: channels of convolutional networks.

python -m tools.convolutions     takes ten minutes of a core
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

import nrc
from nrc.data.mnist import CLASSES, read_split
from nrc.data.subsets import balanced_subsets
from nrc.determinism import make_deterministic
from nrc.grid import notation
from tools import condensed
from tools.condensed import SEED, Trained, descend, plain, weights
from tools.markdown import between, filled, table

PROJECT = Path(__file__).parents[1]
EXPLANATION = PROJECT / "docs/explanation/neurons.md"
# images to train and to test on, and weight decays
IMAGES, TESTS, DECAYS = 300, 1000, [1e-3, 3e-3]
TOLERANCE = 1e-9


def digits() -> Iterator[tuple[Tensor, Tensor]]:
    """Images (points, 1, 14, 14) by averaging 2 x 2 pixels, and digits: to train on, and others."""
    images, labels = read_split(PROJECT / "resources/mnist", "test")
    for chosen in balanced_subsets(labels, [IMAGES, TESTS], SEED, CLASSES):
        x = torch.from_numpy(images[chosen] / 255)[:, None]
        yield nn.functional.avg_pool2d(x, 2), torch.from_numpy(labels[chosen].astype(np.int64))


def network() -> nn.Module:
    """Convolutions with 8, 16 and 16 channels, and a linear layer, with torch's initial weights."""
    torch.manual_seed(SEED)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(256, 10),
    ).double()


def trained(decay: float) -> Trained:
    """A stationary network: L-BFGS, and then Newton's method in a trust region."""
    (x, y), (test_x, test_y) = digits()
    name = f"convolutions with 8, 16 and 16 channels, {IMAGES} images"
    of = Trained(name, network(), decay, x, y, test_x, test_y)
    descend(of, of.model, plain(of.model))
    newton(of)
    return of


def newton(of: Trained) -> None:
    """Newton's method in a trust region, by conjugate gradients, in place."""
    names, shapes = zip(*((name, p.shape) for name, p in of.model.named_parameters()), strict=True)
    sizes = [shape.numel() for shape in shapes]

    def loss(theta: Tensor) -> Tensor:
        parts = zip(names, theta.split(sizes), shapes, strict=True)
        parameters = {name: part.view(shape) for name, part, shape in parts}
        outputs = torch.func.functional_call(of.model, parameters, of.x)
        return nn.functional.cross_entropy(outputs, of.y) + of.weight_decay / 2 * theta.square().sum()

    gradient = torch.func.grad(loss)

    def array(function: Callable[..., Tensor]) -> Callable[..., np.ndarray]:
        return lambda *vectors: function(*map(torch.from_numpy, vectors)).detach().numpy()

    start = weights(of.model).numpy()
    found = minimize(
        array(loss),
        start,
        jac=array(gradient),
        hessp=array(lambda theta, v: torch.func.jvp(gradient, (theta,), (v,))[1]),
        method="trust-ncg",
        options={"gtol": TOLERANCE * of.weight_decay * np.linalg.norm(start), "maxiter": 200},
    )
    nn.utils.vector_to_parameters(torch.from_numpy(found.x), of.model.parameters())


def rows(of: Trained) -> Iterator[dict[str, object]]:
    """A row for each hidden layer: distinct channels, exact rank, and the potential at the channels."""
    of.model.eval()
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
    networks = [trained(decay) for decay in DECAYS]
    between(condensed.PAGE, "channels", filled(table([condensed.shape(of) for of in networks])))
    between(EXPLANATION, "channels", filled(table([row for of in networks for row in rows(of)])))


if __name__ == "__main__":
    main()
