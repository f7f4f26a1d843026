"""Made-up cubes with the variables of real ones, and figures of them."""

import json

import numpy as np
import xarray as xr

from nrc import kinds
from nrc.figures.style import styled
from nrc.metadata import describe, flag_attributes
from nrc.status import Status, TerminationReason

GRID = ("weight_decay", "sigma", "width", "depth", "seed")
SNAPSHOTS = [0, 5, 9]
BOUNDS = ("bound_measured", "bound_projected", "bound_segments", "bound_analytic")
K = 2
KINDS = kinds.names("figures")
# Kinds that compare a random start with two sweeps.
SWEEPS = ("hysteresis", "branches")
# Kinds whose experiments have titles.
TITLED = ("shift", "batches", *SWEEPS)
# Of the cubes for the figure of batch sizes.
METHOD = {"name": "sgd", "batch": 10, "learning_rate": 0.5, "momentum": 0.0, "schedule": "constant"}
OPTIONS = {
    "shift": {"saturation": 0.5},
    "rank_curves": {"along": "width", "rank": ["stable_rank", "relative_distance"]},
    "neurons": {"along": "width"},
}


def options(kind, titles=(), **others):
    """Complete options of a kind of figure."""
    of = dict.fromkeys(titles, "one") if kind in TITLED else ["one"]
    return kinds.options("figures", kind)(**{"of": of, "dpi": 50, **OPTIONS.get(kind, {}), **others})


def cube(name="one", *, made_of=0, without=(), mixture=True, classes=False, **axes):
    """Measures with made-up numbers, the variables, dimensions and gaps of a real cube; all converged."""
    rng = np.random.default_rng(made_of)
    grid = {"weight_decay": [0.01, 0.1], "sigma": [0.1, 0.3, 1.0], "width": [4], "depth": [3], "seed": [0, 1]}
    grid |= axes
    depth, width = max(grid["depth"]), max(grid["width"])
    sizes = {axis: len(values) for axis, values in grid.items()}
    sizes |= {"layer": depth, "index": width, "source": depth, "snapshot": len(SNAPSHOTS)}
    of_cell = ("relative_residual", "transition", "forecast_rank", "critical_rank", "critical_distance")
    of_layer = ("stable_rank", "numerical_rank", "effective_rank", "mp_soft_rank")
    dims = {
        **dict.fromkeys(of_cell, ()),
        **dict.fromkeys(("wcss_bound", "wcss_quantile") if mixture else (), ()),
        **dict.fromkeys(("train_accuracy", "test_accuracy") if classes else (), ()),
        **dict.fromkeys(of_layer, ("layer",)),
        **dict.fromkeys(("singular_values", "forecast"), ("layer", "index")),
        **dict.fromkeys(("tcv_lower", "tcv_upper", "wcss_class"), ("source",)),
        **dict.fromkeys(BOUNDS, ("layer", "source")),
        **dict.fromkeys(("relative_tail", "tail_bound"), ("layer", "index")),
        "snapshot_singular_values": ("snapshot", "layer", "index"),
        "snapshot_wcss": ("snapshot", "source"),
        "distinct_neurons": ("layer",),
        "snapshot_distinct_neurons": ("snapshot", "layer"),
    }
    coords = grid | {
        "layer": range(1, depth + 1),
        "index": range(1, width + 1),
        "source": range(depth),
        "snapshot": SNAPSHOTS,
    }
    made = xr.Dataset(coords={axis: (axis, list(values)) for axis, values in coords.items()})
    for variable, others in dims.items():
        order = (*GRID, *others)
        made[variable] = order, rng.uniform(0.1, 1, [sizes[dim] for dim in order])
        if "layer" in others:  # shallower networks have fewer layers, narrower ones fewer singular values
            made[variable] = made[variable].where(made["layer"] <= made["depth"])
        if "index" in others:
            made[variable] = made[variable].where(made["index"] <= made["width"])
            made[variable].values = -np.sort(-made[variable].values, axis=-1)
    for variable in ("distinct_neurons", "snapshot_distinct_neurons"):
        made[variable] = np.ceil(width * made[variable]).where(made["layer"] < made["depth"])
    s = made["singular_values"]
    made["distance"] = np.sqrt((s.where(s["index"] > K, 0) ** 2).sum("index")).where(s.notnull().any("index"))
    made["relative_distance"] = made["distance"] / np.sqrt((s**2).sum("index"))
    made["exact_rank"] = (s > 5e-8 * s.max("index")).sum("index").where(s.notnull().any("index"))
    for flag in ("status", "termination_reason"):
        made[flag] = GRID, np.zeros([sizes[axis] for axis in GRID], np.int8)
    made["at_minimum"] = made["status"] + np.int8(1)
    settings = json.dumps({"training": {"method": METHOD}})
    made = made.drop_vars(list(without)).assign_attrs(experiment=name, clusters=K, points=30, dimension=4)
    made = made.assign_attrs(settings=settings)
    made = describe(made, **{variable: {"long_name": variable} for variable in map(str, made.variables)})
    made["snapshot"].attrs["long_name"] = "epochs over the data"
    made["status"].attrs |= flag_attributes(Status)
    made["termination_reason"].attrs |= flag_attributes(TerminationReason)
    return made


