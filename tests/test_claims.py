import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import xarray as xr
import yaml

import judge_claims
from nrc import store
from nrc.claims import STATISTICS, Verdict, judge
from nrc.cubes import join_cubes
from nrc.ended import Ended, Status
from nrc.grid import AXES
from nrc.labels import flag_attributes
from nrc.statistics import quadratic, quadratic_slopes, student_interval

SCHEMA = Path(__file__).parents[1] / "workflow/schemas/config.schema.yaml"
K = 2
# Four numbers whose Spearman correlation with 1, 2, 3, 4 is the key: 1 - sum d^2 / 10.
ORDERS = {-1: (4, 3, 2, 1), -0.6: (3, 4, 1, 2), 0: (2, 4, 1, 3), 0.6: (2, 1, 4, 3), 1: (1, 2, 3, 4)}
DECAYS = {"weight_decay": [0.001, 0.01, 0.03, 0.1]}


def cube(variables, **axes):
    """A cube of variables given as dimensions and values, a cell for each value of the axes."""
    axes = {"weight_decay": [0.1], "sigma": [0.0], "width": [8], "depth": [3], "seed": [0], **axes}
    cells = dict.fromkeys(AXES, 1) | {axis: len(values) for axis, values in axes.items()}
    shape = tuple(cells[axis] for axis in AXES)
    dataset = xr.Dataset(
        {
            "status": (tuple(AXES), np.zeros(shape, np.int8), flag_attributes(Status)),
            "ended": (tuple(AXES), np.zeros(shape, np.int8), flag_attributes(Ended)),
        },
        axes,
        {"clusters": K, "experiment": "known"},
    )
    for name, (dims, values) in variables.items():
        array = xr.DataArray(np.asarray(values, float), dims=dims)
        positions = {
            dim: np.arange(array.sizes[dim]) + (dim in ("layer", "index"))
            for dim in array.dims
            if dim not in AXES
        }
        full = array.assign_coords(positions) + xr.zeros_like(dataset["status"].drop_vars(list(AXES)))
        dataset[name] = full.transpose(*AXES, *positions)
    return dataset


# For each statistic a cube of which it is one number a seed, known by construction.


def plane_with_cliff(values):
    rows = [[0.1, 0.1 + 0.4 * (1 - share), 0.1 + 0.4 * (1 + share), 0.9] for share in values]
    rows = np.stack([rows, np.flip(rows, 1)])  # layers, the other one falling
    return cube(
        {"relative_distance": (("layer", "seed", "sigma"), rows)},
        sigma=[0.1, 0.2, 0.3, 0.4],
        seed=range(len(values)),
    )


def powers_of_sigma(values):
    sigma = np.geomspace(0.01, 1, 9)
    shift = sigma ** np.array(values)[:, None]
    variables = {
        "shift": (("seed", "sigma"), shift),
        "shift_forecast": ("sigma", sigma**3),
        # the last three cells are beyond the quadratic regime, and would bend the line
        "noise_moment": ("sigma", np.where(np.arange(9) < 6, 1e-6, 1)),
        "at_minimum": ("sigma", np.ones(9)),
    }
    bent = cube(variables, sigma=sigma, weight_decay=[0.01, 0.1], seed=range(len(values)))
    bent["shift"] = bent["shift"].where(bent["sigma"] < sigma[6], 1)
    return bent


def ordered(name, *dims):
    """The numbers of a variable in an order with weight decay for each seed; `dims` are of two values."""

    def make(values):
        table = np.array([ORDERS[value] for value in values])
        return cube(
            {
                name: (
                    (*dims, "seed", "weight_decay"),
                    np.broadcast_to(table, (*[2] * len(dims), *table.shape)),
                )
            },
            seed=range(len(values)),
            **DECAYS,
        )

    return make


def spectra(heads, tails):
    """Spectra (head, tail) of the first layer over three snapshots; the second layer has no tail.

    heads, tails : seed, weight decay, snapshot; the middle snapshot must not count.
    """
    s = np.full((*np.shape(heads), 2, 3), np.nan)
    s[..., 0, 0], s[..., 0, 1], s[..., 0, 2] = heads, 1e-3, tails
    s[..., 1, 0], s[..., 1, 1] = heads, 1e-3
    dims = ("seed", "weight_decay", "snapshot", "layer", "index")
    return cube(
        {"snapshot_singular_values": (dims, s)},
        seed=range(s.shape[0]),
        weight_decay=DECAYS["weight_decay"][: s.shape[1]],
    )


