"""The kinds of figures on made-up cubes: numbers, marks, what is missing, joins, captions, bytes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import linregress, t

import plot
from nrc import figures, store
from nrc.ended import Ended, Status
from nrc.figures.style import FORMATS, LogScale, picture, styled
from nrc.labels import describe, flag_attributes

REPORT = Path(plot.__file__).parent.parent / "report"
GRID = ("weight_decay", "sigma", "width", "depth", "seed")
SNAPSHOTS = [0, 5, 9]
K = 2
OWN = {
    "plane": {"certified": 0.1},
    "bounds": {},
    "shift": {"saturation": 0.5},
    "forecast": {},
    "spectra": {"colour_map": "Blues"},
    "rank_curves": {"along": "width", "rank": ["stable_rank", "relative_distance"]},
}


def options(kind, **others):
    return {"kind": kind, "of": ["one"], "at": {}, "colour_map": "viridis", "dpi": 50} | OWN[kind] | others


def cube(name="one", *, made_of=0, without=(), mixture=True, classes=False, **axes):
    """Measures with made-up numbers, the variables, dimensions and gaps of a real cube; all converged."""
    rng = np.random.default_rng(made_of)
    grid = {"weight_decay": [0.01, 0.1], "sigma": [0.1, 0.3, 1.0], "width": [4], "depth": [3], "seed": [0, 1]}
    grid |= axes
    depth, width = max(grid["depth"]), max(grid["width"])
    sizes = {axis: len(values) for axis, values in grid.items()}
    sizes |= {"layer": depth, "index": width, "source": depth, "snapshot": len(SNAPSHOTS)}
    of_cell = ("relative_residual", "transition", "forecast_rank", "critical_rank", "critical_distance")
    of_layer = ("stable_rank", "numerical_rank", "effective_rank", "mp_soft_rank")
    dims = {
        **dict.fromkeys(of_cell, ()),
        **dict.fromkeys(("wcss_bound", "wcss_quantile") if mixture else (), ()),
        **dict.fromkeys(("train_accuracy", "test_accuracy") if classes else (), ()),
        **dict.fromkeys(of_layer, ("layer",)),
        **dict.fromkeys(("singular_values", "forecast"), ("layer", "index")),
        **dict.fromkeys(("tcv_lower", "tcv_upper", "wcss_class"), ("source",)),
        **dict.fromkeys(("bound_measured", "bound_analytic"), ("layer", "source")),
        "snapshot_singular_values": ("snapshot", "layer", "index"),
        "snapshot_wcss": ("snapshot", "source"),
    }
    coords = grid | {
        "layer": range(1, depth + 1),
        "index": range(1, width + 1),
        "source": range(depth),
        "snapshot": SNAPSHOTS,
    }
    made = xr.Dataset(coords={axis: (axis, list(values)) for axis, values in coords.items()})
    for variable, others in dims.items():
        order = (*GRID, *others)
        made[variable] = order, rng.uniform(0.1, 1, [sizes[dim] for dim in order])
        if "layer" in others:  # networks of fewer layers have none beyond, thinner ones fewer singular values
            made[variable] = made[variable].where(made["layer"] <= made["depth"])
        if "index" in others:
            made[variable] = made[variable].where(made["index"] <= made["width"])
            made[variable].values = -np.sort(-made[variable].values, axis=-1)
    s = made["singular_values"]
    made["distance"] = np.sqrt((s.where(s["index"] > K, 0) ** 2).sum("index")).where(s.notnull().any("index"))
    made["relative_distance"] = made["distance"] / np.sqrt((s**2).sum("index"))
    for flag in ("status", "ended"):
        made[flag] = GRID, np.zeros([sizes[axis] for axis in GRID], np.int8)
    made["at_minimum"] = made["status"] + np.int8(1)
    made = made.drop_vars(list(without)).assign_attrs(experiment=name, clusters=K, points=30, dimension=4)
    made = describe(made, **{variable: {"long_name": variable} for variable in map(str, made.variables)})
    made["status"].attrs |= flag_attributes(Status)
    made["ended"].attrs |= flag_attributes(Ended)
    return made


def end(made, ended, **cell):
    """Let some cells end in another way, with what that does to their measures."""
    made["ended"].loc[cell] = ended
    made["status"].loc[cell] = ended.status
    if ended is Ended.DIVERGED:
        for variable in made.data_vars:
            kept = {"status", "ended", "tcv_lower", "tcv_upper", "wcss_class", "wcss_bound", "at_minimum"}
            if variable not in kept and made[variable].dtype.kind == "f":
                made[variable].loc[cell] = np.nan
    if ended is Ended.ORIGIN:
        for variable, value in {"singular_values": 0, "distance": 0, "relative_distance": np.nan, "stable_rank": np.nan}.items():
            made[variable].loc[cell] = value
    return made


def shift(name="one", *, slope=2.0, **axes):
    """Shifts that grow with sigma to a power of their own."""
    grid = {"weight_decay": [0.1, 1.0], "sigma": [0.01, 0.02, 0.05, 0.1], "width": [4], "depth": [3], "seed": [0, 1]}
    grid |= axes
    base = cube(name, **grid)[["status", "ended", "at_minimum"]]
    made = base.assign(
        shift=(base["sigma"] ** (slope + 0.01 * base["seed"]) / base["weight_decay"]).broadcast_like(base["status"]),
        noise_moment=(2 * base["sigma"] ** 2).broadcast_like(base["status"]),
    )
    made["shift_forecast"], made["shift_bound"] = made["shift"] * 1.01, made["shift"] * 3
    return describe(made, **{variable: {"long_name": variable} for variable in made.data_vars if variable not in base})


def drawn(kind, *cubes, render=False, **others):
    """The figure, on request laid out as it is when it is saved."""
    with styled():
        figure = figures.kind(kind).draw({f"cube {i}": made for i, made in enumerate(cubes)}, options(kind, **others))
        if render:
            figure.draw_without_rendering()
    return figure


def rows(kind, *cubes, **others):
    return figures.kind(kind).rows({f"cube {i}": made for i, made in enumerate(cubes)}, options(kind, **others))


def facts(kind, *cubes, **others):
    return figures.kind(kind).summary({f"cube {i}": made for i, made in enumerate(cubes)}, options(kind, **others))


def labels(figure):
    """All a figure's legends say."""
    legends = [*figure.legends, *(legend for part in figure.subfigs for legend in part.legends)]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def marks(axis, marker, face=None):
    """How many marks of a kind are on an axis."""
    lines = [line for line in axis.lines if line.get_marker() == marker]
    return sum(len(line.get_xdata()) for line in lines if face in (None, line.get_markerfacecolor()))


