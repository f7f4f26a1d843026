"""Cubes for which every statistic of claims is known by construction."""

import numpy as np
import xarray as xr

from nrc.grid import AXES
from nrc.metadata import flag_attributes
from nrc.option_types import RANK_LABELS
from nrc.status import Status, TerminationReason

K = 2
# Four numbers by their Spearman correlation with 1, 2, 3, 4, which is 1 - sum d^2 / 10.
ORDERS = {-1: (4, 3, 2, 1), -0.6: (3, 4, 1, 2), 0: (2, 4, 1, 3), 0.6: (2, 1, 4, 3), 1: (1, 2, 3, 4)}
DECAYS = {"weight_decay": [0.001, 0.01, 0.03, 0.1]}


def cube(variables, **axes):
    """A cube of variables, given as dimensions and values, with a cell for each value of the axes."""
    axes = {"weight_decay": [0.1], "sigma": [0.0], "width": [8], "depth": [3], "seed": [0], **axes}
    cells = dict.fromkeys(AXES, 1) | {axis: len(values) for axis, values in axes.items()}
    shape = tuple(cells[axis] for axis in AXES)
    dataset = xr.Dataset(
        {
            "status": (tuple(AXES), np.zeros(shape, np.int8), flag_attributes(Status)),
            "termination_reason": (tuple(AXES), np.zeros(shape, np.int8), flag_attributes(TerminationReason)),
        },
        axes,
        {"clusters": K, "experiment": "known"},
    )
    for name, (dims, values) in variables.items():
        array = xr.DataArray(np.asarray(values, float), dims=dims)
        positions = {
            dim: np.arange(array.sizes[dim]) + (dim in ("layer", "index"))
            for dim in array.dims
            if dim not in AXES
        }
        full = array.assign_coords(positions) + xr.zeros_like(dataset["status"].drop_vars(list(AXES)))
        dataset[name] = full.transpose(*AXES, *positions)
    return dataset


SIGMA = np.geomspace(0.1, 1, 5)


def jumping(values):
    """Half of the plane is at 0.09, half of it as many decades above as the value, in each of two layers."""
    rows = [[np.where(share > SIGMA, 0.09, 0.09 * 10**value) for share in (0.2, 0.5)] for value in values]
    variables = {"relative_distance": (("layer", "seed", "weight_decay", "sigma"), [rows, rows])}
    return cube(variables, sigma=SIGMA, seed=range(len(values)), weight_decay=[0.01, 0.1])


def collapsing(values):
    """As many noise levels have collapsed as the order says."""
    near = np.array([ORDERS[value] for value in values])[..., None] > np.arange(5)
    variables = {"relative_distance": (("seed", "weight_decay", "sigma"), np.where(near, 0.05, 0.8))}
    made = cube(variables, seed=range(len(values)), sigma=SIGMA, **DECAYS)
    return made.assign(relative_distance=made["relative_distance"].expand_dims(layer=[1, 2]))


def power_law(values):
    """The distance of collapsed layers is TCV^value / weight decay; at the largest noise they have not collapsed."""
    sigma, decays = np.geomspace(0.01, 1, 9), np.array(DECAYS["weight_decay"])
    tcv = np.array([7 * sigma**2, sigma**3])
    law = tcv[None, :, None, :] ** np.array(values)[:, None, None, None] / decays[:, None]
    variables = {
        "tcv_upper": (("source", "sigma"), tcv),
        # beyond half of the largest noise at which a layer has collapsed, the law does not hold
        "distance": (("seed", "layer", "weight_decay", "sigma"), np.where(sigma < 0.3, law, 5)),
        "relative_distance": ("sigma", np.where(sigma < 0.9, 0.01, 0.8)),
    }
    made = cube(variables, sigma=sigma, seed=range(len(values)), **DECAYS)
    return made.assign(relative_distance=made["relative_distance"] + 0 * made["distance"])


