"""Collecting: what was cut into files comes together again."""

import io

import collect
import numpy as np
import pytest
import xarray as xr

from nrc import netcdf
from nrc.grid import AXES
from workflow.lib.provenance import origin

SIZES = {"weight_decay": 3, "sigma": 2, "width": 1, "depth": 1, "seed": 2}
VALUES = {
    "weight_decay": [0.001, 0.01, 0.1], "sigma": [0.0, 0.5], "width": [4], "depth": [2], "seed": [0, 1],
    "layer": [1, 2], "source": [0, 1], "index": [1, 2, 3, 4],
}  # fmt: skip
ATTRIBUTES = {
    "torch": "2.11", "device": "cpu", "precision": "float64", "clusters": 3, "points": 24, "dimension": 4,
}  # fmt: skip


def made_up_cube() -> xr.Dataset:
    """Numbers of every kind that measures have, over all axes."""
    rng = np.random.default_rng(0)
    shape = list(SIZES.values())
    about = {"units": "1"}
    data = {
        "loss": (AXES, rng.normal(size=shape).astype("f4"), {"long_name": "loss", **about}),
        "epochs": (AXES, rng.integers(9999, size=shape), {"long_name": "epochs", **about}),
        "status": (AXES, rng.integers(3, size=shape).astype("i1"), {"long_name": "status", **about}),
        "ranks": ((*AXES, "layer"), rng.normal(size=(*shape, 2)), {"long_name": "ranks", **about}),
        "gap": ((*AXES, "layer", "source"), rng.normal(size=(*shape, 2, 2)), {"long_name": "gap", **about}),
        "values": ((*AXES, "layer", "index"), rng.normal(size=(*shape, 2, 4)), {"long_name": "s", **about}),
    }
    coords = {name: (name, values, {"long_name": name, **about}) for name, values in VALUES.items()}
    return xr.Dataset(data, coords, ATTRIBUTES)


def cut(cube: xr.Dataset, folder, axes) -> list[str]:
    """Save the parts of a cube, cut along some axes, and return their paths in no order."""
    parts = [cube.squeeze([axis for axis in AXES if axis not in axes and cube.sizes[axis] == 1])]
    for axis in axes:
        parts = [part.isel({axis: n}) for part in parts for n in range(part.sizes[axis])]
    paths = [str(folder / f"{n}.nc") for n in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        netcdf.save(part, path)
    return paths[::-1]


def collected(paths: list[str]) -> xr.Dataset:
    return collect.collect(collect.read(paths))


@pytest.mark.parametrize(
    "axes", [[], ["seed"], ["weight_decay", "sigma", "seed"], ["sigma", "width", "depth"]]
)
def test_what_was_cut_comes_together(tmp_path, axes):
    cube = made_up_cube()
    xr.testing.assert_identical(collected(cut(cube, tmp_path, axes)), cube.drop_attrs(deep=False))


def test_a_number_of_the_data_alone_stands_for_all_cells_that_share_it(tmp_path):
    cube = made_up_cube()
    cube["noise"] = ("sigma", [0.25, 0.75], {"long_name": "noise", "units": "1"})
    noise = collected(cut(cube, tmp_path, ["seed"]))["noise"]
    assert noise.dims == tuple(AXES)
    assert (noise == xr.DataArray([0.25, 0.75], dims="sigma")).all()


def test_networks_of_other_depth_and_width_lack_what_they_have_not(tmp_path):
    deep, flat = made_up_cube(), made_up_cube().isel(layer=[0], index=slice(2)).assign_coords(depth=[1])
    flat["depth"].attrs = deep["depth"].attrs
    flat = flat.assign(bend=flat["loss"].assign_attrs(long_name="bend"), kinks=flat["epochs"])
    paths = []
    for name, cube in (("deep", deep), ("flat", flat)):
        (tmp_path / name).mkdir()
        paths += cut(cube, tmp_path / name, ["weight_decay", "seed"])
    joined = collected(paths)
    for cube, depth in ((deep, 2), (flat, 1)):
        part = joined.sel(depth=[depth], layer=cube["layer"], index=cube["index"])
        for name in cube.data_vars:
            xr.testing.assert_equal(part[name], cube[name])
    missing = joined["values"].isnull()
    assert missing.sel(depth=1, layer=2).all()
    assert missing.sel(depth=1, index=[3, 4]).all()
    assert not missing.sel(depth=2).any()
    assert joined["bend"].sel(depth=2).isnull().all()
    assert joined["epochs"].dtype == np.int64
    assert joined["status"].dtype == np.int8


def test_cells_that_are_not_a_grid_are_refused(tmp_path):
    paths = cut(made_up_cube(), tmp_path, ["weight_decay", "sigma", "seed"])
    with pytest.raises(ValueError, match="11 cells were given, but 3 x 2 x 1 x 1 x 2 are on the grid"):
        collected(paths[1:])


def test_a_damaged_file_is_named(tmp_path):
    paths = cut(made_up_cube(), tmp_path, ["seed"])
    (tmp_path / "1.nc").write_bytes((tmp_path / "1.nc").read_bytes()[:-1])
    with pytest.raises(OSError, match=r"1\.nc is damaged"):
        collected(paths)


def test_the_cube_has_every_device_and_version(tmp_path, monkeypatch):
    """Stacks of an experiment may come from two machines."""
    cube = made_up_cube()
    paths = cut(cube, tmp_path, ["seed"])
    netcdf.save(netcdf.load(paths[1]).assign_attrs(device="NVIDIA H100", torch="2.12"), paths[1])
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(paths)))
    collect.main({"experiment": "e"}, tmp_path / "c.nc")
    attributes = netcdf.load(tmp_path / "c.nc").attrs
    assert attributes["device"] == "cpu, NVIDIA H100"
    assert attributes["torch"] == "2.11, 2.12"
    assert attributes["precision"] == "float64"
    assert {name: attributes[name] for name in ("clusters", "points", "dimension")} == {
        "clusters": 3, "points": 24, "dimension": 4,
    }  # fmt: skip
    assert attributes["experiment"] == "e"


def test_of_cubes_too_every_device_is_named_once():
    one, two = ATTRIBUTES | {"device": "cpu, NVIDIA H100"}, ATTRIBUTES | {"device": "NVIDIA H100"}
    assert origin([one, two]) == one
