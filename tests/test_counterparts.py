"""Centroid counterparts: how experiments on data find theirs, and what is removed with a counterpart."""

import pytest

from support.configurations import desk, overlay, read, refused
from workflow.config.counterparts import centroid_counterpart, centroid_counterparts

# No name reveals which experiment is on centroids.
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
  trend: {statistic: shift_trend, of: spring, statement: it falls, trend: falls}
  rank: {statistic: rank_trend, of: summer, statement: it falls, trend: falls}
"""
NONE = "it needs an experiment that differs from it by training.loss_on: centroids alone, and there is none"
CANNOT = "figures.shifts (shift) cannot be drawn from summer"


def taken(folder, *overlays, **options):
    return read(folder, BASE, *overlays, below=None, **options)


def line(folder, *overlays):
    return refused(folder, BASE, *overlays, below=None)


def test_counterparts_are_found_by_their_settings_under_any_name(tmp_path):
    experiments = taken(
        tmp_path, "experiments: {summer_centroids: {like: winter, grid: {seed: [1]}}, copy: {like: summer}}"
    )["experiments"]
    assert {name: centroid_counterparts(name, experiments) for name in experiments} == {
        "summer": ["winter"],
        "copy": ["winter"],
        "winter": [],
        "spring": ["autumn"],
        "autumn": [],
        "summer_centroids": [],
    }
    assert centroid_counterpart("summer", experiments) == "winter"


def test_counterparts_of_the_desk_scale():
    found = {name: centroid_counterparts(name, desk()["experiments"]) for name in desk()["experiments"]}
    assert {name: others for name, others in found.items() if others} == {
        "linear": ["linear_centroids"],
        "linear_product": ["linear_product_centroids"],
    }


@pytest.mark.parametrize("name", ["summer", "winter"])
def test_settings_that_change_no_minimum_may_differ(tmp_path, name):
    other = """
        training: {method: {name: gd, step: 0.1}, tolerance: 1e-3, epochs: 700, snapshot_every: 3}
        measures: {kmeans_restarts: 3, delta: 0.2}
        stack: [seed]
        """
    experiments = taken(tmp_path, f"experiments:\n  {name}:{other.replace('        ', '    ')}")[
        "experiments"
    ]
    assert centroid_counterpart("summer", experiments) == "winter"


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"data": "others"}, "another data"),
        ({"training": {"penalty": "product"}}, "another training.penalty"),
        (
            {"data": "others", "training": {"precision": "tf32"}},
            "another data and another training.precision",
        ),
    ],
)
def test_the_differences_of_the_nearest_experiment_are_reported(tmp_path, other, differs):
    # without autumn, which would be as near
    words = line(tmp_path, overlay("experiments.autumn", None), overlay("experiments.winter", other))
    assert words.endswith(f" summer: {NONE} (winter has {differs})")


FAR = "experiments: {winter: {network: {bias: true}, grid: {seed: [1]}, training: {precision: float32}}}"


def test_without_an_experiment_that_is_near_the_advice_helps(tmp_path):
    """The only experiment on centroids differs in three settings."""
    alone = "experiments: {spring: null}\nfigures: {only: {kind: shift, of: {one: summer}}}\nclaims: {slope: null}"
    start = f"figures.only (shift) cannot be drawn from summer: {NONE}; add one "
    words = line(tmp_path, FAR, alone)
    assert words.startswith(start)
    advice = f"experiments: {{added: {words.removeprefix(start)}}}"
    assert centroid_counterparts("summer", taken(tmp_path, FAR, alone, advice)["experiments"]) == ["added"]


def test_comparisons_without_a_single_counterpart_are_refused(tmp_path):
    on_data = "experiments: {linear_centroids: {training: {loss_on: data}}}"
    fault = f"linear: {NONE} (linear_product_centroids has another training.penalty)"
    assert refused(tmp_path, on_data) == f"figures.figure2 (shift) cannot be drawn from {fault}"
    words = refused(tmp_path, on_data, "figures: {figure2: null}")
    assert words == f"claims.quadratic_factors (slope_in_sigma) cannot be judged on {fault}"
    snow = "experiments: {snow: {like: summer, training: {loss_on: centroids, tolerance: 1e-3}}}"
    both = "winter and snow both differ from it by training.loss_on: centroids alone; keep one"
    assert line(tmp_path, snow) == f"{CANNOT}: {both}"
    for kept, removed in (("winter", "snow"), ("snow", "winter")):
        settings = taken(tmp_path, snow, overlay(f"experiments.{removed}", None))
        assert centroid_counterpart("summer", settings["experiments"]) == kept
        assert settings["removed"] == f"configuration: experiments {removed} is removed"


# Removal.

MODEL = """
experiments:
  model: {data: blobs, grid: {weight_decay: [0.1], sigma: [0.5], width: [4], depth: [2]}}
  winter: {like: model}
"""
ANEW = (
    "experiments: {winter: null, frost: {like: summer, training: {loss_on: centroids, method: {name: gd}}}}"
)


@pytest.mark.parametrize(
    ("overlays", "words"),
    [
        (["experiments: {winter: null}"], "experiments winter is removed, and with it figures shifts, claims slope, which depend on it"),
        (["experiments: {winter: null, autumn: null}"], "experiments winter, autumn are removed, and with them figures shifts, half, claims slope, trend, which depend on them"),
        # the counterpart is removed with the experiment from which it inherits
        ([MODEL, "experiments: {model: null}"], "experiments model is removed, and with it experiments winter, figures shifts, claims slope, which depend on it"),
        # an entry that is removed anyway is reported once
        (["experiments: {winter: null}\nfigures: {shifts: null}"], "experiments winter, figures shifts are removed, and with them claims slope, which depends on them"),
        # no counterpart, and a counterpart with a replacement
        (["experiments: {snow: {like: winter, grid: {seed: [1]}}}", "experiments: {snow: null}"], "experiments snow is removed"),
        ([ANEW], "experiments winter is removed"),
    ],
)  # fmt: skip
def test_comparisons_are_removed_with_their_counterpart(tmp_path, overlays, words):
    settings = taken(tmp_path, *overlays)
    assert settings["removed"] == f"configuration: {words}"
    assert "forecasts" in settings["figures"]
    for section, name in (("figures", "shifts"), ("claims", "slope")):
        assert (name in settings[section]) == (name not in words)


def test_comparisons_are_removed_by_the_command_line_too(tmp_path):
    by_override = taken(tmp_path, overrides={"experiments": {"winter": "null"}})
    assert by_override == taken(tmp_path, "experiments: {winter: null}")
