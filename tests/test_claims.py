import re
from itertools import permutations, product

from workflow.lib.program import call

import judge_claims
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import yaml

from nrc import kinds, netcdf
from nrc.claims.judge import Verdict, judge
from nrc.cubes import join_cubes
from nrc.fields import RANK_LABELS
from nrc.status import Status, TerminationReason
from support.known_cubes import (
    KNOWN,
    cube,
    falling_wcss,
    growing_with_depth,
    growing_with_width,
    in_order,
    of_widths,
    ordered_ranks,
    ordered_shifts,
    powers_of_sigma,
    rising,
    spectra,
)


def claim(statistic, at_least=None, at_most=None, **more):
    """A claim as the configuration has it."""
    limits = {"at_least": at_least, "at_most": at_most}
    return {"statistic": statistic, "of": ["known"], "statement": "so it is", **limits, **more}


def options(*arguments, **more):
    return judge_claims.parsed("it", claim(*arguments, **more))


def judged_alone(measured, *arguments, **more):
    return judge({"it": measured}, {"it": options(*arguments, **more)})


def values(statistic, measured, **more):
    """The statistic of each part and seed."""
    return judged_alone(measured, statistic, at_most=0, **more)["statistic"].values


def test_every_statistic_has_a_known_answer():
    assert set(kinds.names("claims.statistics")) == set(KNOWN)


@pytest.mark.parametrize("statistic", KNOWN)
def test_claims_with_known_statistics_are_judged(statistic):
    make, *seeds, least, most = KNOWN[statistic]
    cubes = dict(zip(("supported", "contradicted", "inconclusive"), map(make, seeds), strict=True))
    judged = judge(cubes, dict.fromkeys(cubes, options(statistic, least, most)))
    assert [Verdict(code).name.lower() for code in judged["verdict"].values] == list(cubes)
    for name, known in zip(cubes, seeds, strict=True):
        of_claim = judged.isel(part=(judged["of_claim"] == name).values)
        assert of_claim.sizes["part"] > 0
        np.testing.assert_allclose(of_claim["statistic"], [known] * of_claim.sizes["part"], atol=1e-5)
        assert {Verdict(code).name.lower() for code in of_claim["part_verdict"].values} == {name}


@pytest.mark.parametrize("statistic", KNOWN)
def test_a_claim_with_two_seeds_is_inconclusive(statistic):
    make, (first, second, _), *_, least, most = KNOWN[statistic]
    judged = judged_alone(make([first, second]), statistic, least, most)
    assert (judged["part_verdict"] == Verdict.INCONCLUSIVE).all()
    assert judged["verdict"] == Verdict.INCONCLUSIVE
    np.testing.assert_allclose(judged["mean"], (first + second) / 2, atol=1e-5)
    assert np.isnan([judged["low"], judged["high"], judged["chance"]]).all()


def test_the_interval_is_of_the_level_of_the_claim():
    known = np.random.default_rng(0).normal(3, 2, 7)
    judged = judged_alone(powers_of_sigma(known), "slope_in_sigma", at_most=0, level=0.8)
    ends = scipy.stats.t.interval(0.8, 6, known.mean(), scipy.stats.sem(known))
    np.testing.assert_allclose(judged[["low", "high"]].to_array().T, [ends] * 2)


@pytest.mark.parametrize("known", [(-1, -1, -1), (-1, -0.6, -1), (0, -0.6, 0.6)])
def test_chance_is_the_share_of_all_orders_that_agree_as_well(known):
    """Page's L of all 24^3 triples of orders of four weight decays."""
    judged = judged_alone(ordered_ranks(known), "rank_trend", at_most=-0.9, rank=["stable_rank"])
    orders = np.array(list(permutations(range(1, 5)))) @ np.arange(4, 0, -1)
    sums = np.array([sum(triple) for triple in product(orders, repeat=3)])
    ours = judged_alone(ordered_ranks(known), "rank_trend", at_most=0)["statistic"].values[0]
    # a row's L is 30 at a correlation of -1 and 20 at 1
    found = sum(25 - 5 * rho for rho in ours)
    assert judged["chance"].item() == pytest.approx((sums >= found - 1e-9).mean())


def test_the_verdict_on_a_claim_follows_from_its_parts():
    mild, steep = [[0.1, 0.1, 0.1]] * 3, [[0.1, 0.1, 0.9]] * 3
    for powers, verdict in ((mild, Verdict.SUPPORTED), (steep, Verdict.CONTRADICTED)):
        assert judged_alone(of_widths(powers), "width_growth", -0.25, 0.25)["verdict"] == verdict
    judged = judged_alone(of_widths(np.flip(steep, 1)), "width_growth", -0.25, 0.25, weight_decays="largest")
    assert judged["verdict"] == Verdict.SUPPORTED, "other weight decays do not count"
    contradicted = judged["part_verdict"] == Verdict.CONTRADICTED
    assert set(judged["weight_decay"].values[contradicted]) == {0.001}
    assert judged["counts"].values.tolist() == [False, False, True] * 4


