"""The program that draws figures: captions, joins, selections, errors."""

import json
import subprocess
import sys
from pathlib import Path

import plot
import pytest

from nrc import netcdf
from nrc.status import TerminationReason
from support.made_up import BOUNDS, cube, end, options, rows, shift, unlucky
from workflow.lib.program import call

REPORT = Path(plot.__file__).parent.parent / "report"


def settings(**others):
    """Complete settings of an experiment."""
    return {
        "data": "mine",
        "data_options": {"kind": "arrays", "file": "my.npz"},
        "task": "classify",
        "network": {"activation": "relu", "bias": True, "gain": 1},
        "loss": "cross_entropy",
        "grid": {
            "weight_decay": [0.01, 0.1],
            "sigma": [0.1, 0.3, 1.0],
            "width": [4],
            "depth": [3],
            "seed": [0, 1],
        },
        "training": {
            "warm_start": None,
            "method": {"name": "lbfgs", "history": 10},
            "tolerance": 1e-6,
            "epochs": 500,
            "snapshot_every": None,
            "loss_on": "data",
            "penalty": "factors",
            "precision": "float64",
            "wall_clock": None,
        },
        "measures": {"tcv_lower": "spectral", "delta": 0.05},
    } | others


def command(folder, figure, **cubes):
    """Arguments of the program, after it has its files."""
    for name, made in cubes.items():
        if not (folder / f"{name}.nc").exists():
            netcdf.save(made, folder / f"{name}.nc")
    of = figure["of"].values() if isinstance(figure["of"], dict) else figure["of"]
    return [
        *("--settings", json.dumps({"figure": figure, "experiments": {name: settings() for name in of}})),
        *("--cubes", *(f"{name}={folder / name}.nc" for name in cubes)),
        *("--template", str(REPORT / f"{figure['kind']}.rst"), "--caption", str(folder / "my_figure.rst")),
        *("--numbers", str(folder / "my_figure.csv")),
        *("--figures", str(folder / "my_figure.svg")),
    ]


def run(folder, figure, **cubes):
    """Run the program in this process; the caption in one line."""
    call(plot.main, command(folder, figure, **cubes))
    return " ".join((folder / "my_figure.rst").read_text(encoding="utf-8").split())


def written(folder):
    return sorted(file.name for file in folder.glob("my_figure*"))


CAPTIONS = [
    ("plane", unlucky(), "rank over the plane of noise and weight decay"),
    ("plane", cube(mixture=False, classes=True, without=["transition", *BOUNDS]), "the within-cluster sum of squares of the classes"),
    ("bounds", unlucky(), "24 of 30 layers are drawn; 0 are void (weight decay 0), and 6 have a distance or a bound of 0"),
    ("certified", unlucky(), "At r = K = 2 the bound over the tail is in the median"),
    ("forecast", unlucky(), "forecast before training"),
    ("spectra", end(cube(sigma=[0.0], classes=True), TerminationReason.DIVERGED, weight_decay=0.1, seed=0), "3 of 3 looks"),
    ("rank_curves", cube(sigma=[0.0], width=[2, 4]), "of the intermediate matrix, layer 2"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "made", "said"), CAPTIONS)
def test_a_caption_says_what_was_trained_and_how_it_ended(tmp_path, kind, made, said):
    caption = run(tmp_path, options(kind), one=made)
    assert caption.startswith("**my_figure: ")
    assert said in caption
    assert (
        "Relu classifiers with biases, 3 layers of width 4; 30 points of mine (arrays, file my.npz) in dimension 4, K = 2"
        in caption
    )
    assert "trained by lbfgs (history 10) to a relative residual of 1e-06 or 500 epochs" in caption
    ended = netcdf.load(tmp_path / "one.nc")["termination_reason"].values
    converged, dead, diverged = (
        (ended == code).sum()
        for code in (
            TerminationReason.TOLERANCE,
            TerminationReason.COLLAPSED_TO_ZERO,
            TerminationReason.DIVERGED,
        )
    )
    assert (
        f"{converged} of {ended.size} networks converged, {ended.size - converged - dead} stopped before"
        in caption
    )
    assert f", {dead} died" in caption
    assert ("diverged and have no measures" in caption) == (diverged > 0)
    assert "nan" not in caption
    assert written(tmp_path) == ["my_figure.csv", "my_figure.rst", "my_figure.svg"]
    lines = (tmp_path / "my_figure.csv").read_text(encoding="utf-8").splitlines()
    table = rows(kind, made)
    assert lines[0].split(",") == list(table)
    assert len(lines) == 1 + len(table)


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_the_caption_of_shifts_tells_of_each_panel(tmp_path, seeds):
    figure = options("shift", of={"penalty on the product": "a", "on the factors": "b"})
    cubes = [shift("a", seed=seeds), shift("b", sigma=[0.5, 1], seed=seeds)]
    caption = run(tmp_path, figure, **dict(zip(figure["of"], cubes, strict=True)))
    assert f"penalty on the product: {8 * len(seeds)} of {8 * len(seeds)} pairs converged" in caption
    assert ("95% over seeds" in caption) == (len(seeds) > 1)
    assert "too few cells in that regime for a slope" in caption
    assert "``on the factors``: the same." in caption
    assert "nan" not in caption


