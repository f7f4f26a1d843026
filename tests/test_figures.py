"""The kinds of figures on made-up cubes: numbers, marks, what is missing, errors, bytes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from scipy.stats import t

from nrc.cubes import join_cubes
from nrc.figures.style import FORMATS, LogScale, picture, styled
from nrc.status import TerminationReason
from support.made_up import BOUNDS, GRID, OWN, K, branches, cube, drawn, end, facts, rows, shift, unlucky


def labels(figure):
    """All a figure's legends say."""
    legends = [*figure.legends, *(legend for part in figure.subfigs for legend in part.legends)]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def marks(axis, marker, face=None):
    """How many marks of a kind are on an axis."""
    lines = [line for line in axis.lines if line.get_marker() == marker]
    return sum(len(line.get_xdata()) for line in lines if face in (None, line.get_markerfacecolor()))


def some(kind):
    """Cubes that a kind can draw."""
    if kind == "hysteresis":
        return branches().values()
    return [shift() if kind == "shift" else cube(sigma=[0.0], width=[4])]


# Rows.


def test_the_plane_has_the_means_over_converged_seeds_and_the_counts():
    made = cube(seed=[0, 1, 2, 3])
    end(made, TerminationReason.EPOCHS, sigma=0.1, weight_decay=0.01, seed=[0, 2])
    end(made, TerminationReason.DIVERGED, sigma=0.3, weight_decay=0.1)
    end(made, TerminationReason.COLLAPSED_TO_ZERO, sigma=1.0, weight_decay=0.1, seed=[3])
    table = rows("plane", made)
    plane = table[table["panel"] == "plane"].set_index(["layer", "sigma", "weight_decay"])
    assert len(plane) == 3 * 3 * 2
    flat = made.isel(width=0, depth=0)

    at = flat.sel(layer=2, sigma=0.1, weight_decay=0.01)
    row, values = plane.loc[(2, 0.1, 0.01)], at["relative_distance"].values
    assert row["relative_distance"] == pytest.approx(values[[1, 3]].mean())
    assert row["relative_distance_stopped"] == pytest.approx(values[[0, 2]].mean())
    norms = np.linalg.norm(at["singular_values"].values, axis=-1)
    for column, bound in (("relative_bound", "measured"), ("relative_bound_projected", "projected")):
        assert row[column] == pytest.approx(max(at[f"bound_{bound}"].values.min(-1) / norms))
    assert row["worst_relative_residual"] == at["relative_residual"].values.max()
    counts = ["converged", "stopped", "diverged", "collapsed_to_zero"]
    assert row[counts].tolist() == [2, 2, 0, 0]

    row = plane.loc[(1, 0.3, 0.1)]
    assert np.isnan(row["relative_distance"])
    assert row[counts].tolist() == [0, 4, 4, 0]
    assert plane.loc[(3, 1.0, 0.1)][counts].tolist() == [3, 0, 0, 1]

    curves = table[table["panel"] == "variation"].set_index("sigma")
    for name in ("tcv_lower", "tcv_upper", "wcss_class"):
        expected = flat[name].sel(source=0, sigma=0.3).values.max(0).mean()
        assert curves.loc[0.3, name] == pytest.approx(expected), name
    assert curves.loc[1.0, "transition"] == pytest.approx(
        flat["transition"].sel(sigma=1.0).values.max(0).mean()
    )


def test_the_bounds_have_a_row_for_each_layer_that_there_is():
    made = cube(depth=[2, 3])
    end(made, TerminationReason.DIVERGED, sigma=1.0, weight_decay=0.1, depth=3, seed=1)
    table = rows("bounds", made).set_index([*GRID, "layer"])
    assert len(table) == 12 * (2 + 3) - 3
    for cell, row in table.iterrows():
        at = made.sel(dict(zip([*GRID, "layer"], cell, strict=True)))
        assert row["distance"] == pytest.approx(
            np.linalg.norm(np.nan_to_num(at["singular_values"].values[K:]))
        )
        assert row["bound_measured"] == at["bound_measured"].values.min()
    assert set(table["status"]) == {"converged"}


