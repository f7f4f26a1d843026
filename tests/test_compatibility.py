"""What figures and claims need of their experiments, reported in one line before any job."""

import pytest

from support.configurations import overlay, read, refused
from support.known_cubes import KNOWN

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
  snapshots: {like: quiet, training: {snapshot_every: 5}}
  noisy_snapshots: {like: one, training: {snapshot_every: 5}}
  classes: {like: one, task: classify, network: {activation: relu, bias: true}}
  biased: {like: one, network: {activation: linear, bias: true}}
  factors: {like: one, network: {activation: linear}}
  factors_on_centroids: {like: factors, training: {loss_on: centroids}}
  product: {like: factors, grid: {weight_decay: [0.1, 1]}, training: {penalty: product}}
  product_on_centroids: {like: product, training: {loss_on: centroids}}
  several: {like: factors, grid: {width: [4, 8], depth: [2, 3]}}
  several_on_centroids: {like: several, training: {loss_on: centroids}}
  lonely: {like: factors, grid: {seed: [3]}}
"""
POSITIVE = {"sigma": [0.5, 1], "weight_decay": [1, 0.1]}
NO_COUNTERPART = "it needs an experiment that differs from it by training.loss_on: centroids alone"


def figure(kind, of, at=(), **options):
    if kind in ("shift", "batches"):
        of = {f"row {number}": name for number, name in enumerate(of.split())}
    if kind in ("hysteresis", "branches"):  # a single name is the experiment of all titles
        names = of.split() * (3 // len(of.split()))
        of = dict(zip(("random start", "sweep up", "sweep down"), names, strict=True))
    return overlay("figures.mine", {"kind": kind, "of": of, "at": dict(at), **options})


def claim(statistic, of, at=()):
    words = {"statement": "so it is", **KNOWN[statistic][-1]}
    return overlay("claims.mine", {"statistic": statistic, "of": of, "at": dict(at), **words})


def taken(folder, entry, *overlays):
    return read(folder, BASE, *overlays, entry, below=None)


def line(folder, entry, *overlays):
    return refused(folder, BASE, *overlays, entry, below=None)


ONE_VALUE = "but must be one value; give it one, or select one by figures.mine.at"
# Kind, experiments, selection, options, and what is reported; an empty message where the figure can be drawn.
FIGURES = [
    ("plane", "one", {}, {}, ""),
    ("plane", "many", {"width": 8, "depth": [3]}, {}, ""),
    ("plane", "many", {"width": 4}, {}, f"grid.depth is [2, 3], {ONE_VALUE}"),
    ("certified", "ranks", {}, {}, ""),
    ("certified", "one", {}, {}, "measures.certified_ranks is 0, but must be at least 1"),
    ("bounds", "factors_on_centroids", {}, {}, ""),
    ("bounds", "product", {}, {}, "training.penalty is 'product', but must be factors"),
    ("shift", "product factors", POSITIVE, {}, ""),
    ("shift", "one", POSITIVE, {}, "network.activation is 'tanh', but must be linear"),
    ("shift", "factors_on_centroids", POSITIVE, {}, "training.loss_on is 'centroids', but must be data"),
    ("shift", "factors", {"weight_decay": 1}, {}, "grid.sigma is [0.0, 0.5, 1.0], but must be greater than 0"),
    ("shift", "lonely", POSITIVE, {}, NO_COUNTERPART),
    ("forecast", "factors", {"sigma": 0, "weight_decay": 0}, {}, ""),
    ("forecast", "product", {}, {}, "training.penalty is 'product', but must be factors"),
    ("spectra", "snapshots", {}, {}, ""),
    ("spectra", "quiet", {}, {}, "training.snapshot_every is null, but must be given"),
    ("rank_curves", "many", {"sigma": 0, "depth": 2}, {"along": "width"}, ""),
    ("rank_curves", "many", {"sigma": 0}, {"along": "width"}, f"grid.depth is [2, 3], {ONE_VALUE}"),
    ("rank_curves", "many", {"sigma": 0, "depth": 2}, {"along": "weight_decay"}, ""),
    ("rate", "one", POSITIVE, {}, ""),
    ("rate", "one", {}, {}, "grid.sigma is [0.0, 0.5, 1.0], but must be greater than 0"),
    ("batches", "quiet", {}, {}, "training.method.name is"),
    ("branches", "one up down", POSITIVE, {}, ""),
    ("branches", "one up down", {"weight_decay": 1, "sigma": 1}, {}, "grid.sigma is [1.0], but must be 2 or more values, greater than 0"),
    ("hysteresis", "one up down", POSITIVE, {}, ""),
    ("hysteresis", "one up down", {"weight_decay": 1, "sigma": 1}, {}, "grid.sigma is [1.0], but must be 2 or more values, greater than 0"),
    ("hysteresis", "one up down", {"sigma": [0.5, 1]}, {}, "grid.weight_decay is [0.0, 0.1, 1.0], but must be greater"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "of", "at", "options", "message"), FIGURES)
def test_a_figure_takes_experiments_that_it_can_draw(tmp_path, kind, of, at, options, message):
    entry = figure(kind, of, at, **options)
    if message:
        start = f"figures.mine ({kind}) cannot be drawn from {of.split()[0]}: {message}"
        assert line(tmp_path, entry).startswith(start)
    else:
        of_made = taken(tmp_path, entry)["figures"]["mine"]["of"]
        names = of_made.values() if isinstance(of_made, dict) else of_made
        assert sorted(names) == sorted(of.split())


def test_branches_start_as_their_titles_say(tmp_path):
    line_of = lambda of: line(tmp_path, figure("hysteresis", of, POSITIVE))  # noqa: E731
    assert line_of("one one one").startswith(
        "figures.mine.of.sweep up is one, whose training.warm_start is null, but must be an experiment whose"
    )
    assert line_of("up up down").startswith(
        "figures.mine.of.random start is up, whose training.warm_start is"
    )


def test_titles_that_a_kind_fixes_must_be_given(tmp_path):
    entry = overlay("figures.mine", {"kind": "hysteresis", "of": {"random start": "one"}})
    assert "must have an experiment for each of random start, sweep up, sweep down" in line(tmp_path, entry)


# The same for claims.
ANY = ("jump", "collapsed_trend", "variability_trend", "rank_trend")
OF_SNAPSHOTS = ("tail_change", "tail_trend", "head_change", "wcss_change")
OF_SHIFTS = ("slope_in_sigma", "shift_trend")
ALONG = {"width_growth": "width", "width_growth_trend": "width", "depth_growth": "depth"}
CLAIMS = [
    *((statistic, "many", {}, "") for statistic in ANY),
    *((statistic, "product", {}, "") for statistic in ANY),
    *((statistic, "noisy_snapshots", {}, "") for statistic in OF_SNAPSHOTS),
    *((statistic, "quiet", {}, "training.snapshot_every is null") for statistic in OF_SNAPSHOTS),
    *((statistic, "several", {"sigma": [0.5, 1]}, "") for statistic in OF_SHIFTS),
    *((statistic, "lonely", {"sigma": [0.5, 1]}, NO_COUNTERPART) for statistic in OF_SHIFTS),
    *((statistic, "one", {}, "network.activation is 'tanh', but must be linear") for statistic in OF_SHIFTS),
    ("slope_in_sigma", "factors", {}, "grid.sigma is [0.0, 0.5, 1.0], but must be greater than 0"),
    ("shift_trend", "factors", {}, ""),
    ("rate", "product", {"sigma": [0.5, 1]}, ""),
    ("rate", "factors", {"sigma": [0.5, 1]}, "grid.weight_decay is [0.0, 0.1, 1.0], but must be greater than 0"),
    ("rate", "product", {}, "grid.sigma is [0.0, 0.5, 1.0], but must be greater than 0"),
    *((statistic, "many", {}, "") for statistic in ALONG),
    *((name, "many", {axis: {"width": 8, "depth": 3}[axis]}, f"grid.{axis} is [") for name, axis in ALONG.items()),
]  # fmt: skip


@pytest.mark.parametrize(("statistic", "of", "at", "message"), CLAIMS)
def test_a_claim_takes_experiments_on_which_it_can_be_judged(tmp_path, statistic, of, at, message):
    entry = claim(statistic, of, at)
    if message:
        start = f"claims.mine ({statistic}) cannot be judged on {of}: {message}"
        assert line(tmp_path, entry).startswith(start)
    else:
        assert taken(tmp_path, entry)["claims"]["mine"]["of"] == [of]


# Selections and joins, the same for figures and claims.

ENTRIES = {"figures": ("bounds", figure), "claims": ("rank_trend", claim)}
OVERLAP = """
experiments:
  first: {like: one, grid: {width: [16, 8], seed: [0, 1, 2]}}
  second: {like: one, grid: {sigma: [1, 2, 0.5], width: [8, 32], seed: [3, 2]}}
  other: {like: wide, training: {loss_on: centroids}}
