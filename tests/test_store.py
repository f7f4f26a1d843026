import numpy as np
import pytest
import xarray as xr

from nrc import store

ABOUT = {"long_name": "numbers", "units": "1"}


def dataset(values=(1.0, 2.0, 3.0)):
    return xr.Dataset(
        {"a": ("x", np.array(values), ABOUT), "b": ((), 4, ABOUT)}, attrs={"experiment": "test"}
    )


def test_what_is_saved_is_loaded(tmp_path):
    store.save(dataset(), tmp_path / "new" / "a.nc")
    xr.testing.assert_identical(store.load(tmp_path / "new" / "a.nc"), dataset())


def test_the_same_contents_are_the_same_bytes(tmp_path):
    for name in ("a.nc", "b.nc"):
        store.save(dataset(), tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_a_variable_must_say_what_it_is(tmp_path):
    with pytest.raises(ValueError, match="variable a has no long_name"):
        store.save(xr.Dataset({"a": ("x", [1.0], {"units": "1"})}), tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def fail_halfway(path):
    with store.atomic(path) as temporary:
        temporary.write_text("half of the new")
        raise RuntimeError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        fail_halfway(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "a.nc"
    store.save(dataset(np.arange(10_000.0)), path)
    whole = path.read_bytes()
    path.write_bytes(
        {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"not NetCDF at all"}[damage]
    )
    with pytest.raises(OSError, match=r"a\.nc is not a readable NetCDF file"):
        store.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.nc"):
        store.load(tmp_path / "gone.nc")
