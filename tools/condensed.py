"""Write two parts of docs/how-to/condense.md: networks before and after they are condensed, and trained on.

python -m tools.condensed        after a run of the desk scale in results/; takes ten minutes of a core
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import nrc
from nrc.data.points import Points
from nrc.determinism import make_deterministic
from nrc.grid import notation
from nrc.theory.ranks import exact_rank
from tools.markdown import between, filled, table

PAGE = Path(__file__).parents[1] / "docs/how-to/condense.md"
SEED = 0
EVALUATIONS = 2000
# size of a push, relative to the norm of a tensor
PUSH = 0.01
# images of scikit-learn's digits to train on; the others are for tests
DIGITS = 1297

Penalty = Callable[[], Tensor]


@dataclass(frozen=True)
class Trained:
    """A stationary network with its data.

    Attributes
    ----------
    name : str
    model : Module
    weight_decay : float
    x, y : Tensor
        The points and classes on which it is trained.
    test_x, test_y : Tensor
    """

    name: str
    model: nn.Module
    weight_decay: float
    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor

    def fit(self, model: nn.Module) -> Tensor:
        return nn.functional.cross_entropy(model(self.x), self.y)

    def objective(self, model: nn.Module, penalty: Penalty) -> Tensor:
        """Loss and weight decay, where a function has the squared norm."""
        return self.fit(model) + self.weight_decay / 2 * penalty()

    def residual(self, model: nn.Module, penalty: Penalty) -> float:
        """The norm of the gradient of the objective, divided by the norm of the gradient of the penalty."""
        parameters = list(model.parameters())
        norms = [
            torch.cat([part.flatten() for part in torch.autograd.grad(value, parameters)]).norm()
            for value in (self.objective(model, penalty), self.weight_decay / 2 * penalty())
        ]
        return (norms[0] / norms[1]).item()

    @torch.no_grad()
    def accuracy(self, model: nn.Module) -> float:
        return (model(self.test_x).argmax(1) == self.test_y).double().mean().item()


def plain(model: nn.Module) -> Penalty:
    """The squared norm of the parameters."""
    return lambda: torch.stack([parameter.square().sum() for parameter in model.parameters()]).sum()


def descend(of: Trained, model: nn.Module, penalty: Penalty) -> None:
    """Minimise the objective of a model, in place."""
    optimiser = torch.optim.LBFGS(
        model.parameters(),
        max_iter=EVALUATIONS,
        max_eval=EVALUATIONS,
        tolerance_grad=1e-11,
        tolerance_change=0,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def value() -> Tensor:
        optimiser.zero_grad()
        objective = of.objective(model, penalty)
        objective.backward()
        return objective

    optimiser.step(value)


def of_pipeline(results: Path) -> Iterator[Trained]:
    """MNIST networks of a finished run, wide ones and a deep one."""
    points = Points.from_dataset(nrc.load(results / f"data/digits/seed~{SEED}.nc"))
    images = points.base, points.labels, points.test_base, points.test_labels
    x, y, test_x, test_y = map(torch.tensor, images)
    for experiment, width, depth, decay in (
        ("mnist_stationary", 128, 4, 1e-3),
        ("mnist_stationary", 128, 4, 1e-2),
        ("depth_stationary", 64, 8, 1e-3),
    ):
        (file,) = (results / experiment / "train").rglob(f"width~{width}/depth~{depth}/[!.]*.nc")
        model = nrc.module(nrc.load(file), weight_decay=decay, seed=SEED)
        yield Trained(f"MNIST, {depth} layers of width {width}", model, decay, x, y, test_x, test_y)


def of_digits() -> Trained:
    """A classifier of scikit-learn's digits, with biases."""
    x, y = map(torch.tensor, load_digits(return_X_y=True))
    x = x / 16
    torch.manual_seed(SEED)
    hidden = [nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()]
    model = nn.Sequential(*hidden, nn.Linear(64, 10)).double()
    of = Trained("digits, 3 layers of width 64", model, 1e-2, x[:DIGITS], y[:DIGITS], x[DIGITS:], y[DIGITS:])
    descend(of, model, plain(model))
    return of


def shape(of: Trained) -> dict[str, object]:
    """A network before and after."""
    small = nrc.condense(of.model, x=of.x)
    hidden = small.table[small.table["left"] == ""]
    before = sum(parameter.numel() for parameter in of.model.parameters())
    return {
        "network": of.name,
        "weight decay": notation(of.weight_decay),
        "residual": f"{of.residual(of.model, plain(of.model)):.0e}",
        "parameters": f"{before:,} to {small.parameters:,}",
        "distinct neurons": "-".join(f"{count}" for count in hidden["after"]),
        "largest change": f"{small.table['change'].iloc[-1]:.0e}",
        "test accuracy": f"{of.accuracy(of.model):.1%} to {of.accuracy(small.model):.1%}",
    }


def trained_on(of: Trained) -> Iterator[dict[str, object]]:
    """The condensed network before and after training, from several weights and with two penalties."""
    for start, multiplicities in (
        ("condensed", True),
        ("condensed, pushed", True),
        ("condensed", False),
        ("random", False),
    ):
        small = nrc.condense(of.model)
        model, at = small.model, weights(small.model)
        penalty = small.squared_norm if multiplicities else plain(model)
        torch.manual_seed(SEED)
        if start == "random":
            model.apply(lambda layer: layer.reset_parameters() if isinstance(layer, nn.Linear) else None)
        if start == "condensed, pushed":
            push(model)
        residual, before = of.residual(model, penalty), of.objective(model, penalty).item()
        descend(of, model, penalty)
        matrices = [layer.weight.detach().numpy() for layer in model if isinstance(layer, nn.Linear)]
        yield {
            "network": of.name,
            "weight decay": notation(of.weight_decay),
            "start": start,
            "penalty": "with multiplicities" if multiplicities else "plain",
            "residual": f"{residual:.0e} to {of.residual(model, penalty):.0e}",
            "objective": f"{before:.6f} to {of.objective(model, penalty).item():.6f}",
            "loss": f"{of.fit(model).item():.5f}",
            "distance": f"{((weights(model) - at).norm() / at.norm()).item():.0e}",
            "neurons": "-".join(f"{count}" for count in nrc.condense(model).table["after"].iloc[:-1]),
            "exact ranks": "-".join(f"{exact_rank(np.linalg.svd(w)[1]):.0f}" for w in matrices),
        }


def weights(model: nn.Module) -> Tensor:
    """All parameters, as a vector."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@torch.no_grad()
def push(model: nn.Module) -> None:
    """Change each parameter tensor at random, by a share of its norm."""
    for parameter in model.parameters():
        noise = torch.randn_like(parameter)
        parameter += PUSH * parameter.norm() / noise.norm() * noise


def main(results: Path) -> None:
    make_deterministic()
    of_run, digits = list(of_pipeline(results)), of_digits()
    between(PAGE, "shapes", filled(table([shape(of) for of in [*of_run, digits]])))
    continued = [row for of in (of_run[0], digits) for row in trained_on(of)]
    between(PAGE, "continued", filled(table(continued)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.condensed", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="results of the desk scale")
    main(parser.parse_args().results)
