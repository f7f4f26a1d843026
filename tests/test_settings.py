import subprocess
import sys

import numpy as np
import pytest
import yaml

from nrc.grid import AXES
from support.configurations import CONFIG, PROJECT, SCALES, SMALL, desk, read
from workflow.config.load import read_settings
from workflow.lib.paths import stack_files, stack_of


@pytest.mark.parametrize("scale", ["tiny", "paper"])
def test_every_scale_is_valid_and_drops_nothing(scale):
    assert read_settings([CONFIG, SCALES / f"{scale}.yaml"])["dropped"] is None


def test_settings_are_complete_and_plain(tmp_path):
    settings = read(tmp_path, SMALL, below=None)
    assert settings == {
        "device": "auto",
        "checkpoint_interval": 60,
        "measures": {
            "kmeans_restarts": 10,
            "tcv_lower": "spectral",
            "numerical_rank_tolerance": 1e-3,
            "certified_ranks": 0,
            "delta": 0.05,
            "curvature": False,
        },
        "data": {
            "blobs": {
                "kind": "mixture",
                "clusters": 2,
                "points": 10,
                "dimension": 3,
                "separation": 2,
                "covariance": "isotropic",
                "weights": None,
            }
        },
        "experiments": {
            "first": {
                "data": "blobs",
                "task": "autoencode",
                "network": {"activation": "tanh", "bias": False, "gain": 1},
                "loss": "squared_error",
                "grid": {"weight_decay": [0.1], "sigma": [0.5], "width": [4], "depth": [2], "seed": [0]},
                "training": {
                    "warm_start": None,
                    "method": {"name": "varpro", "plain": 100, "history": 5},
                    "tolerance": 1e-6,
                    "epochs": 20000,
                    "snapshot_every": None,
                    "loss_on": "data",
                    "penalty": "factors",
                    "precision": "float64",
                    "wall_clock": None,
                },
                "stack": ["weight_decay", "sigma"],
                "measures": settings["measures"],
            }
        },
        "figures": {},
        "claims": {},
        "dropped": None,
    }
    assert list(settings["experiments"]["first"]["grid"]) == list(AXES)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("gd", {"step": 0.2}),
        ("adam", {"learning_rate": 1e-3, "batch": None, "schedule": "constant"}),
        ("sgd", {"learning_rate": 1e-2, "momentum": 0.9, "batch": None, "schedule": "constant"}),
    ],
)
def test_a_method_has_its_own_options(tmp_path, method, options):
    settings = read(tmp_path, f"experiments: {{mixture: {{training: {{method: {{name: {method}}}}}}}}}")
    assert settings["experiments"]["mixture"]["training"]["method"] == {"name": method, **options}


def test_a_classifier_has_cross_entropy_unless_it_says_otherwise(tmp_path):
    classify = "experiments: {first: {task: classify}}"
    assert read(tmp_path, SMALL, classify, below=None)["experiments"]["first"]["loss"] == "cross_entropy"
    otherwise = "experiments: {first: {task: classify, loss: squared_error}}"
    assert read(tmp_path, SMALL, otherwise, below=None)["experiments"]["first"]["loss"] == "squared_error"


def test_figures_share_a_style_and_claims_a_level(tmp_path):
    settings = read(
        tmp_path,
        """
        figures:
          style: {dpi: 150}
          figure1: {colour_map: magma}
        claims: {level: 0.9, head: {level: 0.99}}
        """,
    )
    assert "style" not in settings["figures"]
    assert "level" not in settings["claims"]
    assert (settings["figures"]["figure1"]["dpi"], settings["figures"]["figure1"]["colour_map"]) == (
        150,
        "magma",
    )
    assert (settings["figures"]["bounds"]["dpi"], settings["figures"]["bounds"]["colour_map"]) == (
        150,
        "viridis",
    )
    assert (settings["claims"]["tail"]["level"], settings["claims"]["head"]["level"]) == (0.9, 0.99)


def test_spectra_are_blue_unless_they_say_otherwise(tmp_path):
    spectra = "figures: {style: {colour_map: magma}, more: {kind: spectra, of: mnist}}"
    assert read(tmp_path, spectra)["figures"]["more"]["colour_map"] == "Blues"