def test_certified_tails_have_a_row_for_each_rank_over_all_seeds():
    made = cube(seed=[0, 1, 2], depth=[2], width=[4])
    made["tail_bound"].loc[{"index": 4}] = np.nan
    table = rows("certified", made)
    assert len(table) == 2 * 3 * 2 * 3
    row = table.set_index(["weight_decay", "sigma", "layer", "index"]).loc[(0.1, 0.3, 2, 3)]
    at = made.sel(weight_decay=0.1, sigma=0.3, layer=2, index=3)
    for name in ("relative_tail", "tail_bound"):
        seeds = at[name].values.ravel()
        expected = [np.median(seeds), seeds.min(), seeds.max()]
        assert row[[name, f"{name}_least", f"{name}_largest"]].tolist() == pytest.approx(expected)
    told = facts("certified", made)
    assert told["ranks"] == 3
    room = (made["tail_bound"] / made["relative_tail"]).sel(layer=1, index=K)
    assert told["room"][1] == pytest.approx(np.median(room.values))
    titles = [axis.get_title() for axis in drawn("certified", made).axes[:6]]
    assert all("3 of 3 converged" in title for title in titles)


@pytest.mark.parametrize("along", ["width", "depth", "sigma"])
def test_ranks_are_of_the_middle_against_width_or_noise_and_a_mean_against_depth(along):
    values = {"width": [2, 4, 8], "depth": [1, 2, 4], "sigma": [0, 0.1, 0.3]}[along]
    made = cube(**{"weight_decay": [0, 0.1], "sigma": [0.0], "seed": [0, 1, 2], along: values})
    end(made, TerminationReason.EPOCHS, weight_decay=0.1, seed=[0, 1], **{along: values[1]})
    table = rows("rank_curves", made, along=along, rank="stable_rank").set_index(["weight_decay", along])
    assert len(table) == 2 * 3
    for (decay, value), row in table.iterrows():
        of_seed = made["stable_rank"].sel({"weight_decay": decay, along: value}).squeeze().values
        ranks = of_seed[:, :value].mean(1) if along == "depth" else of_seed[:, 1]
        expected = [np.median(ranks), ranks.min(), ranks.max()]
        assert row[["median", "least", "largest"]].tolist() == pytest.approx(expected)
    assert table.loc[(0.1, values[1]), ["converged", "stopped", "collapsed_to_zero"]].tolist() == [1, 2, 0]
    assert table["converged"].sum() == 3 * 6 - 2
    axis = drawn("rank_curves", made, along=along, render=True).axes[0]
    title = "mean over layers" if along == "depth" else "layer 2"
    assert (axis.get_title(), marks(axis, "o", "white")) == (title, 1)
    assert facts("rank_curves", made, along=along)["middle"] == (None if along == "depth" else 2)


def test_several_ranks_are_drawn_in_the_order_given():
    table = rows("rank_curves", cube(sigma=[0.0], width=[2, 4]), rank=["mp_soft_rank", "stable_rank"])
    assert list(dict.fromkeys(table["measure"])) == ["mp_soft_rank", "stable_rank"]


def test_a_panel_without_a_rank_is_not_shown():
    axes = drawn("rank_curves", cube(sigma=[0.0]), rank=["stable_rank", "exact_rank", "mp_soft_rank"]).axes
    assert [axis.get_visible() for axis in axes] == [True, True, True, False]


def test_spectra_are_relative_tails_and_at_most_21_of_them():
    made = cube(sigma=[0.0], width=[5], seed=[0, 1, 2])
    table = rows("spectra", made)
    tails = table[table["panel"] == "relative tail"].set_index(["weight_decay", "layer", "snapshot", "index"])
    s = made["snapshot_singular_values"].sel(weight_decay=0.1, layer=2, snapshot=5).squeeze().values
    for r in range(1, 6):
        tail = np.linalg.norm(s[:, r:], axis=1) / np.linalg.norm(s, axis=1)
        assert tails.loc[(0.1, 2, 5, r), "value"] == pytest.approx(np.median(tail))
    wcss = table[table["panel"] == "class WCSS"].set_index(["weight_decay", "layer", "snapshot"])
    assert wcss.loc[(0.01, 1, 9), "value"] == np.median(
        made["snapshot_wcss"].sel(weight_decay=0.01, source=1, snapshot=9)
    )

    many = made.isel(snapshot=[0] * 30).assign_coords(
        snapshot=("snapshot", range(0, 60, 2), made["snapshot"].attrs)
    )
    table = rows("spectra", many)
    looks = table[table["panel"] == "relative tail"]["snapshot"].unique()
    assert (len(looks), looks[0], looks[-1]) == (21, 0, 58)
    assert table[table["panel"] == "class WCSS"]["snapshot"].nunique() == 30
    assert (facts("spectra", many)["looks"], facts("spectra", many)["drawn"]) == (30, 21)


