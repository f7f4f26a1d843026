"""What figures and claims need of their experiments, told in one line before any job."""

import re

import pytest

from support.configurations import SCHEMA, overlay, read, refused

# Values of 0 on purpose, and not in order.
BASE = """
data:
  blobs: {kind: mixture, clusters: 2, points: 10, dimension: 3}
  others: {kind: mixture, clusters: 2, points: 10, dimension: 3}
experiments:
  one:
    data: blobs
    grid: {weight_decay: [0.1, 0, 1], sigma: [0.5, 0, 1], width: [4], depth: [2], seed: [0, 1]}
  wide: {like: one, grid: {width: [8]}}
  deep: {like: one, grid: {depth: [3]}}
  many: {like: one, grid: {width: [4, 8], depth: [2, 3]}}
  quiet: {like: one, grid: {sigma: [0]}}
  up: {like: one, training: {warm_start: {along: sigma, direction: up}}, stack: [weight_decay, seed]}
  down: {like: up, training: {warm_start: {direction: down}}}
  ranks: {like: one, measures: {certified_ranks: 3}}
  looks: {like: quiet, training: {snapshot_every: 5}}
  noisy_looks: {like: one, training: {snapshot_every: 5}}
  classes: {like: one, task: classify, network: {activation: relu, bias: true}}
  biased: {like: one, network: {activation: linear, bias: true}}
  factors: {like: one, network: {activation: linear}}
  factors_on_centroids: {like: factors, training: {loss_on: centroids}}
  product: {like: factors, grid: {weight_decay: [0.1, 1]}, training: {penalty: product}}
  product_on_centroids: {like: product, training: {loss_on: centroids}}
  several: {like: factors, grid: {width: [4, 8], depth: [2, 3]}}
  several_on_centroids: {like: several, training: {loss_on: centroids}}
  lonely: {like: factors, network: {gain: 2}}
"""
POSITIVE = {"sigma": [0.5, 1], "weight_decay": [1, 0.1]}
NO_TWIN = "it needs an experiment that is the same but for training.loss_on: centroids, and there is none"


