"""Settings as they are read: complete, plain, and with the defaults that depend on other choices."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from nrc.grid import AXES
from support.configurations import CONFIG, PROJECT, SCALES, SMALL, desk, read
from workflow.config.load import ConfigurationError, read_settings
from workflow.config.yaml_files import read_texts


@pytest.mark.parametrize("scale", sorted(SCALES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_scale_is_valid(scale):
    settings = read_settings([CONFIG, scale])
    assert settings["figures"]
    assert (settings["removed"] is None) == (scale.stem in ("large", "fresh_seeds"))


def test_settings_are_complete_and_plain(tmp_path):
    settings = read(tmp_path, SMALL, below=None)
    first = settings["experiments"]["first"]
    assert (settings["device"], settings["figures"], settings["claims"]) == ("auto", {}, {})
    assert settings["data"]["blobs"]["separation"] == 2
    assert first["network"] == {"kind": "mlp", "activation": "tanh", "bias": False}
    assert first["training"]["method"] == {
        "name": "varpro",
        "plain_epochs": 100,
        "history": 5,
        "float32_until": 3e-4,
    }
    assert first["measures"] == settings["measures"]
    assert first["grid"]["seed"] == [0]
    assert list(first["grid"]) == list(AXES)
    assert yaml.safe_load(yaml.safe_dump(settings)) == settings


@pytest.mark.parametrize(
    ("changes", "loss", "method"),
    [
        ("{network: {activation: relu}}", "squared_error", "lbfgs"),
        ("{grid: {weight_decay: [0, 0.1]}}", "squared_error", "lbfgs"),
        ("{network: {activation: linear}, training: {penalty: product}}", "squared_error", "lbfgs"),
        ("{task: classify, loss: squared_error, training: {method: null}}", "squared_error", "varpro"),
    ],
)
def test_the_default_loss_follows_the_task_and_the_default_method_is_the_first_that_can_be_used(
    tmp_path, changes, loss, method
):
    first = read(tmp_path, SMALL, f"experiments: {{first: {changes}}}", below=None)["experiments"]["first"]
    assert (first["loss"], first["training"]["method"]["name"]) == (loss, method)


def test_figures_share_a_style_and_claims_a_level(tmp_path):
    settings = read(
        tmp_path,
        """
        figures:
          style: {dpi: 150, colour_map: cividis}
          figure1: {colour_map: magma}
          more: {kind: spectra, of: mnist}
        claims: {level: 0.9, head: {level: 0.99}}
        """,
    )
    style = {name: (entry["dpi"], entry["colour_map"]) for name, entry in settings["figures"].items()}
    assert "style" not in style
    # a kind may have its own default
    assert (style["bounds"], style["figure1"], style["more"]) == (
        (150, "cividis"),
        (150, "magma"),
        (150, "Blues"),
    )
    assert "level" not in settings["claims"]
    assert (settings["claims"]["tail"]["level"], settings["claims"]["head"]["level"]) == (0.9, 0.99)


def test_a_single_value_is_a_list():
    figures = desk()["figures"]
    assert figures["figure1"]["of"] == ["mixture"]
    assert figures["figure5"]["at"] == {"width": [64]}


def test_no_network_of_the_desk_scale_is_trained_twice():
    trained = {}
    for name, experiment in desk()["experiments"].items():
        training = {**experiment["training"], "snapshot_every": None}
        key = yaml.safe_dump({**experiment, "grid": None, "stack": None, "training": training})
        for width in experiment["grid"]["width"]:
            for depth in experiment["grid"]["depth"]:
                assert (key, width, depth) not in trained, f"{name} and {trained[key, width, depth]}"
                trained[key, width, depth] = name


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("2E+1", 20), (".5e-1", 0.05), ("-0.0", 0)],
)
def test_numbers_are_read_however_they_are_written(tmp_path, text, value):
    grid = f"experiments: {{first: {{grid: {{sigma: [0.7, {text}]}}}}}}"
    assert read(tmp_path, SMALL, grid, below=None)["experiments"]["first"]["grid"]["sigma"] == [0.7, value]


def test_whole_numbers_may_be_written_with_an_exponent(tmp_path):
    points = read(tmp_path, SMALL, "data: {blobs: {points: 1e3}}", below=None)["data"]["blobs"]["points"]
    assert (points, type(points)) == (1000, int)


def test_a_range_becomes_the_list_of_its_values(tmp_path):
    sigma = desk()["experiments"]["mixture"]["grid"]["sigma"]
    np.testing.assert_allclose(sigma, np.geomspace(0.03, 1, 20), rtol=1e-5)
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
    assert all(type(value) is float for value in grid["weight_decay"] + sigma)


def show(*files, folder):
    program = PROJECT / "workflow/scripts/show_settings.py"
    return subprocess.run([sys.executable, program, *files], cwd=folder, capture_output=True, text=True)


def test_settings_are_printed_complete_and_read_back_the_same(tmp_path):
    printed = show(folder=tmp_path)
    assert (printed.returncode, printed.stderr) == (0, "")
    (tmp_path / "printed.yaml").write_text(printed.stdout, encoding="utf-8")
    assert read_settings([tmp_path / "printed.yaml"]) == desk()


def test_printing_settings_reports_what_is_removed_and_what_is_wrong(tmp_path):
    (tmp_path / "mine.yaml").write_text("experiments: {mnist: null}", encoding="utf-8")
    printed = show("mine.yaml", folder=tmp_path)
    assert printed.returncode == 0
    assert printed.stderr.startswith("configuration: experiments mnist is removed, and with it")
    assert "mnist" not in yaml.safe_load(printed.stdout)["experiments"]
    wrong = show("mine.yaml", "nowhere.yaml", folder=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "Error: configuration: nowhere.yaml cannot be read (No such file or directory)\n"


def test_reading_settings_imports_no_heavy_package(tmp_path):
    script = (
        "import sys; from workflow.config.load import read_settings\n"
        f"read_settings([{str(CONFIG)!r}])\n"
        "print([name for name in ('torch', 'torchvision', 'xarray', 'matplotlib', 'pandas', 'scipy', 'sklearn')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(PROJECT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("number", ["1e400", "-1" + "0" * 400, "1" * 5000], ids=lambda number: number[:5])
def test_a_number_that_no_float_reaches_is_refused_with_its_line(tmp_path, number):
    file = tmp_path / "large.yaml"
    file.write_text(f"claims:\n  level: {number}\n", encoding="utf-8")
    with pytest.raises(
        ConfigurationError, match=r"large.yaml, line 2: the number -?1.* is too large; .* 1.8e308"
    ):
        read_settings([CONFIG, file])
    assert read_texts(number) == number
    with pytest.raises(ConfigurationError, match=r"claims.level is '-?1.*, but must be a finite number"):
        read_settings([CONFIG], {"claims": {"level": number}})
