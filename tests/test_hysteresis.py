"""The figure of two branches on cubes whose branches begin, cross and end at known places."""

import numpy as np
import pytest
import xarray as xr

from nrc import kinds
from nrc.figures.style import styled
from nrc.measures.curvature import Extremum
from nrc.metadata import flag_attributes
from nrc.status import TerminationReason
from support.made_up import PLACES, SWEEPS, branches, end, options
from test_figures import labels, marks
from test_plot import run

STARTS = ("random start", "sweep up", "sweep down")
STEPS = ("down_ends", "random_jumps", "up_ends")


def of(function, cubes, kind="hysteresis", **others):
    with styled():
        return getattr(kinds.module("figures", kind), function)(cubes, options(kind, STARTS, **others))


def facts_of(cubes, **others):
    return of("summary", cubes, "branches", **others)


def places_of(cubes):
    table = of("rows", cubes, "branches")
    return table[table["panel"] == "places"].set_index(["weight_decay", "seed"])


def test_places_are_found_where_they_are():
    cubes = branches()
    sigma, places = cubes["sweep up"]["sigma"].values, places_of(cubes)
    assert len(places) == 4
    for (weight_decay, seed), found in places.iterrows():
        forecast = np.sqrt(weight_decay) * (1 + 0.1 * seed)
        assert found["forecast"] == pytest.approx(forecast, rel=1e-9)
        for name, place in PLACES.items():
            above = np.searchsorted(sigma, place * forecast)
            middle = np.sqrt(sigma[above - 1] * sigma[above])
            expected = middle if name in STEPS else place * forecast
            assert found[name] == pytest.approx(expected, rel=1e-9), name


def test_curves_and_differences_are_over_seeds():
    cubes = branches(seed=[0, 1, 2])
    at = {"weight_decay": 0.01, "sigma": cubes["sweep up"]["sigma"].values[9]}
    table = of("rows", cubes, layer=1)
    flat = {start: made.squeeze().sel(at) for start, made in cubes.items()}
    row = table[(table[list(at)] == list(at.values())).all(axis=1)].set_index(["panel", "start"])
    for start in STARTS:
        values, curve = flat[start]["relative_distance"].sel(layer=1).values, row.loc[("curves", start)]
        expected = [np.median(values), values.min(), values.max()]
        assert curve[["distance", "distance_minimum", "distance_maximum"]].tolist() == expected
        assert curve[["converged", "stopped", "diverged", "collapsed_to_zero"]].tolist() == [3, 0, 0, 0]
    up, down = (
        made["loss"].values + 0.005 * (made["singular_values"].values ** 2).sum((-1, -2))
        for made in (flat["sweep up"], flat["sweep down"])
    )
    found = row.loc["difference"].iloc[0]
    assert found["difference"] == pytest.approx(np.median(up / down - 1))
    assert found["difference_maximum"] == pytest.approx((up / down - 1).max())


def test_both_branches_are_counted_where_the_sweeps_differ():
    cubes = branches()
    over = xr.concat(
        [
            cubes["sweep up"]["sigma"] / np.sqrt(lam) / (1 + 0.1 * seed)
            for lam in (0.01, 0.1)
            for seed in (0, 1)
        ],
        "cell",
    )
    both = int(((over > PLACES["down_ends"]) & (over <= PLACES["up_ends"])).sum())
    facts = facts_of(cubes)
    assert (facts["both"], facts["cells"]) == (both, 4 * 30)
    assert 0 < facts["lower"] < both
    assert facts["step"] == pytest.approx(30 ** (1 / 29))
    plane = of("rows", cubes, "branches")
    assert plane["both"].sum() == both
    at = {"weight_decay": 0.01, "sigma": cubes["sweep up"]["sigma"].values[9]}
    row = plane[(plane[list(at)] == list(at.values())).all(axis=1)].iloc[0]
    expected = cubes["sweep up"]["transition"].squeeze().sel(at).mean()
    assert row["transition"] == pytest.approx(expected.item())
    assert facts_of(cubes, apart=0.9)["both"] == 0


def test_the_summary_has_the_ratio_of_every_place_to_the_forecast():
    facts = facts_of(branches(seed=[0, 1, 2]))
    for name, place in PLACES.items():
        ratio = facts["ratios"][name]
        assert ratio["mean"] == pytest.approx(place, rel=0.12 if name in STEPS else 1e-9)
        assert ratio["low"] <= ratio["mean"] <= ratio["high"]
        assert ratio["minimum"] <= ratio["mean"] <= ratio["maximum"]
        assert ratio["count"] == 6
    assert facts["places"][0.01]["crossing"] == pytest.approx((0.143, 0.13, 0.156, 3))
    one = facts_of(branches(weight_decay=[0.01], seed=[0]))["ratios"]["crossing"]
    assert (one["mean"], one["count"]) == (pytest.approx(1.3), 1)
    assert np.isnan(one["low"])


def test_without_two_branches_nothing_crosses():
    cubes = branches(dict.fromkeys(PLACES, 1.0))
    facts = facts_of(cubes)
    assert (facts["both"], facts["lower"]) == (0, 0)
    assert facts["ratios"]["crossing"]["count"] == facts["ratios"]["overtaken"]["count"] == 0
    assert np.isnan(facts["ratios"]["crossing"]["mean"])
    for name in STEPS:
        assert facts["ratios"][name]["mean"] == pytest.approx(1, rel=0.12)
    for kind in SWEEPS:
        of("draw", cubes, kind).draw_without_rendering()


