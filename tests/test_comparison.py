"""Two runs side by side: `nrc.compare`."""

import numpy as np
import pytest

import nrc
from support import made_up


def test_runs_are_equal_whatever_the_order_of_their_values_and_where_they_are(tmp_path):
    cube = made_up.cube()
    turned = cube.isel(sigma=slice(None, None, -1)).transpose("sigma", ...)
    nrc.save(turned, tmp_path / "turned.nc")
    for other in (cube, tmp_path / "turned.nc", str(tmp_path / "turned.nc")):
        assert nrc.compare(cube, other).empty


def test_the_largest_difference_of_a_variable_has_its_place():
    cube = made_up.cube()
    other = cube.copy(deep=True)
    at = {"weight_decay": 0, "sigma": 1, "width": 0, "depth": 0, "seed": 1}
    before = cube["relative_residual"][at].item()
    other["relative_residual"][at] += 2
    other["relative_residual"][{**at, "sigma": 0}] -= 1
    found = nrc.compare(cube, other)
    assert found.index.tolist() == [("variable", "relative_residual")]
    (row,) = found.itertuples(index=False)
    decay, sigma = cube["weight_decay"].values[0], cube["sigma"].values[1]
    assert row.at == f"weight_decay={decay:g}, sigma={sigma:g}, width=4, depth=3, seed=1"
    assert (row.first, row.second, row.difference) == pytest.approx((before, before + 2, 2))
    assert (row.different, row.compared) == (2, cube["relative_residual"].size)
    other["relative_residual"][at] = np.nan
    assert nrc.compare(cube, other)["difference"].item() == np.inf


def test_settings_cells_and_variables_that_one_run_has_are_reported():
    cube = made_up.cube()
    part = (
        cube.isel(seed=[0])
        .drop_vars("distance")
        .assign_attrs(torch="2", settings='{"training": {"epochs": 7}}')
    )
    found = nrc.compare(cube.assign_attrs(torch="1"), part)[["first", "second"]]
    assert found.loc[("setting", "torch")].tolist() == ["1", "2"]
    assert found.loc[("setting", "training.epochs")].tolist() == ["missing", 7]
    assert found.loc[("coordinate", "seed")].tolist() == ["1", ""]
    assert found.loc[("variable", "distance")].tolist()[1] == "missing"
    assert len(found.loc["variable"]) == 1
    assert (
        nrc.compare(part.isel(sigma=0), part.isel(sigma=1)).loc[("setting", "sigma"), "first"]
        == cube["sigma"][0]
    )
