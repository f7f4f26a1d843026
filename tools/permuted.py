"""How many layers Theorem 3.4 certifies if labels are permuted, for several permutations."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nrc import netcdf
from nrc.batching import load_points, sample
from nrc.grid import Stack
from nrc.measured_network import MeasuredStack
from nrc.objectives.residual import layer_residuals
from nrc.theory.bounds import distance_bound
from nrc.theory.centroids import centroid_gap, outside_gradient
from nrc.theory.moments import Partition
from nrc.training.trained_file import trained_network
from workflow.config.load import read_settings

__all__ = ["bounds", "certified_layers"]

PROJECT = Path(__file__).parents[1]
# number of permutations
DRAWS = 5

Array = NDArray[np.float64]


def certified_layers(results: Path, experiments: Iterable[str], near: float) -> dict[str, list[int]]:
    """Numbers of layers that the measured and the projected bound certify, for each permutation.

    A bound certifies a layer if it is at most `near` times the norm of the layer. The last layers of
    classifiers are not counted, because their shape gives them rank K.
    """
    settings = read_settings([PROJECT / "config.yaml"])["experiments"]
    counts = dict.fromkeys(("measured", "projected"), np.zeros(DRAWS, int))
    for name in experiments:
        last = -1 if settings[name]["task"] == "classify" else None
        for file in sorted((results / name / "train").rglob("[!.]*.nc")):
            network, labels, weight_decay = _trained(file, results / "data" / settings[name]["data"])
            norms = torch.stack([w.norm(dim=(1, 2)) for w in network.weights], dim=1).numpy()
            for draw in range(DRAWS):
                permuted = np.random.default_rng(draw).permuted(labels, axis=1)
                for bound, values in bounds(network, permuted, weight_decay).items():
                    counted = (values <= near * norms)[:, :last]
                    counts[bound] = counts[bound] + np.eye(DRAWS, dtype=int)[draw] * counted.sum()
    return {bound: of_draws.tolist() for bound, of_draws in counts.items()}


def bounds(network: MeasuredStack, labels: NDArray[np.integer], weight_decay: Array) -> dict[str, Array]:
    """The bounds of Theorem 3.4 on the distance to rank K by the sets of some labels, smallest over sources.

    Parameters
    ----------
    network : MeasuredStack
    labels : (cells, points) integers
        0, ..., K-1.
    weight_decay : (cells,) array

    Returns
    -------
    dict
        `measured` and `projected`, (cells, layers).

    Examples
    --------
    The points (2, 1) and (2, -1) in one set, at the minimum of one linear layer:

    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> stack = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> found = bounds(stack, np.array([[0, 0]]), np.ones(1))
    >>> {name: values.round(6).tolist() for name, values in found.items()}
    {'measured': [[0.5]], 'projected': [[0.5]]}
    """
    clusters, (_, gradient) = int(labels.max()) + 1, network.gradient()
    decay = np.repeat(weight_decay[:, None], len(network.layers), axis=1)
    residual = layer_residuals(gradient, network.weights, torch.from_numpy(decay)).numpy()
    found = {bound: np.full(decay.shape, np.inf) for bound in ("measured", "projected")}
    for k, z in enumerate(network.features[:-1]):
        sets = Partition.empty(len(z), clusters, z.shape[2], network.outputs)
        sets.update(z, network.y, torch.from_numpy(labels))
        at_centroids = network.gradient_from(k, sets.features.means, sets.targets.means, sets.shares)
        for l, g in enumerate(at_centroids):
            if g is not None:
                gap = centroid_gap([gradient[l]], [g])[:, 0].numpy()
                outside = outside_gradient(network.weights[l], g)[1][:, :clusters].numpy()[:, -1]
                measured = distance_bound(residual[:, l], gap, weight_decay)
                found["measured"][:, l] = np.fmin(found["measured"][:, l], measured)
                found["projected"][:, l] = np.fmin(found["projected"][:, l], outside)
    return found


def _trained(file: Path, data: Path) -> tuple[MeasuredStack, NDArray[np.integer], Array]:
    """The networks of a file on their data, the labels (cells, points), and the weight decay of each cell."""
    trained = netcdf.load(file)
    stack, settings = Stack.of(trained), json.loads(trained.attrs["settings"])
    points = load_points(stack, [str(data / f"seed~{seed}.nc") for seed in stack.seeds])
    inputs = sample(stack, points, settings["task"]).of_cells(len(stack))
    network = trained_network(trained, settings["network"]["activation"], settings["loss"])
    x, y = torch.from_numpy(inputs.x), torch.from_numpy(inputs.y)
    weight_decay = np.array([cell["weight_decay"] for cell in stack.cells()])
    return MeasuredStack(network, x, y), inputs.labels, weight_decay
