"""The program that draws figures: captions, joins, selections, errors."""

import json
from pathlib import Path

from workflow.lib.program import call

import plot
import pytest
from matplotlib.figure import Figure

from nrc import netcdf
from nrc.status import TerminationReason
from support.made_up import BOUNDS, OPTIONS, cube, end, options, rows, shift, unlucky

REPORT = Path(plot.__file__).parent.parent / "report"


def settings(**others):
    """Complete settings of an experiment."""
    return {
        "data": "mine",
        "data_options": {"kind": "arrays", "file": "my.npz"},
        "task": "classify",
        "network": {"kind": "mlp", "activation": "relu", "bias": True},
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
        },
        "measures": {"delta": 0.05},
    } | others


def command(folder, kind, cubes, experiment=None, stored=None, **others):
    """Arguments of the program, after its files are written, with the settings that are stored in them."""
    for name, made in cubes.items():
        netcdf.save(made.assign_attrs(settings=json.dumps(stored or {})), folder / f"{name}.nc")
    figure = {"kind": kind, "of": ["one"], "dpi": 50, **OPTIONS.get(kind, {}), **others}
    of = figure["of"].values() if isinstance(figure["of"], dict) else figure["of"]
    experiments = {name: experiment or settings() for name in of}
    return [
        *("--settings", json.dumps({"figure": figure, "experiments": experiments})),
        *("--cubes", *(f"{name}={folder / name}.nc" for name in cubes)),
        *("--template", str(REPORT / f"{kind}.rst"), "--caption", str(folder / "my_figure.rst")),
        *("--numbers", str(folder / "my_figure.csv")),
        *("--figures", str(folder / "my_figure.svg")),
    ]


def run(folder, kind, cubes, drawn=False, **others):
    """Run the program in this process, without the layout if not asked for; the caption in one line."""
    with pytest.MonkeyPatch.context() as patch:
        if not drawn:
            patch.setattr(plot, "picture", lambda *_: b"")
            patch.setattr(Figure, "draw_without_rendering", lambda _: None)
        call(plot.main, command(folder, kind, cubes, **others))
    return " ".join((folder / "my_figure.rst").read_text(encoding="utf-8").split())


def written(folder):
    return sorted(file.name for file in folder.glob("my_figure*"))


CAPTIONS = [
    ("plane", unlucky(), "rank over the plane of noise and weight decay"),
    ("plane", cube(mixture=False, classes=True, without=["transition", *BOUNDS]), "the within-cluster sum of squares of the classes"),
    ("bounds", unlucky(), "24 of 30 layers are drawn. 0 have no bound (weight decay 0), and 6 have a distance or a bound of 0"),
    ("certified", unlucky(), "At r = K = 2 the median ratio of bound to tail is"),
    ("forecast", unlucky(), "forecast before training"),
    ("spectra", end(cube(sigma=[0.0], classes=True), TerminationReason.DIVERGED, weight_decay=0.1, seed=0), "3 of 3 snapshots"),
    ("rank_curves", cube(sigma=[0.0], width=[2, 4]), "of the intermediate matrix, layer 2"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "made", "sentence"), CAPTIONS)
