"""Experiments on data and the same on centroids: how they find each other, and what goes without."""

import pytest

from support.configurations import desk, overlay, read, refused
from workflow.config.compatibility import centroid_counterpart, centroid_counterparts
from workflow.config.load import ConfigurationError

# No name tells which is on centroids.
BASE = """
data:
  blobs: {kind: mixture, clusters: 2, points: 10, dimension: 3}
  others: {kind: mixture, clusters: 2, points: 10, dimension: 3}
experiments:
  summer:
    data: blobs
    network: {activation: linear}
    grid: {weight_decay: [0.1, 1], sigma: {from: 0.25, to: 1, count: 3}, width: [4], depth: [2]}
  winter:
    data: blobs
    network: {activation: linear, bias: false}
    loss: squared_error
    grid: {weight_decay: [0.1, 1], sigma: [0.25, 0.5, 1], width: [4], depth: [2], seed: [0]}
    training: {loss_on: centroids}
  spring: {like: summer, training: {penalty: product, method: {name: levenberg_marquardt}}}
  autumn: {like: spring, training: {loss_on: centroids}}
figures:
  shifts: {kind: shift, of: {factors: summer, product: spring}}
  half: {kind: shift, of: {product: spring}}
  forecasts: {kind: forecast, of: summer}
claims:
  slope: {statistic: slope_in_sigma, of: summer, statement: it is 2, at_least: 1.9}
  trend: {statistic: shift_trend, of: spring, statement: it falls, at_most: 0}
  rank: {statistic: rank_trend, of: summer, statement: it falls, at_most: 0}
"""
NONE = "it needs an experiment that is the same but for training.loss_on: centroids, and there is none"


def taken(folder, *overlays, **options):
    return read(folder, BASE, *overlays, below=None, **options)


def told(folder, *overlays):
    return refused(folder, BASE, *overlays, below=None)


# Which one it is.


def test_twins_are_the_same_in_other_words_and_under_other_names(tmp_path):
    experiments = taken(tmp_path)["experiments"]
    assert {name: centroid_counterparts(name, experiments) for name in experiments} == {
        "summer": ["winter"],
        "winter": [],
        "spring": ["autumn"],
        "autumn": [],
    }
    assert centroid_counterpart("summer", experiments) == "winter"


def test_a_name_makes_no_twin(tmp_path):
    named = """
        experiments:
          summer_centroids: {like: winter, grid: {seed: [1]}}
          linear_centroids: {like: summer, training: {tolerance: 1e-3}}
        """
    assert centroid_counterparts("summer", taken(tmp_path, named)["experiments"]) == ["winter"]


def test_twins_of_the_desk_scale():
    found = {name: centroid_counterparts(name, desk()["experiments"]) for name in desk()["experiments"]}
    assert {name: others for name, others in found.items() if others} == {
        "linear": ["linear_centroids"],
        "linear_product": ["linear_product_centroids"],
    }


@pytest.mark.parametrize(
    "other",
    [
        {"training": {"method": {"name": "gd", "step": 0.1}}},
        {"training": {"method": {"name": "adam"}}},
        {"training": {"tolerance": 1e-3}},
        {"training": {"epochs": 700}},
        {"training": {"snapshot_every": 3}},
        {"training": {"wall_clock": 60}},
        {"measures": {"kmeans_restarts": 3, "delta": 0.2}},
        {"stack": ["seed"]},
    ],
)
@pytest.mark.parametrize("name", ["summer", "winter"])
def test_what_changes_no_minimum_may_differ(tmp_path, name, other):
    experiments = taken(tmp_path, overlay(f"experiments.{name}", other))["experiments"]
    assert centroid_counterpart("summer", experiments) == "winter"


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"data": "others"}, "another data"),
        ({"network": {"gain": 2}}, "another network"),
        ({"network": {"activation": "tanh"}}, "another network"),
        ({"network": {"bias": True}}, "another network"),
        ({"task": "classify"}, "another task"),
        ({"task": "classify", "loss": "cross_entropy"}, "another task and another loss"),
        ({"grid": {"weight_decay": [0.1, 1, 2]}}, "another grid"),
        ({"grid": {"sigma": [0.25, 0.5]}}, "another grid"),
        ({"grid": {"width": [8]}}, "another grid"),
        ({"grid": {"depth": [3]}}, "another grid"),
        ({"grid": {"seed": [1]}}, "another grid"),
        ({"training": {"penalty": "product"}}, "another training.penalty"),
        ({"training": {"precision": "float32"}}, "another training.precision"),
        ({"data": "others", "training": {"precision": "tf32"}}, "another data and another training.precision"),
    ],
)  # fmt: skip
def test_what_differs_is_told(tmp_path, other, differs):
    # else the one with the other penalty is as near
    line = told(tmp_path, overlay("experiments.autumn", None), overlay("experiments.winter", other))
    assert line.endswith(f" summer: {NONE} (winter has {differs})")