# Rows.


def test_the_plane_has_the_means_over_converged_seeds_and_the_counts():
    made = cube(seed=[0, 1, 2, 3])
    end(made, Ended.PASSES, sigma=0.1, weight_decay=0.01, seed=[0, 2])
    end(made, Ended.DIVERGED, sigma=0.3, weight_decay=0.1)
    end(made, Ended.ORIGIN, sigma=1.0, weight_decay=0.1, seed=[3])
    table = rows("plane", made)
    plane = table[table["panel"] == "plane"].set_index(["layer", "sigma", "weight_decay"])
    assert len(plane) == 3 * 3 * 2
    flat = made.isel(width=0, depth=0)

    at = flat.sel(layer=2, sigma=0.1, weight_decay=0.01)
    row, values = plane.loc[(2, 0.1, 0.01)], at["relative_distance"].values
    assert row["relative_distance"] == pytest.approx(values[[1, 3]].mean())
    assert row["relative_distance_stopped"] == pytest.approx(values[[0, 2]].mean())
    norms = np.linalg.norm(at["singular_values"].values, axis=-1)
    assert row["relative_bound"] == pytest.approx(max(at["bound_measured"].values.min(-1) / norms))
    assert row["worst_relative_residual"] == at["relative_residual"].values.max()
    counts = ["converged", "stopped", "diverged", "dead"]
    assert row[counts].tolist() == [2, 2, 0, 0]

    row = plane.loc[(1, 0.3, 0.1)]
    assert np.isnan(row["relative_distance"])
    assert row[counts].tolist() == [0, 4, 4, 0]
    assert plane.loc[(3, 1.0, 0.1)][counts].tolist() == [3, 0, 0, 1]

    curves = table[table["panel"] == "variation"].set_index("sigma")
    for name in ("tcv_lower", "tcv_upper", "wcss_class"):
        expected = flat[name].sel(source=0, sigma=0.3).values.max(0).mean()
        assert curves.loc[0.3, name] == pytest.approx(expected), name
    assert curves.loc[1.0, "transition"] == pytest.approx(flat["transition"].sel(sigma=1.0).values.max(0).mean())


