"""Small training problems, and every method with options that suit them."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nrc.batching import architecture_of, initial_parameters, regularised_loss, training_sample
from nrc.data.mixture import Options, draw
from nrc.data.points import Points
from nrc.determinism import make_deterministic
from nrc.grid import Stack
from nrc.networks import arrays
from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Network
from nrc.objectives.protocols import Objective
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize import build
from nrc.optimize.protocols import Phase, RunInfo

__all__ = [
    "METHODS",
    "MethodCase",
    "autoencoders",
    "classifiers",
    "gradient_of",
    "let_torch_compute",
    "mixture",
    "modules",
    "normal",
    "parameters_of",
    "plain_hessians",
    "torch_activation",
    "value_and_gradient",
]

# before the first product: only then a cell has the same bits alone and in its stack
make_deterministic()


def mixture(*, clusters=2, points=21, dimension=3, seed=0, **changes) -> Points:
    """A small mixture; the odd sizes put matrices at odd places in memory."""
    options = Options(clusters=clusters, points=points, dimension=dimension, **changes)
    return draw(options, seed)


def autoencoders(
    weight_decay: Sequence[float] = (0.02, 0.1),
    sigma: Sequence[float] = (0.05, 0.3),
    *,
    activation: str = "tanh",
    penalty: str = "factors",
    points: int = 21,
    seed: int = 0,
) -> tuple[RegularisedLoss, Tensor]:
    """The loss and the start of a plane of small autoencoders."""
    axes = {"weight_decay": list(weight_decay), "sigma": list(sigma), "width": 3, "depth": 3, "seed": seed}
    stack, linear = Stack(axes), ACTIVATIONS[activation].linear
    seen = training_sample(
        stack, {seed: mixture(points=points, seed=seed)}, "autoencode", centroids=False, linear=linear
    )
    architecture = architecture_of(stack, (3,), 3, {"activation": activation})
    loss = regularised_loss(stack, architecture, seen, torch.float64, penalty=penalty)
    return loss, initial_parameters(stack, architecture)


def classifiers(
    weight_decay: Sequence[float] = (1e-3, 1e-1),
    seeds: Sequence[int] = (5,),
    *,
    activation: str = "tanh",
    loss: str = "cross_entropy",
    points: int = 50,
    bias: bool = True,
) -> tuple[RegularisedLoss, Tensor, list[int]]:
    """Classifiers of three blobs: their loss, their start with biases that are not 0, and their seeds."""
    stack = Stack(
        {"weight_decay": list(weight_decay), "sigma": 0.4, "width": 7, "depth": 3, "seed": list(seeds)}
    )
    data = {seed: mixture(clusters=3, points=points, dimension=5, seed=seed) for seed in seeds}
    seen = training_sample(stack, data, "classify", centroids=False, linear=False)
    architecture = architecture_of(stack, (5,), 3, {"activation": activation, "bias": bias})
    objective = regularised_loss(stack, architecture, seen, torch.float64, loss=loss)
    shift = 0.1 * torch.cos(torch.arange(architecture.initial(0).numel()))
    return (
        objective,
        initial_parameters(stack, architecture) + shift,
        [cell["seed"] for cell in stack.cells()],
    )


@dataclass(frozen=True)
class MethodCase:
    """A method with options, and the problem that it is for."""

    name: str
    options: Mapping[str, Any]
    problem: Mapping[str, Any] = field(default_factory=dict)
    # whether a step is one evaluation of the whole data, so that a budget is spent to the last pass
    exact: bool = True

    def method(self, epochs: int, seeds: Sequence[int]) -> list[Phase]:
        """Fresh phases, for a run of so many epochs and the seeds of its cells."""
        return build(self.name, self.options, RunInfo(epochs, seeds))

    def autoencoders(self, **changes) -> tuple[RegularisedLoss, Tensor]:
        return autoencoders(**{**self.problem, **changes})


_ADAM = {"learning_rate": 0.02, "batch": None, "schedule": "constant"}
_SGD = {"learning_rate": 0.2, "momentum": 0.9, "batch": None, "schedule": "constant"}
METHODS = {
    "lbfgs": MethodCase("lbfgs", {"history": 10}, exact=False),
    "varpro": MethodCase("varpro", {"history": 10, "plain_epochs": 3}, exact=False),
    "lbfgs from float32": MethodCase("lbfgs", {"history": 10, "float32_until": 1e-2}, exact=False),
    "gd": MethodCase("gd", {"step": 0.2}),
    "gd from float32": MethodCase("gd", {"step": 0.2, "float32_until": 1e-2}, exact=False),
    "levenberg_marquardt": MethodCase(
        "levenberg_marquardt", {}, {"activation": "linear", "penalty": "product"}
    ),
    "adam": MethodCase("adam", _ADAM),
    "adam in batches": MethodCase("adam", {**_ADAM, "batch": 8, "schedule": "cosine"}),
    "sgd": MethodCase("sgd", _SGD),
    "sgd in batches": MethodCase("sgd", {**_SGD, "learning_rate": 0.05, "batch": 8}),
}


def torch_activation(name: str) -> torch.nn.Module:
    """The module of torch with the name of an activation, against which the table of activations is tested."""
    own = {module.lower(): module for module in torch.nn.modules.activation.__all__}
    return torch.nn.Identity() if name == "linear" else getattr(torch.nn, own[name.replace("_", "")])()


def modules(network: Network) -> list[torch.nn.Sequential]:
    """Each network of a stack as torch's own layers, with copies of the parameters."""
    made = []
    for cell in range(len(network.weights[0])):
        layers: list[torch.nn.Module] = []
        for l, w in enumerate(network.weights):
            layer = torch.nn.Linear(w.shape[2], w.shape[1], network.biases is not None, dtype=w.dtype)
            with torch.no_grad():
                layer.weight.copy_(w[cell])
                if network.biases is not None:
                    layer.bias.copy_(network.biases[l][cell])
            layers += [layer, torch_activation(network.activation)]
        made.append(torch.nn.Sequential(*layers[:-1]))
    return made