def changing_tails(values):
    """Of a tail t over a head with t^2 + h^2 = 1 the relative tail is t."""
    tails = np.array([[[0.1, 0.5, 0.1 * 10**change] for change in (0.3, value)] for value in values])
    return spectra(np.sqrt(1 - tails**2), tails)


def ordered_tails(values):
    changes = [
        [np.array((0.1, 0.5, 0.1 * 10 ** (place / 10))) for place in ORDERS[value]] for value in values
    ]
    return spectra(np.sqrt(1 - np.square(changes)), changes)


def changing_heads(values):
    heads = np.array([[[2, 9, 2 * 10**change] for change in (value - 0.5, value + 0.5)] for value in values])
    return spectra(heads, np.full(heads.shape, 0.1))


def falling_wcss(values):
    """The first source, the data, does not change and must not count."""
    wcss = np.array([[[7, 7, 7], [1, 3, 3 * 10**value], [3, 1, 3 * 10**value]] for value in values])
    return cube({"snapshot_wcss": (("seed", "source", "snapshot"), wcss)}, seed=range(len(values)))


def ordered_wcss(values):
    wcss = ordered("wcss_class", "source")(values)
    wcss["wcss_class"] = wcss["wcss_class"].where(wcss["source"] > 0, wcss["weight_decay"])
    return wcss


def growing_with_width(values, less=0.0):
    """Rank width^value at the largest weight decay and width^less at the smallest, in the middle layer."""
    widths = np.array([4, 8, 16, 32])
    rank = np.array([[widths**less, widths ** (less + 1), widths ** (less + value)] for value in values])
    rank = np.stack([np.exp(rank / 99), rank, np.log(widths) + 0 * rank], -1)
    return cube(
        {"stable_rank": (("seed", "weight_decay", "width", "layer"), rank)},
        seed=range(len(values)),
        width=widths,
        weight_decay=[0.001, 0.01, 0.1],
    )


def ordered_ranks(values):
    """Of three layers the middle one is in order, the others are in order of weight decay."""
    ranks = ordered("stable_rank")(values)
    layers = xr.DataArray([0.0, 1.0, 0.0], dims="layer", coords={"layer": [1, 2, 3]})
    ranks["stable_rank"] = ranks["stable_rank"] * layers + ranks["weight_decay"] * (1 - layers)
    return ranks


def growing_with_depth(values):
    """Mean depth^value over as many layers as the network has, in unequal parts; missing beyond."""
    depths, layers = np.array([2, 3, 5]), np.arange(1, 6)
    parts = np.where(layers <= depths[:, None], layers / (depths[:, None] + 1) * 2, np.nan)
    rank = np.array([depths[:, None] ** value * parts for value in values])
    return cube({"stable_rank": (("seed", "depth", "layer"), rank)}, seed=range(len(values)), depth=depths)


# statistic: the cube, what lies within the limits, what outside, what on both sides, and the limits
KNOWN = {
    "cliff": (plane_with_cliff, (0.7, 0.75, 0.8), (0.34, 0.36, 0.4), (0.4, 0.5, 0.9), 0.5, None),
    "slope_in_sigma": (powers_of_sigma, (2.01, 1.99, 2), (3, 2.9, 3.1), (2, 2, 2.4), 1.9, 2.1),
    "shift_trend": (ordered("shift"), (-1, -1, -1), (1, 0.6, 1), (-1, 0, -1), None, -0.9),
    "tail_change": (changing_tails, (-1, -1.1, -1.2), (0.1, 0, -0.1), (-2, -0.1, -0.2), None, -0.3),
    "tail_trend": (ordered_tails, (-1, -1, -1), (0, 0.6, 0), (-1, -1, -0.6), None, -0.9),
    "head_change": (changing_heads, (0.1, 0, -0.1), (1, 1.2, 1.1), (0.1, 0.1, 0.5), -0.3, 0.3),
    "wcss_change": (falling_wcss, (-0.5, -0.6, -0.5), (0, 0, 0), (0, -0.4, -0.3), None, -0.1),
    "wcss_trend": (ordered_wcss, (-1, -1, -1), (0, 0.6, 1), (-1, -0.6, 1), None, -0.9),
    "width_growth": (growing_with_width, (0.1, 0, 0.2), (1, 0.9, 1), (0.3, 0.6, 0.6), -0.5, 0.5),
    "width_growth_difference": (
        lambda values: growing_with_width(values, less=0.7),
        *((-0.5, -0.6, -0.6), (0.2, 0.3, 0.2), (-0.1, 0.1, 0), None, 0),
    ),
    "rank_trend": (ordered_ranks, (-1, -1, -1), (0, 0, 0), (-0.6, -1, -1), None, -0.9),
    "depth_growth": (growing_with_depth, (-0.2, -0.25, -0.2), (0.5, 0.6, 0.5), (0.1, 0, -0.1), None, 0),
}