def test_the_bounds_have_a_row_for_each_layer_that_there_is():
    made = cube(depth=[2, 3])
    end(made, Ended.DIVERGED, sigma=1.0, weight_decay=0.1, depth=3, seed=1)
    table = rows("bounds", made).set_index([*GRID, "layer"])
    assert len(table) == 12 * (2 + 3) - 3
    for cell, row in table.iterrows():
        at = made.sel(dict(zip([*GRID, "layer"], cell, strict=True)))
        assert row["distance"] == pytest.approx(np.linalg.norm(np.nan_to_num(at["singular_values"].values[K:])))
        assert row["bound_measured"] == at["bound_measured"].values.min()
    assert set(table["status"]) == {"converged"}


@pytest.mark.parametrize("along", ["width", "depth"])
def test_ranks_are_of_the_middle_against_width_and_a_mean_against_depth(along):
    made = cube(weight_decay=[0, 0.1], sigma=[0.0], seed=[0, 1, 2], **({"width": [2, 4, 8]} if along == "width" else {"depth": [1, 2, 4]}))
    end(made, Ended.PASSES, weight_decay=0.1, seed=[0, 1], **{along: 4})
    table = rows("rank_curves", made, along=along, rank="stable_rank").set_index(["weight_decay", along])
    for (decay, value), row in table.iterrows():
        of_seed = made["stable_rank"].sel({"weight_decay": decay, along: value}).squeeze().values
        ranks = of_seed[:, 1] if along == "width" else of_seed[:, :value].mean(1)
        assert row[["median", "least", "largest"]].tolist() == pytest.approx([np.median(ranks), ranks.min(), ranks.max()])
    assert table.loc[(0.1, 4), ["converged", "stopped", "dead"]].tolist() == [1, 2, 0]
    assert table["converged"].sum() == 3 * 6 - 2


def test_several_ranks_are_drawn_in_the_order_given():
    table = rows("rank_curves", cube(sigma=[0.0], width=[2, 4]), rank=["mp_soft_rank", "stable_rank"])
    assert list(dict.fromkeys(table["measure"])) == ["mp_soft_rank", "stable_rank"]


def test_spectra_are_relative_tails_and_at_most_21_of_them():
    made = cube(sigma=[0.0], width=[5], seed=[0, 1, 2])
    table = rows("spectra", made)
    tails = table[table["panel"] == "relative tail"].set_index(["weight_decay", "layer", "snapshot", "index"])
    s = made["snapshot_singular_values"].sel(weight_decay=0.1, layer=2, snapshot=5).squeeze().values
    for r in range(1, 6):
        tail = np.linalg.norm(s[:, r:], axis=1) / np.linalg.norm(s, axis=1)
        assert tails.loc[(0.1, 2, 5, r), "value"] == pytest.approx(np.median(tail))
    wcss = table[table["panel"] == "class WCSS"].set_index(["weight_decay", "layer", "snapshot"])
    assert wcss.loc[(0.01, 1, 9), "value"] == np.median(made["snapshot_wcss"].sel(weight_decay=0.01, source=1, snapshot=9))

    many = xr.concat([made.isel(snapshot=0).assign_coords(snapshot=look) for look in range(0, 60, 2)], "snapshot", data_vars="minimal")
    table = rows("spectra", many)
    looks = table[table["panel"] == "relative tail"]["snapshot"].unique()
    assert (len(looks), looks[0], looks[-1]) == (21, 0, 58)
    assert table[table["panel"] == "class WCSS"]["snapshot"].nunique() == 30
    assert (facts("spectra", many)["looks"], facts("spectra", many)["drawn"]) == (30, 21)


