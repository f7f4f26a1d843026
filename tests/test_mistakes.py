import numpy as np
import pytest
import yaml

from support.configurations import OWN, SMALL, overlay, read, refused

GRID = "experiments.mixture.grid"
TRAINING = "experiments.mixture.training"

# dotted key, value, and what the message says after the key
MISTAKES = [
    ("colour", "red", "is no key here; allowed are device, checkpoint_interval"),
    ("device", "gpu", "is 'gpu', but must be one of auto, cpu, cuda"),
    ("checkpoint_interval", -1, "is -1, but must be a finite number of at least 0"),
    ("measures.delta", 1, "is 1, but must be a finite number greater than 0 and less than 1"),
    ("measures.kmeans_restarts", None, "is null, but must be a whole number of at least 1"),
    ("experiments", [], "is [], but must be a mapping"),
    ("data.blobs.kind", "foo", "is 'foo', but must be one of mixture, mnist, arrays"),
    ("data.blobs.sigma", 1, "is no key here; mixture has clusters, points, dimension, separation"),
    ("data.digits.folder", 3, "is 3, but must be a text, or null"),
    ("data.blobs.points", "many", "is 'many', but must be a whole number of at least 1"),
    ("data.blobs.points", 20.5, "is 20.5, but must be a whole number"),
    ("data.blobs.points", True, "is true, but must be a whole number"),
    ("data.mine", {}, ".kind is missing; it must be one of mixture, mnist, arrays"),
    ("data.mine", {"kind": "mixture", "points": 3}, ".clusters is missing; it must be a whole number of at"),
    ("data.my-blobs", {"kind": "mnist"}, "must have another name: a letter, then letters, digits and _"),
    ("experiments.logs", {}, "must have another name: results/ has another folder of this name"),
    ("experiments.1st", {}, "must have another name: a letter"),
    ("experiments.new", {}, ".data is missing; it must be the name of an entry of data"),
    ("experiments.new", 3, "is 3, but must be a mapping"),
    ("experiments.mixture.data", {"kind": "mixture"}, "is {kind: 'mixture'}, but must be the name of an entry"),
    ("experiments.mixture.data", "blob", "is 'blob', but must be one of blobs, small_blobs, digits"),
    ("experiments.mixture.sigmas", 1, "is no key here; allowed are data, task, network, loss, grid"),
    ("experiments.mixture.task", "cluster", "is 'cluster', but must be one of autoencode, classify, regress"),
    ("experiments.mixture.network.activation", "gelu", "is 'gelu', but must be one of tanh, relu, linear"),
    ("experiments.mixture.network.bias", 1, "is 1, but must be true or false"),
    ("experiments.mixture.network.gain", 0, "is 0, but must be a finite number greater than 0"),
    ("experiments.mixture.measures.deltas", 0, "is no key here; allowed are kmeans_restarts"),
    ("experiments.mnist.measures.delta", 0.1, "has no use where data.digits.kind is 'mnist', not mixture"),
    ("experiments.mixture.stack", ["sigma", "width"], "[1] is 'width', but must be one of weight_decay, sigma"),
    ("experiments.mixture.stack", "sigma", "is 'sigma', but must be a list"),
    ("experiments.mixture.stack", ["sigma", "sigma"], "is ['sigma', 'sigma'], but must be a list of values that are all different"),
    (f"{GRID}.sigma", 0.1, "is 0.1, but must be a list of values, such as [0.1], or {from, to, count, scale}"),
    (f"{GRID}.seed", 3, "is 3, but must be a list of values, such as [0, 1, 2], or {from, to, count, scale}"),
    (f"{GRID}.width", "20", "is '20', but must be a list of values, such as [20], or {from, to,"),
    (f"{GRID}.sigma", ["0.1"], "[0] is '0.1', but must be a finite number of at least 0"),
    (f"{GRID}.sigma", [0.1, -0.2], "[1] is -0.2, but must be a finite number of at least 0"),
    (f"{GRID}.sigma", [float("nan")], "[0] is nan, but must be a finite number"),
    (f"{GRID}.sigma", [float("inf")], "[0] is inf, but must be a finite number"),
    (f"{GRID}.sigma", [10**400], "[0] is 1000"),
    (f"{GRID}.sigma", [], "is [], but must be a list of 1 or more values"),
    (f"{GRID}.sigma", [0.1, 0.1], "is [0.1, 0.1], but must be a list of values that are all different"),
    (f"{GRID}.sigma.from", -1, "is -1, but must be a finite number of at least 0"),
    (f"{GRID}.sigma.from", 0, "is 0, but must be greater than 0 on a log scale"),
    (f"{GRID}.sigma.from", 2, f"is 2, but must be less than {GRID}.sigma.to, which is 1"),
    (f"{GRID}.sigma.count", 1, "is 1, but must be a whole number of at least 2"),
    (f"{GRID}.sigma.step", 1, "is no key here; allowed are from, to, count, scale"),
    (f"{GRID}.sigmas", [1], "is no key here; allowed are weight_decay, sigma, width, depth, seed"),
    (f"{GRID}.width", [0], "[0] is 0, but must be a whole number of at least 1"),
    (f"{GRID}.seed", [0.5], "[0] is 0.5, but must be a whole number of at least 0"),
    (f"{GRID}.seed", [2**32], "[0] is 4294967296, but must be a whole number of at least 0 and at most 4294967295"),
    (f"{GRID}.seed", [12345678901234567890123], "[0] is 12345678901234567890123, but must be a whole number"),
    (f"{TRAINING}.method", "adam", "is 'adam', but must be a mapping with name, one of lbfgs, varpro, gd, levenberg_marquardt, newton, adam, sgd"),
    (f"{TRAINING}.method", {"name": "bfgs"}, ".name is 'bfgs', but must be one of lbfgs, varpro, gd, levenberg_marquardt, newton, adam, sgd"),
    (f"{TRAINING}.method", {"name": "lbfgs", "step": 1}, ".step is no key here; lbfgs has history"),
    (f"{TRAINING}.tolerance", 0, "is 0, but must be a finite number greater than 0"),
    (f"{TRAINING}.wall_clock", "1h", "is '1h', but must be a finite number greater than 0, or null"),
    (f"{TRAINING}.precision", "float16", "is 'float16', but must be one of float64, float32, tf32"),
    ("experiments.mnist.training.method.history", 5, "is no key here; adam has learning_rate, batch, schedule"),
    ("experiments.mnist.training.method.momentum", 0.9, "is no key here; adam has learning_rate, batch, schedule"),
    ("experiments.linear_product.training.method.history", 5, "is no key here; levenberg_marquardt has no options"),
    ("figures.style.dpi", "150", "is '150', but must be a whole number of at least 50 and at most 1200"),
    ("figures.style", None, "is null, but must be a mapping"),
    ("figures.figure1.dpi", 5, "is 5, but must be a whole number of at least 50"),
    ("figures.figure1.kind", "heatmap", "is 'heatmap', but must be one of plane, bounds, certified, shift, forecast"),
    ("figures.figure1.saturation", 0.1, "is no key here; plane has of, at, colour_map, dpi, certified"),
    ("figures.figure1.of", {"a": "mixture"}, "is {a: 'mixture'}, but must be the name of an experiment, or a"),
    ("figures.figure1.of", [], "is [], but must be a list of 1 or more values"),
    ("figures.figure2", {"kind": "plane"}, ".of is missing; it must be the name of an experiment"),
    ("figures.new", {"kind": "plane"}, ".of is missing; it must be the name of an experiment, or a list"),
    ("figures.new", {"kind": "shift", "of": "linear"}, ".of is 'linear', but must be a mapping of titles to"),
    ("figures.new", {"kind": "shift", "of": {}}, ".of is {}, but must be a mapping with 1 or more entries"),
    ("figures.new", {"kind": "rank_curves", "of": "width"}, ".along is missing; it must be one of width, depth"),
    ("figures.figure4.rank", "rank", "is 'rank', but must be one of stable_rank, numerical_rank"),
    ("figures.figure4.rank", ["stable_rank", 1], "[1] is 1, but must be one of stable_rank"),
    ("figures.figure1.of", "mixtur", "is 'mixtur', and there is no experiment mixtur; there are mixture, mixture_cells, linear"),
    ("claims.level", 95, "is 95, but must be a finite number greater than 0 and less than 1"),
    ("claims.head.of", ["mnist", "mnits"], "is ['mnist', 'mnits'], and there is no experiment mnits; there are"),
    ("claims.head.statistic", "tail", "is 'tail', but must be one of transition_width, slope_in_sigma"),
    ("claims.head.saturation", 0.1, "is no key here; head_change has of, at, says, least, most, level, weight_decays"),
    ("claims.width.at_least", 3, "is 3, but must be at most claims.width.at_most, which is 0.25"),
    ("claims.rank_with_decay", {"at_least": -1}, "has both at_least and at_most, but is about an order, which falls or"),
    ("claims.rank_with_decay.at_most", 0.5, "is 0.5, but must be from -1 to 0: a correlation of what falls"),
    ("claims.transition", {"at_most": None}, "has no limit, but must have at_least or at_most, or both"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_a_mistake_is_told_in_one_line(tmp_path, key, value, message):
    line = refused(tmp_path, overlay(key, value))
    assert line.startswith(key)
    assert line.removeprefix(key).lstrip().startswith(message)


@pytest.mark.parametrize(
    "key",
    [
        "data",
        "experiments",
        "data.blobs.points",
        "experiments.first.grid",
        "experiments.first.grid.sigma",
        "experiments.first.grid.width",
        "experiments.first.data",
    ],
)
def test_a_missing_key_is_named(tmp_path, key):
    config = yaml.safe_load(SMALL)
    *path, last = key.split(".")
    part = config
    for name in path:
        part = part[name]
    del part[last]
    assert f"{key} is missing; it must be" in refused(tmp_path, yaml.safe_dump(config), below=None)


NEEDS_LINEAR = "to be linear, but experiments.mixture.network.activation is 'tanh'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loss: cross_entropy", "loss is 'cross_entropy', which needs task to be classify, but"),
        (
            "task: regress",
            "task is 'regress', which needs data with y, and blobs has none (kind arrays has, where its file",
        ),
        (
            "training: {method: {name: levenberg_marquardt}}",
            "training.method.name is 'levenberg_marquardt', which needs training.penalty to be product, but "
            "experiments.mixture.training.penalty is 'factors'",
        ),
        (
            "training: {penalty: product}",
            f"training.penalty is 'product', which needs network.activation {NEEDS_LINEAR}",
        ),
        (
            "{network: {activation: linear, bias: true}, training: {penalty: product}}",
            "training.penalty is 'product', which needs network.bias to be false, but",
        ),
        (
            "{network: {activation: linear}, training: {penalty: product}, grid: {weight_decay: [0, 1]}}",
            "which needs grid.weight_decay to be greater than 0, but experiments.mixture.grid.weight_decay is 0.0",
        ),
        (
            "{network: {activation: linear}, training: {penalty: product}, task: classify}",
            "training.penalty is 'product', which needs task to be autoencode",
        ),
        (
            "{network: {activation: linear}, training: {method: {name: sgd, batch: 20}}}",
            "training.method.batch is 20, which needs another network: a linear autoencoder trains on",
        ),
        (
            "training: {method: {name: adam, batch: 201}}",
            "training.method.batch is 201, but must be at most 200, the number of points of blobs",
        ),
        (
            "training: {method: {name: adam, batch: 6}, loss_on: centroids}",
            "training.method.batch is 6, but must be at most 5, the number of centroids of blobs",
        ),
    ],
)
def test_choices_that_do_not_go_together_are_refused(tmp_path, text, message):
    text = text if text.startswith("{") else f"{{{text}}}"
    line = refused(tmp_path, f"experiments: {{mixture: {text}}}")
    assert line.startswith("experiments.mixture.")
    assert message in line