def test_of_several_the_nearest_is_told(tmp_path):
    far = overlay("experiments.winter", {"network": {"gain": 2}, "grid": {"seed": [1]}})
    line = told(tmp_path, far)
    assert line == f"figures.shifts (shift) cannot draw summer: {NONE} (autumn has another training.penalty)"


FAR = "experiments: {winter: {network: {gain: 2}, grid: {seed: [1]}, training: {precision: float32}}}"
ON_DATA = "experiments: {winter: {training: {loss_on: data}}}"


@pytest.mark.parametrize("none", [FAR, ON_DATA])
def test_without_one_that_is_near_the_line_says_what_mends_it(tmp_path, none):
    """One on centroids that differs in three things, or none at all."""
    alone = "experiments: {spring: null}\nfigures: {only: {kind: shift, of: {one: summer}}}\nclaims: {slope: null}"
    start = f"figures.only (shift) cannot draw summer: {NONE}; add one "
    line = told(tmp_path, none, alone)
    assert line.startswith(start)
    cure = f"experiments: {{cure: {line.removeprefix(start)}}}"
    assert centroid_counterparts("summer", taken(tmp_path, none, alone, cure)["experiments"]) == ["cure"]


# Refused before any job.


def test_figure_2_is_refused_where_the_experiment_on_centroids_trains_on_data(tmp_path):
    """It is not drawn of no pairs, nor are claims judged on none."""
    on_data = "experiments: {linear_centroids: {training: {loss_on: data}}}"
    fault = f"linear: {NONE} (linear_product_centroids has another training.penalty)"
    assert refused(tmp_path, on_data) == f"figures.figure2 (shift) cannot draw {fault}"
    without = "figures: {figure2: null}"
    line = refused(tmp_path, on_data, without)
    assert line == f"claims.quadratic_factors (slope_in_sigma) cannot be judged on {fault}"
    gone = ("quadratic_factors", "quadratic_factors_global", "decrease_factors", "decrease_factors_global")
    without += f"\nclaims: {{{': null, '.join(gone)}: null}}"
    assert centroid_counterparts("linear", read(tmp_path, on_data, without)["experiments"]) == []


def test_two_twins_are_refused_by_both_names(tmp_path):
    snow = "experiments: {snow: {like: summer, training: {loss_on: centroids, tolerance: 1e-3}}}"
    fault = "winter and snow are both the same but for training.loss_on: centroids; keep one"
    assert told(tmp_path, snow) == f"figures.shifts (shift) cannot draw summer: {fault}"
    line = told(tmp_path, snow, "figures: {shifts: null}")
    assert line == f"claims.slope (slope_in_sigma) cannot be judged on summer: {fault}"
    for kept, gone in (("winter", "snow"), ("snow", "winter")):
        settings = taken(tmp_path, snow, overlay(f"experiments.{gone}", None))
        assert centroid_counterpart("summer", settings["experiments"]) == kept
        assert settings["dropped"] == f"configuration: experiments {gone} is dropped"


def test_what_nothing_compares_may_have_none_or_two(tmp_path):
    """It is refused where it is asked for by its path."""
    snow = "experiments: {snow: {like: summer, training: {loss_on: centroids}}}"
    nothing = "figures: {shifts: null}\nclaims: {slope: null}"
    for text, fault in ((snow, "winter and snow are both the same but"), (ON_DATA, NONE)):
        experiments = taken(tmp_path, text, nothing)["experiments"]
        with pytest.raises(ConfigurationError) as error:
            centroid_counterpart("summer", experiments)
        line = str(error.value)
        assert line.startswith(
            f"configuration: experiments.summer cannot be compared with centroids: {fault}"
        )
        assert "\n" not in line


