import hashlib
import os

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import nrc
from nrc import netcdf
from nrc.grid import AXES

ABOUT = {"long_name": "numbers", "units": "1"}


def dataset(values=(1.0, 2.0, 3.0)):
    return xr.Dataset(
        {"a": ("x", np.array(values), ABOUT), "b": ((), 4, ABOUT)}, attrs={"experiment": "test"}
    )


def test_the_same_contents_are_the_same_bytes(tmp_path):
    for name in ("a.nc", "b.nc"):
        netcdf.save(dataset(), tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_cells_can_be_selected_from_numbers_and_text(tmp_path):
    names = xr.Dataset({"name": (("row", "column"), np.array([[b"aa", b"ab"], [b"ba", b"bb"]]), ABOUT)})
    netcdf.save(names, tmp_path / "a.nc")
    loaded = netcdf.load(tmp_path / "a.nc")
    assert loaded.isel(row=[1], column=[0])["name"].values.tolist() == [[b"ba"]]


def test_a_file_full_of_digits_is_read(tmp_path):
    """Fingerprints look like the digest."""
    prints = np.array([hashlib.sha256(bytes([k])).hexdigest().encode() for k in range(200)])
    netcdf.save(xr.Dataset({"fingerprint": ("row", prints, ABOUT)}), tmp_path / "a.nc")
    assert (netcdf.load(tmp_path / "a.nc")["fingerprint"].values == prints).all()


def fail_halfway(path):
    with netcdf.atomic(path) as temporary:
        temporary.write_text("half of the new")
        raise RuntimeError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        fail_halfway(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["truncated", "text", "longer"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "a.nc"
    netcdf.save(dataset(np.arange(10_000.0)), path)
    whole = path.read_bytes()
    damaged = {
        "truncated": whole[: len(whole) // 2],
        "text": b"not NetCDF at all",
        "longer": whole + b"\0",
    }
    path.write_bytes(damaged[damage])
    known = r"a\.nc is damaged: its bytes have changed since it was written; delete it"
    unknown = r"a\.nc is damaged or was not written by nrc.*xarray"
    with pytest.raises(OSError, match=unknown if damage == "text" else known):
        netcdf.load(path)


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path):
    path = tmp_path / "a.nc"
    netcdf.save(dataset(), path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 101):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(OSError, match="is damaged"):
            netcdf.load(path)


def test_small_variables_are_contiguous_and_large_ones_compressed(tmp_path):
    path = tmp_path / "a.nc"
    netcdf.save(dataset(np.arange(100.0)).assign(many=("y", np.zeros(1_000_000), ABOUT)), path)
    with h5py.File(path) as file:
        assert file["a"].chunks is None
        assert file["many"].compression == "gzip"
    assert path.stat().st_size < 50_000


def test_how_a_file_was_stored_does_not_follow_its_contents(tmp_path):
    netcdf.save(dataset(np.arange(1_000_000.0)), tmp_path / "large.nc")
    netcdf.save(netcdf.load(tmp_path / "large.nc").isel(x=slice(3)), tmp_path / "a.nc")
    netcdf.save(dataset([0.0, 1.0, 2.0]), tmp_path / "b.nc")
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_the_arrays_alone_are_those_of_the_file(tmp_path):
    path = tmp_path / "a.nc"
    whole = dataset().assign_coords(x=("x", [1, 2, 3], ABOUT), seed=((), 7, ABOUT))
    netcdf.save(whole, path)
    arrays, attributes = netcdf.load_arrays(path)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "a": [1.0, 2.0, 3.0], "b": 4, "x": [1, 2, 3], "seed": 7,
    }  # fmt: skip
    assert attributes["experiment"] == "test"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match=r"a\.nc is damaged"):
        netcdf.load_arrays(path)


def test_a_file_is_plain_netcdf_and_has_its_digest(tmp_path):
    path = tmp_path / "a.nc"
    netcdf.save(dataset(), path)
    with xr.open_dataset(path, engine="h5netcdf") as plain:
        digest = plain.attrs.pop("sha256")
        xr.testing.assert_identical(plain.load(), dataset())
    data = path.read_bytes().replace(digest.encode(), netcdf.PLACEHOLDER)
    assert hashlib.sha256(data).hexdigest() == digest


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path):
    old, young = tmp_path / ".a.partial-1.nc", tmp_path / ".a.partial-2.nc"
    for left in (old, young):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    netcdf.save(dataset(), tmp_path / "a.nc")
    assert not old.exists()
    assert young.exists()


def test_a_sweep_a_selection_and_a_ratio_are_saved(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    runs = [dataset((seed, 2.0, 3.0)) for seed in range(3)]
    sweep = xr.concat(runs, pd.Index([0, 1, 2], name="seed"))
    ratio = (sweep["a"] / 2).drop_attrs().rename("ratio")
    for number, kept in enumerate((sweep, sweep.isel(x=0), sweep.sel(seed=1), ratio)):
        nrc.save(kept, f"~/{number}.NC")
        xr.testing.assert_equal(nrc.load(f"~/{number}.NC"), kept if number < 3 else kept.to_dataset())
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{number}.NC" for number in range(4)]
    assert nrc.load("3.NC")["seed"].attrs["long_name"] == AXES["seed"].long_name
    assert sweep["seed"].attrs == {}, "what is saved is not changed"
    for other, kind in (({}, "dict"), (xr.DataArray(1.0), "a DataArray without a name")):
        with pytest.raises(TypeError, match=f"save writes a Dataset or a DataArray with a name, not {kind}"):
            nrc.save(other, "a.nc")


def test_a_file_is_read_as_xarray_reads_it(tmp_path):
    saved = xr.Dataset(
        {
            "bare": (("seed", "layer"), np.arange(6.0).reshape(2, 3), {"units": "1", "levels": [1, 2]}),
            "names": ("layer", np.array(["a", "bc", "δ"], dtype=object)),
            "bytes": ("layer", np.array([b"ab", b"cd", b"ef"])),
            "flags": ("layer", np.array([True, False, True])),
            "gaps": ("seed", [1.0, np.nan], {"count": np.int64(3)}),
            "one": np.float32(0.5),
            "empty": ("nothing", np.zeros(0)),
        },
        coords={"seed": ("seed", [3, 4]), "beside": ("seed", [0.5, 1.5])},
        attrs={"points": 30, "experiment": "one"},
    )
    netcdf.save(saved, tmp_path / "file.nc")
    found = netcdf.load(tmp_path / "file.nc")
    with xr.open_dataset(tmp_path / "file.nc", engine="h5netcdf") as expected:
        expected.load()
        xr.testing.assert_identical(found, expected.drop_attrs(deep=False).assign_attrs(saved.attrs))
        for name, variable in expected.variables.items():
            assert found[name].dtype == variable.dtype
            assert list(map(type, found[name].attrs.values())) == list(map(type, variable.attrs.values()))
