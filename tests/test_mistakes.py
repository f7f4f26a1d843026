"""Mistakes in a configuration: each is refused by one line with the key, its value and what is allowed."""

import numpy as np
import pytest
import yaml

from nrc import kinds
from support.configurations import OWN, SMALL, overlay, read, refused

GRID = "experiments.mixture.grid"
TRAINING = "experiments.mixture.training"
METHOD = f"{TRAINING}.method"
METHODS, DATA, STATISTICS = (", ".join(kinds.names(of)) for of in ("optimize", "data", "claims.statistics"))

# The dotted key, its value, and the message after the key.
MISTAKES = [
    # keys
    ("colour", "red", "is not a known key; the known keys are device, checkpoint_interval"),
    (f"{GRID}.sigmas", [1], "is not a known key; the known keys are weight_decay, sigma, width, depth, seed"),
    (METHOD, {"name": "lbfgs", "step": 1}, ".step is not an option of lbfgs, which has float32_until, history"),
    ("data.my-blobs", {"kind": "mnist"}, "cannot be a name: a name is a letter, then letters, digits and _"),
    ("experiments.logs", {"like": "mixture"}, "cannot be a name: results/ has another folder of this name"),
    # kinds
    ("data.blobs.kind", "foo", f"is 'foo', but must be one of {DATA}"),
    (METHOD, "adam", f"is 'adam', but must be a mapping with name, one of {METHODS}, or null"),
    # missing
    ("data.mine", {"kind": "mixture", "points": 3}, ".clusters is missing; it must be a whole number of at"),
    ("experiments.new", {}, ".data is missing; it must be the name of an entry of data"),
    # types and limits
    ("experiments", [], "is [], but must be a mapping"),
    ("device", "gpu", "is 'gpu', but must be one of auto, cpu, cuda"),
    ("measures.delta", 1, "is 1, but must be a finite number greater than 0 and less than 1"),
    ("data.blobs.points", 20.5, "is 20.5, but must be a whole number of at least 1"),
    ("data.mine", {"kind": "arrays", "file": "{x}.npz"}, ".file is '{x}.npz', but must be a path without braces"),
    ("experiments.mixture.data", "blob", "is 'blob', but must be one of blobs, small_blobs, digits"),
    ("experiments.mixture.network.bias", 1, "is 1, but must be true or false"),
    ("experiments.mixture.stack", ["sigma", "width"], "[1] is 'width', but must be one of weight_decay, sigma"),
    ("experiments.mixture.stack", ["sigma", "sigma"], "is ['sigma', 'sigma'], but must be a list of values that are all different"),
    (f"{TRAINING}.warm_start", 3, "is 3, but must be the name of an experiment, or {along, direction}, or null"),
    # axes
    (f"{GRID}.sigma", 0.1, "is 0.1, but must be a list of values, such as [0.1], or {from, to, count, scale}"),
    (f"{GRID}.sigma", [], "is [], but must be a list of values, such as [0.1], or {from, to"),
    (f"{GRID}.sigma", [0.1, -0.2], "[1] is -0.2, but must be a finite number of at least 0"),
    (f"{GRID}.sigma", [float("nan")], "[0] is nan, but must be a finite number"),
    (f"{GRID}.sigma", [0.1, 0.1], "is [0.1, 0.1], but must be a list of values that are all different"),
    (f"{GRID}.sigma.from", 0, "is 0, but must be greater than 0 on a log scale"),
    (f"{GRID}.seed", [2**32], "[0] is 4294967296, but must be a whole number of at least 0 and at most 4294967295"),
    # figures and claims
    ("figures.new", {"kind": "shift", "of": "linear"}, ".of is 'linear', but must be a mapping"),
    ("figures.figure4.rank", ["stable_rank", 1], "[1] is 1, but must be one of stable_rank"),
    ("figures.figure4.at", {"layer": 1}, ".layer is not a known key; the known keys are weight_decay, sigma, width"),
    ("figures.figure4.at", {"width": 4.5}, ".width is 4.5, but must be a whole number of at least 1"),
    ("claims.width.at_least", 3, "is 3.0, but must be at most at_most, which is 0.25"),
    ("claims.rank_with_decay", {"at_most": -0.9}, ".at_most is not an option of rank_trend, which has of"),
    ("claims.rank_with_decay.trend", "down", "is 'down', but must be one of falls, rises"),
    ("claims.transition", {"at_least": None}, ".at_least and at_most are both null, but"),
    ("claims.collapse_with_decay", {"source": "paper"}, ".section must be the section of the paper"),
    # keys and values of the previous release
    (f"{TRAINING}.passes", 5, "was renamed; write epochs"),
    (METHOD, {"name": "lm"}, ".name: 'lm' was renamed; write levenberg_marquardt"),
    ("data.blobs.covariance", "diagonal", ": 'diagonal' was removed; write full or isotropic"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_a_mistake_is_reported_in_one_line(tmp_path, key, value, message):
    line = refused(tmp_path, overlay(key, value))
    assert line.startswith(key)
    assert line.removeprefix(key).lstrip().startswith(message)


@pytest.mark.parametrize(
    "key", ["data", "experiments", "experiments.first.grid", "experiments.first.grid.sigma"]
)
def test_a_missing_section_is_named(tmp_path, key):
    config = yaml.safe_load(SMALL)
    *path, last = key.split(".")
    part = config
    for name in path:
        part = part[name]
    del part[last]
    assert f"{key} is missing; it must be" in refused(tmp_path, yaml.safe_dump(config), below=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{loss: cross_entropy}", "loss is 'cross_entropy', which needs task to be classify, but experiments.mixture.task is 'autoencode'"),
        ("{training: {method: {name: levenberg_marquardt}}}", "training.method.name is 'levenberg_marquardt', which needs training.penalty to be product, but experiments.mixture.training.penalty is 'factors'"),
        ("{network: {activation: linear}, training: {penalty: product}, grid: {weight_decay: [0, 1]}}", "which needs grid.weight_decay to be greater than 0, but experiments.mixture.grid.weight_decay is [0.0, 1.0]"),
        ("{network: {activation: linear}, training: {method: {name: sgd, batch: 20}}}", "training.method.batch is 20, which needs network.activation to be a nonlinear activation, but"),
        ("{training: {method: {name: adam, batch: 201}}}", "training.method.batch is 201, but must be at most 200"),
        ("{training: {method: {name: varpro, plain_epochs: 9}, epochs: 9}}", "training.method.plain_epochs is 9, but must be less than"),
        ("{data: digits, measures: {delta: 0.1}}", "measures.delta is 0.1, which needs data.kind to be mixture, but data.digits.kind is 'mnist'; leave it out"),
    ],
)  # fmt: skip
def test_choices_that_exclude_each_other_are_refused(tmp_path, text, message):
    line = refused(tmp_path, f"experiments: {{mixture: {text}}}")
    assert line.startswith(
        f"experiments.mixture.{message}" if not message.startswith("which") else "experiments"
    )
    assert message in line


def test_choices_that_agree_are_taken(tmp_path):
    read(
        tmp_path,
        """
        experiments:
          a: {like: mixture, task: classify, loss: cross_entropy, network: {activation: relu, bias: true}}
          b: {like: mixture, training: {method: {name: adam, batch: 200}}, measures: {delta: 0.2}}
          c: {like: mnist, training: {method: {name: lbfgs}, tolerance: 1e-6, epochs: 500}}
          d: {like: mnist, task: autoencode, loss: squared_error, grid: {sigma: [0, 0.5]}}
          e: {like: linear, network: {bias: true}, training: {method: {name: sgd, batch: 20}}}
        """,
    )


def test_data_that_cannot_be_made_are_refused(tmp_path):
    line = refused(tmp_path, "data: {blobs: {weights: [1, 2]}}")
    assert line.startswith("data.blobs.weights is [1.0, 2.0], but must have 5 numbers")
    line = refused(tmp_path, "data: {digits: {source: folder, folder: nowhere}}")
    assert line.startswith("data.digits.folder is 'nowhere', which does not exist")


def test_your_own_data_are_read_from_the_working_directory(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((6, 3)), "labels": np.array([0, 0, 1, 1, 2, 2])}
    classify, regress = OWN.replace("TASK", "classify"), OWN.replace("TASK", "regress")
    assert refused(tmp_path, classify) == (
        "data.mine.file is 'mine.npz', but there is no such file (a relative path starts at the working directory)"
    )
    np.savez(tmp_path / "mine.npz", **arrays)
    own = read(tmp_path, classify)["experiments"]["own"]
    assert (own["grid"]["sigma"], own["loss"]) == ([0], "cross_entropy")
    assert "delta" not in own["measures"]
    assert "task is 'regress', which needs data with y, but the data mine have none" in refused(
        tmp_path, regress
    )
    assert "batch is 7, but must be at most 6" in refused(tmp_path, classify.replace("batch: 4", "batch: 7"))
    np.savez(tmp_path / "mine.npz", **arrays, y=rng.standard_normal((6, 2)))
    assert read(tmp_path, regress)["experiments"]["own"]["loss"] == "squared_error"
