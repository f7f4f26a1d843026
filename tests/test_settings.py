from copy import deepcopy

import numpy as np
import pytest
import yaml
from conftest import PROJECT

from workflow.layout import stack_files, stack_of
from workflow.settings import ConfigurationError, read_settings

DESK = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
GRID = "experiments.mixture.grid"

# where, what, and what the message must say
MISTAKES = [
    ("experiments.mixture.sigmas", 1, "experiments.mixture.sigmas is no key here; allowed are data, grid"),
    ("colour", "red", "colour is no key here; allowed are device"),
    ("experiments.mixtur", {}, "experiments.mixtur is no key here; allowed are mixture, linear"),
    (
        "experiments.linear_product.like",
        "blobs",
        "linear_product.like is 'blobs', but must be one of mixture, linear",
    ),
    (
        "experiments.linear_product.like",
        "linear_centroids",
        "like is 'linear_centroids', but must be one of mixture",
    ),
    (
        "experiments.linear_product.data",
        {},
        "linear_product.data is no key here: an experiment like another has its data",
    ),
    (
        "experiments.linear_product.network",
        {"activation": "tanh"},
        "penalty is 'product', but must be factors unless",
    ),
    ("experiments.linear.training.method", "lm", "training.method is 'lm', but must be lbfgs or gd unless"),
    (
        "experiments.linear.training.loss_on",
        "means",
        "training.loss_on is 'means', but must be one of data, centroids",
    ),
    ("experiments.linear.network.gain", 0, "network.gain is 0, but must be a finite number greater than 0"),
    (
        "experiments.mixture.data.points",
        "many",
        "data.points is 'many', but must be a whole number of at least 1",
    ),
    ("experiments.mixture.data.points", 20.5, "data.points is 20.5, but must be a whole number"),
    ("experiments.mixture.data.points", True, "data.points is True, but must be a whole number"),
    (f"{GRID}.sigma", ["0.1"], r"grid.sigma\[0\] is '0.1', but must be a finite number of at least 0"),
    (f"{GRID}.sigma", [0.1, "large"], r"grid.sigma\[1\] is 'large', but must be a finite number"),
    (f"{GRID}.sigma", [], r"grid.sigma is \[\], but must be a list"),
    (f"{GRID}.sigma", [0.1, -0.2], r"grid.sigma\[1\] is -0.2, but must be a finite number of at least 0"),
    (f"{GRID}.sigma", [float("nan")], r"grid.sigma\[0\] is nan, but must be a finite number"),
    (f"{GRID}.sigma", [0.1, 0.1], "grid.sigma is .*all different"),
    (f"{GRID}.sigma.from", -1, "grid.sigma.from is -1, but must be a finite number of at least 0"),
    (f"{GRID}.sigma.from", 0, "grid.sigma.from is 0, but must be greater than 0 on a log scale"),
    (f"{GRID}.sigma.from", 2, "grid.sigma.from is 2, but must be less than .*grid.sigma.to, which is 1"),
    (f"{GRID}.sigma.count", 1, "grid.sigma.count is 1, but must be a whole number of at least 2"),
    (f"{GRID}.sigma.step", 1, "grid.sigma.step is no key here; allowed are from, to, count, scale"),
    (
        f"{GRID}.weight_decay",
        [-1],
        r"grid.weight_decay\[0\] is -1, but must be a finite number of at least 0",
    ),
    (f"{GRID}.weight_decay", 0.1, "grid.weight_decay is 0.1, but must be a mapping"),
    (f"{GRID}.width", [0], r"grid.width\[0\] is 0, but must be a whole number of at least 1"),
    (f"{GRID}.seed", [0.5], r"grid.seed\[0\] is 0.5, but must be a whole number of at least 0"),
    ("experiments.mixture.data.clusters", 300, "data.clusters is 300, but must be at most 200"),
    ("experiments.mixture.data.weights", [1, 1], "data.weights is .* but must have 5 numbers"),
    (
        "experiments.mixture.stack",
        ["sigma", "width"],
        r"stack\[1\] is 'width', but must be one of weight_decay",
    ),
    ("experiments.mixture.stack", ["temperature"], r"stack\[0\] is 'temperature', but must be one of"),
    (
        "experiments.mixture.training.method",
        "adam",
        "training.method is 'adam', but must be one of lbfgs, gd",
    ),
    ("experiments.mixture.training.tolerance", 0, "training.tolerance is 0, but must be .* greater than 0"),
    ("experiments.mixture.network.activation", "relu", "network.activation is 'relu', but must be one of"),
    ("device", "gpu", "device is 'gpu', but must be one of auto, cpu, cuda"),
    ("measures.delta", 1, "measures.delta is 1, but must be .* less than 1"),
    ("figures.figure1.dpi", 5, "figures.figure1.dpi is 5, but must be a whole number of at least 50"),
    (
        "experiments.mnist.data.source",
        "folder",
        "mnist.data.folder is None, but must be a folder with source",
    ),
    (
        "experiments.mnist.data.train_points",
        9500,
        "train_points and test_points are 9500 and .* at most 10000",
    ),
    ("experiments.mnist.data.test_points", None, "test_points are 1000 and None, but must be at most 10000"),
    ("experiments.mnist.grid.sigma", [0.1], r"grid.sigma\[0\] is 0.1, but must be one of 0"),
    (
        "experiments.width.training.method",
        "lm",
        "width.training.method is 'lm', but must be one of adam, sgd",
    ),
    ("experiments", [], r"experiments is \[\], but must be a mapping"),
]