KEPT = {"tcv_lower", "tcv_upper", "wcss_class", "wcss_bound"}


def end(made, reason, **cell):
    """Change the termination reason of some cells, and their measures accordingly."""
    made["termination_reason"].loc[cell] = reason
    made["status"].loc[cell] = reason.status
    if reason is TerminationReason.DIVERGED:
        for variable in set(made.data_vars) - KEPT:
            if made[variable].dtype.kind == "f":
                made[variable].loc[cell] = np.nan
    if reason is TerminationReason.COLLAPSED_TO_ZERO:
        for variable in ("singular_values", "distance"):
            made[variable].loc[cell] = 0
        for variable in ("relative_distance", "stable_rank", "exact_rank"):
            made[variable].loc[cell] = np.nan
    return made


def shift(name="one", *, slope=2.0, **axes):
    """Shifts that grow with a power of sigma, which differs between seeds."""
    grid = {"weight_decay": [0.1, 1.0], "sigma": [0.01, 0.02, 0.05, 0.1]} | axes
    made = cube(name, **grid)[["status", "termination_reason", "at_minimum"]]
    power = made["sigma"] ** (slope + 0.01 * made["seed"]) / made["weight_decay"]
    made["shift"] = power.broadcast_like(made["status"])
    made["noise_moment"] = (2 * made["sigma"] ** 2).broadcast_like(made["status"])
    made["shift_forecast"], made["shift_bound"] = made["shift"] * 1.01, made["shift"] * 3
    names = ("shift", "noise_moment", "shift_forecast", "shift_bound")
    return describe(made, **{variable: {"long_name": variable} for variable in names})


# Ratios of sigma to the forecast: where sweeps and random start pass from one branch to the other, and where
# the objective of the sweep up exceeds the objectives of the random start and of the sweep down.
PLACES = {"down_ends": 0.8, "random_jumps": 0.9, "overtaken": 1.1, "crossing": 1.3, "up_ends": 2.0}


def branches(places=PLACES, **axes):
    """Cubes of a random start and of sweeps up and down, with branches that begin, cross and end at known places."""
    starts = {"random start": "random_jumps", "sweep up": "up_ends", "sweep down": "down_ends"}
    grid = {"weight_decay": [0.01, 0.1], "sigma": np.geomspace(0.05, 1.5, 30), "seed": [0, 1]} | axes
    cubes = {}
    for start, leaves in starts.items():
        made = cube(start, without=["forecast"], **grid)
        over = made["sigma"] / np.sqrt(made["weight_decay"]) / (1 + 0.1 * made["seed"])
        flat = xr.zeros_like(made["relative_residual"])
        made["transition"] = (made["sigma"] / (1 + 0.1 * made["seed"])) ** 2 + flat
        left = over > places[leaves]
        made["relative_distance"] = xr.where(left, 0.8, 0.01 * made["sigma"]) + 0 * made["relative_distance"]
        power = {"random start": places["overtaken"], "sweep down": places["crossing"]}.get(start)
        objective = 9 + flat if power is None else 9 * (over / power) ** -0.5 + flat
        norms = (made["singular_values"] ** 2).sum(["layer", "index"])
        made["loss"] = objective - made["weight_decay"] / 2 * norms
        cubes[start] = describe(
            made, **{v: {"long_name": v} for v in ("transition", "relative_distance", "loss")}
        )
    return cubes


def named(kind, cubes):
    """The cubes by their names in a figure; for sweeps one cube may be given for all three."""
    if kind in SWEEPS:
        return dict(zip(("random start", "sweep up", "sweep down"), cubes * (3 // len(cubes)), strict=True))
    return {f"cube {i}": made for i, made in enumerate(cubes)}


def drawn(kind, *cubes, render=False, **others):
    """The figure, laid out on request as for a file."""
    titled = named(kind, cubes)
    with styled():
        figure = kinds.module("figures", kind).draw(titled, options(kind, titled, **others))
        if render:
            figure.draw_without_rendering()
    return figure


def rows(kind, *cubes, **others):
    titled = named(kind, cubes)
    return kinds.module("figures", kind).rows(titled, options(kind, titled, **others))


def facts(kind, *cubes, **others):
    titled = named(kind, cubes)
    return kinds.module("figures", kind).summary(titled, options(kind, titled, **others))


def unlucky():
    """A plane with cells that stopped in one seed, stopped in all, diverged and collapsed to zero."""
    made = cube()
    end(made, TerminationReason.EPOCHS, sigma=0.1, weight_decay=0.01, seed=0)
    end(made, TerminationReason.NO_DESCENT, sigma=0.3, weight_decay=0.01)
    end(made, TerminationReason.DIVERGED, sigma=1.0, weight_decay=0.01)
    return end(made, TerminationReason.COLLAPSED_TO_ZERO, sigma=1.0, weight_decay=0.1)