"""


@pytest.mark.parametrize("section", ENTRIES)
@pytest.mark.parametrize(
    ("of", "at", "message"),
    [
        # selections
        ("many", {"width": 5}, "at.width is 5, but must be one of the values of many: 4, 8"),
        (["one", "wide"], {"seed": 7}, "at.seed is 7, but must be one of the values of one and wide: 0, 1"),
        (["one", "wide"], {"width": 8}, "at is {width: [8]}, which selects no network of one; select other values, or"),
        # experiments that differ
        (["one", "other"], {}, "of joins one and other, but their training.loss_on are 'data' and 'centroids'; joined"),
        # a network that two experiments have
        (["first", "second"], {}, "of joins first and second, but both have the network weight_decay 0.1, sigma 0.5, width 8, depth 2, seed 2; remove"),
        # names
        ("nobody", {}, "of is ['nobody'], but there is no experiment nobody; there are one, wide, deep, many"),
    ],
)  # fmt: skip
def test_a_selection_or_a_join_that_cannot_be_is_refused(tmp_path, section, of, at, message):
    kind, entry = ENTRIES[section]
    assert line(tmp_path, entry(kind, of, at), OVERLAP).startswith(f"{section}.mine.{message}")


@pytest.mark.parametrize("section", ENTRIES)
def test_joined_experiments_may_differ_in_how_they_train_and_may_leave_holes(tmp_path, section):
    kind, entry = ENTRIES[section]
    other = """
        experiments:
          other:
            like: wide
            training: {method: {name: gd}, tolerance: 1e-3, epochs: 9, precision: float32, snapshot_every: 3}
            measures: {kmeans_restarts: 1}
            stack: [seed]
            grid: {sigma: [0.3], seed: [5]}
        """
    for of in (["one", "other"], ["wide", "deep"]):
        assert taken(tmp_path, entry(kind, of), other)[section]["mine"]["of"] == of
    # the selected values have no network twice
    for at in ({"width": [16, 32]}, {"seed": [1, 3]}, {"sigma": [0, 2]}):
        assert taken(tmp_path, entry(kind, ["first", "second"], at), OVERLAP)[section]["mine"]["at"] == at


def test_a_layer_that_the_networks_do_not_have_is_refused(tmp_path):
    def layers(chosen):
        return figure("plane", ["one"], layers=chosen)

    assert line(tmp_path, layers([1, 9])) == (
        "figures.mine.layers is [1, 9], but the networks of one have 2 layers; choose from these"
    )
    assert taken(tmp_path, layers([1, 2]))["figures"]["mine"]["layers"] == [1, 2]


def test_joined_experiments_are_one_grid(tmp_path):
    assert line(tmp_path, figure("plane", ["one", "wide"])) == (
        f"figures.mine (plane) cannot be drawn from one and wide: grid.width is [4, 8], {ONE_VALUE}"
    )
    taken(tmp_path, figure("rank_curves", ["one", "wide"], {"sigma": 0}, along="width"))
    higher = overlay("experiments.higher", {"like": "one", "grid": {"sigma": [2]}})
    taken(tmp_path, figure("plane", ["one", "higher"]), higher)
    # each row of shifts is a grid of its own
    words = line(tmp_path, figure("shift", "product factors", {**POSITIVE, "weight_decay": [0.1, 0]}))
    assert words == "figures.mine.at.weight_decay is 0, but must be one of the values of product: 0.1, 1"