# What goes with one that is dropped.

MODEL = """
experiments:
  model: {data: blobs, grid: {weight_decay: [0.1], sigma: [0.5], width: [4], depth: [2]}}
  winter: {like: model}
"""


@pytest.mark.parametrize(
    ("overlays", "figures", "claims", "line"),
    [
        (
            ["experiments: {winter: null}"],
            ["half", "forecasts"],
            ["trend", "rank"],
            "experiments winter is dropped, and with it figures shifts, claims slope",
        ),
        (
            ["experiments: {autumn: null}"],
            ["forecasts"],
            ["slope", "rank"],
            "experiments autumn is dropped, and with it figures shifts, half, claims trend",
        ),
        (
            ["experiments: {winter: null, autumn: null}"],
            ["forecasts"],
            ["rank"],
            "experiments winter, autumn are dropped, and with them figures shifts, half, claims slope, trend",
        ),
        (  # with the one that it is like
            [MODEL, "experiments: {model: null}"],
            ["half", "forecasts"],
            ["trend", "rank"],
            "experiments model is dropped, and with it experiments winter, figures shifts, claims slope",
        ),
        (  # the one on data, and all that is like it
            ["experiments: {summer: null}"],
            [],
            [],
            "experiments summer is dropped, and with it experiments spring, autumn, figures shifts, half, "
            "forecasts, claims slope, trend, rank",
        ),
        (  # what is dropped anyway is told once
            ["experiments: {winter: null}\nfigures: {shifts: null}"],
            ["half", "forecasts"],
            ["trend", "rank"],
            "experiments winter, figures shifts are dropped, and with them claims slope",
        ),
        (  # one that was no twin
            ["experiments: {snow: {like: winter, grid: {seed: [1]}}}", "experiments: {snow: null}"],
            ["shifts", "half", "forecasts"],
            ["slope", "trend", "rank"],
            "experiments snow is dropped",
        ),
    ],
)
def test_a_comparison_goes_with_the_one_on_centroids(tmp_path, overlays, figures, claims, line):
    settings = taken(tmp_path, *overlays)
    assert list(settings["figures"]) == figures
    assert list(settings["claims"]) == claims
    assert settings["dropped"] == f"configuration: {line}"


def test_one_that_is_dropped_on_the_command_line_takes_the_same_with_it(tmp_path):
    settings = taken(tmp_path, overrides={"experiments": {"winter": "null"}})
    assert settings == taken(tmp_path, "experiments: {winter: null}")


def test_one_that_is_dropped_may_be_replaced(tmp_path):
    frost = """
        experiments:
          winter: null
          frost: {like: summer, training: {loss_on: centroids, method: {name: gd}}}
        """
    settings = taken(tmp_path, frost)
    assert centroid_counterpart("summer", settings["experiments"]) == "frost"
    assert settings["dropped"] == "configuration: experiments winter is dropped"
    assert {"shifts", "half"} < set(settings["figures"])


IMAGES = """
data: {images: {kind: mnist}}
experiments:
  one: {data: images, network: {activation: linear}, grid: {weight_decay: [0.1, 1], width: [4], depth: [2]}}
  two: {like: one, training: {loss_on: centroids}}
claims: {trend: {statistic: shift_trend, of: one, statement: it falls, at_most: 0}}
"""


def test_a_comparison_goes_with_its_twin_where_sigma_is_a_default(tmp_path):
    settings = read(tmp_path, IMAGES, "experiments: {two: null}", below=None)
    assert settings["dropped"] == "configuration: experiments two is dropped, and with it claims trend"


def test_an_experiment_on_centroids_has_no_twin(tmp_path):
    text = """
        experiments: {again: {like: linear_product_centroids, training: {tolerance: 1e-4}}}
        figures: {figure2: null}
        claims: {quadratic: null, decrease: null}
        """
    experiments = read(tmp_path, text)["experiments"]
    assert (
        centroid_counterparts("linear_product_centroids", experiments)
        == centroid_counterparts("again", experiments)
        == []
    )