def claim(statistic, least=None, most=None, level=0.95, **more):
    options = {"saturation": 0.02} if statistic == "slope_in_sigma" else {}
    return {
        **{"statistic": statistic, "of": ["known"], "at": {}, "says": "so it is"},
        **{"least": least, "most": most, "level": level, **options, **more},
    }


def value(statistic, measured):
    return judge({"it": measured}, {"it": claim(statistic, most=0)})["statistic"].values.ravel()


def test_every_statistic_has_a_known_answer_and_is_in_the_configuration():
    kinds = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))["$defs"]["claim"]["kinds"]
    assert set(STATISTICS) == set(KNOWN) == set(kinds)
    for name, statistic in STATISTICS.items():
        assert kinds[name].get("cube", "measures") == statistic.cube
        assert set(kinds[name].get("properties", {})) == set(statistic.options)


@pytest.mark.parametrize("statistic", KNOWN)
def test_a_claim_is_confirmed_denied_or_undecided(statistic):
    make, inside, outside, both, least, most = KNOWN[statistic]
    cubes = {"confirmed": make(inside), "denied": make(outside), "undecided": make(both)}
    judged = judge(cubes, dict.fromkeys(cubes, claim(statistic, least, most)))
    np.testing.assert_allclose(judged["statistic"], [inside, outside, both], atol=1e-9)
    assert [Verdict(code).name.lower() for code in judged["verdict"].values] == list(cubes)


def test_intervals_are_those_of_scipy():
    values = np.random.default_rng(0).normal(3, 2, 7)
    for level in (0.5, 0.95):
        low, high = scipy.stats.t.interval(level, 6, values.mean(), scipy.stats.sem(values))
        np.testing.assert_allclose(student_interval([*values, np.nan], level), [values.mean(), low, high])
    judged = judge({"it": powers_of_sigma(values)}, {"it": claim("slope_in_sigma", most=0, level=0.8)})
    ends = scipy.stats.t.interval(0.8, 6, values.mean(), scipy.stats.sem(values))
    np.testing.assert_allclose([judged["low"].item(), judged["high"].item()], ends)


@pytest.mark.parametrize(("values", "mean"), [([], np.nan), ([np.nan], np.nan), ([2.0, np.nan], 2.0)])
def test_one_observation_has_no_interval(values, mean):
    np.testing.assert_equal(student_interval(values), (mean, np.nan, np.nan))


def test_one_seed_decides_nothing():
    judged = judge({"it": growing_with_depth([-0.2])}, {"it": claim("depth_growth", most=0)})
    assert judged["mean"].item() == pytest.approx(-0.2)
    assert judged["verdict"] == Verdict.UNDECIDED


def test_a_step_of_the_cliff_is_between_neighbours_that_converged():
    sigma = np.arange(1, 7) / 10
    # 0.1 to 0.9 over a cell that stopped; the largest step of neighbours is 0.2
    row = [0.0, 0.1, 0.5, 0.9, 0.9, 1.1]
    plane = cube({"relative_distance": (("layer", "sigma"), [row])}, sigma=sigma)
    plane["status"][..., 2, :, :, :] = Status.STOPPED
    np.testing.assert_allclose(value("cliff", plane), 0.2 / 1.1)


@pytest.mark.parametrize(
    ("row", "stopped"),
    [
        ([0.4, 0.5, 0.6, 0.65], []),  # no transition
        ([0.1, 0.5, 0.9, 0.9], [1, 3]),  # two cells left
        ([0.1, 0.3, 0.5, 0.7, 0.9], [1, 3]),  # no neighbours left
    ],
)
def test_a_row_without_a_step_has_no_cliff(row, stopped):
    plane = cube({"relative_distance": (("layer", "sigma"), [row])}, sigma=np.arange(1, len(row) + 1))
    plane["status"][0, stopped] = Status.STOPPED
    assert np.isnan(value("cliff", plane))


