"""Draw the potential of a hidden layer with its neurons, and measure its local maxima in small networks.

python -m tools.potential_map      writes docs/potential_map.png, all numbers in docs/potential_map.json, and
                                   two parts of docs/explanation/neurons.md

The networks have two inputs, one hidden layer and no biases, so that the potential is a function on a plane.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nrc.data.points import Points
from nrc.determinism import make_deterministic
from nrc.figures.style import COLOURS, LineStyle, colour_map, picture, styled
from nrc.grid import Value, notation
from nrc.theory.neurons import MERGED, tree
from nrc.theory.potential import Potential
from nrc.training import train
from tools.markdown import between, filled, span, table

PROJECT = Path(__file__).parents[1]
PAGE, PICTURE = PROJECT / "docs/explanation/neurons.md", PROJECT / "docs/potential_map.png"
NUMBERS = PICTURE.with_suffix(".json")

POINTS = 80
DECAYS = [1e-3, 3e-3, 1e-2]
WIDTHS, SEEDS = [4, 8, 16, 32, 64, 128, 256, 512], [0, 1, 2]
# the network on the map, and the networks in which a neuron moves
WIDTH_SHOWN, DECAY_SHOWN = 64, 3e-3
WIDTH_OF_MOVES, SEEDS_OF_MOVES = 32, list(range(10))
TOLERANCE, EPOCHS = 1e-9, 60_000
# The ascent begins at the neurons, and at random points with coordinates up to REACH. Its ends are maxima if
# their relative gradient is at most FLAT.
STARTS, REACH, STEPS, FLAT = 150, 6.0, 150, 1e-6
# relative change of an objective that counts
CHANGE = 1e-6
# half the side of the map, and its points along a side
SIDE, GRID = 3.2, 301

Array = NDArray[np.float64]


def points() -> Points:
    """Points of the square of side 4, with two odd functions as targets; networks without biases are odd."""
    x = np.random.default_rng(0).uniform(-2, 2, size=(POINTS, 2))
    y = np.stack([np.sin(2 * x[:, 0] + x[:, 1]), x[:, 1] * np.cos(2 * x[:, 0])], axis=1)
    return Points(seed=0, base=x, labels=np.zeros(POINTS, dtype=np.int64), y=y)


def trained(width: int, seeds: Sequence[int], start: xr.Dataset | None = None) -> xr.Dataset:
    """Stationary networks of all weight decays and some seeds, from random weights or from `start`."""
    stack: dict[str, Value | list[Value]] = {
        "weight_decay": [*DECAYS], "sigma": 0.0, "width": width, "depth": 2, "seed": [*seeds],
    }  # fmt: skip
    networks = train(
        stack, points(), task="regress", method="lbfgs", tolerance=TOLERANCE, epochs=EPOCHS, warm_start=start
    )
    if (worst := float(networks["relative_residual"].max())) > 10 * TOLERANCE:
        raise RuntimeError(f"a network of width {width} ended at a relative residual of {worst:.1e}")
    return networks


@dataclass(frozen=True)
class Layer:
    """The hidden layer of a network: its neurons, and the maxima of its potential.

    Attributes
    ----------
    potential : Potential
    w : (width, 2) array
        Incoming weights.
    labels : (width,) integer array
        The group of each neuron, -1 at zero.
    maxima : (maxima, 2) array
        Local maxima that the ascent found, one of each pair w and -w.
    occupied : (maxima,) mask
        Whether there are neurons at them.
    """

    potential: Potential
    w: Array
    labels: NDArray[np.int64]
    maxima: Array
    occupied: NDArray[np.bool_]

    @property
    def distinct(self) -> int:
        return int(self.labels.max(initial=-1)) + 1

    def value(self, w: Array) -> Array:
        """G at points (n, 2)."""
        values: Array = self.potential.value(torch.from_numpy(w)[None])[0].numpy()
        return values


def layer(network: xr.Dataset) -> Layer:
    """The hidden layer of one network."""
    data = points()
    assert data.y is not None
    w, v = network["W1"].values, network["W2"].values
    delta = (np.tanh(data.base @ w.T) @ v.T - data.y) / POINTS
    decay = torch.tensor([float(network["weight_decay"])], dtype=torch.float64)
    z, delta = torch.from_numpy(data.base)[None], torch.from_numpy(delta)[None]
    potential = Potential(z, delta, torch.tanh, decay, decay)
    random = np.random.default_rng(0).uniform(-REACH, REACH, size=(STARTS, 2))
    found = ascended(potential, np.concatenate([w, random]))
    groups = tree(np.concatenate([w, found]), odd=True).groups(MERGED)
    of_neurons, of_maxima = groups[: len(w)], groups[len(w) :]
    names, first = np.unique(of_maxima, return_index=True)
    first, names = first[names >= 0], names[names >= 0]
    labels = np.unique(of_neurons, return_inverse=True)[1] - int((of_neurons == -1).any())
    return Layer(potential, w, labels, found[first], np.isin(names, of_neurons))


def ascended(potential: Potential, start: Array) -> Array:
    """Local maxima, by damped Newton steps from some points; ends that are no maxima are left out."""
    w = torch.from_numpy(start)[None]
    damping = torch.ones(1, len(start), dtype=torch.float64)
    for _ in range(STEPS):
        curvature, axes = torch.linalg.eigh(potential.hessian(w))
        shift = curvature[..., -1].clamp(min=0) + damping
        along = (axes.mT @ potential.gradient(w)[..., None])[..., 0] / (shift[..., None] - curvature)
        further = w + (axes @ along[..., None])[..., 0]
        higher = potential.value(further) > potential.value(w)
        w = torch.where(higher[..., None], further, w)
        damping = torch.where(higher, damping / 3, damping * 3).clamp(1e-12, 1e12)
    flat = potential.gradient(w).norm(dim=2) <= FLAT * w.norm(dim=2)
    peak = torch.linalg.eigvalsh(potential.hessian(w))[..., -1]
    chosen: Array = w[flat & (peak < 0)].numpy()
    return chosen


def saturation(widths: Sequence[int], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Numbers of distinct neurons, of local maxima, and of those with neurons, by width and weight decay."""
    numbers = []
    for width in widths:
        networks = trained(width, seeds)
        for decay in DECAYS:
            found = [layer(networks.sel(weight_decay=decay, seed=seed)) for seed in seeds]
            numbers.append(
                {
                    "width": width,
                    "weight_decay": decay,
                    "distinct": [one.distinct for one in found],
                    "maxima": [len(one.maxima) for one in found],
                    "occupied": [int(one.occupied.sum()) for one in found],
                }
            )
    return numbers