def test_a_flat_noisy_curve_does_not_fall():
    """Of 300 flat curves with noise of 20% few pass for falling by a fifth."""
    rng = np.random.default_rng(0)
    supported = 0
    for _ in range(300):
        flat = falling_wcss([1, 1, 1])
        flat["snapshot_wcss"] *= np.exp(rng.normal(0, 0.2, flat["snapshot_wcss"].shape))
        supported += judged_alone(flat, "wcss_change", at_most=0.8)["verdict"].item() == Verdict.SUPPORTED
    assert supported < 15


def test_heads_of_several_layers_do_not_cancel():
    """One layer's share grows and the other's falls; and so does the second of two singular values."""
    s = np.array([[[1, 1, 1.0], [1, 1, 4.0]], [[4, 1, 1.0], [1, 4, 4.0]]])  # snapshot, layer, index
    made = cube({"snapshot_singular_values": (("snapshot", "layer", "index"), s)}).assign_attrs(clusters=3)
    shares = s / np.linalg.norm(s, axis=-1, keepdims=True)
    least = (shares[1] / shares[0])[:, :2].min()
    assert least < 0.6
    np.testing.assert_allclose(values("head_change", made), least)


def test_a_transition_is_bracketed_by_converged_networks():
    plane = rising([0.2])
    np.testing.assert_allclose(values("transition_width", plane), 0.2)
    np.testing.assert_allclose(values("transition_width", rising([0.2], between=0.6), to=0.5), 0.05)
    # the last cell at 0 and the first at 1 did not converge: neighbours farther out hold the transition
    plane["status"][:, [4, 8]] = Status.STOPPED
    np.testing.assert_allclose(values("transition_width", plane), 0.3)


@pytest.mark.parametrize(
    ("widths", "verdict"),
    [
        ([0.2, 0.2, 0.2], Verdict.SUPPORTED),
        # narrower in one seed
        ([0.2, 0.1, 0.2], Verdict.SUPPORTED),
        ([0.2, 0.2, 0.25], Verdict.INCONCLUSIVE),
        ([0.4, 0.4, 0.2], Verdict.INCONCLUSIVE),
        ([0.4, 0.6, 0.4], Verdict.CONTRADICTED),
        ([0.2, 0.2], Verdict.INCONCLUSIVE),
    ],
)
def test_a_number_between_two_ends_is_judged_by_the_range_over_seeds(widths, verdict):
    judged = judged_alone(rising(widths), "transition_width", at_most=0.2)
    assert judged["verdict"] == verdict
    if len(widths) >= 3:
        np.testing.assert_allclose(judged["low"], min(widths) - 0.1, atol=1e-9)
        np.testing.assert_allclose(judged["high"], max(widths))


@pytest.mark.parametrize(
    "row", [[0.4, 0.5, 0.6, 0.65], [0.9, 0.9, 0.9, 0.9], [0.5, 0.1, 0.9, 0.9], [np.nan, np.nan, 0.1, 0.9]]
)
def test_a_row_without_a_transition_on_the_grid_has_no_width(row):
    plane = cube({"relative_distance": (("layer", "sigma"), [row])}, sigma=[0.1, 0.2, 0.4, 0.8])
    assert np.isnan(values("transition_width", plane)).all()


def test_networks_at_other_minima_count_unless_the_claim_excludes_them():
    known = powers_of_sigma([2])
    known["shift"][{"sigma": 0}] = 1
    known["at_minimum"][{"sigma": 0}] = 0
    assert (values("slope_in_sigma", known) < 1.9).all()
    np.testing.assert_allclose(values("slope_in_sigma", known, minima="global"), 2)
    shifts = ordered_shifts([-1]).isel(sigma=[0, 0]).assign_coords(sigma=[0.1, 0.2])
    shifts["shift"][{"sigma": 1, "weight_decay": 3}] = 1e9
    shifts["at_minimum"][{"sigma": 1, "weight_decay": 3}] = 0
    assert values("shift_trend", shifts) > -1
    assert values("shift_trend", shifts, minima="global") == -1


