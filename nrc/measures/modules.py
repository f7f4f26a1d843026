"""The measures of stacks of torch modules, cell by cell."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor, nn

from nrc.batching import Sample
from nrc.measures.network import measure
from nrc.modules.measured_module import MeasuredModule
from nrc.networks.module_architecture import ModuleArchitecture
from nrc.theory.ranks import RANK_MEASURES

__all__ = ["measure_modules", "outputs_of", "positions_of"]

# Layers whose positions are counted.
LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# A layer is at zero if its norm is at most this share of the largest one. Its rank is that of rounding.
AT_ZERO = 1e-12
OF_LAYERS = ("relative_tail", "distinct_neurons", "distinct_neurons_strict")
UNKNOWN = "times the number of positions of the layer; missing where it is not known"


def measure_modules(
    architecture: ModuleArchitecture,
    theta: Tensor,
    points: Sample,
    *,
    loss: str,
    weight_decay: NDArray[np.float64],
    collapsed: NDArray[np.bool_],
    seeds: list[int],
    **choices: Any,
) -> xr.Dataset:
    """All measures of the networks of a stack, as `nrc.measures.network.measure`.

    Ranks and numbers of neurons of a layer that weight decay drove to zero alone are missing.

    Parameters
    ----------
    architecture : ModuleArchitecture
    theta : Tensor
        (cells, parameters), in float64.
    points : Sample
        With a first axis of all cells, or of 1.
    loss : str
        A key of `nrc.networks.losses.LOSSES`.
    weight_decay : (cells,) array
    collapsed, seeds, **choices
        As in `measure`.

    Examples
    --------
    >>> architecture = ModuleArchitecture(lambda: torch.nn.Linear(2, 2, bias=False), (2,), 2)
    >>> x = np.array([[[2.0, 1.0], [2.0, -1.0]]])
    >>> theta, one = torch.diag(torch.tensor([0.8, 0.5])).double().view(1, 4), np.ones(1)
    >>> points, settings = Sample(x, x, np.array([[0, 0]])), {"loss": "squared_error", "weight_decay": one}
    >>> settings |= {"collapsed": one == 0, "seeds": [0], "clusters": 1}
    >>> found = measure_modules(architecture, theta, points, **settings)
    >>> found["distance"].item(), found["bound_measured"].item()
    (0.5, 0.5)
    """
    found = []
    for cell, of_cell in enumerate(theta):
        x, y, labels = (a[cell % len(a)] for a in (points.x, points.y, points.labels))
        network = MeasuredModule(
            architecture.module(of_cell),
            architecture.points(torch.from_numpy(x)),
            y,
            loss,
            sources=architecture.sources,
            progress=False,
        )
        measured = measure(
            network,
            labels=labels[None],
            weight_decay=np.full((1, len(network.layers)), weight_decay[cell]),
            collapsed=collapsed[[cell]],
            seeds=[seeds[cell]],
            **choices,
        )
        found.append(measured)
    result = xr.concat(found, "cell", join="outer", combine_attrs="override")
    norms = (result["singular_values"] ** 2).sum("index") ** 0.5
    alive = norms > AT_ZERO * norms.max("layer")
    for name in (*RANK_MEASURES, *OF_LAYERS):
        result[name] = result[name].where(alive).assign_attrs(result[name].attrs)
    if "rho_bound" in result:  # each position of a centroid adds 1 to the rank of a gradient
        positions = positions_of(architecture, torch.from_numpy(points.x[0, :1]))
        times = xr.DataArray([positions.get(name, np.nan) for name in result["layer"].values], dims="layer")
        result["rho_bound"] = (result["rho_bound"] * times).assign_attrs(result["rho_bound"].attrs)
        result["rho_bound"].attrs["comment"] = UNKNOWN
    return result


def positions_of(architecture: ModuleArchitecture, x: Tensor) -> dict[str, float]:
    """The number of vectors of a point that each Linear layer and each convolution acts on.

    Examples
    --------
    >>> steps = torch.nn.Conv1d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(6, 1)
    >>> architecture = ModuleArchitecture(lambda: torch.nn.Sequential(*steps), (1, 5), 1)
    >>> positions_of(architecture, torch.zeros(1, 5).double())
    {'0': 3.0, '2': 1.0}
    """
    found: dict[str, float] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            positions: float = output[0, 0].numel()
            if isinstance(module, nn.Linear):
                positions = args[0][0].numel() / module.in_features
            found[name] = found.get(name, 0.0) + positions

        return hook

    with torch.no_grad(), ExitStack() as stack:
        for name, module in architecture.template.named_modules():
            if isinstance(module, LINEAR):
                name = name or type(module).__name__
                stack.callback(module.register_forward_hook(watch(name)).remove)
        architecture.template(architecture.points(x))
    return found


def outputs_of(architecture: ModuleArchitecture, theta: Tensor, x: Tensor) -> Tensor:
    """Outputs (cells, points, outputs) of networks on points (cells or 1, points, features).

    Examples
    --------
    >>> architecture = ModuleArchitecture(lambda: torch.nn.Linear(2, 1, bias=False), (2,), 1)
    >>> outputs_of(architecture, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.ones(1, 1, 2)).tolist()
    [[[3.0]], [[7.0]]]
    """
    with torch.no_grad():
        outputs = [
            architecture.module(of_cell.to(x))(architecture.points(x[cell % len(x)]))
            for cell, of_cell in enumerate(theta)
        ]
    return torch.stack(outputs)
