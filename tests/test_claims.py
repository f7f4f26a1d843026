import re
from itertools import permutations, product

from workflow.lib.program import call

import judge_claims
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
import yaml

from nrc import kinds, netcdf
from nrc.claims import chance
from nrc.claims.judge import CHANCES, SHARE, Verdict, judge
from nrc.claims.statistics.rate import points
from nrc.cubes import join_cubes
from nrc.option_types import RANK_LABELS
from nrc.status import Status, TerminationReason
from support.known_cubes import (
    KNOWN,
    cube,
    falling_wcss,
    growing_with_depth,
    growing_with_width,
    in_order,
    jumping,
    of_widths,
    ordered_ranks,
    ordered_shifts,
    power_law,
    powers_of_sigma,
    spectra,
)


def claim(statistic, **options):
    """A claim as the configuration has it."""
    return {"statistic": statistic, "of": ["known"], "statement": "so it is", **options}


def options(statistic, **more):
    return judge_claims.parsed("it", claim(statistic, **more))


def judged_alone(measured, statistic, **more):
    return judge({"it": measured}, {"it": options(statistic, **more)})


def values(statistic, measured, **more):
    """The statistic of each part and seed."""
    return judged_alone(measured, statistic, **{**KNOWN[statistic][-1], **more})["statistic"].values


def test_every_statistic_has_a_known_answer():
    missing = set(kinds.names("claims.statistics")) - set(KNOWN)
    assert not missing, "add a cube with a known answer to KNOWN in tests/support/known_cubes.py"


@pytest.mark.parametrize("statistic", KNOWN)
def test_claims_with_known_statistics_are_judged(statistic):
    make, *seeds, asked = KNOWN[statistic]
    cubes = dict(zip(("supported", "contradicted", "inconclusive"), map(make, seeds), strict=True))
    judged = judge(cubes, dict.fromkeys(cubes, options(statistic, **asked)))
    assert [Verdict(code).name.lower() for code in judged["verdict"].values] == list(cubes)
    for name, known in zip(cubes, seeds, strict=True):
        of_claim = judged.isel(part=(judged["of_claim"] == name).values)
        assert of_claim.sizes["part"] > 0
        np.testing.assert_allclose(of_claim["statistic"], [known] * of_claim.sizes["part"], atol=1e-5)
        assert {Verdict(code).name.lower() for code in of_claim["part_verdict"].values} == {name}


@pytest.mark.parametrize("statistic", KNOWN)
def test_a_claim_with_two_seeds_is_inconclusive(statistic):
    make, (first, second, _), *_, asked = KNOWN[statistic]
    judged = judged_alone(make([first, second]), statistic, **asked)
    assert (judged["part_verdict"] == Verdict.INCONCLUSIVE).all()
    assert judged["verdict"] == Verdict.INCONCLUSIVE
    np.testing.assert_allclose(judged["mean"], (first + second) / 2, atol=1e-5)
    assert judged[["low", "high", *CHANCES]].to_array().isnull().all()


def test_the_interval_is_of_the_level_of_the_claim():
    known = np.random.default_rng(0).normal(3, 2, 7)
    judged = judged_alone(powers_of_sigma(known), "slope_in_sigma", at_most=0, level=0.8)
    ends = scipy.stats.t.interval(0.8, 6, known.mean(), scipy.stats.sem(known))
    np.testing.assert_allclose(judged[["low", "high"]].to_array().T, [ends] * 2)


def test_chances_of_numbers_are_of_students_test_on_either_side():
    known = np.random.default_rng(0).normal(0.3, 0.1, 5)
    judged = judged_alone(growing_with_depth(known), "depth_growth", at_least=-0.25, at_most=0.25)
    below, above = (
        scipy.stats.ttest_1samp(known, limit, alternative=side).pvalue
        for limit, side in ((0.25, "less"), (0.25, "greater"))
    )
    assert judged["chance_if_false"].item() == pytest.approx(below)
    assert judged["chance_if_true"].item() == pytest.approx(min(1, 2 * above))