def test_shifts_have_a_row_for_each_panel_and_slopes_with_an_interval_over_seeds():
    made = shift(seed=[0, 1, 2])
    made["at_minimum"].loc[{"sigma": 0.05, "seed": 1}] = 0
    end(made, TerminationReason.EPOCHS, sigma=0.1, weight_decay=1.0, seed=2)
    table = rows("shift", made, shift(slope=1.0)).set_index(["panel", "weight_decay", "sigma"])
    assert len(table) == 2 * 2 * 4
    row, at = table.loc[("cube 0", 1.0, 0.1)], made["shift"].sel(weight_decay=1.0, sigma=0.1).values
    assert row[["shift", "shift_least", "shift_largest"]].tolist() == pytest.approx(
        [np.median(at), at.min(), at.max()]
    )
    assert row[["quadratic", "stopped", "elsewhere"]].tolist() == [3, 1, 0]
    assert table.loc[("cube 0", 0.1, 0.05), "elsewhere"] == 1

    panel = facts("shift", made)["panels"]["cube 0"]
    half = t.ppf(0.975, 2) * np.std([2.0, 2.01, 2.02], ddof=1) / 3**0.5
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


def test_every_end_is_marked_on_the_plane_and_counted():
    figure = drawn("plane", unlucky())
    axis = figure.axes[0]
    assert [marks(axis, marker) for marker in "o^x"] == [2, 1, 1]
    assert np.ma.getmaskarray(axis.collections[0].get_array()).sum() == 3, "hatched: no number"
    told = {
        "a seed stopped, not stationary",
        "a seed diverged",
        "a seed dead",
        "no seed converged: where they stopped",
    }
    assert told < set(labels(figure))
    told = facts("plane", unlucky())
    assert [told[end] for end in ("cells", "converged", "stopped", "diverged", "collapsed_to_zero")] == [
        12,
        5,
        5,
        2,
        2,
    ]
    assert not {"a seed diverged", "no seed converged"} & set(labels(drawn("plane", cube())))


def test_every_end_is_marked_among_forecasts():
    made = unlucky()
    made["at_minimum"].loc[{"sigma": 0.1, "weight_decay": 0.1}] = 0
    axis = drawn("forecast", made).axes[1]
    assert [marks(axis, marker) for marker in "Do^x"] == [1, 2, 1, 1]


def test_white_dots_are_ranks_with_a_seed_that_is_not_stationary():
    made = end(
        cube(sigma=[0.0], width=[2, 4, 8]), TerminationReason.EPOCHS, width=4, weight_decay=0.01, seed=1
    )
    end(made, TerminationReason.COLLAPSED_TO_ZERO, width=8, weight_decay=0.1, seed=0)
    figure = drawn("rank_curves", made)
    assert [marks(axis, "o", "white") for axis in figure.axes] == [2, 2]
    assert "a seed not stationary" in labels(figure)
    assert "a seed not stationary" not in labels(drawn("rank_curves", cube(sigma=[0.0])))


def test_red_rims_are_cells_that_stopped():
    made = end(cube(), TerminationReason.EPOCHS, sigma=0.3)
    rims = [rim for part in drawn("bounds", made).axes[0].collections[1:] for rim in part.get_edgecolor()]
    assert sum(rim[3] > 0 for rim in rims) == 4 * 3, "one a layer, and none around others"


def test_columns_of_spectra_say_how_many_converged():
    made = end(cube(sigma=[0.0], seed=[0, 1, 2]), TerminationReason.DIVERGED, weight_decay=0.1, seed=[0, 1])
    titles = [axis.get_title() for axis in drawn("spectra", made).axes[:2]]
    assert [title.splitlines()[1] for title in titles] == ["3 of 3 converged", "1 of 3 converged"]
    assert facts("spectra", made)["diverged"] == 2