def test_choices_that_go_together_are_taken(tmp_path):
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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("blobs: {weights: [1, 2]}", "data.blobs.weights is [1, 2], but must have 5 numbers"),
        (
            "blobs: {weights: [1, 1, 1, 1, 1000]}",
            "data.blobs.weights is [1, 1, 1, 1, 1000], but 200 points in 5",
        ),
        ("blobs: {clusters: 300}", "data.blobs.clusters is 300, but"),
        ("digits: {source: folder}", "data.digits.folder is null, but must be a folder"),
        (
            "digits: {source: folder, folder: nowhere}",
            "data.digits.folder is 'nowhere', but there is no such folder",
        ),
        ("digits: {folder: somewhere}", "data.digits.folder is 'somewhere', but source bundled reads none"),
        ("digits: {train_points: 9500}", "data.digits.train_points and test_points are 9500 and 1000"),
        (
            "digits: {source: torchvision, test_points: 10001}",
            "data.digits.test_points is 10001, but MNIST has 10000",
        ),
    ],
)
def test_data_that_cannot_be_are_refused(tmp_path, data, message):
    assert refused(tmp_path, f"data: {{{data}}}").startswith(message)


def test_data_of_ones_own_are_read_from_the_working_directory(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((6, 3)), "labels": np.array([0, 0, 1, 1, 2, 2])}
    classify, regress = OWN.replace("TASK", "classify"), OWN.replace("TASK", "regress")
    assert refused(tmp_path, classify) == (
        "data.mine.file is 'mine.npz', but there is no such file (a relative path starts at the working folder)"
    )
    np.savez(tmp_path / "mine.npz", **arrays)
    own = read(tmp_path, classify)["experiments"]["own"]
    assert own["grid"]["sigma"] == [0]
    assert own["loss"] == "cross_entropy"
    assert "delta" not in own["measures"]
    assert "task is 'regress', which needs data with y, and mine has none" in refused(tmp_path, regress)
    assert "batch is 7, but must be at most 6, the number of points of mine" in refused(
        tmp_path, classify.replace("batch: 4", "batch: 7")
    )
    np.savez(tmp_path / "mine.npz", **arrays, y=rng.standard_normal((6, 2)))
    assert read(tmp_path, regress)["experiments"]["own"]["loss"] == "squared_error"