def test_a_branch_that_does_not_end_on_the_grid_has_no_end():
    facts = facts_of(branches({**PLACES, "up_ends": 99, "down_ends": 0.01}))
    assert facts["ratios"]["up_ends"]["count"] == facts["ratios"]["down_ends"]["count"] == 0
    # both branches are everywhere, and their objectives cross
    assert facts["both"] == facts["cells"]
    assert facts["ratios"]["crossing"]["mean"] == pytest.approx(1.3)
    # a sweep that does not begin on its branch does not leave it
    assert facts_of(branches({**PLACES, "up_ends": 0.01}))["ratios"]["up_ends"]["count"] == 0


@pytest.mark.parametrize(
    ("reason", "marker", "label"),
    [
        (TerminationReason.EPOCHS, "o", "a seed stopped before it was stationary"),
        (TerminationReason.DIVERGED, "^", "a seed diverged"),
        (TerminationReason.COLLAPSED_TO_ZERO, "x", "a seed collapsed to zero"),
    ],
)
def test_a_network_that_did_not_converge_has_no_number_and_a_mark(reason, marker, label):
    cubes = branches(weight_decay=[0.01])
    sigma, before = cubes["sweep up"]["sigma"].values, places_of(cubes)
    after = int(np.searchsorted(sigma, PLACES["up_ends"] * 0.1))
    end(cubes["sweep up"], reason, sigma=sigma[after], weight_decay=0.01, seed=0)
    places = places_of(cubes)
    # the step is between its neighbours
    assert places.loc[(0.01, 0), "up_ends"] == pytest.approx(np.sqrt(sigma[after - 1] * sigma[after + 1]))
    assert places.loc[(0.01, 1), "up_ends"] == before.loc[(0.01, 1), "up_ends"]
    for kind in SWEEPS:
        figure = of("draw", cubes, kind)
        assert marks(figure.axes[0], marker, None if marker == "x" else "white") == 1
        assert label in labels(figure)


def test_a_figure_of_networks_that_all_failed_is_drawn():
    failed = {start: end(made, TerminationReason.DIVERGED) for start, made in branches().items()}
    for kind in SWEEPS:
        of("draw", failed, kind).draw_without_rendering()
    assert facts_of(failed)["both"] == 0


def test_the_options_choose_curves_and_layer():
    cubes = branches(weight_decay=[0.01, 0.02, 0.04, 0.08, 0.16], depth=[4])
    for others, expected in (
        ({}, [0.01, 0.04, 0.16]),
        ({"weight_decays": [0.1, 0.019, 0.021]}, [0.02, 0.08]),
    ):
        titles = [axis.get_title() for axis in of("draw", cubes, **others).axes]
        assert [title for title in titles if title] == [rf"$\lambda={value}$" for value in expected]
    assert facts_of(cubes)["layer"] == 2
    assert facts_of(cubes, layer=4)["layer"] == 4
    with pytest.raises(ValueError, match=r"^layer is 5, but the networks have 4 layers; choose from these$"):
        of("rows", cubes, layer=5)


def test_grids_may_differ_in_order_only():
    cubes = branches()
    turned = {start: made.isel(sigma=slice(None, None, -1)) for start, made in cubes.items()}
    xr.testing.assert_identical(*(of("rows", made).to_xarray() for made in (cubes, turned)))
    cubes["sweep down"] = cubes["sweep down"].isel(sigma=slice(1, None))
    with pytest.raises(
        ValueError, match=r"^the figure compares the cells of random start, sweep up and sweep"
    ):
        of("rows", cubes)


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_the_caption_has_every_place_and_the_outcome_of_each_sweep(tmp_path, seeds):
    cubes = branches({**PLACES, "up_ends": 99}, seed=seeds, sigma=np.geomspace(0.05, 1.5, 9))
    end(cubes["sweep up"], TerminationReason.EPOCHS, sigma=0.05, weight_decay=0.1, seed=0)
    captions = {kind: run(tmp_path, kind, cubes, of={start: start for start in STARTS}) for kind in SWEEPS}
    caption = captions["branches"]
    assert "where two branches begin, cross and end" in caption
    assert "whether they are minima or saddles was not measured" in captions["hysteresis"]
    assert "the sweep up leaves rank K: nowhere on the grid." in caption
    assert "the objectives of the sweeps cross: 1.300" in caption
    assert ("the prediction is not in the interval" in caption) == (len(seeds) > 1)
    assert "weight decay 0.01: prediction 0.1" in caption
    cells = 18 * len(seeds)
    for text in captions.values():
        assert f"sweep up: {cells - 1} of {cells} networks converged, 1 stopped before" in text
        assert "nan" not in text


def test_saddles_are_marked_and_counted(tmp_path):
    cubes = branches()
    at = {"weight_decay": 0.1, "sigma": cubes["sweep up"]["sigma"].values[20]}
    for start, made in cubes.items():
        made["curvature"] = 1 + 0 * made["loss"]
        made["extremum"] = (0 * made["status"]).assign_attrs(flag_attributes(Extremum))
        if start == "sweep up":
            made["extremum"].loc[at | {"seed": 1}] = Extremum.SADDLE
    table = of("rows", cubes)
    assert table["saddles"].sum() == 1
    row = table[(table["saddles"] == 1)].iloc[0]
    assert (row["start"], row["sigma"], row["weight_decay"]) == ("sweep up", at["sigma"], 0.1)
    assert facts_of(cubes)["saddles"]["sweep up"] == (1, 120)
    figure = of("draw", cubes)
    assert sum(marks(axis, "s", "white") for axis in figure.axes) == 1
    assert "a seed ended at a saddle" in labels(figure)
    caption = run(tmp_path, "hysteresis", cubes, of={start: start for start in STARTS})
    assert "1 of 120 end points with a known curvature are saddles" in caption