def changed(key, value):
    config = deepcopy(DESK)
    *path, last = key.split(".")
    part = config
    for name in path:
        part = part[name]
    part[last] = value
    return config


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_a_mistake_is_told_in_one_line(key, value, message):
    with pytest.raises(ConfigurationError, match=message) as error:
        read_settings(changed(key, value))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "key", ["experiments", "experiments.mixture", f"{GRID}.sigma", f"{GRID}.sigma.count"]
)
def test_a_missing_key_is_named(key):
    config = deepcopy(DESK)
    *path, last = key.split(".")
    part = config
    for name in path:
        part = part[name]
    del part[last]
    with pytest.raises(ConfigurationError, match=f"{key} is missing"):
        read_settings(config)


@pytest.mark.parametrize("scale", ["tiny", "paper"])
def test_every_scale_is_valid(scale):
    overlay = yaml.safe_load((PROJECT / f"workflow/scales/{scale}.yaml").read_text(encoding="utf-8"))

    def merge(base, over):
        return {
            **base,
            **{k: merge(base.get(k, {}), v) if isinstance(v, dict) else v for k, v in over.items()},
        }

    read_settings(merge(DESK, overlay))


def test_settings_are_complete_and_plain():
    settings = read_settings(
        {
            "experiments": {
                **DESK["experiments"],
                "mixture": {key: DESK["experiments"]["mixture"][key] for key in ("data", "grid")},
            }
        }
    )
    mixture = settings["experiments"]["mixture"]
    assert mixture["training"]["method"] == "lbfgs"
    assert settings["figures"]["figure1"]["dpi"] == 300
    np.testing.assert_allclose(mixture["grid"]["sigma"], np.geomspace(0.03, 1, 10), rtol=1e-5)
    assert all(type(value) is float for value in mixture["grid"]["sigma"])
    assert all(type(value) is int for value in mixture["grid"]["width"])


def test_the_configuration_itself_is_left_alone():
    config = deepcopy(DESK)
    read_settings(config)
    assert config == DESK


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("1.e-4", 1e-4), ("2E+1", 20), (".5e-1", 0.05)])
def test_numbers_that_yaml_takes_for_text_are_read(text, value):
    assert read_settings(changed(f"{GRID}.sigma", [text]))["experiments"]["mixture"]["grid"]["sigma"] == [
        value
    ]


def test_points_may_be_written_with_an_exponent():
    assert (
        read_settings(changed("experiments.mixture.data.points", "1e3"))["experiments"]["mixture"]["data"][
            "points"
        ]
        == 1000
    )


def test_an_integer_axis_may_be_a_range():
    config = changed(f"{GRID}.width", {"from": 10, "to": 80, "count": 4, "scale": "log"})
    assert read_settings(config)["experiments"]["mixture"]["grid"]["width"] == [10, 20, 40, 80]


def test_every_stack_reads_back_from_its_path():
    config = changed("experiments.mixture.stack", ["seed"])
    settings = read_settings(config)
    experiment = settings["experiments"]["mixture"]
    files = stack_files("train", "mixture", experiment)
    assert len(files) == len(set(files)) == 100
    for file in files:
        cells = file.removeprefix("results/mixture/train/").removesuffix(".nc")
        stack = stack_of("mixture", cells, settings)
        assert stack.dims == ("seed",)
        assert stack.axes["seed"] == experiment["grid"]["seed"]
        assert stack.axes["sigma"] in experiment["grid"]["sigma"]


def test_an_experiment_like_another_has_what_it_does_not_set():
    config = deepcopy(DESK)
    config["experiments"]["linear"]["training"]["evaluations"] = 77
    experiments = read_settings(config)["experiments"]
    model, other = experiments["linear"], experiments["linear_product_centroids"]
    for key in ("data", "grid", "network", "stack"):
        assert other[key] == model[key]
    assert other["training"]["evaluations"] == 77
    assert (other["training"]["penalty"], other["training"]["loss_on"]) == ("product", "centroids")
    assert (model["training"]["penalty"], model["training"]["loss_on"]) == ("factors", "data")