def test_shifts_have_a_row_for_each_panel_and_slopes_with_an_interval_over_seeds():
    made = shift(seed=[0, 1, 2])
    made["at_minimum"].loc[{"sigma": 0.05, "seed": 1}] = 0
    end(made, Ended.PASSES, sigma=0.1, weight_decay=1.0, seed=2)
    table = rows("shift", made, shift(slope=1.0)).set_index(["panel", "weight_decay", "sigma"])
    assert len(table) == 2 * 2 * 4
    row, at = table.loc[("cube 0", 1.0, 0.1)], made["shift"].sel(weight_decay=1.0, sigma=0.1).values
    assert row[["shift", "shift_least", "shift_largest"]].tolist() == pytest.approx([np.median(at), at.min(), at.max()])
    assert row[["quadratic", "stopped", "elsewhere"]].tolist() == [3, 1, 0]
    assert table.loc[("cube 0", 0.1, 0.05), "elsewhere"] == 1

    panel = facts("shift", made)["panels"]["cube 0"]
    slopes = [linregress(np.log([0.01, 0.02, 0.1]), (2 + 0.01 * seed) * np.log([0.01, 0.02, 0.1])).slope for seed in range(3)]
    half = t.ppf(0.975, 2) * np.std(slopes, ddof=1) / 3**0.5
    assert [panel["slope"], panel["low"], panel["high"]] == pytest.approx([2.01, 2.01 - half, 2.01 + half])
    assert (panel["cells"], panel["converged"], panel["stopped"], panel["elsewhere"]) == (24, 23, 1, 2)
    assert (panel["above"], panel["unknown"], panel["largest_ratio"]) == (0, 0, pytest.approx(1 / 3))


def test_forecasts_have_a_row_for_each_singular_value():
    made = cube()
    made["at_minimum"].loc[{"sigma": 0.3, "seed": 1}] = 0
    table = rows("forecast", made).set_index(["weight_decay", "sigma", "seed", "layer", "index"])
    assert len(table) == 2 * 3 * 2 * 3 * 4
    at = made.sel(weight_decay=0.1, sigma=0.3, seed=1, layer=2, index=3).squeeze()
    assert table.loc[(0.1, 0.3, 1, 2, 3), "forecast"] == float(at["forecast"])
    assert table.loc[(0.1, 0.3, 1, 2, 3), "at_minimum"] == 0
    told = facts("forecast", made)
    assert (told["at_minimum"], told["elsewhere"]) == (10, 2)
    minimum = made.where(made["at_minimum"] == 1)
    assert told["largest_error"] == float(abs(minimum["forecast"] - minimum["singular_values"]).max())


# Marks: no cell that did not converge is hidden.


def unlucky():
    """A plane with a cell of each end: stopped and converged, all stopped, diverged, dead."""
    made = cube()
    end(made, Ended.PASSES, sigma=0.1, weight_decay=0.01, seed=0)
    end(made, Ended.NO_DESCENT, sigma=0.3, weight_decay=0.01)
    end(made, Ended.DIVERGED, sigma=1.0, weight_decay=0.01)
    return end(made, Ended.ORIGIN, sigma=1.0, weight_decay=0.1)


def test_every_end_is_marked_on_the_plane_and_counted():
    figure = drawn("plane", unlucky())
    axis = figure.axes[0]
    assert [marks(axis, marker) for marker in "o^x"] == [2, 1, 1]
    assert np.ma.getmaskarray(axis.collections[0].get_array()).sum() == 3, "hatched: no number"
    assert {"a seed stopped, not stationary", "a seed diverged", "a seed dead", "no seed converged"} < set(labels(figure))
    told = facts("plane", unlucky())
    assert [told[end] for end in ("cells", "converged", "stopped", "diverged", "dead")] == [12, 5, 5, 2, 2]
    assert not {"a seed diverged", "no seed converged"} & set(labels(drawn("plane", cube())))


def test_every_end_is_marked_among_forecasts():
    made = unlucky()
    made["at_minimum"].loc[{"sigma": 0.1, "weight_decay": 0.1}] = 0
    axis = drawn("forecast", made).axes[1]
    assert [marks(axis, marker) for marker in "Do^x"] == [1, 2, 1, 1]