def figure(kind, of, at=(), **options):
    if kind == "shift":
        of = {f"row {number}": name for number, name in enumerate(of.split())}
    if kind == "hysteresis":  # one name may stand for all
        names = of.split() * (3 // len(of.split()))
        of = dict(zip(("random start", "sweep up", "sweep down"), names, strict=True))
    return overlay("figures.mine", {"kind": kind, "of": of, "at": dict(at), **options})


def claim(statistic, of, at=()):
    limits = {"statement": "so it is", "at_least": 0}
    return overlay("claims.mine", {"statistic": statistic, "of": of, "at": dict(at), **limits})


def taken(folder, entry, *overlays):
    return read(folder, BASE, *overlays, entry, below=None)


def told(folder, entry, *overlays):
    """The line that refuses, without positions in lists."""
    return re.sub(r"\[\d+\] is ", " is ", refused(folder, BASE, *overlays, entry, below=None))


# Figures.

DRAWN = [
    ("plane", "one", {}, {}),
    ("plane", "quiet", {"weight_decay": 0}, {}),
    ("plane", "classes", {}, {}),
    ("plane", "product", {}, {}),
    ("plane", "factors_on_centroids", {}, {}),
    ("plane", "many", {"width": 8, "depth": [3]}, {}),
    ("certified", "ranks", {}, {}),
    ("bounds", "many", {}, {}),
    ("bounds", "quiet", {"weight_decay": 0}, {}),
    ("bounds", "classes", {}, {}),
    ("bounds", "factors_on_centroids", {}, {}),
    ("shift", "factors", POSITIVE, {}),
    ("shift", "product factors", POSITIVE, {}),
    ("shift", "several", {**POSITIVE, "width": 8, "depth": 3}, {}),
    ("forecast", "factors", {}, {}),
    ("forecast", "factors", {"sigma": 0, "weight_decay": 0}, {}),
    ("forecast", "lonely", {}, {}),
    ("forecast", "several", {"width": 4, "depth": 3}, {}),
    ("spectra", "looks", {}, {}),
    ("spectra", "noisy_looks", {"sigma": 1}, {}),
    ("rank_curves", "many", {"sigma": 0, "depth": 2}, {"along": "width"}),
    ("rank_curves", "many", {"sigma": 0.5, "width": 8}, {"along": "depth"}),
    ("rank_curves", "many", {"width": 8, "depth": 3}, {"along": "sigma"}),
    ("rank_curves", "biased", {}, {"along": "sigma"}),
    ("hysteresis", "one up down", POSITIVE, {}),
    ("hysteresis", "lonely up down", {"weight_decay": 1, "sigma": [0.5, 1]}, {"layer": 1, "shown": [0.1]}),
]
NOT_DRAWN = [
    ("plane", "many", {}, {}, "grid.width is [4, 8], but must be one value"),
    ("plane", "many", {"width": 4}, {}, "grid.depth is [2, 3], but must be one value"),
    ("plane", "many", {"depth": 3}, {}, "grid.width is [4, 8], but must be one value"),
    ("certified", "one", {}, {}, "measures.certified_ranks is 0, but must be of at least 1"),
    ("bounds", "product", {}, {}, "training.penalty is 'product', but must be factors"),
    ("shift", "one", POSITIVE, {}, "network.activation is 'tanh', but must be linear"),
    ("shift", "classes", POSITIVE, {}, "task is 'classify', but must be autoencode"),
    ("shift", "biased", POSITIVE, {}, "network.bias is true, but must be false"),
    ("shift", "factors_on_centroids", POSITIVE, {}, "training.loss_on is 'centroids', but must be data"),
    ("shift", "factors", {"weight_decay": 1}, {}, "grid.sigma is 0.0, but must be greater than 0"),
    ("shift", "factors", {"sigma": 1}, {}, "grid.weight_decay is 0.0, but must be greater than 0"),
    ("shift", "several", {**POSITIVE, "depth": 2}, {}, "grid.width is [4, 8], but must be one value"),
    ("shift", "several", {**POSITIVE, "width": 4}, {}, "grid.depth is [2, 3], but must be one value"),
    ("shift", "lonely", POSITIVE, {}, NO_TWIN),
    ("forecast", "one", {}, {}, "network.activation is 'tanh', but must be linear"),
    ("forecast", "classes", {}, {}, "task is 'classify', but must be autoencode"),
    ("forecast", "biased", {}, {}, "network.bias is true, but must be false"),
    ("forecast", "factors_on_centroids", {}, {}, "training.loss_on is 'centroids', but must be data"),
    ("forecast", "product", {}, {}, "training.penalty is 'product', but must be factors"),
    ("forecast", "several", {"depth": 2}, {}, "grid.width is [4, 8], but must be one value"),
    ("forecast", "several", {"width": 4}, {}, "grid.depth is [2, 3], but must be one value"),
    ("spectra", "quiet", {}, {}, "training.snapshot_every is null, but must be a whole number"),
    ("spectra", "noisy_looks", {}, {}, "grid.sigma is [0.0, 0.5, 1.0], but must be one value"),
    ("rank_curves", "one", {}, {"along": "width"}, "grid.sigma is [0.0, 0.5, 1.0], but must be one value"),
    ("rank_curves", "one", {}, {"along": "depth"}, "grid.sigma is [0.0, 0.5, 1.0], but must be one value"),
    ("rank_curves", "many", {"sigma": 0}, {"along": "width"}, "grid.depth is [2, 3], but must be one value"),
    ("rank_curves", "many", {"sigma": 0}, {"along": "depth"}, "grid.width is [4, 8], but must be one value"),
    ("rank_curves", "many", {"depth": 2}, {"along": "sigma"}, "grid.width is [4, 8], but must be one value"),
    ("rank_curves", "many", {"width": 4}, {"along": "sigma"}, "grid.depth is [2, 3], but must be one value"),
    ("hysteresis", "many", {**POSITIVE, "width": 4}, {}, "grid.depth is [2, 3], but must be one value"),
    ("hysteresis", "one", {"weight_decay": 1}, {}, "grid.sigma is 0.0, but must be greater than 0"),
    ("hysteresis", "one", {"sigma": [0.5, 1]}, {}, "grid.weight_decay is 0.0, but must be greater than 0"),
    (
        "hysteresis",
        "one",
        {"weight_decay": 1, "sigma": 1},
        {},
        "grid.sigma is [1.0], but must be 2 or more values",
    ),
    ("hysteresis", "classes", POSITIVE, {}, "task is 'classify', but must be autoencode"),
    ("hysteresis", "biased", POSITIVE, {}, "network.bias is true, but must be false"),
    ("hysteresis", "factors_on_centroids", POSITIVE, {}, "training.loss_on is 'centroids', but must be data"),
    ("hysteresis", "product", POSITIVE, {}, "training.penalty is 'product', but must be factors"),
]


@pytest.mark.parametrize(("kind", "of", "at", "options"), DRAWN)
def test_a_figure_takes_what_it_can_draw(tmp_path, kind, of, at, options):
    made = taken(tmp_path, figure(kind, of, at, **options))["figures"]["mine"]
    assert made["at"] == at
    found = list(made["of"].values()) if isinstance(made["of"], dict) else made["of"]
    assert sorted(found) == sorted(of.split() * (len(found) // len(of.split())))


@pytest.mark.parametrize(("kind", "of", "at", "options", "message"), NOT_DRAWN)
def test_a_figure_says_what_it_cannot_draw_and_why(tmp_path, kind, of, at, options, message):
    line = told(tmp_path, figure(kind, of, at, **options))
    assert line.startswith(f"figures.mine ({kind}) cannot draw {of}: {message}")
    hint = "; give it one, or select one by figures.mine.at"
    assert line.endswith(hint) == ("one value" in message)


def test_spectra_need_looks_and_one_network_a_weight_decay(tmp_path):
    line = told(tmp_path, figure("spectra", "many"))
    assert line.startswith("figures.mine (spectra) cannot draw many: training.snapshot_every is null")
    for axis in ("width", "depth"):
        line = told(tmp_path, figure("spectra", "looks"), overlay(f"experiments.looks.grid.{axis}", [2, 3]))
        assert f"looks: grid.{axis} is [2, 3], but must be one value; give it one, or select" in line


def test_one_of_several_rows_of_shifts_is_named(tmp_path):
    line = told(tmp_path, figure("shift", "product factors one", POSITIVE))
    assert line == "figures.mine (shift) cannot draw one: network.activation is 'tanh', but must be linear"


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (
            "one down up",
            "sweep up is down, whose training.warm_start is {along: 'sigma', direction: 'down'}, but must be",
        ),
        (
            "one one one",
            "sweep up is one, whose training.warm_start is null, but must be an experiment whose",
        ),
        (
            "up up down",
            "random start is up, whose training.warm_start is {along: 'sigma', direction: 'up'}, but must",
        ),
    ],
)
def test_branches_start_where_their_titles_say(tmp_path, of, message):
    assert told(tmp_path, figure("hysteresis", of, POSITIVE)).startswith(f"figures.mine.of.{message}")


# Claims.

ANY = {"transition_width", "variability_trend", "rank_trend"}
OF_LOOKS = {"tail_change", "tail_trend", "head_change", "wcss_change"}
OF_SHIFTS = {"slope_in_sigma", "shift_trend"}
ALONG = {"width_growth": "width", "width_growth_trend": "width", "depth_growth": "depth"}


def test_every_kind_and_every_statistic_stands_here():
    kinds = SCHEMA["$defs"]["figure"]["kinds"]
    assert {kind for kind, *_ in DRAWN} == set(kinds)
    assert {kind for kind, *_ in NOT_DRAWN} == {kind for kind, about in kinds.items() if "draws" in about}
    assert {*ANY, *OF_LOOKS, *OF_SHIFTS, *ALONG} == set(SCHEMA["$defs"]["claim"]["kinds"])


@pytest.mark.parametrize("statistic", sorted(ANY))
@pytest.mark.parametrize("of", ["one", "many", "quiet", "classes", "product", "factors_on_centroids"])
def test_some_claims_are_judged_on_anything(tmp_path, statistic, of):
    assert taken(tmp_path, claim(statistic, of))["claims"]["mine"]["of"] == [of]


@pytest.mark.parametrize("statistic", sorted(OF_LOOKS))
def test_what_changes_in_training_needs_looks(tmp_path, statistic):
    assert taken(tmp_path, claim(statistic, "noisy_looks"))["claims"]["mine"]["of"] == ["noisy_looks"]
    for of in ("quiet", ["looks", "wide"]):
        bad = of if isinstance(of, str) else of[1]
        assert told(tmp_path, claim(statistic, of)) == (
            f"claims.mine ({statistic}) cannot be judged on {bad}: training.snapshot_every is null, but must be a "
            "whole number"
        )


@pytest.mark.parametrize("statistic", sorted(OF_SHIFTS))
@pytest.mark.parametrize(
    ("of", "message"),
    [
        ("one", "network.activation is 'tanh', but must be linear"),
        ("classes", "task is 'classify', but must be autoencode"),
        ("biased", "network.bias is true, but must be false"),
        ("product_on_centroids", "training.loss_on is 'centroids', but must be data"),
        ("lonely", NO_TWIN),
    ],
)
def test_shifts_are_of_linear_networks_on_data(tmp_path, statistic, of, message):
    line = told(tmp_path, claim(statistic, of, {"sigma": [0.5, 1]}))
    assert line.startswith(f"claims.mine ({statistic}) cannot be judged on {of}: {message}")
    taken(tmp_path, claim(statistic, "several", {"sigma": [0.5, 1]}))


def test_a_slope_in_sigma_needs_noise_and_a_trend_in_weight_decay_none(tmp_path):
    line = told(tmp_path, claim("slope_in_sigma", "factors"))
    assert line == (
        "claims.mine (slope_in_sigma) cannot be judged on factors: grid.sigma is 0.0, but must be greater than 0"
    )
    taken(tmp_path, claim("shift_trend", "factors"))


@pytest.mark.parametrize(("statistic", "axis"), sorted(ALONG.items()))
def test_growth_needs_two_values(tmp_path, statistic, axis):
    joined = ["one", {"width": "wide", "depth": "deep"}[axis]]
    for of in ("many", joined):
        assert taken(tmp_path, claim(statistic, of))["claims"]["mine"]["at"] == {}
    value = {"width": 8, "depth": 3}[axis]
    for of, at in (("many", {axis: value}), (joined[1], {})):
        assert told(tmp_path, claim(statistic, of, at)) == (
            f"claims.mine ({statistic}) cannot be judged on {of}: grid.{axis} is [{value}], but must be 2 or more "
            "values"
        )


# Selections, for figures and claims.

ENTRIES = {"figures": ("bounds", figure), "claims": ("rank_trend", claim)}


@pytest.mark.parametrize("section", ENTRIES)
@pytest.mark.parametrize(
    ("of", "at", "message"),
    [
        ("many", {"width": 5}, "at.width is 5, but must be of the values of many: 4, 8"),
        ("one", {"sigma": [0.5, 0.25]}, "at.sigma is 0.25, but must be of the values of one: 0, 0.5, 1"),
        (["one", "wide"], {"seed": 7}, "at.seed is 7, but must be of the values of one and wide: 0, 1"),
        (["one", "wide"], {"width": 8}, "at is {width: 8}, which leaves nothing of one; take it out of KEY.of, or"),
        (["wide", "deep"], {"depth": 3, "width": 8}, "at is {depth: 3, width: 8}, which leaves nothing of wide; take"),
    ],
)  # fmt: skip
def test_a_selection_is_of_values_that_are_there(tmp_path, section, of, at, message):
    kind, entry = ENTRIES[section]
    key = f"{section}.mine"
    assert told(tmp_path, entry(kind, of, at)).startswith(f"{key}.{message.replace('KEY', key)}")


def test_a_selection_is_of_every_row_of_shifts(tmp_path):
    line = told(tmp_path, figure("shift", "factors product", {**POSITIVE, "weight_decay": [0.1, 0]}))
    assert line.startswith("figures.mine (shift) cannot draw factors: grid.weight_decay is 0.0")
    line = told(tmp_path, figure("shift", "product factors", {**POSITIVE, "weight_decay": [0.1, 0]}))
    assert line == "figures.mine.at.weight_decay is 0, but must be of the values of product: 0.1, 1"


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"layer": 1}, "at.layer is no key here; allowed are weight_decay, sigma, width, depth, seed"),
        ({"width": []}, "at.width is [], but must be a list of 1 or more values"),
        ({"width": [4, 4]}, "at.width is [4, 4], but must be a list of values that are all different"),
        ({"width": 4.5}, "at.width is 4.5, but must be a value of the axis, or a list of values"),
        ({"sigma": "low"}, "at.sigma is 'low', but must be a value of the axis, or a list of values"),
    ],
)
def test_a_selection_is_a_value_or_several(tmp_path, at, message):
    for section, (kind, entry) in ENTRIES.items():
        assert told(tmp_path, entry(kind, "many", at)) == f"{section}.mine.{message}"