def saturation_table(numbers: Sequence[dict[str, Any]]) -> str:
    """A row for each width, with ranges over seeds."""
    rows: dict[int, dict[str, str]] = {}
    for of in numbers:
        row = rows.setdefault(of["width"], {"width": f"{of['width']}"})
        counts = "; ".join(span(of[name]) for name in ("distinct", "maxima", "occupied"))
        row[f"weight decay {notation(of['weight_decay'])}"] = counts
    return table(list(rows.values()))


def moves() -> list[dict[str, Any]]:
    """Changes of objectives after a neuron of a group moved, and training continued."""
    networks = trained(WIDTH_OF_MOVES, SEEDS_OF_MOVES)
    old = objective(networks)
    cells = [(decay, seed) for decay in DECAYS for seed in SEEDS_OF_MOVES]
    layers = {cell: layer(networks.sel(weight_decay=cell[0], seed=cell[1])) for cell in cells}
    movable = {cell: one for cell, one in layers.items() if _movable(one)}
    numbers = []
    for target in ("an unoccupied maximum", "a random point of the same norm"):
        start = networks.copy(deep=True)
        for cell, one in movable.items():
            _move(start, cell, one, random=target.startswith("a random"))
        end = trained(WIDTH_OF_MOVES, SEEDS_OF_MOVES, start)
        change = (objective(end) / old - 1).to_series()
        for decay in DECAYS:
            here = [float(change[cell]) for cell in movable if cell[0] == decay]
            numbers.append({"target": target, "weight_decay": decay, "changes": here})
    return numbers


def moves_table(numbers: Sequence[dict[str, Any]]) -> str:
    """A row for each target and weight decay, with numbers of networks by the change of the objective."""
    rows = []
    for of in numbers:
        here = np.array(of["changes"])
        rows.append(
            {
                "a neuron moves to": of["target"],
                "weight decay": notation(of["weight_decay"]),
                "networks": len(here),
                "lower objective": int((here < -CHANGE).sum()),
                "same": int((np.abs(here) <= CHANGE).sum()),
                "higher": int((here > CHANGE).sum()),
                "lowest relative change": f"{here.min():.1e}" if len(here) else "",
            }
        )
    return table(rows)