def test_experiments_are_joined_along_an_axis(tmp_path):
    """Of other widths and depths, with variables of their own: the rest is missing, not wrong."""
    small = cube("small", made_of=1, sigma=[0.0], width=[2, 4], without=["snapshot_wcss"])
    large = end(
        cube("large", made_of=2, sigma=[0.0], width=[8], depth=[2, 3]), TerminationReason.EPOCHS, seed=1
    )
    figure = options("rank_curves", of=["small", "large"], at={"depth": 3}, rank="stable_rank")
    caption = run(tmp_path, figure, small=small, large=large)
    joined = plot.arrange({"small": small, "large": large}, figure)
    table = rows("rank_curves", *joined.values(), rank="stable_rank").set_index(["weight_decay", "width"])
    assert sorted(set(table.index.get_level_values("width"))) == [2, 4, 8]
    for width, made in ((4, small), (8, large)):
        expected = made["stable_rank"].sel(width=width, depth=3, layer=2, weight_decay=0.1).median()
        assert table.loc[(0.1, width), "median"] == float(expected)
    assert "10 of 12 networks converged, 2 stopped" in caption
    assert "``large``: the same." in caption


def test_a_value_is_chosen_by_at():
    made, figure = cube(width=[4, 8]), options("plane", at={"width": 8})
    (chosen,) = plot.arrange({"one": made}, figure).values()
    table = rows("plane", chosen).set_index(["layer", "sigma", "weight_decay"])
    at = made["relative_distance"].sel(width=8, depth=3, layer=1, sigma=0.3, weight_decay=0.1).mean()
    assert table.loc[(1, 0.3, 0.1), "relative_distance"] == pytest.approx(float(at))
    assert "3 layers of width 8;" in plot.networks({"one": made}, figure, {"one": settings()})


def test_nothing_is_written_where_a_part_fails(tmp_path):
    for figure, message in (
        (options("plane", at={"width": 5}), "at.width is 5, but must be one of 4"),
        (options("plane", of=["two"]), "the figure is of two, but the cubes are one"),
        (options("plane", colour_map="virdis"), "colour_map is 'virdis', but must be"),
        (options("spectra"), "the figure draws one sigma, but one has"),
    ):
        with pytest.raises(ValueError, match=message):
            run(tmp_path, figure, one=cube())
        assert written(tmp_path) == []


def test_joined_experiments_must_not_contradict_each_other():
    with pytest.raises(ValueError, match=r"^one and two have the same cells with different numbers"):
        plot.arrange({"one": cube("one"), "two": cube("two", made_of=1)}, options("plane", of=["one", "two"]))


def test_the_program_tells_an_error_in_one_line(tmp_path):
    arguments = command(tmp_path, options("plane", at={"seed": 7}), one=cube())
    done = subprocess.run(
        [sys.executable, plot.__file__, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "Error: at.seed is 7, but must be one of 0, 1\n"
    assert written(tmp_path) == []


def test_the_caption_of_ranks_says_whether_networks_are_stationary(tmp_path):
    for number, (seeds, said) in enumerate(
        (
            ([], "All of these networks are at stationary points."),
            ([0], "Filled dots are of networks at stationary points alone, white ones of some"),
            (
                [0, 1],
                "None of these networks is at a stationary point: they are as 500 epochs of training left",
            ),
        )
    ):
        made = end(cube(sigma=[0.0], width=[2, 4]), TerminationReason.EPOCHS, seed=seeds)
        folder = tmp_path / str(number)
        folder.mkdir()
        assert said in run(folder, options("rank_curves"), one=made)


def test_the_caption_of_spectra_tells_where_training_goes_on_and_the_exact_ranks(tmp_path):
    made = cube(sigma=[0.0])
    s = made["snapshot_singular_values"]
    s.loc[{"snapshot": 9, "layer": 1, "index": [3, 4]}] = 1e-9
    s.loc[{"snapshot": 9, "layer": 1, "index": 3, "seed": 1}] = 1e-3
    before = run(tmp_path, options("spectra"), one=made)
    assert "trained on" not in before
    assert "Over all networks it is 2 to 3 in layer 1, 4 in layer 2, 4 in layer 3." in before
    made["snapshot"].attrs["start"] = 5
    (tmp_path / "one.nc").unlink()
    figure = options("spectra")
    arguments = command(tmp_path, figure, one=made)
    experiment = settings()
    experiment["training"] |= {"warm_start": "earlier", "method": {"name": "lbfgs", "history": 10}}
    arguments[1] = json.dumps({"figure": figure, "experiments": {"one": experiment}})
    call(plot.main, arguments)
    caption = " ".join((tmp_path / "my_figure.rst").read_text(encoding="utf-8").split())
    assert "trained on from those of earlier by lbfgs (history 10)" in caption
    assert (
        "The networks are those of ``earlier``, trained on: orange is pass 5, where their method" in caption
    )
    assert "ends and lbfgs begins" in caption