# Joins.


@pytest.mark.parametrize("section", ENTRIES)
@pytest.mark.parametrize(
    ("key", "other", "values"),
    [
        ("data", {"data": "others"}, "'blobs' and 'others'"),
        ("task", {"task": "classify", "loss": "squared_error"}, "'autoencode' and 'classify'"),
        (
            "network",
            {"network": {"activation": "relu"}},
            "{activation: 'tanh', bias: false, gain: 1} and {activation: 'relu', bias: false, gain: 1}",
        ),
        ("training.loss_on", {"training": {"loss_on": "centroids"}}, "'data' and 'centroids'"),
    ],
)
def test_experiments_that_are_not_alike_do_not_stand_together(tmp_path, section, key, other, values):
    kind, entry = ENTRIES[section]
    line = told(
        tmp_path, entry(kind, ["one", "other"]), overlay("experiments.other", {"like": "wide", **other})
    )
    assert line == (
        f"{section}.mine.of joins one and other, but their {key} are {values}; only the same data, task, network, "
        "loss, training.penalty, training.loss_on stand together"
    )


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (
            "[factors, product]",
            "joins factors and product, but their training.penalty are 'factors' and 'product'",
        ),
        (
            "[classes, other]",
            "joins classes and other, but their loss are 'cross_entropy' and 'squared_error'",
        ),
        # the third one
        ("[one, wide, classes]", "joins one and classes, but their task are 'autoencode' and 'classify'"),
    ],
)
def test_penalties_and_losses_are_not_mixed(tmp_path, of, message):
    other = "experiments: {other: {like: classes, loss: squared_error, grid: {width: [8]}}}"
    entry = f"figures: {{mine: {{kind: bounds, of: {of}}}}}"
    assert told(tmp_path, entry, other).startswith(f"figures.mine.of {message}")