@pytest.mark.parametrize("known", [(-1, -1, -1), (-1, -0.6, -1), (0, -0.6, 0.6)])
def test_chance_of_an_order_is_the_share_of_all_orders_that_agree_as_well(known):
    """Page's L of all 24^3 triples of orders of four weight decays."""
    judged = judged_alone(ordered_ranks(known), "rank_trend", trend="falls")
    orders = np.array(list(permutations(range(1, 5)))) @ np.arange(4, 0, -1)
    sums = np.array([sum(triple) for triple in product(orders, repeat=3)])
    # a row's L is 30 at a correlation of -1 and 20 at 1
    found = sum(25 - 5 * rho for rho in judged["statistic"].values[0])
    assert judged["chance_if_false"].item() == pytest.approx((sums >= found - 1e-9).mean())
    assert judged["chance_if_true"].item() == pytest.approx((sums <= found + 1e-9).mean())


def of_parts(numbers):
    """A claim with a number for each part and seed: slopes at as many weight decays."""
    numbers = np.asarray(numbers, float)
    made = of_widths(np.zeros((numbers.shape[1], 3))).isel(weight_decay=[0] * len(numbers))
    made = made.assign_coords(weight_decay=np.geomspace(0.001, 1, len(numbers)))
    slopes = xr.DataArray(numbers.T, dims=("seed", "weight_decay"))
    made["stable_rank"] = (made["width"] ** slopes * xr.ones_like(made["stable_rank"])).transpose(
        *made["stable_rank"].dims
    )
    return made


MILD, STEEP = [0.01, 0, -0.01], [1.01, 1, 0.99]


@pytest.mark.parametrize(
    ("steep", "verdict"),
    [
        (0, Verdict.SUPPORTED),
        (1, Verdict.SUPPORTED),
        (19, Verdict.SUPPORTED),
        (20, Verdict.CONTRADICTED),
        (80, Verdict.CONTRADICTED),
    ],
)
def test_a_claim_is_contradicted_by_a_quarter_of_its_parts_and_not_by_one_of_80(steep, verdict):
    made = of_parts([STEEP] * steep + [MILD] * (80 - steep))
    judged = judged_alone(made, "width_growth", at_least=-0.5, at_most=0.5)
    assert judged.sizes["part"] == 80
    assert (judged["part_verdict"] == Verdict.CONTRADICTED).sum() == steep
    assert judged["verdict"] == verdict


def test_a_claim_with_parts_that_are_not_decided_is_inconclusive():
    vague = [-1, 0, 1]
    for vague_parts, verdict in ((1, Verdict.INCONCLUSIVE), (0, Verdict.SUPPORTED)):
        made = of_parts([vague] * vague_parts + [MILD] * (4 - vague_parts))
        assert judged_alone(made, "width_growth", at_least=-0.5, at_most=0.5)["verdict"] == verdict