def _movable(one: Layer) -> bool:
    """Whether a group of neurons can lose one, and there is an unoccupied maximum."""
    sizes = np.bincount(one.labels[one.labels >= 0])
    return bool(sizes.max(initial=0) > 1 and not one.occupied.all())


def _move(networks: xr.Dataset, cell: tuple[float, int], one: Layer, random: bool) -> None:
    """Move a neuron of the largest group to the highest unoccupied maximum, or to a random point."""
    free = one.maxima[~one.occupied]
    w = free[np.argmax(one.value(free))]
    if random:
        angle = np.random.default_rng(cell[1]).uniform(0, 2 * np.pi)
        w = np.linalg.norm(w) * np.array([np.cos(angle), np.sin(angle)])
    labels = one.labels
    neuron = int(np.flatnonzero(labels == np.argmax(np.bincount(labels[labels >= 0])))[0])
    at = {"weight_decay": cell[0], "seed": cell[1]}
    v = one.potential.outgoing(torch.from_numpy(w)[None, None])[0, 0].numpy()
    networks["W1"].loc[at][{"n1": neuron}] = w
    networks["W2"].loc[at][{"n1": neuron}] = v


def objective(networks: xr.Dataset) -> xr.DataArray:
    """Loss and weight decay of networks of one depth."""
    weights = [networks[f"W{l}"] for l in range(1, int(networks["depth"]) + 1)]
    norms = sum((w**2).sum(w.dims[-2:]) for w in weights)
    return networks["loss"] + networks["weight_decay"] / 2 * norms


def drawn(one: Layer) -> Figure:
    """The map of the potential, with maxima and neurons at w and -w."""
    side = np.linspace(-SIDE, SIDE, GRID)
    heights = one.value(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)).reshape(GRID, GRID)
    reach = 1.5 * np.abs(one.value(one.w)).max()
    figure = Figure(figsize=(5.2, 4.2))
    axis = figure.subplots()
    levels, colours = np.linspace(-reach, reach, 31), colour_map("viridis")
    heights_map = axis.contourf(side, side, heights, levels, cmap=colours, extend="both")
    figure.colorbar(heights_map, ax=axis, label="potential $G(w)$", format="%.2g")
    alone = np.bincount(one.labels[one.labels >= 0])[one.labels] == 1
    ring: LineStyle = {"marker": "o", "linestyle": "", "markerfacecolor": "none", "markersize": 9}
    cross: LineStyle = {"marker": "X", "linestyle": "", "color": "white", "markeredgecolor": "black"}
    for places, label, style in (
        (one.maxima, "local maximum", {**cross, "markersize": 5}),
        (one.w[~alone], "two or more neurons", {**ring, "color": COLOURS["orange"]}),
        (one.w[alone], "one neuron", {**ring, "color": COLOURS["red"]}),
    ):
        axis.plot(*np.concatenate([places, -places]).T, label=label, **style)
    axis.set(xlim=(-SIDE, SIDE), ylim=(-SIDE, SIDE), xlabel="$w_1$", ylabel="$w_2$", aspect="equal")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def on_map(one: Layer) -> dict[str, Any]:
    """The numbers of the map: places of neurons and maxima, with the potential at them."""
    return {
        "neurons": one.w.tolist(),
        "groups": one.labels.tolist(),
        "potential at neurons": one.value(one.w).tolist(),
        "maxima": one.maxima.tolist(),
        "occupied": one.occupied.tolist(),
        "potential at maxima": one.value(one.maxima).tolist(),
    }


def main() -> None:
    make_deterministic()
    shown = layer(trained(WIDTH_SHOWN, SEEDS[:1]).sel(weight_decay=DECAY_SHOWN, seed=SEEDS[0]))
    with styled():
        PICTURE.write_bytes(picture(drawn(shown), "png", 150))
    numbers = {"map": on_map(shown), "saturation": saturation(WIDTHS, SEEDS), "moves": moves()}
    NUMBERS.write_text(f"{json.dumps(numbers, indent=1)}\n", encoding="utf-8")
    between(PAGE, "saturation", filled(saturation_table(numbers["saturation"])))
    between(PAGE, "moves", filled(moves_table(numbers["moves"])))


if __name__ == "__main__":
    main()
