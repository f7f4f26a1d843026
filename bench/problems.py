"""The problem that every program gets: points, weight decay and initial weights of each cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc import kinds, netcdf
from nrc.batching import architecture_of, initial_parameters, regularised_loss, training_sample
from nrc.data.mnist import fetch
from nrc.data.points import Points
from nrc.grid import Stack
from nrc.networks.activations import ACTIVATIONS
from nrc.objectives.regularised_loss import RegularisedLoss
from workflow.config.load import read_settings

__all__ = ["Problem", "blobs", "configured", "grid", "operations", "relative_residual", "residual"]

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Problem:
    """A stack of networks to train, on the data of one seed.

    Attributes
    ----------
    stack : Stack
    points : Points
    task, loss, activation : str
    method : mapping
        Name and options of the method that the configuration selects for these networks.
    """

    stack: Stack
    points: Points
    task: str
    loss: str
    activation: str
    method: Mapping[str, Any]

    @cached_property
    def objective(self) -> RegularisedLoss:
        """The objective of every cell, as this engine computes it."""
        linear = ACTIVATIONS[self.activation].linear
        points = {self.stack.axes["seed"]: self.points}
        seen = training_sample(self.stack, points, self.task, centroids=False, linear=linear)
        network = {"activation": self.activation}
        architecture = architecture_of(self.stack, seen.x.shape[2:], seen.y.shape[2], network)
        objective: RegularisedLoss = regularised_loss(
            self.stack, architecture, seen, torch.float64, loss=self.loss
        )
        return objective

    def start(self) -> Tensor:
        """Initial weights of every cell, (cells, parameters)."""
        return initial_parameters(self.stack, self.objective.architecture)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes of the weight matrices."""
        return self.objective.architecture.shapes

    def cell(self, cell: Mapping[str, Any]) -> tuple[Tensor, Tensor, float]:
        """Inputs, targets and weight decay of one cell, for programs without stacks."""
        x = self.points.x(cell["sigma"])
        y = self.points.targets(self.task, x)
        return torch.tensor(x), torch.tensor(y), cell["weight_decay"]

    @property
    def operations(self) -> int:
        """Floating-point operations of one evaluation of value and gradient of one cell."""
        return operations(self.shapes, len(self.points.labels))


def operations(shapes: Sequence[tuple[int, int]], points: int) -> int:
    """Floating-point operations of the matrix products in one evaluation of a network.

    They are 2 N (3 sum_l n_l n_{l-1} - n_1 n_0): the forward pass, the derivatives with respect to weights,
    and the derivatives with respect to all features except the inputs.
    """
    weights = [n_out * n_in for n_out, n_in in shapes]
    return 2 * points * (3 * sum(weights) - weights[0])


def grid(experiment: str) -> Mapping[str, list]:
    """The values on the axes of an experiment in the configuration."""
    return read_settings([PROJECT / "config.yaml"])["experiments"][experiment]["grid"]


def configured(experiment: str, *overlays: str, **axes: Any) -> Problem:
    """An experiment of the configuration at some values of its axes; the seed is 0 by default."""
    settings = read_settings([PROJECT / name for name in ("config.yaml", *overlays)])
    chosen = settings["experiments"][experiment]
    single = {axis: values[0] for axis, values in chosen["grid"].items()}
    stack = Stack({**single, "seed": 0, **axes})
    return Problem(
        stack,
        drawn(settings["data"][chosen["data"]], stack.axes["seed"]),
        chosen["task"],
        chosen["loss"],
        chosen["network"]["activation"],
        chosen["training"]["method"],
    )


def drawn(options: Mapping[str, Any], seed: int = 0) -> Points:
    """Draw a data set of the configuration: a mixture, or the bundled images."""
    options = dict(options)
    kind = kinds.module("data", name := options.pop("kind"))
    options = kind.Options(**options)
    with TemporaryDirectory() as folder:
        files = []
        if name == "mnist":
            files = [f"{folder}/images.nc"]
            netcdf.save(fetch(options, "test", PROJECT / "resources/mnist"), files[0])
        return kind.draw(options, seed, files)


def blobs(
    method: Mapping[str, Any],
    *,
    points: int = 200,
    dimension: int = 20,
    depth: int = 4,
    cells: int = 8,
    activation: str = "tanh",
    decay: tuple[float, float] = (2e-3, 0.1),
) -> Problem:
    """Autoencoders that differ in weight decay, with a width equal to the dimension of the data."""
    options = {
        "kind": "mixture",
        "clusters": 5,
        "points": points,
        "dimension": dimension,
        "separation": 2,
        "covariance": "isotropic",
        "weights": None,
    }
    axes = {"weight_decay": np.geomspace(*decay, cells).tolist(), "sigma": [0.1]}
    stack = Stack({**axes, "width": dimension, "depth": depth, "seed": 0})
    return Problem(stack, drawn(options), "autoencode", "squared_error", activation, method)


def relative_residual(gradient: Tensor, theta: Tensor, weight_decay: Tensor | float) -> Tensor:
    """||gradient|| / (lambda ||Theta||) of each row, computed again to check the residuals of the library."""
    return gradient.norm(dim=-1) / (weight_decay * theta.norm(dim=-1))


def residual(problem: Problem, cell: Mapping[str, Any], theta: NDArray[np.float64]) -> tuple[float, float]:
    """Loss of a tanh autoencoder and ||gradient|| / (lambda ||Theta||), by autograd alone."""
    x, y, weight_decay = problem.cell(cell)
    flat = torch.tensor(theta, requires_grad=True)
    sizes = [n_out * n_in for n_out, n_in in problem.shapes]
    z = x
    for l, (part, shape) in enumerate(zip(flat.split(sizes), problem.shapes, strict=True)):
        z = (torch.tanh(z) if l else z) @ part.view(shape).T
    loss = (z - y).square().sum(1).mean() / 2 + weight_decay / 2 * flat.square().sum()
    loss.backward()
    return float(loss.detach()), float(relative_residual(flat.grad, flat.detach(), weight_decay))