def test_the_order_of_values_in_the_grid_does_not_matter():
    for statistic, (make, known, *_) in KNOWN.items():
        measured = make(known)
        axes = ("weight_decay", "sigma", "width", "depth")
        turned = measured.isel({axis: slice(None, None, -1) for axis in axes})
        np.testing.assert_allclose(values(statistic, turned), values(statistic, measured), err_msg=statistic)


def test_constant_numbers_and_two_weight_decays_have_no_order():
    flat = in_order(["shift"], (), [-1] * 3)
    flat["at_minimum"], flat["shift"] = flat["status"] + np.int8(1), 0 * flat["shift"] + 1
    judged = judged_alone(flat, "shift_trend", at_most=-0.9)
    assert judged["mean"].item() == 0
    assert judged["verdict"] == Verdict.INCONCLUSIVE
    assert np.isnan(values("shift_trend", ordered_shifts([-1] * 3).isel(weight_decay=[0, 1]))).all()


def test_the_end_is_the_last_snapshot_that_a_network_has():
    wcss = [[7, 7, 7, 7], [1, 3, 0.3, np.nan]]
    early = cube({"snapshot_wcss": (("source", "snapshot"), wcss)})
    np.testing.assert_allclose(values("wcss_change", early), 0.1)


def test_missing_cells_of_joined_experiments_do_not_count():
    """Two experiments that cross: other depths at one width, other widths at one depth."""
    deep, wide = growing_with_depth([0.5]), growing_with_width([0.2]).sel(weight_decay=[0.001])
    wide = wide.assign_coords(weight_decay=[0.1])
    for name in list(RANK_LABELS)[:4]:
        wide[name] = wide[name] * 10
    joined = join_cubes([deep.assign_coords(width=[64]), wide])
    np.testing.assert_allclose(values("depth_growth", joined), 0.5)
    # at depths 2 and 5 there is one width; at 3 there are five, and the one of `deep` would bend the line
    np.testing.assert_allclose(values("width_growth", joined.sel(width=wide["width"])), 0.2)


@pytest.mark.parametrize("statistic", KNOWN)
def test_a_cube_with_too_few_cells_has_no_statistic(statistic):
    make, (first, *_), *_ = KNOWN[statistic]
    little = make([first]).isel(
        weight_decay=[0], sigma=[0], width=[0], depth=[0], source=slice(2), missing_dims="ignore"
    )
    if statistic in ("head_change", "tail_change"):  # need no second network
        little["snapshot_singular_values"] = little["snapshot_singular_values"] * np.nan
    if statistic == "wcss_change":
        little = little.isel(snapshot=[0])
    judged = judged_alone(little, statistic, at_most=0)
    assert judged["statistic"].isnull().all()
    assert judged["verdict"] == Verdict.INCONCLUSIVE


def test_a_layer_without_a_tail_is_not_a_part():
    made = spectra(np.ones((3, 4, 3)), np.full((3, 4, 3), 0.1))
    assert judged_alone(made, "tail_trend", at_most=-0.9)["what"].values.tolist() == ["layer 1"]


def test_a_missing_variable_is_named():
    with pytest.raises(
        ValueError, match=r"^claim it: .* no shift and no noise_moment, which slope_in_sigma takes"
    ):
        values("slope_in_sigma", powers_of_sigma([2]).drop_vars(["shift", "noise_moment"]))


def judged_by_program(tmp_path, claims, **cubes):
    """The files of the program: the dataset, the table of parts, the page."""
    for name, measured in cubes.items():
        measured = measured.assign_attrs(experiment=name)
        for variable in measured.variables.values():
            variable.attrs = {"long_name": "known", "units": "1", **variable.attrs}
        netcdf.save(measured, tmp_path / f"{name}.nc")
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"experiment": "claims", "claims": claims}, sort_keys=False))
    kinds = [f"{name}/{kind}" for name in cubes for kind in ("measures", "shift")]
    given = [f"{kind}={tmp_path / kind.split('/')[0]}.nc" for kind in kinds]
    ends = [f"--{name}={tmp_path / file}" for name, file in WRITTEN.items()]
    arguments = ["--settings", str(settings), "--cubes", *given, *ends]
    call(judge_claims.main, arguments)
    page = (tmp_path / "claims.md").read_text(encoding="utf-8")
    return netcdf.load(tmp_path / "claims.nc"), pd.read_csv(tmp_path / "claims.csv"), page


WRITTEN = {"output": "claims.nc", "table": "claims.csv", "markdown": "claims.md"}


