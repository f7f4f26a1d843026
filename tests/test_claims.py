import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import yaml

import judge_claims
from nrc import store
from nrc.claims import STATISTICS, Verdict, judge
from nrc.cubes import join_cubes
from nrc.ended import Ended, Status
from support.known_cubes import DECAYS, KNOWN, cube, growing_with_depth, growing_with_width, powers_of_sigma

SCHEMA = Path(__file__).parents[1] / "workflow/schemas/config.schema.yaml"


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


def test_the_interval_is_of_the_level_of_the_claim():
    values = np.random.default_rng(0).normal(3, 2, 7)
    judged = judge({"it": powers_of_sigma(values)}, {"it": claim("slope_in_sigma", most=0, level=0.8)})
    ends = scipy.stats.t.interval(0.8, 6, values.mean(), scipy.stats.sem(values))
    np.testing.assert_allclose([judged["low"].item(), judged["high"].item()], ends)


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


def told(tmp_path, claims, **cubes):
    """What the program writes of some claims: the dataset, and the rows of the table."""
    for name, measured in cubes.items():
        measured = measured.assign_attrs(experiment=name)
        for variable in measured.variables.values():
            variable.attrs = {"long_name": "known", "units": "1", **variable.attrs}
        store.save(measured, tmp_path / f"{name}.nc")
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"experiment": "claims", "claims": claims}, sort_keys=False))
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
    assert (second["interval"], second["seeds"], second["verdict"]) == ("one seed", "1", "undecided")
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
