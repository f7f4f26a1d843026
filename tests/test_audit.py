import json
import re

from workflow.lib.program import call

import audit as program
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import binom

from nrc import netcdf
from nrc.audit import STATEMENTS, audit
from nrc.grid import AXES


def cube(bound, distance=0.5, lower=1.0, upper=2.0):
    """Two weight decays, one layer."""
    shape = (2, 1, 1, 1, 1)
    coords = {
        "weight_decay": [0.1, 0.2],
        "sigma": [0.5],
        "width": [4],
        "depth": [1],
        "seed": [7],
        "layer": [1],
    }
    assert list(coords)[:5] == list(AXES)
    return xr.Dataset(
        {
            "distance": ((*AXES, "layer"), np.full((*shape, 1), distance)),
            "bound_measured": ((*AXES, "layer", "source"), np.reshape(bound, (*shape, 1, 1))),
            "tcv_lower": ((*AXES, "source"), np.full((*shape, 1), lower)),
            "tcv_upper": ((*AXES, "source"), np.full((*shape, 1), upper)),
        },
        {**coords, "source": [0]},
    )


def rows(dataset):
    return audit(dataset, 0.05).set_index("statement").to_dict("index")


def test_ratios_and_where_the_largest_is():
    row = rows(cube([1.0, 0.5 / 0.8]))["Theorem 3.4, measured"]
    assert (row["checked"], row["void"], row["violations"]) == (2, 0, 0)
    np.testing.assert_allclose(
        [row["smallest_ratio"], row["median_ratio"], row["largest_ratio"]], [0.5, 0.65, 0.8]
    )
    assert row["largest_at"] == "weight_decay~0.2/sigma~0.5/width~4/depth~1/seed~7 layer 1"


def test_a_violation_is_counted_and_rounding_is_not():
    assert rows(cube([0.5 * (1 - 1e-8), 1.0]))["Theorem 3.4, measured"]["violations"] == 1
    assert rows(cube([0.5 * (1 - 1e-10), 1.0]))["Theorem 3.4, measured"]["violations"] == 0
    assert rows(cube([1.0, 1.0], lower=2.1))["eq. 7"]["violations"] == 2


def test_a_missing_bound_is_void():
    row = rows(cube([np.nan, 1.0]))["Theorem 3.4, measured"]
    assert (row["checked"], row["void"], row["violations"]) == (1, 1, 0)


def test_cells_without_noise_have_no_ratio_and_no_violation():
    row = rows(cube([0.0, 0.0], distance=0.0, lower=1e-31, upper=0.0))["Theorem 3.4, measured"]
    assert (row["checked"], row["violations"], row["largest_at"]) == (2, 0, "")


def draws(exceeding, seeds=100):
    """A cube of two noise levels whose WCSS is above its bound for some seeds."""
    wcss = np.where(np.arange(seeds) < exceeding, 1.1, 0.9) * np.ones((1, 2, 1, 1, 1))
    coords = {"weight_decay": [0.1], "sigma": [0.5, 1.0], "width": [4], "depth": [1], "seed": range(seeds)}
    variables = {"wcss_class": ((*AXES, "source"), wcss[..., None]), "wcss_bound": (AXES, np.ones_like(wcss))}
    return xr.Dataset(
        {name: (tuple(dims), values) for name, (dims, values) in variables.items()}, {**coords, "source": [0]}
    )


@pytest.mark.parametrize("exceeding", [0, 5, 20])
def test_a_random_statement_counts_draws_and_allows_what_chance_brings(exceeding):
    row = rows(draws(exceeding))["Proposition 4.1"]
    assert (row["checked"], row["violations"]) == (100, exceeding)
    # the smallest k with P(more than k of 100 at 5%) <= 1/1000
    assert row["allowed"] == 13
    assert binom.cdf(12, 100, 0.05) < 0.999 <= binom.cdf(13, 100, 0.05)


def two_sided(statement, quantity=2.0, bound=1.0):
    """A cube of the two sides of a statement alone."""
    sides = {statement.quantity: quantity, statement.bound: bound}
    axes = {axis: [1] for axis in AXES} | {"source": [0]}
    return xr.Dataset({name: (tuple(axes), np.full([1] * 6, side)) for name, side in sides.items()}, axes)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_every_statement_can_be_violated(statement):
    assert rows(two_sided(statement))[statement.name]["violations"] == 1
    assert rows(two_sided(statement, bound=2.0))[statement.name]["violations"] == 0
    assert statement.name not in rows(two_sided(statement).drop_vars(statement.bound))


class TestProgram:
    """`audit.py`, with a probability for each experiment."""

    @staticmethod
    def arguments(folder, delta, **cubes):
        for name, measured in cubes.items():
            for variable in measured.variables.values():
                variable.attrs = {"long_name": "known", "units": "1"}
            netcdf.save(measured.assign_attrs(experiment=name), folder / f"{name}.nc")
        settings = folder / "settings.yaml"
        settings.write_text(json.dumps({"delta": delta}))
        paths = [str(folder / f"{name}.nc") for name in cubes]
        ends = ["--csv", str(folder / "audit.csv"), "--markdown", str(folder / "audit.md")]
        return ["--settings", str(settings), "--measures", *paths, *ends]

    def audited(self, *args, **cubes):
        call(program.main, self.arguments(*args, **cubes))

    def test_the_tables_have_a_row_for_each_experiment_and_statement(self, tmp_path):
        plain = xr.Dataset(coords={"layer": [1]})
        self.audited(
            tmp_path, {"plain": None, "one": 0.05, "loose": 0.5}, plain=plain, one=draws(3), loose=draws(50)
        )
        table = pd.read_csv(tmp_path / "audit.csv")
        assert table["experiment"].tolist() == ["one", "loose"]
        assert table["allowed"].tolist() == [13, int(binom.isf(1e-3, 100, 0.5))]
        lines = (tmp_path / "audit.md").read_text(encoding="utf-8").splitlines()
        assert [line.split("|")[1].strip() for line in lines[2:]] == ["one", "loose"]

    def test_every_violated_statement_is_reported_and_nothing_is_written(self, tmp_path):
        cubes = {"held": cube([1.0, 1.0]), "broken": cube([0.1, 1.0], lower=2.1)}
        with pytest.raises(ValueError, match="is violated") as error:
            self.audited(tmp_path, {"held": 0.05, "broken": None}, **cubes)
        place = "weight_decay~0.1/sigma~0.5/width~4/depth~1/seed~7"
        assert str(error.value).splitlines() == [
            f"Theorem 3.4, measured is violated in 1 of 2 numbers of broken, by a factor of 5 at {place} layer 1",
            f"eq. 7 is violated in 2 of 2 numbers of broken, by a factor of 1.05 at {place} source 0",
        ]
        assert not list(tmp_path.glob("audit.*"))

    def test_an_experiment_without_a_probability_is_an_error(self, tmp_path):
        message = re.escape("delta has no value for experiment one")
        with pytest.raises(ValueError, match=message):
            self.audited(tmp_path, {"two": 0.05}, one=draws(3))