def test_white_dots_are_ranks_with_a_seed_that_is_not_stationary():
    made = end(cube(sigma=[0.0], width=[2, 4, 8]), Ended.PASSES, width=4, weight_decay=0.01, seed=1)
    end(made, Ended.ORIGIN, width=8, weight_decay=0.1, seed=0)
    figure = drawn("rank_curves", made)
    assert [marks(axis, "o", "white") for axis in figure.axes] == [2, 2]
    assert "a seed not stationary" in labels(figure)
    assert "a seed not stationary" not in labels(drawn("rank_curves", cube(sigma=[0.0])))


def test_red_rims_are_cells_that_stopped():
    made = end(cube(), Ended.PASSES, sigma=0.3)
    rims = [rim for part in drawn("bounds", made).axes[0].collections[1:] for rim in part.get_edgecolor()]
    assert sum(rim[3] > 0 for rim in rims) == 4 * 3, "one a layer, and none around others"


def test_columns_of_spectra_say_how_many_converged():
    made = end(cube(sigma=[0.0], seed=[0, 1, 2]), Ended.DIVERGED, weight_decay=0.1, seed=[0, 1])
    titles = [axis.get_title() for axis in drawn("spectra", made).axes[:2]]
    assert [title.splitlines()[1] for title in titles] == ["3 of 3 converged", "1 of 3 converged"]
    assert facts("spectra", made)["diverged"] == 2


def test_white_dots_are_shifts_with_a_seed_elsewhere():
    made = shift()
    made["at_minimum"].loc[{"sigma": 0.05, "seed": 1}] = 0
    assert [marks(axis, "o", "white") for axis in drawn("shift", made, shift()).axes] == [2, 2, 0, 0]


@pytest.mark.parametrize("kind", ["plane", "bounds", "forecast", "spectra", "rank_curves"])
@pytest.mark.parametrize("ended", [Ended.DIVERGED, Ended.ORIGIN])
def test_a_figure_of_networks_that_all_failed_is_drawn(kind, ended):
    made = end(cube(sigma=[0.0]), ended)
    drawn(kind, made, render=True)
    assert facts(kind, made)["converged"] == 0


# What is not there.


def test_a_plane_of_own_data_has_neither_proposition_nor_forecast():
    gone = ("transition", "bound_measured", "bound_analytic")
    figure = drawn("plane", cube(mixture=False, classes=True, without=gone))
    said = labels(figure)
    assert "WCSS of the classes" in said
    assert not {"Proposition 4.1", "forecast for a linear network", "left of it, at most 0.1 by Theorem 3.4"} & set(said)
    assert len(figure.subfigs[1].axes) == 1
    full = drawn("plane", cube(), certified=0.5)
    assert {"Proposition 4.1", "forecast for a linear network", "left of it, at most 0.5 by Theorem 3.4"} < set(labels(full))
    assert len(full.subfigs[1].axes) == 2


def test_classes_have_no_noise_in_their_targets():
    for classes, label in ((False, "$2\\sigma^2d$"), (True, "$\\sigma^2d$")):
        assert label in drawn("plane", cube(classes=classes)).subfigs[1].axes[1].get_ylabel()


@pytest.mark.parametrize("axes", [{"sigma": [0.0]}, {"sigma": [0.0, 0.1, 0.2, 0.4, 0.8], "weight_decay": [0, 0.1]}])
def test_noise_and_weight_decay_of_0_have_a_place_on_the_plane(axes):
    made = cube(mixture=False, **axes)
    axis = drawn("plane", made, render=True).axes[2]
    assert axis.collections[0].get_array().shape == (2, len(axes["sigma"]))
    assert "0" in [text.get_text() for text in axis.get_xticklabels()]
    assert np.isfinite(axis.get_xlim()).all()
    drawn("bounds", made, render=True)


def test_a_plane_of_joined_parts_leaves_blank_what_no_experiment_has():
    made = cube().where((made_of := cube())["weight_decay"] * made_of["sigma"] < 0.1).assign(cube()[["tcv_lower", "tcv_upper"]])
    for flag in ("status", "ended"):
        made[flag].attrs = made_of[flag].attrs
    made.attrs = made_of.attrs
    assert "not trained" in labels(drawn("plane", made))
    assert facts("plane", made)["cells"] == 10