def test_of_is_a_list_but_for_shifts():
    assert desk()["figures"]["figure1"]["of"] == ["mixture"]
    assert desk()["claims"]["transition"]["of"] == ["mixture"]
    assert sorted(desk()["figures"]["figure2"]["of"].values()) == ["linear", "linear_product"]
    assert desk()["figures"]["figure4"]["rank"] == ["stable_rank"]
    assert desk()["figures"]["figure5"]["at"] == {"width": 64}
    assert desk()["figures"]["figure1"]["at"] == {}


def test_no_network_of_the_desk_scale_is_trained_twice():
    seen = {}
    for name, experiment in desk()["experiments"].items():
        grid, key = (
            experiment["grid"],
            yaml.safe_dump(
                {
                    **experiment,
                    "grid": None,
                    "stack": None,
                    "training": {**experiment["training"], "snapshot_every": None},
                }
            ),
        )
        for width in grid["width"]:
            for depth in grid["depth"]:
                assert (key, width, depth) not in seen, f"{name} and {seen[key, width, depth]}"
                seen[key, width, depth] = name


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1.e-4", 1e-4), ("2E+1", 20), (".5e-1", 0.05), ("1.0e-4", 1e-4), ("-0.0", 0)],
)
def test_numbers_are_read_however_they_are_written(tmp_path, text, value):
    settings = read(
        tmp_path,
        f"experiments: {{mixture: {{measures: {{delta: 1e-2}}, grid: {{sigma: [0.7, {text}]}}}}}}\nfigures: {{figure1: null, bounds: null}}",
    )
    assert settings["experiments"]["mixture"]["grid"]["sigma"] == [0.7, value]
    assert settings["experiments"]["mixture"]["measures"]["delta"] == 0.01


def test_whole_numbers_may_be_written_with_an_exponent(tmp_path):
    points = read(tmp_path, "data: {blobs: {points: 1e3}}")["data"]["blobs"]["points"]
    assert points == 1000
    assert type(points) is int


def test_a_range_is_a_list_of_its_values(tmp_path):
    sigma = desk()["experiments"]["mixture"]["grid"]["sigma"]
    np.testing.assert_allclose(sigma, np.geomspace(0.03, 1, 20), rtol=1e-5)
    assert all(type(value) is float for value in sigma)
    text = """
        experiments:
          first:
            grid:
              weight_decay: {from: 0, to: 1, count: 5, scale: linear}
              width: {from: 10, to: 80, count: 4, scale: log}
              seed: {from: 3, to: 6, count: 4}
        """
    grid = read(tmp_path, SMALL, text, below=None)["experiments"]["first"]["grid"]
    assert grid["weight_decay"] == [0, 0.25, 0.5, 0.75, 1]
    assert grid["width"] == [10, 20, 40, 80]
    assert grid["seed"] == [3, 4, 5, 6]
    assert all(type(value) is int for value in grid["width"] + grid["seed"])


def test_every_stack_reads_back_from_its_path(tmp_path):
    settings = read(tmp_path, "experiments: {mixture: {stack: [seed]}}")
    experiment = settings["experiments"]["mixture"]
    files = stack_files("train", "mixture", experiment)
    assert len(files) == len(set(files)) == 400
    for file in files:
        cells = file.removeprefix("results/mixture/train/").removesuffix(".nc")
        stack = stack_of("mixture", cells, settings)
        assert stack.dims == ("seed",)
        assert stack.axes["seed"] == experiment["grid"]["seed"]
        assert stack.axes["sigma"] in experiment["grid"]["sigma"]


def test_an_overlay_changes_the_keys_that_it_names(tmp_path):
    settings = read(
        tmp_path,
        "experiments: {mixture: {grid: {seed: [7]}}}",
        "experiments: {mixture: {grid: {depth: [3]}, training: {method: {name: lbfgs, history: 3}}}}",
    )
    grid = settings["experiments"]["mixture"]["grid"]
    assert grid == {**desk()["experiments"]["mixture"]["grid"], "seed": [7], "depth": [3]}
    assert settings["experiments"]["mixture"]["training"]["method"] == {"name": "lbfgs", "history": 3}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ("network: {activation: linear}", "varpro"),
        ("network: {activation: relu}", "lbfgs"),
        ("grid: {weight_decay: [0, 0.1]}", "lbfgs"),
        ("{network: {activation: linear}, training: {penalty: product}}", "lbfgs"),
        ("task: classify", "lbfgs"),
        ("{task: classify, loss: squared_error}", "varpro"),
    ],
)
def test_the_method_is_variable_projection_where_it_holds(tmp_path, changes, name):
    settings = read(
        tmp_path,
        SMALL,
        f"experiments: {{first: {changes}}}"
        if changes[0] == "{"
        else f"experiments: {{first: {{{changes}}}}}",
        below=None,
    )
    assert settings["experiments"]["first"]["training"]["method"]["name"] == name


