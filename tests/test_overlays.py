"""Overlays: what they change and inherit, what they remove, and how a file that cannot be read is reported."""

from pathlib import Path

import pytest

from support.configurations import CONFIG, desk, read, refused
from workflow.config.load import ConfigurationError, read_settings


def test_an_overlay_changes_the_keys_that_it_names(tmp_path):
    first = "experiments: {mixture: {grid: {seed: [7], sigma: {count: 2}}}}"
    second = "experiments: {mixture: {grid: {depth: [3]}, training: {method: {name: lbfgs, history: 3}}}}"
    mixture = read(tmp_path, first, second)["experiments"]["mixture"]
    known = desk()["experiments"]["mixture"]["grid"]
    assert mixture["grid"] == {**known, "seed": [7], "sigma": [0.03, 1], "depth": [3]}
    assert mixture["training"]["method"] == {"name": "lbfgs", "history": 3, "float32_until": None}


def test_an_entry_of_another_kind_keeps_nothing(tmp_path):
    settings = read(
        tmp_path,
        """
        data: {blobs: {kind: mnist, train_points: 200}}
        experiments: {mixture: {training: {method: {name: gd, step: 0.1}}}}
        figures: {figure1: {kind: bounds, of: mixture}}
        claims: {head: {statistic: wcss_change, of: mnist, statement: it falls, at_most: 0}}
        """,
    )
    assert "clusters" not in settings["data"]["blobs"]
    assert settings["experiments"]["mixture"]["training"]["method"] == {
        "name": "gd",
        "step": 0.1,
        "float32_until": None,
    }
    assert "certified" not in settings["figures"]["figure1"]
    assert (settings["claims"]["head"]["at_least"], settings["claims"]["head"]["at_most"]) == (None, 0)


def test_overrides_of_the_command_line_come_last_and_are_read_as_yaml(tmp_path):
    overrides = {
        "device": "cpu",
        "figures": {"style": {"dpi": "150"}, "bounds": "null"},
        "experiments": {
            "mixture": {
                "grid": {"sigma": ["0.1", "2e-1"], "seed": ["0"]},
                "training": {"method": {"name": "lbfgs", "history": "5"}, "tolerance": "1e-4"},
                "network": {"bias": "true", "activation": "relu"},
            }
        },
    }
    settings = read(tmp_path, "experiments: {mixture: {grid: {seed: [7]}}}", overrides=overrides)
    mixture = settings["experiments"]["mixture"]
    assert settings["device"] == "cpu"
    assert settings["figures"]["figure1"]["dpi"] == 150
    assert "bounds" not in settings["figures"]
    assert (mixture["grid"]["sigma"], mixture["grid"]["seed"]) == ([0.1, 0.2], [0])
    assert mixture["training"]["tolerance"] == 1e-4
    assert mixture["network"] == {"kind": "mlp", "activation": "relu", "bias": True}
    assert overrides["experiments"]["mixture"]["grid"]["sigma"] == ["0.1", "2e-1"]


# Inheritance.


def test_like_inherits_settings_over_a_chain(tmp_path):
    settings = read(
        tmp_path,
        """
        data: {more: {kind: mixture, clusters: 3, points: 30, dimension: 2}}
        experiments:
          linear: {training: {epochs: 770}, measures: {delta: 0.01}}
          a: {like: b, data: more}
          b: {like: mixture, grid: {seed: [5]}}
        """,
    )["experiments"]
    model, other = settings["linear"], settings["linear_product_centroids"]
    assert "like" not in other
    assert all(
        other[key] == model[key] for key in ("data", "grid", "network", "stack", "measures", "task", "loss")
    )
    assert other["training"] == {
        **model["training"],
        "penalty": "product",
        "loss_on": "centroids",
        "method": {"name": "levenberg_marquardt"},
        "tolerance": 1e-10,
    }
    assert (settings["a"]["data"], settings["a"]["grid"]["seed"], settings["b"]["data"]) == (
        "more",
        [5],
        "blobs",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: {like: blobs}}", "experiments.a.like is 'blobs', but must be one of mixture, mixture_cells, linear"),
        ("{a: {like: b}, b: {like: c}, c: {like: a}}", "experiments.c.like is 'a', but no experiment may be like itself (a like b like c like a)"),
        # a mistake that others inherit, by the models and by later checks
        ("{mnist: {training: {passes: 5}}}", "experiments.mnist.training.passes was renamed"),
        ("{a_first: {like: mixture}, mixture: {grid: {sigma: {from: 2}}}}", "experiments.mixture.grid.sigma.from is 2"),
        # a mistake of both
        ("{a: {like: linear_product, network: {activation: tanh}}}", "experiments.linear_product.training.penalty is 'product', which needs network.activation to be linear, but experiments.a.network.activation is 'tanh'"),
        ("{a: {like: mnist, data: blobs}}", "experiments.a.grid.sigma is missing; it must be given, because the data blobs are of kind mixture"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_where_it_was_written(tmp_path, text, message):
    assert refused(tmp_path, f"experiments: {text}").startswith(message)


# Removal.


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        # data, with an experiment of other data that inherits from one of theirs
        ("data: {blobs: null}\nexperiments: {a: {like: mixture, data: small_blobs}, b: {like: a}}", ["data blobs is removed, and with it experiments mixture,", " a, b, figures figure1,", " claims transition, ", "which depend on it"]),
        ("figures: {figure1: null}\nclaims: {head: null}", ["figures figure1, claims head are removed"]),
        # the experiment on centroids with which others are compared
        ("experiments: {linear_centroids: null}", ["experiments linear_centroids is removed, and with it figures figure2, claims quadratic_factors, "]),
    ],
)  # fmt: skip
def test_the_removed_entries_are_reported(tmp_path, text, entries):
    line = read(tmp_path, text)["removed"]
    assert line.startswith(f"configuration: {entries[0]}")
    assert all(entry in line for entry in entries)