def test_bounds_without_the_analytic_one_are_one_panel():
    made = cube(sigma=[0.0], weight_decay=[0, 0.1])
    made["bound_analytic"][:] = np.nan
    made["bound_measured"].loc[{"weight_decay": 0}] = np.nan
    figure = drawn("bounds", made)
    assert [axis.get_ylabel() for axis in figure.axes[1:]] == [r"weight decay $\lambda$"]
    told = facts("bounds", made)
    assert (told["layers"], told["drawn"], told["void"], list(told["room"])) == (12, 6, 6, ["bound_measured"])


def test_a_network_of_one_layer_has_figures():
    made = cube(depth=[1])
    drawn("plane", made)
    drawn("bounds", made)
    drawn("spectra", cube(depth=[1], sigma=[0.0]))


def test_0_stands_a_step_below_the_others_on_a_logarithmic_scale():
    scale = LogScale([0, 0.1, 0.2, 0.4])
    assert scale([0, 0.2]).tolist() == pytest.approx([0.05, 0.2])
    assert np.diff(np.log(scale.edges)) == pytest.approx(np.log(2))
    assert scale.gap == pytest.approx(0.05 * 2**0.5)
    assert LogScale([0.1, 0.2]).gap is None


# Errors, in one line.


@pytest.mark.parametrize(
    ("kind", "made", "message"),
    [
        ("plane", cube(width=[4, 8]), "the figure draws one width, but one has 4, 8; choose one, such as at: {width: 4}"),
        ("spectra", cube(), "the figure draws one sigma, but one has 0.1, 0.3, 1; choose one, such as at: {sigma: 0.1}"),
        ("rank_curves", cube(sigma=[0.0], depth=[2, 3]), "the figure draws one depth, but one has 2, 3"),
        ("rank_curves", cube(sigma=[0.0], without=["stable_rank"]), "the figure draws stable_rank, which one does not have: rank must be any of"),
        ("bounds", cube(without=["bound_analytic"]), "the figure draws bound_analytic, which one does not have: Theorem 3.4"),
        ("forecast", cube(without=["forecast"]), "the figure draws forecast, which one does not have: forecasts are for linear"),
        ("spectra", cube(without=["snapshot_wcss"]), "the figure draws snapshot_wcss, which one does not have: training takes snapshots where"),
        ("shift", shift(sigma=[0, 0.1]), "the figure has logarithmic axes and cannot draw sigma 0 of one"),
        ("shift", cube(), "the figure draws shift, shift_forecast, shift_bound, noise_moment, which one does not have: linear"),
    ],
)  # fmt: skip
def test_what_a_kind_cannot_draw_is_told_in_one_line(kind, made, message):
    with pytest.raises(ValueError, match=r"^the figure ") as caught:
        rows(kind, made)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", OWN)
def test_a_colour_map_that_is_none_is_told(kind):
    made = shift() if kind == "shift" else cube(sigma=[0.0])
    with pytest.raises(ValueError, match=r"^colour_map is 'virdis', but must be the name of a colour map"):
        drawn(kind, made, colour_map="virdis")


# The program.


