"""The figure of two branches on cubes whose branches begin, cross and end at known places."""

import numpy as np
import pytest
import xarray as xr

from nrc import figures
from nrc.figures.style import styled
from nrc.status import TerminationReason
from support.made_up import PLACES, branches, cube, end, options
from test_figures import labels, marks
from test_plot import REPORT, run

STARTS = ("random start", "sweep up", "sweep down")
STEPS = ("down_ends", "random_jumps", "up_ends")


def of(what, cubes, **others):
    with styled():
        return getattr(figures.kind("hysteresis"), what)(cubes, options("hysteresis", **others))


def places_of(cubes, **others):
    table = of("rows", cubes, **others)
    return table[table["panel"] == "places"].set_index(["weight_decay", "seed"])


def test_places_are_where_they_were_put():
    cubes = branches()
    sigma, places = cubes["sweep up"]["sigma"].values, places_of(cubes)
    assert len(places) == 4
    for (weight_decay, seed), found in places.iterrows():
        forecast = np.sqrt(weight_decay) * (1 + 0.1 * seed)
        for name in ("overtaken", "crossing"):
            assert found[name] == pytest.approx(PLACES[name] * forecast, rel=1e-9)
        assert found["forecast"] == pytest.approx(forecast, rel=1e-9)
        for name in STEPS:  # in the middle of the step of the grid that it lies in
            above = np.searchsorted(sigma, PLACES[name] * forecast)
            assert found[name] == pytest.approx(np.sqrt(sigma[above - 1] * sigma[above]))


def test_curves_and_differences_are_those_of_the_cubes():
    cubes = branches(seed=[0, 1, 2])
    table, at = (
        of("rows", cubes, layer=1),
        {"weight_decay": 0.01, "sigma": cubes["sweep up"]["sigma"].values[9]},
    )
    flat = {start: made.squeeze().sel(at) for start, made in cubes.items()}
    row = table[(table[list(at)] == list(at.values())).all(axis=1)].set_index(["panel", "start"])
    for start in STARTS:
        values, curve = flat[start]["relative_distance"].sel(layer=1).values, row.loc[("curves", start)]
        assert curve["distance"] == np.median(values)
        assert (curve["distance_least"], curve["distance_largest"]) == (values.min(), values.max())
        assert curve[["converged", "stopped", "diverged", "collapsed_to_zero"]].tolist() == [3, 0, 0, 0]
    objective = [
        made["loss"].values + 0.005 * (made["singular_values"].values ** 2).sum((-1, -2))
        for made in (flat["sweep up"], flat["sweep down"])
    ]
    ratio = objective[0] / objective[1] - 1
    found = row.loc["difference"].iloc[0]
    assert found["difference"] == pytest.approx(np.median(ratio))
    assert found["difference_largest"] == pytest.approx(ratio.max())
    assert found["transition"] == pytest.approx(flat["sweep up"]["transition"].mean().item())


def test_both_branches_are_counted_where_the_sweeps_differ():
    cubes = branches()
    sigma, apart = cubes["sweep up"]["sigma"], 0
    for weight_decay in (0.01, 0.1):
        for seed in (0, 1):
            over = sigma / np.sqrt(weight_decay) / (1 + 0.1 * seed)
            apart += int(((over > PLACES["down_ends"]) & (over <= PLACES["up_ends"])).sum())
    told = of("summary", cubes)
    assert (told["both"], told["cells"]) == (apart, 4 * 30)
    assert 0 < told["lower"] < apart
    assert told["step"] == pytest.approx(30 ** (1 / 29))
    table = of("rows", cubes)
    assert table["both"].sum() == apart
    assert of("summary", cubes, apart=0.9)["both"] == 0


def test_the_summary_holds_every_place_against_the_forecast():
    cubes = branches(seed=[0, 1, 2])
    told = of("summary", cubes)
    for name, place in PLACES.items():
        ratio = told["ratios"][name]
        exact = name not in STEPS
        assert ratio["mean"] == pytest.approx(place, rel=1e-9 if exact else 0.12)
        assert ratio["low"] <= ratio["mean"] <= ratio["high"]
        assert ratio["least"] <= ratio["mean"] <= ratio["largest"]
        assert ratio["count"] == 6
    median, least, largest, seeds = told["places"][0.01]["crossing"]
    assert (least, median, largest) == pytest.approx((0.13, 0.143, 0.156))
    assert seeds == 3


def test_without_two_branches_nothing_crosses():
    same = dict.fromkeys(PLACES, 1.0)
    told = of("summary", branches(same))
    assert (told["both"], told["lower"]) == (0, 0)
    assert told["ratios"]["crossing"]["count"] == told["ratios"]["overtaken"]["count"] == 0
    assert np.isnan(told["ratios"]["crossing"]["mean"])
    for name in STEPS:
        assert told["ratios"][name]["mean"] == pytest.approx(1, rel=0.12)
    of("draw", branches(same)).draw_without_rendering()


def test_a_branch_that_does_not_end_on_the_grid_has_no_end():
    never = {**PLACES, "up_ends": 99, "down_ends": 0.01}
    told = of("summary", branches(never))
    assert told["ratios"]["up_ends"]["count"] == told["ratios"]["down_ends"]["count"] == 0
    # both branches are everywhere, and their objectives cross
    assert told["both"] == told["cells"]
    assert told["ratios"]["crossing"]["mean"] == pytest.approx(1.3)
    # a sweep that does not begin on its branch does not leave it
    assert of("summary", branches({**PLACES, "up_ends": 0.01}))["ratios"]["up_ends"]["count"] == 0


