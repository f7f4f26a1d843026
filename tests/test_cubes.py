import numpy as np
import pytest
import xarray as xr

from nrc.cubes import join_cubes, select
from nrc.grid import AXES
from nrc.metadata import flag_attributes
from nrc.status import Status


def cube(name, widths, depths, device="cpu", seeds=(0, 1), **extra):
    """Networks whose numbers identify their cells, with the layers of the deepest network."""
    axes = {"weight_decay": [0.1, 0.2], "sigma": [0.0], "width": widths, "depth": depths, "seed": list(seeds)}
    layers = np.arange(1, max(depths) + 1)
    coords = {axis: (axis, values, {"long_name": AXES[axis].long_name}) for axis, values in axes.items()}
    empty = xr.Dataset(coords={**coords, "layer": ("layer", layers, {"long_name": "layer"})})
    of_cell = 1000 * empty["width"] + 100 * empty["depth"] + empty["seed"] + empty["weight_decay"]
    rank = (of_cell + 10 * empty["layer"]).where(empty["layer"] <= empty["depth"])
    cells = [len(values) for values in axes.values()]
    return empty.assign(
        stable_rank=(rank + 0 * empty["sigma"]).transpose(*AXES, "layer"),
        status=(tuple(AXES), np.ones(cells, np.int8), flag_attributes(Status)),
        **{key: (tuple(AXES), np.zeros(cells)) for key in extra},
    ).assign_attrs(experiment=name, clusters=3, points=10, dimension=4, device=device)


def test_parts_of_a_grid_become_the_grid():
    parts = [cube("narrow", [8, 16], [3]), cube("wide", [32], [3], device="cuda", more=None)]
    full = cube("both", [8, 16, 32], [3])
    joined = join_cubes(parts)
    for name, variable in full.variables.items():
        xr.testing.assert_identical(joined[name].variable, variable)
        assert joined[name].dtype == variable.dtype
    assert set(joined) == set(full)  # `more` is not in all
    assert joined.attrs == {"clusters": 3, "points": 10, "dimension": 4}
    assert join_cubes([*parts, cube("wider", [64], [3])]).attrs == joined.attrs


def test_a_grid_with_holes_has_missing_cells():
    joined = join_cubes([cube("wide", [8, 16], [2]), cube("deep", [8], [3])])
    rank = joined["stable_rank"]
    assert (joined["status"].notnull() == rank.notnull().any("layer")).all()
    assert rank.sel(width=16, depth=3).isnull().all()
    assert rank.sel(width=8, depth=2, layer=3).isnull().all()
    assert (rank.sel(width=8, depth=3) == cube("", [8], [3])["stable_rank"].squeeze(["width", "depth"])).all()
    # a selection without holes does not depend on holes elsewhere
    for at in ({"width": 8, "depth": 2}, {"depth": [2], "width": [8, 16]}):
        expected = cube("", np.atleast_1d(at["width"]), [2])
        xr.testing.assert_equal(select(joined, at)["stable_rank"], expected["stable_rank"])


def test_the_same_cell_twice_must_be_the_same():
    one = cube("one", [8], [2])
    for equal in ([one], [one, one]):
        xr.testing.assert_identical(join_cubes(equal), one)
    other = one.assign(stable_rank=one["stable_rank"] + 1).assign_attrs(experiment="other")
    with pytest.raises(ValueError, match="one and other have the same cells with different numbers"):
        join_cubes([one, other])


def test_experiments_on_other_data_are_not_joined():
    name = "points"
    one = cube("one", [8], [2])
    other = cube("other", [9], [2]).assign_attrs({name: 99})
    expected = f"only if their {name} are equal, but one has {one.attrs[name]} and other has 99"
    with pytest.raises(ValueError, match=expected):
        join_cubes([one, other])


def test_a_selection_keeps_all_axes():
    full = cube("full", [8, 16, 32], [2, 3])
    part = select(full, {"width": 16, "seed": [1]})
    assert {axis: part[axis].values.tolist() for axis in AXES} == {
        "weight_decay": [0.1, 0.2], "sigma": [0.0], "width": [16], "depth": [2, 3], "seed": [1],
    }  # fmt: skip
    assert (part["stable_rank"] == full["stable_rank"].sel(width=[16], seed=[1])).sum() == 2 * (2 + 3)
    assert part["status"].dtype == np.int8
    assert select(full, {}) is full


def test_a_selection_has_the_layers_of_its_networks():
    assert select(cube("full", [8], [2, 3]), {"depth": 2})["layer"].values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"width": 9}, "at.width is 9, but must be one of 8, 16$"),
        ({"weight_decay": [0.1, 0.15]}, "at.weight_decay is 0.15, but must be one of 0.1, 0.2$"),
        ({"layer": 1}, "at has layer, which is not an axis; the axes are weight_decay, sigma, width, depth"),
    ],
)
def test_a_selection_without_cells_is_refused(at, message):
    with pytest.raises(ValueError, match=message):
        select(cube("full", [8, 16], [2]), at)