def test_white_dots_are_shifts_with_a_seed_elsewhere():
    made = shift()
    made["at_minimum"].loc[{"sigma": 0.05, "seed": 1}] = 0
    assert [marks(axis, "o", "white") for axis in drawn("shift", made, shift()).axes] == [2, 2, 0, 0]


@pytest.mark.parametrize("kind", ["plane", "bounds", "certified", "forecast", "spectra", "rank_curves"])
@pytest.mark.parametrize(
    "termination_reason", [TerminationReason.DIVERGED, TerminationReason.COLLAPSED_TO_ZERO]
)
def test_a_figure_of_networks_that_all_failed_is_drawn(kind, termination_reason):
    made = end(cube(sigma=[0.0]), termination_reason)
    drawn(kind, made, render=True)
    assert facts(kind, made)["converged"] == 0


# What is not there.


def test_a_plane_of_own_data_has_neither_proposition_nor_forecast():
    gone = ("transition", *BOUNDS)
    certified = {f"at most 0.5 by {which}" for which in ("Theorem 3.4", "Theorem 3.4, projected")}
    theory = {"Proposition 4.1", "forecast for a linear network", *certified}
    figure = drawn("plane", cube(mixture=False, classes=True, without=gone), certified=0.5)
    assert "WCSS of the classes" in labels(figure)
    assert not theory & set(labels(figure))
    assert len(figure.subfigs[1].axes) == 1
    full = drawn("plane", cube(), certified=0.5)
    assert theory < set(labels(full))
    assert "WCSS of the classes" not in labels(full)
    assert len(full.subfigs[1].axes) == 2


def test_classes_have_no_noise_in_their_targets():
    for classes, label in ((False, "$2\\sigma^2d$"), (True, "$\\sigma^2d$")):
        assert label in drawn("plane", cube(classes=classes)).subfigs[1].axes[1].get_ylabel()


@pytest.mark.parametrize(
    "axes", [{"sigma": [0.0]}, {"sigma": [0.0, 0.1, 0.2, 0.4, 0.8], "weight_decay": [0, 0.1]}]
)
def test_noise_and_weight_decay_of_0_have_a_place_on_the_plane(axes):
    made = cube(mixture=False, **axes)
    axis = drawn("plane", made, render=True).axes[2]
    assert axis.collections[0].get_array().shape == (2, len(axes["sigma"]))
    assert "0" in [text.get_text() for text in axis.get_xticklabels()]
    assert np.isfinite(axis.get_xlim()).all()
    drawn("bounds", made, render=True)


def test_a_plane_of_joined_parts_leaves_blank_what_no_experiment_has():
    low, high = cube(weight_decay=[0.01]), cube(weight_decay=[0.1], sigma=[0.1, 0.3])
    made = join_cubes([low, high])
    assert "not trained" in labels(drawn("plane", made))
    assert facts("plane", made)["cells"] == 10


def test_bounds_without_the_analytic_ones_are_two_panels():
    made = cube(sigma=[0.0], weight_decay=[0, 0.1])
    made["bound_analytic"][:] = made["bound_segments"][:] = np.nan
    for name in ("bound_measured", "bound_projected"):
        made[name].loc[{"weight_decay": 0}] = np.nan
    figure = drawn("bounds", made)
    assert [axis.get_ylabel() for axis in figure.axes[2:]] == [r"weight decay $\lambda$"]
    told = facts("bounds", made)
    assert (told["layers"], told["drawn"], told["void"], list(told["room"])) == (12, 6, 6, list(BOUNDS[:2]))


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
        ("certified", cube(without=["tail_bound"]), "the figure draws tail_bound, which one does not have: tails are certified"),
        ("certified", cube(sigma=[0.1, 0.2, 0.3, 0.4, 0.5]), "the figure draws 8 pairs of weight decay and sigma at most, but there are 10"),
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
    with pytest.raises(ValueError, match=r"^colour_map is 'virdis', but must be the name of a colour map"):
        drawn(kind, *some(kind), colour_map="virdis")


# Bytes.


def digests():
    """SHA-256 of a picture of each kind, and of one in each format."""
    found = {}
    for kind in OWN:
        drawing = drawn(kind, *some(kind))
        for form in FORMATS if kind == "plane" else ("svg",):
            with styled():
                found[f"{kind}.{form}"] = hashlib.sha256(picture(drawing, form, 50)).hexdigest()
    return found