def test_a_removed_entry_may_be_written_anew_and_may_have_mistakes(tmp_path):
    again = "figures: {figure1: {kind: bounds, of: mixture, dpi: 99}}\nexperiments: {depth: null}"
    wrong = "figures: {figure1: null}\nexperiments: {depth: {training: {epochs: 0}}}"
    settings = read(tmp_path, wrong, again)
    assert "figure1" not in settings["removed"]
    figure = settings["figures"]["figure1"]
    assert (figure["kind"], figure["dpi"], "certified" in figure) == ("bounds", 99, False)


def test_a_section_that_is_null_loses_its_entries(tmp_path):
    text = "claims:"
    settings = read(tmp_path, text)
    assert settings["claims"] == {}
    assert settings["removed"].startswith(
        "configuration: claims transition, transition_with_decay, rate_variability,"
    )
    listed, others = settings["removed"].removesuffix(" others are removed").split(" and ")
    assert len(listed.split(", ")) + int(others) == len(read(tmp_path, "")["claims"])
    assert read(tmp_path, text, "claims: {level: 0.9}")["claims"] == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experiments: {mnits: null}", "experiments.mnits is null, which removes the entry, but no entry has this name; there are mixture"),
        ("experiments: {mnist: null}\nfigures: {more: {kind: bounds, of: mnits}}", "figures.more.of is ['mnits'], but there is no experiment mnits"),
        ("data: {blobs: null, small_blobs: null, digits: null}", "experiments is empty, but must have one experiment or more"),
    ],
)  # fmt: skip
def test_a_removal_that_cannot_be_is_refused(tmp_path, text, message):
    assert refused(tmp_path, text).startswith(message)


# Files.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: 2\na: 3", "bad.yaml, line 3: the key a is given again after line 1; keep one of them"),
        ("data:\n\tx: 1", "bad.yaml, line 2: found character"),
        ("data: {x: *y}", "bad.yaml, line 1: found undefined alias"),
        ("data: &x {y: *x}", "bad.yaml must only contain texts, numbers, true, false, null, lists and mappings"),
        ("1: x", "bad.yaml, line 1: the key 1 must be a text; put it in quotes"),
        ("- 1", "bad.yaml is [1], but must be a mapping of keys to values"),
        ("a: !!python/name:os.system x", "bad.yaml, line 1: could not determine a constructor"),
        (b"\xff\xfe\x00", "bad.yaml is not a text file in UTF-8"),
        (None, "bad.yaml cannot be read (No such file or directory)"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("bad.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError) as error:
        read_settings([CONFIG, "bad.yaml"])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_may_be_empty_and_may_have_anchors_and_merge_keys(tmp_path):
    text = """
        experiments:
          a: &a {like: mixture, grid: {seed: [1]}}
          b: {<<: *a, network: {activation: relu}}
        """
    settings = read(tmp_path, "# nothing yet\n", text)["experiments"]
    assert settings["b"]["grid"]["seed"] == [1]
    assert settings["b"]["network"]["activation"] == "relu"
    assert settings["mixture"] == desk()["experiments"]["mixture"]
