import numpy as np
import xarray as xr

from nrc.audit import audit
from nrc.grid import AXES


def cube(bound, spectrum=(3.0, 0.3, 0.4), lower=1.0, upper=2.0):
    """Two weight decays, one layer, K = 1: the distance to rank 1 is 0.5."""
    shape = (2, 1, 1, 1, 1)
    coords = {
        "weight_decay": [0.1, 0.2],
        "sigma": [0.5],
        "width": [4],
        "depth": [1],
        "seed": [7],
        "layer": [1],
    }
    cells = dict(zip(AXES, shape, strict=True))
    assert list(cells) == list(coords)[:5]
    return xr.Dataset(
        {
            "singular_values": ((*AXES, "layer", "index"), np.tile(spectrum, (*shape, 1, 1))),
            "bound_measured": ((*AXES, "layer", "source"), np.reshape(bound, (*shape, 1, 1))),
            "tcv_lower": ((*AXES, "source"), np.full((*shape, 1), lower)),
            "tcv_upper": ((*AXES, "source"), np.full((*shape, 1), upper)),
        },
        {**coords, "index": [1, 2, 3], "source": [0]},
    )


def rows(dataset):
    return audit(dataset, 1).set_index("statement").to_dict("index")


def test_ratios_and_where_the_largest_is():
    row = rows(cube([1.0, 0.5 / 0.8]))["Theorem 3.4"]
    assert (row["checked"], row["void"], row["violations"]) == (2, 0, 0)
    np.testing.assert_allclose(
        [row["smallest_ratio"], row["median_ratio"], row["largest_ratio"]], [0.5, 0.65, 0.8]
    )
    assert row["largest_at"] == "weight_decay~0.2/sigma~0.5/width~4/depth~1/seed~7 layer 1"


def test_a_violation_is_counted_and_rounding_is_not():
    assert rows(cube([0.5 * (1 - 1e-8), 1.0]))["Theorem 3.4"]["violations"] == 1
    assert rows(cube([0.5 * (1 - 1e-10), 1.0]))["Theorem 3.4"]["violations"] == 0
    assert rows(cube([1.0, 1.0], lower=2.1))["eq. 7"]["violations"] == 2


def test_a_missing_bound_is_void():
    row = rows(cube([np.nan, 1.0]))["Theorem 3.4"]
    assert (row["checked"], row["void"], row["violations"]) == (1, 1, 0)


def test_cells_without_noise_have_no_ratio_and_no_violation():
    row = rows(cube([0.0, 0.0], spectrum=(3.0, 0.0, 0.0), lower=1e-31, upper=0.0))["Theorem 3.4"]
    assert (row["checked"], row["violations"], row["largest_at"]) == (2, 0, "")