def settings(**others):
    """Complete settings of an experiment."""
    return {
        "data": "mine",
        "data_options": {"kind": "arrays", "file": "my.npz"},
        "task": "classify",
        "network": {"activation": "relu", "bias": True, "gain": 1},
        "loss": "cross_entropy",
        "grid": {"weight_decay": [0.01, 0.1], "sigma": [0.1, 0.3, 1.0], "width": [4], "depth": [3], "seed": [0, 1]},
        "training": {
            "method": {"name": "lbfgs", "history": 10},
            "tolerance": 1e-6,
            "passes": 500,
            "look_every": None,
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
            store.save(made, folder / f"{name}.nc")
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
    plot.main(plot.arguments().parse_args(command(folder, figure, **cubes)))
    return " ".join((folder / "my_figure.rst").read_text(encoding="utf-8").split())


def written(folder):
    return sorted(file.name for file in folder.glob("my_figure*"))


CAPTIONS = [
    ("plane", unlucky(), "rank over the plane of noise and weight decay"),
    ("plane", cube(mixture=False, classes=True, without=["transition", "bound_measured", "bound_analytic"]), "the within-cluster sum of squares of the classes"),
    ("bounds", unlucky(), "24 of 30 layers are drawn; 0 are void (weight decay 0), and 6 have a distance or a bound of 0"),
    ("forecast", unlucky(), "forecast before training"),
    ("spectra", end(cube(sigma=[0.0], classes=True), Ended.DIVERGED, weight_decay=0.1, seed=0), "3 of 3 looks"),
    ("rank_curves", cube(sigma=[0.0], width=[2, 4]), "of the intermediate matrix, layer 2"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "made", "said"), CAPTIONS)
def test_a_caption_says_what_was_trained_and_how_it_ended(tmp_path, kind, made, said):
    caption = run(tmp_path, options(kind), one=made)
    assert caption.startswith("**my_figure: ")
    assert said in caption
    assert "Relu classifiers with biases, 3 layers of width 4; 30 points of mine (arrays, file my.npz) in dimension 4, K = 2" in caption
    assert "trained by lbfgs (history 10) to a relative residual of 1e-06 or 500 passes" in caption
    ended = store.load(tmp_path / "one.nc")["ended"].values
    converged, dead, diverged = ((ended == code).sum() for code in (Ended.TOLERANCE, Ended.ORIGIN, Ended.DIVERGED))
    assert f"{converged} of {ended.size} networks converged, {ended.size - converged - dead} stopped before" in caption
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
    caption = run(tmp_path, figure, **{"penalty on the product": shift("a", seed=seeds), "on the factors": shift("b", sigma=[0.5, 1], seed=seeds)})
    assert f"penalty on the product: {8 * len(seeds)} of {8 * len(seeds)} pairs converged" in caption
    assert ("95% over seeds" in caption) == (len(seeds) > 1)
    assert "too few cells in that regime for a slope" in caption
    assert "``on the factors``: the same." in caption
    assert "nan" not in caption


def test_experiments_are_joined_along_an_axis(tmp_path):
    """Of other widths and depths, with variables of their own: the rest is missing, not wrong."""
    small = cube("small", made_of=1, sigma=[0.0], width=[2, 4], without=["snapshot_wcss"])
    large = end(cube("large", made_of=2, sigma=[0.0], width=[8], depth=[2, 3]), Ended.PASSES, seed=1)
    figure = options("rank_curves", of=["small", "large"], at={"depth": 3}, rank="stable_rank")
    caption = run(tmp_path, figure, small=small, large=large)
    joined = plot.arrange({"small": small, "large": large}, figure)
    table = rows("rank_curves", *joined.values(), along="width", rank="stable_rank")
    assert table["width"].unique().tolist() == [2, 4, 8]
    for width, made in ((4, small), (8, large)):
        expected = made["stable_rank"].sel(width=width, depth=3, layer=2, weight_decay=0.1).median()
        assert table[(table["width"] == width) & (table["weight_decay"] == 0.1)]["median"].item() == float(expected)
    assert "10 of 12 networks converged, 2 stopped" in caption
    assert "``large``: the same." in caption


def test_a_value_is_chosen_by_at():
    made, figure = cube(width=[4, 8]), options("plane", at={"width": 8})
    (chosen,) = plot.arrange({"one": made}, figure).values()
    table = rows("plane", chosen)
    at = made["relative_distance"].sel(width=8, depth=3, layer=1, sigma=0.3, weight_decay=0.1).mean()
    assert table.set_index(["layer", "sigma", "weight_decay"]).loc[(1, 0.3, 0.1), "relative_distance"] == pytest.approx(float(at))
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
    done = subprocess.run([sys.executable, plot.__file__, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: at.seed is 7, but must be one of 0, 1\n"
    assert written(tmp_path) == []


def digests():
    """SHA-256 of a picture of each kind, and of one in each format."""
    found = {}
    for kind in OWN:
        made = shift() if kind == "shift" else cube(sigma=[0.0], width=[4])
        drawing = drawn(kind, made)
        for form in FORMATS if kind == "plane" else ("svg",):
            with styled():
                found[f"{kind}.{form}"] = hashlib.sha256(picture(drawing, form, 50)).hexdigest()
    return found


def test_the_same_cube_gives_the_same_bytes_in_every_process():
    """Another process has other hashes, and so another order of sets."""
    script = "import json, test_figures; print(json.dumps(test_figures.digests()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(done.stdout) == digests()