@pytest.mark.workflow
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


def test_layers_of_rank_k_by_their_shape_are_told_and_not_counted():
    made = cube(width=[4])
    made["singular_values"] = made["singular_values"].where((made["layer"] < 3) | (made["index"] <= K))
    made["bound_measured"] = 0 * made["bound_measured"]
    made["bound_projected"] = 9 + made["bound_projected"]
    made["relative_distance"][{"sigma": 0}] = 0.05
    told = facts("plane", made)
    assert told["trivial"] == [3]
    collapsed = (made["relative_distance"].sel(layer=[1, 2]) <= 0.1).sum().item()
    assert (told["layers"], told["collapsed"]) == (2 * 12, collapsed)
    assert told["certified"] == {"bound_measured": 2 * 12, "bound_projected": 0}
    titles = [axis.get_title() for axis in drawn("plane", made).axes[:3]]
    assert [title.endswith("by shape)") for title in titles] == [False, False, True]


def test_where_no_seed_converged_the_plane_shows_where_they_stopped():
    made = cube(seed=[0])
    end(made, TerminationReason.EPOCHS, sigma=0.1, weight_decay=0.1)
    axis = drawn("plane", made).axes[0]
    stopped = made["relative_distance"].sel(sigma=0.1, weight_decay=0.1, layer=1).item()
    meshes = [mesh for mesh in axis.collections if isinstance(mesh, QuadMesh)]
    shown = [np.ma.compressed(mesh.get_array()) for mesh in meshes]
    assert [values.tolist() for values in shown if values.size == 1] == [[pytest.approx(stopped)]]
    (hatched,) = [patch for patch in axis.patches if patch.get_hatch()]
    assert hatched.get_path().contains_point((0.1, 0.1))


def test_spectra_say_where_training_goes_on_from_another():
    made = cube(sigma=[0.0], seed=[0, 1, 2])
    assert facts("spectra", made)["start"] is None
    assert drawn("spectra", made).axes[-1].get_xscale() == "linear"
    looks = [*range(0, 201, 2), *range(450, 5201, 250)]
    way = made.isel(snapshot=[0] * len(looks)).assign_coords(
        snapshot=("snapshot", looks, {**made["snapshot"].attrs, "start": 200})
    )
    shown = rows("spectra", way).query("panel == 'relative tail'")["snapshot"].unique()
    assert (len(shown), shown[0], shown[10], shown[-1]) == (20, 0, 200, 5200)
    assert facts("spectra", way)["start"] == 200
    figure = drawn("spectra", way, render=True)
    assert "pass 200: another method" in labels(figure)
    for axis in figure.axes[-2:]:
        assert (axis.get_xscale(), axis.get_xlim()) == ("symlog", (0, 5200))
        assert [text.get_text() for text in axis.get_xticklabels()] == ["0", "200", "1000", "5200"]
        assert [200, 200] in [list(line.get_xdata()) for line in axis.lines]
    # where the looks begin there, it is the first
    late = way.isel(snapshot=slice(100, None))
    shown = rows("spectra", late).query("panel == 'relative tail'")["snapshot"].unique()
    assert (shown[0], shown[1], shown[-1]) == (200, 450, 5200)
    drawn("spectra", late, render=True)


def test_spectra_have_the_exact_rank_of_every_look():
    made = cube(sigma=[0.0], seed=[0, 1, 2])
    s = made["snapshot_singular_values"]
    s.loc[{"snapshot": 5, "layer": 2, "index": 4}] = 1e-6 * s.sel(snapshot=5, layer=2, index=1)
    end(made, TerminationReason.DIVERGED, weight_decay=0.1, seed=[0, 1])
    table = rows("spectra", made).query("panel == 'exact rank'")
    table = table.set_index(["weight_decay", "layer", "snapshot"])["value"]
    for (decay, layer, look), value in table.items():
        at = s.sel(weight_decay=decay, layer=layer, snapshot=look, seed=2).squeeze().values
        assert value == np.linalg.matrix_rank(np.diag(at), rtol=1e-5) == 4 - ((layer, look) == (2, 5))
    assert len(table) == 2 * 3 * 3
    texts = [text.get_text() for text in drawn("spectra", made).axes[0].texts]
    assert texts == ["exact rank 4"]