def powers_of_sigma(values):
    sigma = np.geomspace(0.01, 1, 9)
    shift = sigma ** np.array(values)[:, None]
    variables = {
        "shift": (("seed", "sigma"), shift),
        "shift_forecast": ("sigma", sigma**3),
        # the last three cells are beyond the quadratic regime, and would change the slope
        "noise_moment": ("sigma", np.where(np.arange(9) < 6, 1e-6, 1)),
        "at_minimum": ("sigma", np.ones(9)),
    }
    bent = cube(variables, sigma=sigma, weight_decay=[0.01, 0.1], seed=range(len(values)))
    bent["shift"] = bent["shift"].where(bent["sigma"] < sigma[6], 1)
    return bent


def in_order(names, dims, values):
    """Variables with an order along weight decay for each seed; `dims` have two values."""
    table = np.array([ORDERS[value] for value in values])
    both = np.broadcast_to(table, (*[2] * len(dims), *table.shape))
    variables = dict.fromkeys(names, ((*dims, "seed", "weight_decay"), both))
    return cube(variables, seed=range(len(values)), **DECAYS)


def ordered_shifts(values):
    shifts = in_order(["shift"], (), values)
    shifts["at_minimum"] = shifts["status"] + np.int8(1)
    return shifts


def spectra(heads, tails):
    """Spectra (head, 1e-3, tail) of the first layer over three snapshots; the second has no tail.

    heads, tails : seed, weight decay, snapshot; the middle snapshot must not count.
    """
    s = np.full((*np.shape(heads), 2, 3), np.nan)
    s[..., 0, 0], s[..., 0, 1], s[..., 0, 2] = heads, 1e-3, tails
    s[..., 1, 0], s[..., 1, 1] = heads, 1e-3
    dims = ("seed", "weight_decay", "snapshot", "layer", "index")
    return cube(
        {"snapshot_singular_values": (dims, s)},
        seed=range(s.shape[0]),
        weight_decay=DECAYS["weight_decay"][: s.shape[1]],
    )


def changing_tails(values):
    """With tail t and head h, t^2 + h^2 = 1, the relative tail is t."""
    tails = np.array([[[0.1, 0.5, 0.1 * value]] * 2 for value in values])
    return spectra(np.sqrt(1 - tails**2), tails)


def ordered_tails(values):
    changes = [[np.array((0.1, 0.5, 0.1 * place)) for place in ORDERS[value]] for value in values]
    return spectra(np.sqrt(1 - np.square(changes)), changes)


def changing_heads(values):
    heads = np.array([[[0.5, 0.9, 0.5 * value]] * 2 for value in values])
    return spectra(heads, np.ones_like(heads))


def falling_wcss(values):
    """Changes from the peak on; neither the initial weights nor the inputs, the first source, must count."""
    wcss = np.array([[[7, 9, 7], [9, 3, 3 * value], [1, 2, 2 * value]] for value in values])
    return cube({"snapshot_wcss": (("seed", "source", "snapshot"), wcss)}, seed=range(len(values)))


def ordered_variability(values):
    made = in_order(["wcss_class", "wcss_share", "nc1"], ("source",), values)
    for name in ("wcss_class", "wcss_share", "nc1"):
        made[name] = made[name].where(made["source"] > 0, made["weight_decay"])
    return made


RANKS = tuple(RANK_LABELS)


def of_widths(powers):
    """Rank width^power in the middle layer, powers (seed, weight decay); other layers grow differently."""
    widths, powers = np.array([4, 8, 16, 32]), np.asarray(powers, float)
    rank = widths ** powers[..., None]
    rank = np.stack([np.exp(rank / 99), rank, np.log(widths) + 0 * rank], -1)
    return cube(
        dict.fromkeys(RANKS, (("seed", "weight_decay", "width", "layer"), rank)),
        seed=range(len(powers)),
        width=widths,
        weight_decay=DECAYS["weight_decay"][: powers.shape[1]],
    )


