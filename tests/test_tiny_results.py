"""What the tiny pipeline draws, judges and reports agrees with its cubes."""

import numpy as np
import pandas as pd
import pytest

from nrc.claims.options import SOURCES
from support.checkout import TINY
from tools.findings import blocks, found, verdicts
from workflow.config.load import read_settings


def numbers(checkout, figure) -> pd.DataFrame:
    return pd.read_csv(checkout.folder / f"results/figures/{figure}.csv")


def caption(checkout, figure) -> str:
    return " ".join(checkout.read(f"results/figures/{figure}.rst").split())


def test_the_numbers_of_the_plane_are_the_measures(finished):
    table = numbers(finished, "figure1")
    cube = finished.load("results/mixture/measures.nc").squeeze()
    plane, curves = (table[table["panel"] == name] for name in ("plane", "variation"))
    assert len(plane) == 3 * 2 * 2
    for row in plane.itertuples():
        at = cube["relative_distance"].sel(layer=row.layer, sigma=row.sigma, weight_decay=row.weight_decay)
        assert row.relative_distance == float(at)
        assert (row.converged, row.stopped, row.collapsed_to_zero) == (1, 0, 0)
    assert curves["tcv_upper"].tolist() == cube["tcv_upper"].sel(source=0, weight_decay=0.01).values.tolist()
    assert "4 of 4 networks converged, 0 stopped before they were stationary, 0 collapsed to zero" in caption(
        finished, "figure1"
    )


def test_the_figure_of_bounds_draws_every_layer(finished):
    table = numbers(finished, "bounds")
    cube = finished.load("results/mixture/measures.nc")
    assert len(table) == 4 * 3
    assert set(table["status"]) == {"converged"}
    for row in table.itertuples():
        at = cube.sel(weight_decay=row.weight_decay, sigma=row.sigma, layer=row.layer).squeeze()
        assert row.distance == pytest.approx(float(np.sqrt((at["singular_values"][2:] ** 2).sum())))
        assert row.distance <= row.bound_measured == float(at["bound_measured"].min("source"))
        assert row.bound_measured <= row.bound_segments <= row.bound_analytic
    assert "12 of 12 layers are drawn. 0 have no bound" in caption(finished, "bounds")


def test_the_numbers_of_figure_2_are_the_shifts(finished):
    table = numbers(finished, "figure2")
    assert len(table) == 2 * 2 * 3
    for penalty, name in (
        ("penalty on the product", "linear_product"),
        ("penalty on the factors", "linear"),
    ):
        shift = finished.load(f"results/{name}/shift.nc").squeeze()
        for row in table[table["panel"] == penalty].itertuples():
            at = shift.sel(weight_decay=row.weight_decay, sigma=row.sigma)
            for column, there in (
                ("shift", at["at_minimum"] == 1),
                ("shift_elsewhere", at["at_minimum"] != 1),
            ):
                values = at["shift"].where(there)
                expected = [float(getattr(values, end)()) for end in ("median", "min", "max")]
                found = [getattr(row, f"{column}{end}") for end in ("", "_minimum", "_maximum")]
                assert found == pytest.approx(expected, nan_ok=True)
            assert row.elsewhere == int((at["at_minimum"] == 0).sum())
    assert caption(finished, "figure2").count("12 of 12 pairs converged") == 2


def test_the_numbers_of_the_forecast_are_of_the_cube(finished):
    table = numbers(finished, "forecast")
    cube = finished.load("results/linear/measures.nc").squeeze()
    assert len(table) == cube["forecast"].size
    for row in table.itertuples():
        at = cube.sel(weight_decay=row.weight_decay, sigma=row.sigma, seed=row.seed)
        each = at.sel(layer=row.layer, index=row.index)
        assert row.forecast == float(each["forecast"])
        assert row.singular_values == float(each["singular_values"])
        assert row.at_minimum == float(at["at_minimum"])


def test_spectra_are_the_snapshots(finished):
    cube = finished.load("results/mnist/measures.nc")
    table = numbers(finished, "figure3")
    wcss = table[(table["panel"] == "class WCSS") & (table["layer"] == 1)]
    expected = cube["snapshot_wcss"].sel(source=1).squeeze().median("seed").values
    drawn = wcss.pivot(index="weight_decay", columns="snapshot", values="value")
    np.testing.assert_allclose(drawn, expected)