def test_the_order_of_values_in_the_grid_does_not_matter():
    for statistic, (make, values, *_) in KNOWN.items():
        measured = make(values)
        turned = measured.isel({axis: slice(None, None, -1) for axis in ("weight_decay", "sigma", "width")})
        np.testing.assert_allclose(value(statistic, turned), value(statistic, measured), err_msg=statistic)


def test_what_does_not_change_has_no_trend():
    shift = cube({"shift": (("width", "weight_decay"), [[1, 1, 1, 1], [4, 3, 2, 1]])}, width=[4, 8], **DECAYS)
    assert value("shift_trend", shift) == -1
    assert np.isnan(value("shift_trend", shift.isel(width=[0])))
    assert np.isnan(value("shift_trend", shift.isel(weight_decay=[0, 1])))


def test_the_end_is_the_last_snapshot_that_a_network_has():
    wcss = [[7, 7, 7, 7], [1, 3, 0.3, np.nan]]
    early = cube({"snapshot_wcss": (("source", "snapshot"), wcss)})
    np.testing.assert_allclose(value("wcss_change", early), -1)


def test_networks_that_an_experiment_lacks_do_not_count():
    """Two experiments that cross: other depths at one width, other widths at one depth."""
    deep, wide = growing_with_depth([0.5]), growing_with_width([0.2])
    wide["stable_rank"] = wide["stable_rank"] * 10
    joined = join_cubes([deep.assign_coords(width=[64]), wide])
    np.testing.assert_allclose(value("depth_growth", joined), 0.5)
    # at depths 2 and 5 there is one width; at 3 there are five, and the one of `deep` would bend the line
    np.testing.assert_allclose(value("width_growth", joined.sel(width=wide["width"])), 0.2)


@pytest.mark.parametrize("statistic", KNOWN)
def test_a_cube_with_too_little_has_no_statistic(statistic):
    make, (first, *_), *_ = KNOWN[statistic]
    little = make([first]).isel(
        weight_decay=[0], sigma=[0], width=[0], depth=[0], source=slice(1), missing_dims="ignore"
    )
    if statistic == "head_change":  # needs no second network
        little["snapshot_singular_values"] = little["snapshot_singular_values"] * np.nan
    elif statistic == "tail_change":
        little = little.sel(index=[1, 2])
    assert np.isnan(value(statistic, little))


def test_a_statistic_says_what_its_cube_lacks():
    with pytest.raises(
        ValueError, match=r"^claim it: .* no shift and no noise_moment, which slope_in_sigma takes"
    ):
        value("slope_in_sigma", powers_of_sigma([2]).drop_vars(["shift", "noise_moment"]))


class TestQuadraticSlopes:
    def test_the_regime_is_where_the_noise_is_small_beside_weight_decay(self):
        """A direction's shift c / (c + lambda) with c = sigma^2 loses at most its saturation of slope 2."""
        sigma, lam, saturation = np.geomspace(0.01, 1, 101), 0.1, 0.05
        shift = cube({"noise_moment": ("sigma", sigma**2)}, sigma=sigma, weight_decay=[lam])
        mask = quadratic(shift, saturation)
        assert mask.dims == tuple(AXES)
        slope = 2 * lam / (sigma**2 + lam)
        np.testing.assert_array_equal(mask.squeeze(), slope >= 2 * (1 - saturation))

    def test_cells_elsewhere_beyond_or_without_noise_are_left_out(self):
        sigma = np.array([0, 0.01, 0.02, 0.04, 0.08, 1])
        shift = cube(
            {
                "shift": ("sigma", [0, 1, 4, 99, 64, 99]),
                "shift_forecast": ("sigma", [0, 1, 8, 99, 512, 99]),
                "noise_moment": ("sigma", [0, 1e-6, 1e-6, 1e-6, 1e-6, 1]),
                "at_minimum": ("sigma", [1, 1, 1, 0, 1, 1]),
            },
            sigma=sigma,
        )
        (row,) = quadratic_slopes(shift, 0.02).to_dict("records")
        assert row == pytest.approx({"weight_decay": 0.1, "seed": 0, "slope": 2, "forecast": 3, "cells": 3})
        squeezed = shift.squeeze(["width", "depth"])
        assert quadratic_slopes(squeezed, 0.02).to_dict("records") == [row]
        assert quadratic_slopes(shift.isel(sigma=slice(4)), 0.02).empty

    @pytest.mark.parametrize("axis", ["width", "depth"])
    def test_networks_of_two_shapes_have_no_one_slope(self, axis):
        with pytest.raises(ValueError, match=f"slopes are fitted for one {axis}, but there are 2"):
            quadratic_slopes(powers_of_sigma([2]).isel({axis: [0, 0]}), 0.02)