def test_chances_are_corrected_for_the_number_of_parts():
    """Holm's procedure, by statsmodels' definition: the k-th smallest of n times n - k + 1, and no smaller before."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(0.2, 0.3, (5, 4))
    judged = judged_alone(of_parts(numbers), "width_growth", at_least=0)
    raw = np.sort([scipy.stats.ttest_1samp(row, 0, alternative="greater").pvalue for row in numbers])
    corrected = [max((5 - i) * raw[i] for i in range(k + 1)) for k in range(5)]
    np.testing.assert_allclose(np.sort(judged["chance_if_false"]), np.minimum(1, corrected))


def falsely_supported(draw, cases=2000):
    """Share of cases in which a claim is supported, with corrected chances of parts that `draw` gives."""
    rng = np.random.default_rng(0)
    chances = [chance.holm(draw(rng)) for _ in range(cases)]
    return np.mean([(parts <= 0.05).mean() > 1 - SHARE for parts in chances])


def test_permuted_weight_decays_support_a_claim_in_at_most_a_twentieth_of_cases():
    """Exact for three seeds and four weight decays: the share of orders with such a chance."""
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.broadcast_to([1.0, 2, 3, 4], (400, 3, 4)), axis=2)
    known = np.array([chance.falling(table) for table in orders])
    assert 0 < (known <= 0.05).mean() <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    for parts in (1, 4, 12):
        assert falsely_supported(lambda rng, parts=parts: rng.choice(known, parts), 400) <= 0.07


@pytest.mark.parametrize("parts", [1, 4, 8])
def test_a_claim_that_is_false_in_a_quarter_of_its_parts_is_seldom_supported(parts):
    """The other parts are true beyond doubt, and these are at the limit."""
    false = -(-parts // 4)

    def draw(rng):
        at_limit = rng.normal(0.5, 0.1, (false, 3))
        return [chance.within(numbers, -np.inf, 0.5) for numbers in at_limit] + [0] * (parts - false)

    assert falsely_supported(draw) <= 0.05 + 2 * (0.05 * 0.95 / 2000) ** 0.5


def test_other_weight_decays_do_not_count_for_a_claim_about_the_largest():
    made = of_parts([STEEP, STEEP, MILD])
    judged = judged_alone(made, "width_growth", at_least=-0.25, at_most=0.25, weight_decays="largest")
    assert judged["verdict"] == Verdict.SUPPORTED
    assert judged["part_verdict"].values.tolist() == [
        Verdict.CONTRADICTED,
        Verdict.CONTRADICTED,
        Verdict.SUPPORTED,
    ]
    assert judged["counts"].values.tolist() == [False, False, True]


def test_the_head_is_the_norm_of_the_first_k_singular_values_of_a_layer_that_has_more():
    s = np.array([[[3, 4, 1.0], [1, 1, np.nan]], [[6, 8, 9.0], [1, 7, np.nan]]])  # snapshot, layer, index
    made = cube({"snapshot_singular_values": (("snapshot", "layer", "index"), s)})
    np.testing.assert_allclose(values("head_change", made), [[2]])


def test_a_smooth_transition_does_not_jump():
    """A distance that grows with the square of the noise, the rate of the theory, leaves no gap of half a decade."""
    sigma, decays = np.geomspace(0.03, 1, 20), np.geomspace(0.002, 0.1, 20)
    smooth = np.minimum(0.001 * sigma**2 / decays[:, None], 1)
    noise = np.exp(np.random.default_rng(0).normal(0, 0.1, (3, 20, 20)))
    made = cube(
        {"relative_distance": (("layer", "seed", "weight_decay", "sigma"), [smooth * noise * 100] * 2)},
        **{"sigma": sigma, "weight_decay": decays, "seed": [0, 1, 2]},
    )
    assert (values("jump", made) < 0.1).all()
    assert judged_alone(made, "jump", at_least=0.5)["verdict"] == Verdict.CONTRADICTED


def test_networks_that_did_not_converge_are_no_evidence_for_or_against_a_jump():
    plane = jumping([0.5])
    plane["relative_distance"][:, 0] = 0.01
    np.testing.assert_allclose(values("jump", plane), 0.5)
    plane["status"][:, 1:3] = Status.STOPPED  # all at 0.09
    np.testing.assert_allclose(values("jump", plane), 0.5 + np.log10(9))


@pytest.mark.parametrize(("of_power", "exponent"), [("tcv", 1.5), ("weight_decay", -1), ("sigma", [3, 4.5])])
def test_exponents_of_a_known_power_law_are_found(of_power, exponent):
    law = power_law([1.5, 1.5])
    np.testing.assert_allclose(
        values("rate", law, of_power=of_power), np.broadcast_to(np.atleast_2d(exponent).T, (2, 2)), atol=1e-9
    )


def test_rates_are_of_collapsed_layers_below_half_of_their_noise():
    law = power_law([1.0])
    counted = points(law)["distance"].notnull().any("layer").squeeze(drop=True)
    assert counted.sel(weight_decay=0.1).values.tolist() == [True] * 6 + [False] * 3
    # what has collapsed again beyond a layer that has not is no longer part of the region
    law["relative_distance"][{"sigma": 3}] = 0.5
    counted = points(law)["distance"].notnull().any("layer").squeeze(drop=True)
    assert counted.sel(weight_decay=0.1).values.tolist() == [True] + [False] * 8
    law["status"][...] = Status.STOPPED
    assert points(law)["distance"].isnull().all()


def test_a_flat_noisy_curve_does_not_fall_by_a_fifth():
    """No flat curve of 20 with noise of 3% passes."""
    rng = np.random.default_rng(0)
    supported = 0
    for _ in range(20):
        flat = falling_wcss([1, 1, 1])
        flat["snapshot_wcss"] *= np.exp(rng.normal(0, 0.03, flat["snapshot_wcss"].shape))
        supported += judged_alone(flat, "wcss_change", at_most=0.8)["verdict"].item() == Verdict.SUPPORTED
    assert supported == 0


def test_constant_numbers_and_two_weight_decays_have_no_order():
    flat = in_order(["shift"], (), [-1] * 3)
    flat["at_minimum"], flat["shift"] = flat["status"] + np.int8(1), 0 * flat["shift"] + 1
    judged = judged_alone(flat, "shift_trend", trend="falls")
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
    for name in RANK_LABELS:
        wide[name] = wide[name] * 10
    joined = join_cubes([deep.assign_coords(width=[64]), wide])
    np.testing.assert_allclose(values("depth_growth", joined), 0.5)
    # at depths 2 and 5 there is one width; at 3 there are five, and the one of `deep` would bend the line
    np.testing.assert_allclose(values("width_growth", joined.sel(width=wide["width"])), 0.2)


@pytest.mark.parametrize("statistic", KNOWN)
def test_a_cube_with_too_few_cells_has_no_statistic(statistic):
    make, (first, *_), *_, asked = KNOWN[statistic]
    little = make([first]).isel(
        weight_decay=[0], sigma=[0], width=[0], depth=[0], source=slice(2), missing_dims="ignore"
    )
    if statistic in ("head_change", "tail_change"):  # need no second network
        little["snapshot_singular_values"] = little["snapshot_singular_values"] * np.nan
    if statistic == "wcss_change":
        little = little.isel(snapshot=[0])
    judged = judged_alone(little, statistic, **asked)
    assert judged["statistic"].isnull().all()
    assert judged["verdict"] == Verdict.INCONCLUSIVE


def test_a_layer_without_a_tail_is_not_a_part():
    made = spectra(np.ones((3, 4, 3)), np.full((3, 4, 3), 0.1))
    assert judged_alone(made, "tail_trend", trend="falls")["what"].values.tolist() == ["layer 1"]


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
        "growth": claim(
            "width_growth", at_least=-0.25, at_most=0.25, of=["narrow", "wide"], at=seeds, **rank
        ),
        "one": claim(
            "width_growth", at_most=0.1, of=["wide"], at={"seed": [1]}, statement="|x| is one seed", **rank
        ),
        "order": claim("rank_trend", trend="falls", of=["ordered"], source="paper", section="6.4"),
    }
    judged, parts, page = judged_by_program(
        tmp_path,
        claims,
        narrow=wide.isel(width=[0, 1]),
        wide=wide.isel(width=[2, 3]),
        ordered=ordered_ranks([-1, -1, -1]),
    )
    _, of_paper, ours, *sections = page.split("\n## ")
    (third,), (first, second) = rows_of(of_paper), rows_of(ours)
    assert first == {
        "claim": "growth",
        "statement": "so it is",
        "section": "",
        "of": "narrow, wide",
        "parts": "2 supported, 2 inconclusive",
        "verdict": "**inconclusive**",
        "not converged": "2 stopped, 1 diverged, 1 collapsed to zero of 24",
    }
    assert (second["statement"], second["parts"]) == (r"\|x\| is one seed", "4 inconclusive")
    assert (third["verdict"], third["section"], third["not converged"]) == (
        "**supported**",
        "6.4",
        "none of 12",
    )
    order, growth, one = map(rows_of, sections)
    numbers = [0.1, 0.3, 0.2]
    least, most = scipy.stats.t.interval(0.95, 2, 0.2, scipy.stats.sem(numbers))
    # of four parts two are beyond doubt
    corrected = 2 * scipy.stats.ttest_1samp(numbers, 0.25, alternative="less").pvalue
    half = f"0.2 ({least:.3g} to {most:.3g}), chance {corrected:.2g}: inconclusive"
    assert growth[0] == {"weight decay": "0.001", "stable rank": half, "exact rank": half}
    assert all(growth[1][rank].endswith(": supported") for rank in ("stable rank", "exact rank"))
    assert one[0]["stable rank"] == "0.3, 1 seed: inconclusive"
    assert order == [{"weight decay": "all", "stable rank": "-1, chance 7.2e-05: supported"}]
    assert "(narrow, wide; seed 0, 1, 2; rank stable_rank, exact_rank)" in sections[1]
    assert "Supported if the mean is at least -0.25 and at most 0.25." in sections[1]
    assert "Supported if the number falls with weight decay." in sections[0]
    assert max(map(len, page.splitlines())) < 250
    assert parts["claim"].tolist() == ["growth"] * 4 + ["one"] * 4 + ["order"]
    assert parts["source"].tolist() == ["ours"] * 8 + ["paper"]
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
    assert "|" not in page


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