def test_what_may_differ_between_joined_experiments(tmp_path):
    other = """
        experiments:
          other:
            like: wide
            training: {method: {name: gd}, tolerance: 1e-3, epochs: 9, precision: float32, snapshot_every: 3}
            measures: {kmeans_restarts: 1}
            stack: [seed]
            grid: {sigma: [0.3], seed: [5]}
        """
    for section, (kind, entry) in ENTRIES.items():
        made = taken(tmp_path, entry(kind, ["one", "other"]), other)[section]["mine"]
        assert made["of"] == ["one", "other"]


def test_joined_experiments_may_leave_holes(tmp_path):
    for section, (kind, entry) in ENTRIES.items():
        made = taken(tmp_path, entry(kind, ["wide", "deep"]))[section]["mine"]
        assert made["of"] == ["wide", "deep"]


def test_joined_experiments_are_one_grid(tmp_path):
    line = told(tmp_path, figure("plane", ["one", "wide"]))
    assert line == (
        "figures.mine (plane) cannot draw one and wide: grid.width is [4, 8], but must be one value; give it one, "
        "or select one by figures.mine.at"
    )
    taken(tmp_path, figure("rank_curves", ["one", "wide"], {"sigma": 0}, along="width"))
    higher = overlay("experiments.higher", {"like": "one", "grid": {"sigma": [2]}})
    taken(tmp_path, figure("plane", ["one", "higher"]), higher)