def growing_with_width(values):
    return of_widths([[value] * 3 for value in values])


def ordered_growth(values):
    """Slopes of both signs whose absolute values are in order."""
    return of_widths([np.array(ORDERS[value]) / 10 * (1, -1, 1, -1) for value in values])


def ordered_ranks(values):
    """Of three layers the middle one is in order, the others are in order of weight decay."""
    made = in_order(RANKS, (), values)
    layers = xr.DataArray([0.0, 1.0, 0.0], dims="layer", coords={"layer": [1, 2, 3]})
    for name in RANKS:
        made[name] = made[name] * layers + made["weight_decay"] * (1 - layers)
    return made


def growing_with_depth(values):
    """Mean depth^value over as many layers as the network has, in unequal parts; missing beyond."""
    depths, layers = np.array([2, 3, 5]), np.arange(1, 6)
    parts = np.where(layers <= depths[:, None], layers / (depths[:, None] + 1) * 2, np.nan)
    rank = np.array([depths[:, None] ** value * parts for value in values])
    variables = dict.fromkeys(RANKS, (("seed", "depth", "layer"), rank))
    return cube(variables, seed=range(len(values)), depth=depths)


# statistic: the cube, what supports the claim, what contradicts it, what leaves it inconclusive, and its options
FALLS, RISES = {"trend": "falls"}, {"trend": "rises"}


def limits(at_least=None, at_most=None):
    return {"at_least": at_least, "at_most": at_most}


KNOWN = {
    "jump": (jumping, (1, 1.05, 0.95), (0.35, 0.34, 0.36), (0.4, 0.5, 0.9), limits(0.5)),
    "collapsed_trend": (collapsing, (1, 1, 1), (-1, -0.6, -1), (1, -1, 0.6), RISES),
    "rate": (
        power_law,
        (1, 1.01, 0.99),
        (2, 2.1, 1.9),
        (1, 1.1, 1.6),
        {"of_power": "tcv", **limits(0.8, 1.2)},
    ),
    "slope_in_sigma": (powers_of_sigma, (2.01, 1.99, 2), (3, 2.9, 3.1), (2, 2, 2.4), limits(1.9, 2.1)),
    "shift_trend": (ordered_shifts, (-1, -1, -1), (1, 0.6, 1), (-1, 0, 0.6), FALLS),
    "tail_change": (changing_tails, (0.5, 0.52, 0.48), (1.5, 1.6, 1.55), (0.9, 1.1, 0.8), limits(None, 1)),
    "tail_trend": (ordered_tails, (-1, -1, -1), (1, 0.6, 1), (-1, 0.6, 0), FALLS),
    "head_change": (changing_heads, (1, 1.01, 0.99), (1.7, 1.69, 1.71), (1, 1, 1.6), limits(0.8, 1.25)),
    "wcss_change": (falling_wcss, (0.5, 0.52, 0.48), (1, 0.99, 0.98), (1, 0.5, 0.6), limits(None, 0.8)),
    "variability_trend": (ordered_variability, (-1, -1, -1), (1, 0.6, 1), (-1, -0.6, 1), FALLS),
    "width_growth": (
        growing_with_width,
        (0.1, 0.09, 0.11),
        (1, 0.9, 1),
        (0.1, 0.3, 0.3),
        limits(-0.25, 0.25),
    ),
    "width_growth_trend": (ordered_growth, (-1, -1, -1), (1, 1, 1), (0, 0, 0), FALLS),
    "rank_trend": (ordered_ranks, (1, 1, 1), (-1, -1, -0.6), (0, 1, -0.6), RISES),
    "depth_growth": (
        growing_with_depth,
        (-0.1, -0.12, -0.08),
        (0.5, 0.6, 0.5),
        (0.1, 0.3, 0.5),
        limits(-0.25, 0.25),
    ),
}