def test_an_axis_is_changed_in_part_or_whole(tmp_path):
    in_part = read(tmp_path, "experiments: {mixture: {grid: {sigma: {count: 2}}}}")
    assert in_part["experiments"]["mixture"]["grid"]["sigma"] == [0.03, 1]
    whole = read(
        tmp_path,
        "experiments: {mixture: {grid: {sigma: [0.1]}}}",
        "experiments: {mixture: {grid: {sigma: [0.2]}}}",
    )
    assert whole["experiments"]["mixture"]["grid"]["sigma"] == [0.2]


def test_another_kind_keeps_nothing_of_the_one_before(tmp_path):
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
    assert settings["experiments"]["mixture"]["training"]["method"] == {"name": "gd", "step": 0.1}
    assert "certified" not in settings["figures"]["figure1"]
    assert (settings["claims"]["head"]["at_least"], settings["claims"]["head"]["at_most"]) == (None, 0)


def test_overrides_have_the_last_word_and_their_text_is_read_by_the_rules_of_yaml(tmp_path):
    overrides = {
        "device": "cpu",
        "checkpoint_interval": 5,
        "figures": {"style": {"dpi": "150"}, "bounds": "null"},
        "experiments": {
            "mixture": {
                "grid": {"sigma": ["0.1", "2e-1"], "seed": ["0"]},
                "training": {
                    "snapshot_every": "null",
                    "method": {"name": "lbfgs", "history": "5"},
                    "tolerance": "1e-4",
                },
                "network": {"bias": "true", "activation": "relu"},
            }
        },
    }
    settings = read(tmp_path, "experiments: {mixture: {grid: {seed: [7]}}}", overrides=overrides)
    mixture = settings["experiments"]["mixture"]
    assert (settings["device"], settings["checkpoint_interval"]) == ("cpu", 5)
    assert settings["figures"]["figure1"]["dpi"] == 150
    assert "bounds" not in settings["figures"]
    assert mixture["grid"]["sigma"] == [0.1, 0.2]
    assert mixture["grid"]["seed"] == [0]
    assert mixture["training"]["tolerance"] == 1e-4
    assert mixture["training"]["snapshot_every"] is None
    assert mixture["network"] == {"activation": "relu", "bias": True, "gain": 1}


def test_what_is_read_is_left_alone(tmp_path):
    overrides = {"experiments": {"mixture": {"grid": {"seed": ["0"]}}}, "figures": {"bounds": None}}
    read(tmp_path, overrides=overrides)
    assert overrides == {"experiments": {"mixture": {"grid": {"seed": ["0"]}}}, "figures": {"bounds": None}}


def show(*files, folder):
    program = PROJECT / "workflow/scripts/show_settings.py"
    return subprocess.run([sys.executable, program, *files], cwd=folder, capture_output=True, text=True)


def test_settings_are_shown_complete_and_read_back_the_same(tmp_path):
    shown = show(folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    (tmp_path / "shown.yaml").write_text(shown.stdout, encoding="utf-8")
    assert read_settings([tmp_path / "shown.yaml"]) == desk()


def test_showing_settings_says_what_is_dropped_and_what_is_wrong(tmp_path):
    (tmp_path / "mine.yaml").write_text("experiments: {mnist: null}", encoding="utf-8")
    shown = show("mine.yaml", folder=tmp_path)
    assert shown.returncode == 0
    assert shown.stderr.startswith("configuration: experiments mnist is dropped, and with it")
    assert "mnist" not in yaml.safe_load(shown.stdout)["experiments"]
    wrong = show("mine.yaml", "nowhere.yaml", folder=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "Error: configuration: nowhere.yaml cannot be read (No such file or directory)\n"


def test_reading_settings_waits_for_no_heavy_package(tmp_path):
    script = (
        "import sys; from pathlib import Path; from workflow.config.load import read_settings\n"
        f"read_settings([{str(CONFIG)!r}])\n"
        "print([name for name in ('torch', 'torchvision', 'xarray', 'matplotlib', 'pandas', 'scipy', 'sklearn')"
        " if name in sys.modules])"
    )
    paths = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'workflow/scripts'}"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=paths, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