def parameters_of(module: torch.nn.Sequential) -> Tensor:
    """All weights, then all biases, in the order of a cell's parameters."""
    return torch.cat([parameter.detach().flatten() for parameter in _in_order(module)])


def gradient_of(module: torch.nn.Sequential) -> Tensor:
    """What autograd left in them, in the same order."""
    return torch.cat([parameter.grad.flatten() for parameter in _in_order(module)])


def _in_order(module: torch.nn.Sequential) -> list[Tensor]:
    layers = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    return [layer.weight for layer in layers] + [layer.bias for layer in layers if layer.bias is not None]


def value_and_gradient(objective: Objective, theta: Tensor) -> tuple[Tensor, Tensor]:
    point = objective.at(theta)
    return point.value, point.gradient


def plain_hessians(objective: RegularisedLoss, theta: Tensor) -> Tensor:
    """The Hessians of all cells, by autograd's double backward."""
    return torch.stack(
        [
            torch.autograd.functional.hessian(lambda t, c=c: _plain_value(objective, t, c), theta[c])
            for c in range(len(theta))
        ]
    )


def _plain_value(objective: RegularisedLoss, theta: Tensor, cell: int) -> Tensor:
    """The regularised loss of one cell, for autograd."""
    network = objective.architecture.network(theta[None])
    z, y = (a[min(cell, len(a) - 1)] for a in (objective.x, objective.y))
    p = torch.full_like(z[:, 0], 1 / len(z)) if objective.shares is None else objective.shares[cell]
    for l, w in enumerate(network.weights):
        a = z @ w[0].mT + (0 if network.biases is None else network.biases[l][0])
        last = l == len(network.weights) - 1
        z = a if last else torch_activation(network.activation)(a)
    errors = (
        (z - y).square().sum(1) / 2 if objective.loss == "squared_error" else -(y * z.log_softmax(1)).sum(1)
    )
    return p @ errors + objective.weight_decay[cell] / 2 * theta.square().sum()


def let_torch_compute(monkeypatch) -> None:
    """On the CPU too, where numpy does, for comparison with a GPU."""
    fastest = arrays.fastest
    for name, module in list(sys.modules.items()):
        if name.startswith("nrc.") and getattr(module, "fastest", None) is fastest:
            monkeypatch.setattr(module, "fastest", lambda tensor: tensor)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.from_numpy(np.random.default_rng([seed, *shape]).standard_normal(shape))
