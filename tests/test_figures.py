"""The kinds of figures on made-up cubes: numbers, marks, missing variables, errors, bytes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from scipy.stats import t

from nrc.cubes import join_cubes
from nrc.figures.style import FORMATS, LogScale, band, picture, styled
from nrc.status import TerminationReason
from support.made_up import (
    BOUNDS,
    GRID,
    KINDS,
    SWEEPS,
    K,
    branches,
    cube,
    drawn,
    end,
    facts,
    rows,
    shift,
    unlucky,
)

STATUSES = ["converged", "stopped", "diverged", "collapsed_to_zero"]
OF_ONE_CUBE = ["plane", "bounds", "certified", "forecast", "spectra", "rank_curves", "neurons"]


def labels(figure):
    """Texts of all legends of a figure."""
    legends = figure.findobj(Legend)
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def marks(axis, marker, face=None):
    """Number of marks of a kind on an axis."""
    lines = [line for line in axis.lines if line.get_marker() == marker]
    return sum(len(line.get_xdata()) for line in lines if face in (None, line.get_markerfacecolor()))


def over_seeds(values):
    return pytest.approx([np.median(values), np.min(values), np.max(values)])


# Numbers.


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
    assert row[STATUSES].tolist() == [2, 2, 0, 0]
    assert np.isnan(plane.loc[(1, 0.3, 0.1), "relative_distance"])
    assert plane.loc[(1, 0.3, 0.1), STATUSES].tolist() == [0, 4, 4, 0]
    assert plane.loc[(3, 1.0, 0.1), STATUSES].tolist() == [3, 0, 0, 1]

    curves = table[table["panel"] == "variation"].set_index("sigma")
    inputs = flat.sel(source=0).max("weight_decay").mean("seed")
    for name in ("tcv_lower", "tcv_upper", "wcss_class", "transition"):
        assert curves.loc[0.3, name] == pytest.approx(inputs[name].sel(sigma=0.3).item()), name


def test_bounds_have_a_row_for_each_layer_of_each_network():
    made = cube(depth=[2, 3])
    end(made, TerminationReason.DIVERGED, sigma=1.0, weight_decay=0.1, depth=3, seed=1)
    table = rows("bounds", made).set_index([*GRID, "layer"])
    assert len(table) == 12 * (2 + 3) - 3
    for cell, row in table.iterrows():
        at = made.sel(dict(zip([*GRID, "layer"], cell, strict=True)))
        s = np.nan_to_num(at["singular_values"].values)
        assert row["distance"] == pytest.approx(np.linalg.norm(s[K:]))
        assert row["bound_measured"] == at["bound_measured"].values.min()
    assert set(table["status"]) == {"converged"}


@pytest.mark.parametrize("along", ["training", "width", "layers"])
def test_neurons_have_a_row_for_each_hidden_layer_over_all_seeds(along):
    axes = {"training": {"depth": [3]}, "width": {"width": [4, 8], "depth": [3]}, "layers": {"depth": [2, 4]}}
    made = cube(sigma=[0.1], seed=[0, 1, 2], **axes[along])
    table = rows("neurons", made, along=along)
    hidden = {"training": 2, "width": 2 * 2, "layers": 1 + 3}[along]
    assert len(table) == 2 * hidden * (3 if along == "training" else 1)
    row = table.iloc[-1]
    cell = {axis: row[axis] for axis in ("weight_decay", "width", "depth", "layer")} | {"sigma": 0.1}
    if along == "training":
        cell["snapshot"] = row["snapshot"]
    at, prefix = made.sel(cell), "snapshot_" if along == "training" else ""
    neurons = at[f"{prefix}distinct_neurons"].values
    assert row[["neurons", "neurons_minimum", "neurons_maximum"]].tolist() == over_seeds(neurons)
    ranks = [np.sum(s > 5e-8 * s[0]) for s in at[f"{prefix}singular_values"].values]
    assert row[["rank", "rank_minimum", "rank_maximum"]].tolist() == over_seeds(ranks)
    titles = {"layers": ["depth 2", "depth 4"]}.get(along, ["layer 1", "layer 2"])
    axes = drawn("neurons", made, along=along).axes
    assert [axis.get_title() for axis in axes] == titles
    assert {len(axis.lines) for axis in axes} == {2 * 2}
    ends = made["distinct_neurons"].sel(layer=1)
    assert facts("neurons", made, along=along)["neurons"][1] == (ends.min(), ends.max())


def test_certified_tails_have_a_row_for_each_rank_over_all_seeds():
    made = cube(seed=[0, 1, 2], depth=[2], width=[4])
    made["tail_bound"].loc[{"index": 4}] = np.nan
    table = rows("certified", made)
    assert len(table) == 2 * 3 * 2 * 3
    row = table.set_index(["weight_decay", "sigma", "layer", "index"]).loc[(0.1, 0.3, 2, 3)]
    at = made.sel(weight_decay=0.1, sigma=0.3, layer=2, index=3)
    for name in ("relative_tail", "tail_bound"):
        assert row[[name, f"{name}_minimum", f"{name}_maximum"]].tolist() == over_seeds(at[name].values)
    summary = facts("certified", made)
    assert summary["ranks"] == 3
    ratio = (made["tail_bound"] / made["relative_tail"]).sel(layer=1, index=K)
    assert summary["ratio"][1] == pytest.approx(np.median(ratio.values))
    titles = [axis.get_title() for axis in drawn("certified", made).axes[:6]]
    assert all("3 of 3 converged" in title for title in titles)


def test_numbers_of_neurons_are_marked_where_a_network_is_not_stationary():
    made = end(cube(sigma=[0.1]), TerminationReason.EPOCHS, weight_decay=0.1, seed=1)
    figure = drawn("neurons", made, along="weight_decay")
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in rings] == [[0.1]]
    assert "a seed stopped before it was stationary" in labels(figure)
    assert rows("neurons", made, along="weight_decay").groupby("weight_decay")["stopped"].max().tolist() == [
        0,
        1,
    ]


def test_groups_of_neurons_certify_the_smaller_one_of_two_bounds_beside_their_control():
    made, shape = cube(seed=[0, 1, 2], sigma=[0.1]), ("layer", "index")
    for number, name in enumerate(("bound", "scatter", "bound_random", "scatter_random")):
        made[f"neuron_{name}"] = made["relative_tail"] * (1 + np.cos(number + made["layer"]) ** 2)
    made["neuron_bound"] = made["neuron_bound"].where(made["layer"] > 1)
    made["neuron_rank"] = xr.full_like(made["exact_rank"], 3)
    table = rows("certified", made, neurons=True).set_index(["weight_decay", *shape])
    at = made.sel(weight_decay=0.1)
    for layer in (1, 2):
        for name, ends in (("neurons", ""), ("neurons_random", "_random")):
            bounds = [
                at[f"neuron_{kind}{ends}"].sel(layer=layer, index=3).values for kind in ("bound", "scatter")
            ]
            row = table.loc[(0.1, layer, 3)]
            assert row[[name, f"{name}_minimum", f"{name}_maximum"]].tolist() == over_seeds(np.fmin(*bounds))
    there = made.sel(index=3)
    smaller = np.fmin(there["neuron_bound_random"], there["neuron_scatter_random"])
    assert facts("certified", made, neurons=True)["neurons"][1] == pytest.approx(float(smaller.median()))
    texts = labels(drawn("certified", made, neurons=True))
    assert {"certified by $r$ groups of neurons", "certified by $r$ random groups of neurons"} <= set(texts)
    assert "neurons" not in rows("certified", made)


def test_the_plane_draws_any_measure_of_some_layers_and_counts_it():
    made = end(cube(), TerminationReason.EPOCHS, sigma=0.1, weight_decay=0.01, seed=0)
    table = rows("plane", made, quantity="exact_rank", layers=[3, 1])
    at = made.isel(width=0, depth=0)
    plane = table[table["panel"] == "plane"].set_index(["layer", "sigma", "weight_decay"])
    assert plane.index.unique("layer").tolist() == [1, 3]
    exact = at["exact_rank"].sel(layer=3, sigma=0.3, weight_decay=0.1)
    assert plane.loc[(3, 0.3, 0.1), "exact_rank"] == exact.mean()
    assert "relative_bound" not in table, "bounds are on the relative distance"
    histogram = table[table["panel"] == "histogram"]
    assert histogram.groupby("layer")["networks"].sum().tolist() == [11, 11]
    for bar in histogram[histogram["layer"] == 1].itertuples():
        converged = at["exact_rank"].sel(layer=1).where(at["status"] == 0)
        upper = converged <= bar.high if bar.high == 4 else converged < bar.high
        assert bar.networks == int(((converged >= bar.low) & upper).sum())
    figure = drawn("plane", made, quantity="exact_rank", layers=[3, 1], render=True)
    assert [axis.get_title() for axis in figure.axes[:2]] == ["layer 1", "layer 3"]
    with pytest.raises(
        ValueError, match=r"^layers is \[4\], but the networks have 3 layers; choose from these$"
    ):
        rows("plane", made, layers=[4])


def test_rates_are_of_collapsed_layers_only_with_the_exponents_of_a_power_law():
    axes = {"sigma": np.geomspace(0.05, 0.5, 6), "weight_decay": np.geomspace(0.01, 0.1, 5)}
    made = cube(seed=[0, 1, 2], **axes)
    made["tcv_upper"] = made["sigma"] ** 2 + 0 * made["tcv_upper"]
    law = 0.01 * made["layer"] * made["sigma"] ** (2 + 0.1 * made["seed"]) / made["weight_decay"]
    made["distance"] = law.broadcast_like(made["distance"])
    made["relative_distance"] = 0.05 + 0 * made["distance"]
    end(made, TerminationReason.EPOCHS, sigma=axes["sigma"][1], weight_decay=0.01, seed=1)
    table = rows("rate", made).set_index(["layer", "weight_decay", "sigma"])
    # noise up to half of the largest, and below the layer that did not converge; there nothing is left of a half
    assert len(table) == 3 * 4 * 4
    row = table.loc[(2, 0.1, axes["sigma"][1])]
    at = made.sel(layer=2, weight_decay=0.1, sigma=axes["sigma"][1]).squeeze()
    found = row[["distance", "distance_minimum", "distance_maximum"]].tolist()
    assert found == over_seeds(at["distance"].values)
    assert row["tcv_over_decay"] == pytest.approx(axes["sigma"][1] ** 2 / 0.1)
    summary = facts("rate", made)
    assert summary["points"] == 3 * (3 * 4 * 5 - 4)
    slopes = summary["slopes"][2]
    half = t.ppf(0.975, 2) * 0.1 / 3**0.5
    assert slopes["sigma"] == pytest.approx((2.1, 2.1 - half, 2.1 + half))
    assert slopes["tcv"] == pytest.approx((1.05, 1.05 - half / 2, 1.05 + half / 2))
    assert slopes["weight_decay"][0] == pytest.approx(-1)
    figure = drawn("rate", made, layer=3, render=True)
    assert [axis.get_ylabel() for axis in figure.axes[::2]] == ["distance to rank $K$, layer 3"] * 2
    with pytest.raises(ValueError, match=r"^layer is 4, but the networks have 3 layers; choose from these$"):
        drawn("rate", made, layer=4)
    nothing = facts("rate", cube())
    assert nothing["points"] == 0
    assert np.isnan(nothing["slopes"][1]["sigma"][0])
    drawn("rate", cube(), render=True)


def test_certified_tails_have_the_bound_with_permuted_labels_at_rank_k():
    made = cube(seed=[0, 1, 2])
    made["bound_permuted"] = 2 * made["bound_projected"]
    table = rows("certified", made).set_index(["weight_decay", "sigma", "layer", "index"])
    assert table["permuted"].notna().groupby("index").mean().tolist() == [0, 1, 0, 0]
    at = made.sel(weight_decay=0.1, sigma=0.3, layer=2).squeeze()
    control = at["bound_permuted"].min("source") / np.sqrt((at["singular_values"] ** 2).sum("index"))
    row = table.loc[(0.1, 0.3, 2, K)]
    assert row[["permuted", "permuted_minimum", "permuted_maximum"]].tolist() == over_seeds(control.values)
    assert "projected bound with permuted labels, at $r=K$" in labels(drawn("certified", made))


def test_the_range_of_tails_that_are_0_is_not_filled():
    axis = Figure().subplots()
    axis.set_yscale("log")
    band(axis, [1, 2, 3, 4], [0.1, 0.0, 0.0, 0.0], [0.2, 0.2, 0.0, 0.0], "black")
    (filled,) = [path.vertices for path in axis.collections[0].get_paths()]
    assert filled[:, 0].max() == 2, "nothing is filled where both ends are 0"
    assert filled[:, 1].min() > 0


@pytest.mark.parametrize("along", ["width", "depth", "sigma", "weight_decay"])
def test_ranks_are_of_the_middle_layer_or_along_depth_means_over_layers(along):
    hue = "width" if along == "weight_decay" else "weight_decay"
    values = {"width": [2, 4, 8], "depth": [1, 2, 4], "sigma": [0, 0.1, 0.3], "weight_decay": [0, 0.1, 0.2]}[
        along
    ]
    curves = [4, 8] if hue == "width" else [0, 0.1]
    made = cube(**{"sigma": [0.0], "seed": [0, 1, 2], hue: curves, along: values})
    end(made, TerminationReason.EPOCHS, seed=[0, 1], **{hue: curves[1], along: values[1]})
    table = rows("rank_curves", made, along=along, rank="stable_rank").set_index([hue, along])
    assert len(table) == 2 * 3
    for (curve, value), row in table.iterrows():
        of_seed = made["stable_rank"].sel({hue: curve, along: value}).squeeze().values
        ranks = of_seed[:, :value].mean(1) if along == "depth" else of_seed[:, 1]
        assert row[["rank", "rank_minimum", "rank_maximum"]].tolist() == over_seeds(ranks)
    assert table.loc[(curves[1], values[1]), ["converged", "stopped", "collapsed_to_zero"]].tolist() == [
        1,
        2,
        0,
    ]
    assert table["converged"].sum() == 3 * 6 - 2
    axis = drawn("rank_curves", made, along=along, render=True).axes[0]
    title = "mean over layers" if along == "depth" else "layer 2"
    assert (axis.get_title(), marks(axis, "o", "white")) == (title, 1)
    assert facts("rank_curves", made, along=along)["middle"] == (None if along == "depth" else 2)


def test_several_ranks_have_a_panel_each_in_the_order_of_the_options():
    chosen = ["mp_soft_rank", "stable_rank", "exact_rank"]
    made = cube(sigma=[0.0], width=[2, 4])
    assert list(dict.fromkeys(rows("rank_curves", made, rank=chosen)["measure"])) == chosen
    visible = [axis.get_visible() for axis in drawn("rank_curves", made, rank=chosen).axes]
    assert visible == [True, True, True, False]


def test_spectra_are_relative_tails_at_no_more_than_21_snapshots():
    made = cube(sigma=[0.0], width=[5], seed=[0, 1, 2])
    table = rows("spectra", made).set_index(["panel", "weight_decay", "layer", "snapshot"])
    s = made["snapshot_singular_values"].sel(weight_decay=0.1, layer=2, snapshot=5).squeeze().values
    tails = table.loc[("relative tail", 0.1, 2, 5)].set_index("index")["value"]
    for r in range(1, 6):
        tail = np.linalg.norm(s[:, r:], axis=1) / np.linalg.norm(s, axis=1)
        assert tails[r] == pytest.approx(np.median(tail))
    wcss = made["snapshot_wcss"].sel(weight_decay=0.01, source=1, snapshot=9)
    assert table.loc[("class WCSS", 0.01, 1, 9), "value"].item() == np.median(wcss)

    numbers = ("snapshot", range(0, 60, 2), made["snapshot"].attrs)
    many = made.isel(snapshot=[0] * 30).assign_coords(snapshot=numbers)
    table = rows("spectra", many)
    snapshots = table[table["panel"] == "relative tail"]["snapshot"].unique()
    assert (len(snapshots), snapshots[0], snapshots[-1]) == (21, 0, 58)
    assert table[table["panel"] == "class WCSS"]["snapshot"].nunique() == 30
    assert (facts("spectra", many)["snapshots"], facts("spectra", many)["drawn"]) == (30, 21)


def test_spectra_have_the_exact_rank_at_every_snapshot():
    made = cube(sigma=[0.0], seed=[0, 1, 2])
    s = made["snapshot_singular_values"]
    s.loc[{"snapshot": 5, "layer": 2, "index": 4}] = 1e-8 * s.sel(snapshot=5, layer=2, index=1)
    end(made, TerminationReason.DIVERGED, weight_decay=0.1, seed=[0, 1])
    table = rows("spectra", made).query("panel == 'exact rank'")
    table = table.set_index(["weight_decay", "layer", "snapshot"])["value"]
    for (decay, layer, snapshot), value in table.items():
        at = s.sel(weight_decay=decay, layer=layer, snapshot=snapshot, seed=2).squeeze().values
        assert value == np.linalg.matrix_rank(np.diag(at), rtol=5e-8) == 4 - ((layer, snapshot) == (2, 5))
    assert len(table) == 2 * 3 * 3
    assert [text.get_text() for text in drawn("spectra", made).axes[0].texts] == ["exact rank 4"]


def test_spectra_mark_the_epoch_at_which_training_continues_another():
    made = cube(sigma=[0.0], seed=[0, 1, 2])
    assert facts("spectra", made)["start"] is None
    assert drawn("spectra", made).axes[-1].get_xscale() == "linear"
    snapshots = [*range(0, 201, 2), *range(450, 5201, 250)]
    numbers = ("snapshot", snapshots, {**made["snapshot"].attrs, "start": 200})
    continued = made.isel(snapshot=[0] * len(snapshots)).assign_coords(snapshot=numbers)
    chosen = rows("spectra", continued).query("panel == 'relative tail'")["snapshot"].unique()
    assert (len(chosen), chosen[0], chosen[10], chosen[-1]) == (20, 0, 200, 5200)
    assert facts("spectra", continued)["start"] == 200
    figure = drawn("spectra", continued, render=True)
    assert {"epoch 0", "epoch 200: another method", "5000 evaluations later"} < set(labels(figure))
    # for each weight decay epochs, and then evaluations
    for before, after in (figure.axes[-4:-2], figure.axes[-2:]):
        assert (before.get_xlabel(), after.get_xlabel()) == ("epochs", "evaluations")
        assert (before.get_xscale(), after.get_xscale()) == ("linear", "log")
        assert before.lines[0].get_xdata()[[0, -1]].tolist() == [0, 200]
        assert after.lines[0].get_xdata()[[0, -1]].tolist() == [250, 5000]
        assert before.get_ylim() == after.get_ylim()
    bottoms = {tuple(axis.get_position().intervaly.round(6)) for axis in figure.axes[-4:]}
    assert len(bottoms) == 1  # the panels of a row have the same height
    # the first snapshot may be the one at which training continues
    late = continued.isel(snapshot=slice(100, None))
    chosen = rows("spectra", late).query("panel == 'relative tail'")["snapshot"].unique()
    assert (chosen[0], chosen[1], chosen[-1]) == (200, 450, 5200)
    drawn("spectra", late, render=True)


def test_shifts_have_a_row_for_each_panel_and_slopes_with_an_interval_over_seeds():
    made = shift(seed=[0, 1, 2])
    made["at_minimum"].loc[{"sigma": 0.05, "seed": 1}] = 0
    end(made, TerminationReason.EPOCHS, sigma=0.1, weight_decay=1.0, seed=2)
    table = rows("shift", made, shift(slope=1.0)).set_index(["panel", "weight_decay", "sigma"])
    assert len(table) == 2 * 2 * 4
    row, at = table.loc[("cube 0", 1.0, 0.1)], made["shift"].sel(weight_decay=1.0, sigma=0.1).values.ravel()
    assert row[["shift", "shift_minimum", "shift_maximum"]].tolist() == over_seeds(at[:2])
    assert row[["shift_elsewhere", "shift_elsewhere_maximum"]].tolist() == [at[2], at[2]]
    assert np.isnan(table.loc[("cube 0", 1.0, 0.02), "shift_elsewhere"])
    assert row[["quadratic", "stopped", "elsewhere"]].tolist() == [3, 1, 0]
    assert table.loc[("cube 0", 0.1, 0.05), "elsewhere"] == 1
    assert [marks(axis, "o", "white") for axis in drawn("shift", made, shift()).axes] == [3, 3, 0, 0]

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
    summary = facts("forecast", made)
    assert (summary["at_minimum"], summary["elsewhere"]) == (10, 2)
    minimum = made.where(made["at_minimum"] == 1)
    assert summary["largest_error"] == float(abs(minimum["forecast"] - minimum["singular_values"]).max())


def test_layers_of_rank_k_by_their_shape_are_named_and_do_not_count():
    made = cube(width=[4])
    made["singular_values"] = made["singular_values"].where((made["layer"] < 3) | (made["index"] <= K))
    made["bound_measured"] = 0 * made["bound_measured"]
    made["bound_projected"] = 9 + made["bound_projected"]
    made["relative_distance"][{"sigma": 0}] = 0.05
    summary = facts("plane", made)
    assert summary["trivial"] == [3]
    collapsed = (made["relative_distance"].sel(layer=[1, 2]) <= 0.1).sum().item()
    assert (summary["layers"], summary["collapsed"]) == (2 * 12, collapsed)
    assert summary["certified"] == {"bound_measured": 2 * 12, "bound_projected": 0}
    titles = [axis.get_title() for axis in drawn("plane", made).axes[:3]]
    assert [title.endswith("by shape)") for title in titles] == [False, False, True]


# Marks of cells that did not converge.


def test_every_status_is_marked_on_the_plane_and_counted():
    figure = drawn("plane", unlucky())
    axis = figure.axes[0]
    assert [marks(axis, marker) for marker in "o^x"] == [2, 1, 1]
    assert np.ma.getmaskarray(axis.collections[0].get_array()).sum() == 3, "hatched: no number"
    explained = {"a seed stopped before it was stationary", "a seed diverged", "a seed collapsed to zero"}
    assert {*explained, "no seed converged: mean of stopped seeds"} < set(labels(figure))
    assert [facts("plane", unlucky())[name] for name in ("cells", *STATUSES)] == [12, 5, 5, 2, 2]
    assert not explained & set(labels(drawn("plane", cube())))


def test_other_figures_mark_cells_that_did_not_converge():
    made = unlucky()
    made["at_minimum"].loc[{"sigma": 0.1, "weight_decay": 0.1}] = 0
    axis = drawn("forecast", made).axes[1]
    assert [marks(axis, marker) for marker in "Do^x"] == [1, 2, 1, 1]

    made = cube(sigma=[0.0], width=[2, 4, 8])
    assert "a seed is not stationary" not in labels(drawn("rank_curves", made))
    end(made, TerminationReason.EPOCHS, width=4, weight_decay=0.01, seed=1)
    end(made, TerminationReason.COLLAPSED_TO_ZERO, width=8, weight_decay=0.1, seed=0)
    figure = drawn("rank_curves", made)
    assert [marks(axis, "o", "white") for axis in figure.axes] == [2, 2]
    assert "a seed is not stationary" in labels(figure)

    made = end(cube(), TerminationReason.EPOCHS, sigma=0.3)
    edges = [edge for part in drawn("bounds", made).axes[0].collections[1:] for edge in part.get_edgecolor()]
    assert sum(edge[3] > 0 for edge in edges) == 4 * 3, "one for each layer of the cells that stopped"

    made = end(cube(sigma=[0.0], seed=[0, 1, 2]), TerminationReason.DIVERGED, weight_decay=0.1, seed=[0, 1])
    titles = [axis.get_title() for axis in drawn("spectra", made).axes[:2]]
    assert [title.splitlines()[1] for title in titles] == ["3 of 3 converged", "1 of 3 converged"]
    assert facts("spectra", made)["diverged"] == 2


def test_without_a_converged_seed_the_plane_has_the_mean_of_stopped_seeds():
    made = end(cube(seed=[0]), TerminationReason.EPOCHS, sigma=0.1, weight_decay=0.1)
    axis = drawn("plane", made).axes[0]
    stopped = made["relative_distance"].sel(sigma=0.1, weight_decay=0.1, layer=1).item()
    meshes = [mesh for mesh in axis.collections if isinstance(mesh, QuadMesh)]
    values = [np.ma.compressed(mesh.get_array()) for mesh in meshes]
    assert [found.tolist() for found in values if found.size == 1] == [[pytest.approx(stopped)]]
    (hatched,) = [patch for patch in axis.patches if patch.get_hatch()]
    assert hatched.get_path().contains_point((0.1, 0.1))


@pytest.mark.parametrize("kind", OF_ONE_CUBE)
def test_a_figure_of_networks_that_all_failed_is_drawn(kind):
    made = end(cube(sigma=[0.0]), TerminationReason.DIVERGED)
    drawn(kind, made, render=True)
    assert facts(kind, made)["converged"] == 0


# Missing variables and values.


def test_a_plane_without_theory_has_no_lines_of_it():
    certified = {
        f"certified to be at most 0.5 (Theorem 3.4, {name} bound)" for name in ("measured", "projected")
    }
    theory = {"Proposition 4.1", "forecast for a linear network", *certified}
    figure = drawn("plane", cube(mixture=False, classes=True, without=("transition", *BOUNDS)), certified=0.5)
    assert "WCSS of the classes" in labels(figure)
    assert not theory & set(labels(figure))
    assert len(figure.subfigs[1].subfigs[0].axes) == 1
    full = drawn("plane", cube(), certified=0.5)
    assert theory < set(labels(full))
    assert "WCSS of the classes" not in labels(full)
    # targets of classifiers have no noise
    for classes, label in ((False, "$2\\sigma^2d$"), (True, "$\\sigma^2d$")):
        assert label in drawn("plane", cube(classes=classes)).subfigs[1].subfigs[0].axes[1].get_ylabel()


def test_a_certified_line_runs_along_the_edges_of_cells():
    made = cube(seed=[0], without=["bound_projected"])
    bound = xr.DataArray([[0.4, 0.6, 0.6], [0.4, 0.4, np.nan]], dims=["weight_decay", "sigma"])
    made["bound_measured"][...] = bound * np.sqrt((made["singular_values"] ** 2).sum("index"))
    axis = drawn("plane", made, certified=0.5).axes[0]
    (line,) = [found for found in axis.collections if isinstance(found, QuadContourSet)]
    x, y = LogScale(made["sigma"]).edges, LogScale(made["weight_decay"]).edges
    corners = pd.DataFrame(line.get_paths()[0].vertices).drop_duplicates().to_numpy().tolist()
    assert corners in (expected := [[x[1], y[0]], [x[1], y[1]], [x[2], y[1]], [x[2], y[2]]], expected[::-1])


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


def test_0_is_one_step_below_the_other_values_on_a_logarithmic_scale():
    scale = LogScale([0, 0.1, 0.2, 0.4])
    assert scale([0, 0.2]).tolist() == pytest.approx([0.05, 0.2])
    assert np.diff(np.log(scale.edges)) == pytest.approx(np.log(2))
    assert scale.gap == pytest.approx(0.05 * 2**0.5)
    assert LogScale([0.1, 0.2]).gap is None


def test_cells_that_no_joined_experiment_has_are_blank():
    made = join_cubes([cube(weight_decay=[0.01]), cube(weight_decay=[0.1], sigma=[0.1, 0.3])])
    assert "not trained" in labels(drawn("plane", made))
    assert facts("plane", made)["cells"] == 10


def test_bounds_without_analytic_ones_have_two_panels():
    made = cube(sigma=[0.0], weight_decay=[0, 0.1])
    made["bound_analytic"][:] = made["bound_segments"][:] = np.nan
    for name in ("bound_measured", "bound_projected"):
        made[name].loc[{"weight_decay": 0}] = np.nan
    assert [axis.get_ylabel() for axis in drawn("bounds", made).axes[2:]] == [r"weight decay $\lambda$"]
    summary = facts("bounds", made)
    assert (summary["layers"], summary["drawn"], summary["void"]) == (12, 6, 6)
    assert list(summary["ratio"]) == list(BOUNDS[:2])


def test_a_network_of_one_layer_has_figures():
    for kind in ("plane", "bounds", "spectra"):
        drawn(kind, cube(depth=[1], sigma=[0.0]))


@pytest.mark.parametrize(
    ("kind", "made", "message"),
    [
        ("plane", cube(width=[4, 8]), "the figure draws one width, but one has 4 and 8; choose one of them, such as at: {width: 4}"),
        ("spectra", cube(), "the figure draws one sigma, but one has 0.1, 0.3 and 1; choose one of them, such as at: {sigma: 0.1}"),
        ("rank_curves", cube(sigma=[0.0], without=["stable_rank"]), "the figure draws stable_rank, which one does not have: rank must be among"),
        ("certified", cube(sigma=[0.1, 0.2, 0.3, 0.4, 0.5]), "the figure draws at most 8 pairs of weight decay and sigma, but there are 10"),
        ("forecast", cube(without=["forecast"]), "the figure draws forecast, which one does not have: forecasts are for linear"),
        ("shift", shift(sigma=[0, 0.1]), "the figure has logarithmic axes and cannot draw sigma 0 of one"),
        ("rate", cube(sigma=[0.0, 0.1]), "the figure has logarithmic axes and cannot draw sigma 0; select others by at"),
        ("hysteresis", cube(without=["transition"]), "the figure draws loss and transition, which one does not have: branches"),
    ],
)  # fmt: skip
def test_a_cube_that_a_kind_cannot_draw_is_refused_in_one_line(kind, made, message):
    with pytest.raises(ValueError, match=r"^the figure ") as caught:
        rows(kind, made)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# Bytes.


def digests():
    """SHA-256 of a picture of each kind, and of one in each format."""
    found = {}
    for kind in KINDS:
        cubes = (
            branches().values() if kind in SWEEPS else [shift()] if kind == "shift" else [cube(sigma=[0.1])]
        )
        drawing = drawn(kind, *cubes)
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
