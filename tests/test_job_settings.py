"""What a job depends on: the part of the settings that its program takes, and no more."""

import copy
import json

import pytest

from nrc.data import Size
from nrc.grid import Stack
from support.checkout import PROJECT, TINY
from workflow.config.load import read_settings
from workflow.lib import job_settings
from workflow.lib.job_order import experiment_order

STACK = Stack({"weight_decay": [0.01, 0.1], "sigma": 0.1, "width": 20, "depth": 4, "seed": 0})


@pytest.fixture(scope="module")
def settings():
    return read_settings([PROJECT / "config.yaml", PROJECT / TINY])


def every_slice(settings) -> dict[str, str]:
    """All slices as JSON, as jobs take them."""
    of_mixture = {
        "train": job_settings.training_slice("mixture", STACK, settings),
        "measure": job_settings.measure_slice("mixture", settings),
        "whole": job_settings.whole_slice("mixture", settings),
        "data": job_settings.data_slice("blobs", 0, settings),
        "audit": job_settings.audit_slice(settings),
        "claims": job_settings.claims_slice(settings),
    }
    figures = {name: job_settings.figure_slice(name, settings) for name in ("figure1", "figure2", "bounds")}
    return {name: json.dumps(part, sort_keys=True) for name, part in {**of_mixture, **figures}.items()}


@pytest.mark.parametrize(
    ("key", "value", "changed"),
    [
        ("checkpoint_interval", 7, set()),
        ("experiments.linear.training.epochs", 7, {"figure2"}),
        ("experiments.mixture.training.epochs", 7, {"train", "whole", "figure1", "bounds"}),
        ("experiments.mixture.grid.sigma", [7.0], {"whole", "figure1", "bounds"}),
        ("experiments.mixture.stack", [], {"whole", "figure1", "bounds"}),
        (
            "experiments.mixture.training.loss_on",
            "centroids",
            {"train", "measure", "whole", "figure1", "bounds"},
        ),
        ("experiments.mixture.measures.kmeans_restarts", 7, {"measure", "whole", "figure1", "bounds"}),
        ("experiments.mixture.measures.delta", 0.5, {"measure", "whole", "audit", "figure1", "bounds"}),
        ("experiments.mixture.measures.curvature", True, {"measure", "whole", "figure1", "bounds"}),
        ("figures.figure1.dpi", 7, {"figure1"}),
        ("claims.transition.at_least", 7, {"claims"}),
        ("device", "cuda", {"train", "whole"}),
    ],
)
def test_a_setting_changes_the_slices_that_depend_on_it_alone(settings, key, value, changed):
    other = copy.deepcopy(settings)
    *path, last = key.split(".")
    part = other
    for step in path:
        part = part[step]
    assert part[last] != value
    part[last] = value
    before, after = every_slice(settings), every_slice(other)
    assert {name for name in before if after[name] != before[name]} == changed


def test_where_data_come_from_is_no_part_of_what_they_are(settings):
    moved = copy.deepcopy(settings)
    moved["data"]["digits"] |= {"source": "folder", "folder": "/somewhere"}
    for slice_of in (job_settings.measure_slice, job_settings.whole_slice):
        assert slice_of("mnist", moved) == slice_of("mnist", settings)
    assert job_settings.data_slice("digits", 0, moved) == job_settings.data_slice("digits", 0, settings)
    assert job_settings.fetch_slice("digits", moved) == {
        "kind": "mnist",
        "source": "folder",
        "folder": "/somewhere",
    }


def test_memory_grows_with_all_that_a_job_holds(settings):
    experiment = copy.deepcopy(settings["experiments"]["mixture"])

    def needed(points=1000, features=100, outputs=None, **axes):
        stack = Stack({**STACK.axes, **axes})
        return job_settings.memory(experiment, stack, Size(points, features, None, outputs))

    assert needed() > 1500
    for more in (
        needed(points=10**6),
        needed(features=10**4),
        needed(outputs=10**4),
        needed(width=1000),
        needed(depth=40),
        needed(seed=list(range(100))),
    ):
        assert more > needed()
    # as much as the features alone take: points x width x layers, in doubles
    assert needed(points=10**6, width=1000) > 10**6 * 1000 * 4 * 8 * 2 / 1e6
    # a channel of a convolution has a feature at each position
    experiment["network"]["kind"] = "convolution"
    assert needed(points=1000, features=784, width=64) > 1000 * 784 * 64 * 4 * 8 / 1e6


def test_the_figures_of_the_paper_come_before_stationary_points():
    order = experiment_order(read_settings([PROJECT / "config.yaml"]))
    of_paper = ["mixture", "linear_product", "linear_product_centroids", "linear", "linear_centroids"]
    assert order[:8] == [*of_paper, "mnist", "width", "depth"]
    assert order[-3:] == ["mnist_stationary", "width_stationary", "depth_stationary"]


def test_an_unknown_experiment_is_told(settings):
    with pytest.raises(ValueError, match="no experiment 'nope'"):
        job_settings.whole_slice("nope", settings)