@pytest.mark.parametrize(
    "termination_reason",
    [TerminationReason.EPOCHS, TerminationReason.DIVERGED, TerminationReason.COLLAPSED_TO_ZERO],
)
def test_a_network_that_did_not_converge_has_no_number_and_a_mark(termination_reason):
    cubes = branches(weight_decay=[0.01])
    sigma = cubes["sweep up"]["sigma"].values
    after = int(np.searchsorted(sigma, PLACES["up_ends"] * 0.1))
    end(cubes["sweep up"], termination_reason, sigma=sigma[after], weight_decay=0.01, seed=0)
    places = places_of(cubes)
    # the step is between its neighbours
    assert places.loc[(0.01, 0), "up_ends"] == pytest.approx(np.sqrt(sigma[after - 1] * sigma[after + 1]))
    assert (
        places.loc[(0.01, 1), "up_ends"] == places_of(branches(weight_decay=[0.01])).loc[(0.01, 1), "up_ends"]
    )
    figure = of("draw", cubes)
    marker, label = {
        TerminationReason.EPOCHS: ("o", "a seed stopped, not stationary"),
        TerminationReason.DIVERGED: ("^", "a seed diverged"),
        TerminationReason.COLLAPSED_TO_ZERO: ("x", "a seed dead"),
    }[termination_reason]
    distances, plane = figure.axes[0], figure.axes[2]
    face = None if termination_reason is TerminationReason.COLLAPSED_TO_ZERO else "white"
    assert marks(distances, marker, face) == marks(plane, marker, face) == 1
    assert label in labels(figure)


def test_networks_that_all_failed_are_drawn():
    for ended in (TerminationReason.DIVERGED, TerminationReason.COLLAPSED_TO_ZERO):
        cubes = {start: end(made, ended) for start, made in branches().items()}
        of("draw", cubes).draw_without_rendering()
        assert of("summary", cubes)["both"] == 0


def test_curves_are_of_a_few_weight_decays_or_of_those_named():
    cubes = branches(weight_decay=[0.01, 0.02, 0.04, 0.08, 0.16])

    def titles(**others):
        return [axis.get_title() for axis in of("draw", cubes, **others).axes if axis.get_title()]

    assert titles() == [r"$\lambda=0.01$", r"$\lambda=0.04$", r"$\lambda=0.16$"]
    assert titles(weight_decays=[0.1, 0.019, 0.021]) == [r"$\lambda=0.02$", r"$\lambda=0.08$"]


def test_one_weight_decay_and_one_seed_are_drawn():
    cubes = branches(weight_decay=[0.01], seed=[0])
    of("draw", cubes).draw_without_rendering()
    ratio = of("summary", cubes)["ratios"]["crossing"]
    assert (ratio["mean"], ratio["count"]) == (pytest.approx(1.3), 1)
    assert np.isnan(ratio["low"])


def test_the_middle_layer_counts_unless_another_is_named():
    cubes = branches(depth=[4])
    assert of("summary", cubes)["layer"] == 2
    assert of("summary", cubes, layer=4)["layer"] == 4
    with pytest.raises(ValueError, match=r"^layer is 5, but the networks have 4 layers; choose one of them$"):
        of("rows", cubes, layer=5)


def test_grids_that_differ_are_told():
    cubes = branches()
    cubes["sweep down"] = cubes["sweep down"].isel(sigma=slice(1, None))
    with pytest.raises(
        ValueError, match=r"^the figure compares random start, sweep up, sweep down cell by cell"
    ):
        of("rows", cubes)


def test_the_order_of_a_grid_does_not_count():
    cubes = branches()
    shuffled = {
        start: made.isel(sigma=slice(None, None, -1), weight_decay=[1, 0]) for start, made in cubes.items()
    }
    xr.testing.assert_identical(*(of("rows", made).to_xarray() for made in (cubes, shuffled)))


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_the_caption_tells_every_place_and_how_each_sweep_ended(tmp_path, seeds):
    cubes = branches({**PLACES, "up_ends": 99}, seed=seeds, sigma=np.geomspace(0.05, 1.5, 9))
    cubes["sweep up"] = end(cubes["sweep up"], TerminationReason.EPOCHS, sigma=0.05, weight_decay=0.1, seed=0)
    figure = options("hysteresis", of={start: start for start in STARTS})
    caption = run(tmp_path, figure, **cubes)
    assert (REPORT / "hysteresis.rst").exists()
    assert "two branches of minima" in caption
    assert "the sweep up leaves rank K: nowhere on the grid." in caption
    assert "the objectives of the sweeps cross: 1.300" in caption
    assert ("the prediction is not in the interval" in caption) == (len(seeds) > 1)
    assert "weight decay 0.01: prediction 0.1" in caption
    assert (
        f"sweep up: {18 * len(seeds) - 1} of {18 * len(seeds)} networks converged, 1 stopped before"
        in caption
    )
    assert "nan" not in caption


def test_a_cube_without_the_forecast_cannot_be_drawn():
    made = cube(without=["transition"])
    with pytest.raises(
        ValueError, match=r"^the figure draws loss, transition, which one does not have: branches"
    ):
        of("rows", dict.fromkeys(STARTS, made))