def test_a_caption_has_networks_training_and_outcome(tmp_path, kind, made, sentence):
    caption = run(tmp_path, kind, {"one": made}, drawn=kind == "plane")
    assert caption.startswith("**my_figure: ")
    assert sentence in caption
    assert (
        "Relu classifiers with biases, 3 layers of width 4; 30 points of mine (arrays, file my.npz) in dimension 4, K = 2"
        in caption
    )
    assert "trained by lbfgs (history 10) to a relative residual of 1e-06 or for 500 epochs" in caption
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
    assert f", {dead} collapsed to zero" in caption
    assert ("diverged and have no measures" in caption) == (diverged > 0)
    assert "nan" not in caption
    assert written(tmp_path) == ["my_figure.csv", "my_figure.rst", "my_figure.svg"]
    lines = (tmp_path / "my_figure.csv").read_text(encoding="utf-8").splitlines()
    table = rows(kind, made)
    assert lines[0].split(",") == list(table)
    assert len(lines) == 1 + len(table)


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_the_caption_of_shifts_describes_each_panel(tmp_path, seeds):
    of = {"penalty on the product": "a", "on the factors": "b"}
    cubes = [shift("a", seed=seeds), shift("b", sigma=[0.5, 1], seed=seeds)]
    caption = run(tmp_path, "shift", dict(zip(of, cubes, strict=True)), of=of)
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
    chosen = {"of": ["small", "large"], "at": {"depth": 3}, "rank": "stable_rank"}
    cubes = {"small": small, "large": large}
    caption = run(tmp_path, "rank_curves", cubes, **chosen)
    joined = plot.arrange(cubes, options("rank_curves", **chosen))
    table = rows("rank_curves", *joined.values(), rank="stable_rank").set_index(["weight_decay", "width"])
    assert sorted(set(table.index.get_level_values("width"))) == [2, 4, 8]
    for width, made in ((4, small), (8, large)):
        expected = made["stable_rank"].sel(width=width, depth=3, layer=2, weight_decay=0.1).median()
        assert table.loc[(0.1, width), "rank"] == float(expected)
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
    for others, message in (
        ({"at": {"width": 5}}, "at.width is 5, but must be one of 4"),
        ({"of": ["two"]}, "the figure needs cubes of two, but has cubes of one"),
        ({"colour_map": "virdis"}, "figure my_figure: colour_map is 'virdis', but must be 'viridis'"),
        ({"certified": 0}, "figure my_figure: certified is 0, but must be greater than 0"),
    ):
        with pytest.raises(ValueError, match=message):
            run(tmp_path, "plane", {"one": cube()}, **others)
        assert written(tmp_path) == []


def test_the_caption_of_ranks_says_whether_networks_are_stationary(tmp_path):
    for seeds, sentence in (
        ([], "All of these networks are at stationary points."),
        ([0], "At filled dots, all networks are at stationary points. At white dots, some networks are not."),
        ([0, 1], "None of these networks is at a stationary point: their training ended after 500 epochs."),
    ):
        made = end(cube(sigma=[0.0], width=[2, 4]), TerminationReason.EPOCHS, seed=seeds)
        assert sentence in run(tmp_path, "rank_curves", {"one": made})


def test_the_caption_of_spectra_says_where_training_goes_on_and_the_exact_ranks(tmp_path):
    made = cube(sigma=[0.0])
    s = made["snapshot_singular_values"]
    s.loc[{"snapshot": 9, "layer": 1, "index": [3, 4]}] = 1e-9
    s.loc[{"snapshot": 9, "layer": 1, "index": 3, "seed": 1}] = 1e-3
    before = run(tmp_path, "spectra", {"one": made})
    assert "continues" not in before
    assert "Over all networks it is 2 to 3 in layer 1, 4 in layer 2, 4 in layer 3." in before
    made["snapshot"].attrs["start"] = 5
    experiment = settings()
    experiment["training"] |= {"warm_start": "earlier", "method": {"name": "lbfgs", "history": 10}}
    caption = run(tmp_path, "spectra", {"one": made}, experiment=experiment)
    assert "trained from the networks of earlier by lbfgs (history 10)" in caption
    assert "Training continues the networks of ``earlier``. Orange is epoch 5, where their method" in caption
    assert "ends and lbfgs begins" in caption


def test_a_cube_of_other_settings_is_refused(tmp_path):
    same = {"experiment": "one", "grid": settings()["grid"]}
    with pytest.raises(
        ValueError, match=r"^the file of experiment one was made with another grid than the conf"
    ):
        run(tmp_path, "plane", {"one": cube()}, stored={**same, "grid": {"sigma": [7.0]}})
    assert written(tmp_path) == []
    run(tmp_path, "plane", {"one": cube()}, stored=same)
