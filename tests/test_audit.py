import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom

from nrc.audit import audit
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


def test_a_statement_without_measures_has_no_row():
    assert list(rows(cube([1.0, 1.0]))) == ["Theorem 3.4, measured", "eq. 7"]


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