OVERLAP = """
experiments:
  first: {like: one, grid: {width: [16, 8], seed: [0, 1, 2]}}
  second: {like: one, grid: {sigma: [1, 2, 0.5], width: [8, 32], seed: [3, 2]}}
"""


@pytest.mark.parametrize("section", ENTRIES)
def test_a_network_that_two_experiments_have_is_named(tmp_path, section):
    kind, entry = ENTRIES[section]
    of = ["first", "second"]
    cell = "weight_decay 0.1, sigma 0.5, width 8, depth 2, seed 2"
    assert told(tmp_path, entry(kind, of), OVERLAP) == (
        f"{section}.mine.of joins first and second, but both have the network {cell}; give it to one of them"
    )
    line = told(tmp_path, entry(kind, of, {"weight_decay": [0, 1], "sigma": 1}), OVERLAP)
    assert "both have the network weight_decay 0, sigma 1, width 8, depth 2, seed 2" in line
    # what is selected has no network twice
    for at in ({"width": [16, 32]}, {"seed": [1, 3]}, {"sigma": [0, 2]}):
        assert taken(tmp_path, entry(kind, of, at), OVERLAP)[section]["mine"]["at"] == at


# Names.


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (figure("plane", "nobody"), "figures.mine.of is 'nobody', and there is no experiment nobody"),
        (
            figure("bounds", ["one", "nobody"]),
            "figures.mine.of is ['one', 'nobody'], and there is no experiment nobody",
        ),
        (
            figure("shift", "factors nobody", POSITIVE),
            "figures.mine.of is {row 0: 'factors', row 1: 'nobody'}, and there is no experiment nobody",
        ),
        (claim("rank_trend", "nobody"), "claims.mine.of is 'nobody', and there is no experiment nobody"),
        # the name of data is none of an experiment
        (
            claim("rank_trend", ["one", "blobs"]),
            "claims.mine.of is ['one', 'blobs'], and there is no experiment blobs",
        ),
    ],
)
def test_an_experiment_that_is_not_there_is_told_with_those_that_are(tmp_path, entry, line):
    known = ", ".join(taken(tmp_path, "")["experiments"])
    assert told(tmp_path, entry) == f"{line}; there are {known}"