def told(tmp_path, claims, **cubes):
    """What the program writes of some claims: the dataset, and the rows of the table."""
    for name, measured in cubes.items():
        measured = measured.assign_attrs(experiment=name)
        for variable in measured.variables.values():
            variable.attrs = {"long_name": "known", "units": "1", **variable.attrs}
        store.save(measured, tmp_path / f"{name}.nc")
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"experiment": "claims", "claims": claims}))
    kinds = [f"{name}/{kind}" for name in cubes for kind in ("measures", "shift")]
    given = [f"{kind}={tmp_path / kind.split('/')[0]}.nc" for kind in kinds]
    ends = ["--output", str(tmp_path / "claims.nc"), "--markdown", str(tmp_path / "claims.md")]
    arguments = ["--settings", str(settings), "--cubes", *given, *ends]
    judge_claims.main(judge_claims.arguments().parse_args(arguments))
    header, _, *lines = (tmp_path / "claims.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in (header, *lines)]
    return store.load(tmp_path / "claims.nc"), [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def test_the_program_joins_selects_and_tells(tmp_path):
    wide = growing_with_width([0.1, 0.3, 0.2])
    wide["status"][0, 0, 0, 0, :] = Status.STOPPED
    wide["ended"][0, 0, 0, 0, :] = [Ended.DIVERGED, Ended.PASSES, Ended.PASSES]
    wide["status"][0, 0, 1, 0, 0] = Status.DEAD
    claims = {
        "growth": claim("width_growth", least=-0.5, most=0.5, of=["narrow", "wide"], at={"seed": [0, 1, 2]}),
        "all of it": claim("width_growth", most=0.1, of=["wide"], at={"seed": [1]}, says="|x| is one seed"),
        "slope": claim("slope_in_sigma", least=1.9, of=["linear"]),
    }
    judged, (first, second, third) = told(
        tmp_path,
        claims,
        narrow=wide.isel(width=[0, 1]),
        wide=wide.isel(width=[2, 3]),
        linear=powers_of_sigma([2, 2]),
    )
    assert first == {
        "claim": "so it is",
        "experiments": "narrow, wide; seed 0, 1, 2",
        "statistic": STATISTICS["width_growth"].measure,
        "mean": "0.2",
        "interval": "-0.0484 to 0.448",
        "seeds": "3",
        "not converged": "2 stopped, 1 diverged, 1 dead of 36",
        "confirmed if": "at least -0.5 and at most 0.5",
        "verdict": "confirmed",
    }
    assert (second["interval"], second["seeds"], second["verdict"]) == ("unknown", "1", "undecided")
    assert second["claim"] == r"\|x\| is one seed"
    assert (second["not converged"], second["confirmed if"]) == ("none of 6", "at most 0.1")
    assert third["seeds"] == "2"
    assert judged["claim"].values.tolist() == list(claims)
    assert judged["statistic"].isnull().values.tolist() == [
        [False] * 3,
        [True, False, True],
        [False, False, True],
    ]
    assert [judged[name].values[0] for name in ("cells", "stopped", "diverged", "dead")] == [36, 2, 1, 1]
    assert yaml.safe_load(judged.attrs["settings"])["claims"] == claims


def test_no_claims_are_a_file_and_a_table_without_rows(tmp_path):
    judged, rows = told(tmp_path, {})
    assert dict(judged.sizes) == {"claim": 0, "seed": 0}
    assert rows == []


def test_the_program_names_the_claim_that_cannot_be_judged(tmp_path):
    wide = growing_with_width([0.1, 0.3])
    with pytest.raises(ValueError, match=r"^claim bad: --cubes gives no elsewhere/measures"):
        told(tmp_path, {"bad": claim("width_growth", of=["wide", "elsewhere"])}, wide=wide)
    with pytest.raises(ValueError, match=r"^claim bad: at.width is 5, but must be one of 4, 8, 16, 32"):
        told(tmp_path, {"bad": claim("width_growth", of=["wide"], at={"width": 5})}, wide=wide)
    assert not list(tmp_path.glob("claims.*"))