def rows_of(table):
    """The rows of a Markdown table, each a mapping of its columns."""
    header, _, *lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in (header, *lines)]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def test_the_program_joins_selects_and_writes(tmp_path):
    wide = of_widths([[0.1, 0.2], [0.3, 0.2], [0.2, 0.2]])
    wide["status"][0, 0, 0, 0, :] = Status.STOPPED
    reasons = [TerminationReason.DIVERGED, TerminationReason.EPOCHS, TerminationReason.EPOCHS]
    wide["termination_reason"][0, 0, 0, 0, :] = reasons
    wide["status"][0, 0, 1, 0, 0] = Status.COLLAPSED_TO_ZERO
    seeds = {"seed": [0, 1, 2]}
    rank = {"rank": ["stable_rank", "exact_rank"]}
    claims = {
        "growth": claim("width_growth", -0.25, 0.25, of=["narrow", "wide"], at=seeds, **rank),
        "one": claim(
            "width_growth", at_most=0.1, of=["wide"], at={"seed": [1]}, statement="|x| is one seed", **rank
        ),
        "order": claim("rank_trend", at_most=-0.9, of=["ordered"], rank=["stable_rank"]),
    }
    judged, parts, page = judged_by_program(
        tmp_path,
        claims,
        narrow=wide.isel(width=[0, 1]),
        wide=wide.isel(width=[2, 3]),
        ordered=ordered_ranks([-1, -1, -1]),
    )
    summary, *sections = page.split("\n## ")
    first, second, third = rows_of(summary)
    assert first == {
        "claim": "growth",
        "statement": "so it is",
        "of": "narrow, wide",
        "parts": "2 supported, 2 inconclusive",
        "verdict": "**inconclusive**",
        "not converged": "2 stopped, 1 diverged, 1 collapsed to zero of 24",
    }
    assert (second["statement"], second["parts"]) == (r"\|x\| is one seed", "4 inconclusive")
    assert (third["verdict"], third["not converged"]) == ("**supported**", "none of 12")
    growth, one, order = map(rows_of, sections)
    least, most = scipy.stats.t.interval(0.95, 2, 0.2, scipy.stats.sem([0.1, 0.3, 0.2]))
    inconclusive = f"0.2 ({least:.3g} to {most:.3g}) inconclusive"
    assert growth == [
        {"weight decay": "0.001", "stable rank": inconclusive, "exact rank": inconclusive},
        {
            "weight decay": "0.01",
            **dict.fromkeys(("stable rank", "exact rank"), "0.2 (0.2 to 0.2) supported"),
        },
    ]
    assert one[0]["stable rank"] == "0.3, 1 seed: inconclusive"
    assert order == [{"weight decay": "all", "stable rank": "-1, chance 7.2e-05 supported"}]
    assert "(narrow, wide; seed 0, 1, 2; rank stable_rank, exact_rank)" in sections[0]
    assert "Supported if the 95% interval is at least -0.25 and at most 0.25." in sections[0]
    assert "Spearman's correlation is at most -0.9, at a chance of at most 0.05" in sections[2]
    assert max(map(len, page.splitlines())) < 250
    assert parts["claim"].tolist() == ["growth"] * 4 + ["one"] * 4 + ["order"]
    np.testing.assert_allclose(parts["mean"], judged["mean"])
    assert parts["verdict"].tolist() == [Verdict(c).name.lower() for c in judged["part_verdict"].values]
    assert judged["claim"].values.tolist() == list(claims)
    assert judged["statistic"].sel(seed=0).isnull().values.tolist() == [False] * 4 + [True] * 4 + [False]
    counts = [judged[name].values[0] for name in ("cells", "stopped", "diverged", "collapsed_to_zero")]
    assert counts == [24, 2, 1, 1]
    assert yaml.safe_load(judged.attrs["settings"])["claims"] == claims


def test_without_claims_the_files_have_no_rows(tmp_path):
    judged, parts, page = judged_by_program(tmp_path, {})
    assert dict(judged.sizes) == {"part": 0, "seed": 0, "claim": 0}
    assert len(parts) == 0
    assert rows_of(page) == []


def test_the_program_names_the_claim_that_cannot_be_judged(tmp_path):
    wide = growing_with_width([0.1, 0.3])
    with pytest.raises(ValueError, match=r"^claim bad: --cubes has no elsewhere/measures"):
        judged_by_program(
            tmp_path, {"bad": claim("width_growth", at_most=0, of=["wide", "elsewhere"])}, wide=wide
        )
    with pytest.raises(ValueError, match=r"^claim bad: at.width is 5, but must be one of 4, 8, 16, 32"):
        judged_by_program(
            tmp_path, {"bad": claim("width_growth", at_most=0, of=["wide"], at={"width": 5})}, wide=wide
        )
    assert not list(tmp_path.glob("claims.*"))