def test_rank_curves_are_the_measures_of_joined_experiments(finished):
    """Figure 4 joins two experiments of other widths, Figure 5 two of other depths."""
    for figure, axis, names in (
        ("figure4", "width", ("width", "mnist")),
        ("figure5", "depth", ("depth", "width")),
    ):
        table = numbers(finished, figure).query("measure == 'stable_rank'")
        cubes = [finished.load(f"results/{name}/measures.nc") for name in names]
        assert set(table[axis]) == {cube[axis].item() for cube in cubes}
        for cube in cubes:
            ranks = cube["stable_rank"].squeeze(["sigma", "width", "depth"])
            middle = ranks.sel(layer=2) if axis == "width" else ranks.mean("layer")
            for row in table[table[axis] == cube[axis].item()].itertuples():
                at = middle.sel(weight_decay=row.weight_decay)
                assert row.rank == pytest.approx(float(at.median()))
                assert (row.rank_minimum, row.rank_maximum) == pytest.approx(
                    (float(at.min()), float(at.max()))
                )


def test_the_findings_of_a_run_are_what_its_files_say(finished):
    numbers = found(finished.folder / "results")
    cube = finished.load("results/mixture/measures.nc")
    assert numbers["plane"]["layers"] == 4 * 3
    assert numbers["plane"]["collapsed"] == int((cube["relative_distance"] <= 0.1).sum())
    audited = pd.read_csv(finished.folder / "results/audit.csv")
    observed = audited["statement"].str.contains(r"\((?:c|f)\)")
    proved = audited[~observed & (audited["checked"] > 0)]
    assert numbers["audit"][-1] == {"statement": "violations", "checked": 0, "rows": len(proved)}
    assert {row["verdict"] for row in numbers["claims"]["claims"]} == {"inconclusive"}
    assert len(numbers["claims"]["claims"]) == finished.load("results/claims.nc").sizes["claim"]
    mnist = finished.load("results/mnist_stationary/measures.nc")
    variability = mnist["wcss_class"].sel(source=2).median("seed").values.ravel()
    printed = numbers["mnist"]["at stationary points"]["class WCSS, last hidden space"]
    np.testing.assert_allclose(printed, variability)
    assert "NC1, last hidden space" in numbers["mnist"]["after 200 epochs"]
    ratio = (np.log(1.25), 1.0, 1.5)
    branches = dict.fromkeys(
        ("down_ends", "random_jumps", "overtaken", "crossing", "up_ends"),
        dict(zip(("mean", "low", "high"), ratio, strict=True)) | {"count": 3},
    )
    fresh = verdicts(finished.folder / "results") | {"seeds": [100, 101, 102]}
    kinds = {"minimum": 3, "saddle": 1, "undetermined": 0, "smallest": -0.02}
    of_branches = {"both": 1, "cells": 2, "lower": 1, "ratios": branches, "step": 1.05}
    of_branches |= {"without saddles": [1, 0], "ends": {"sweep up": {"rank K": kinds}}}
    text = blocks({**numbers, "branches": of_branches, "fresh": fresh})
    assert "1 of 2 cells" in text["branches"]
    assert "| sweep up | rank K | 3 | 1 | 0 | -0.02 |" in text["branches"]
    assert text["claims"].count("inconclusive") > 2 * len(numbers["claims"]["claims"])
    assert "on seeds 0 and 1 | on seeds 100 to 102 |" in text["claims"]
    assert f"{printed[0]:#.3g}" in text["mnist"]


def test_claims_have_a_verdict_each(finished):
    claims = finished.load("results/claims.nc")
    assert claims["verdict"].attrs["flag_meanings"] == "supported contradicted inconclusive"
    configured = read_settings([finished.folder / "config.yaml", finished.folder / TINY])["claims"]
    assert claims["claim"].values.tolist() == list(configured)
    # nothing is decided by two seeds
    assert (claims["part_verdict"] == 2).all()
    assert (claims["verdict"] == 2).all()
    page = finished.read("results/claims.md")
    assert page.count("\n## ") - len(SOURCES) == page.count("**inconclusive**") == len(configured)
    assert len(pd.read_csv(finished.folder / "results/claims.csv")) == claims.sizes["part"]
