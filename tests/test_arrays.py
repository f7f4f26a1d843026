"""Data of one's own: the three kinds of file, and each defect told in one line."""

import pathlib
import pickle

import numpy as np
import pytest
import xarray as xr

from nrc.data import Size, arrays
from nrc.data.arrays import read_arrays

POINTS, FEATURES, OUTPUTS = 12, 3, 2
RNG = np.random.default_rng(0)
WHOLE = {
    "x": RNG.standard_normal((POINTS, FEATURES)),
    "labels": np.arange(POINTS) % 4,
    "y": RNG.standard_normal((POINTS, OUTPUTS)),
}


def write_npz(path, content):
    np.savez(path, **content)


def write_compressed(path, content):
    np.savez_compressed(path, **content)


def write_npy(path, content):
    """A structured array, a field for each key."""
    fields = [(name, a.dtype, a.shape[1:]) for name, a in content.items()]
    table = np.empty(len(next(iter(content.values()))), fields)
    for name, values in content.items():
        table[name] = values
    np.save(path, table)


def write_netcdf(path, content):
    variables = {name: ([f"{name}{axis}" for axis in range(a.ndim)], a) for name, a in content.items()}
    xr.Dataset(variables).to_netcdf(path, engine="h5netcdf")


WRITERS = {"a.npz": write_npz, "small.npz": write_compressed, "a.npy": write_npy, "a.nc": write_netcdf}


def without(*names):
    return {name: values for name, values in WHOLE.items() if name not in names}


def changed(name, at, value):
    values = WHOLE[name].copy()
    values[at] = value
    return {**WHOLE, name: values}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("with_y", [True, False])
def test_a_file_of_every_kind_is_read(tmp_path, name, with_y):
    content = WHOLE if with_y else without("y")
    WRITERS[name](tmp_path / name, {**content, "other": np.array(["text"] * POINTS)})
    options = {"file": str(tmp_path / name)}
    arrays.check(options)
    assert arrays.size(options) == Size(POINTS, FEATURES, None, OUTPUTS if with_y else None)
    points = arrays.draw(options, 3, [options["file"]])
    np.testing.assert_array_equal(points.base, WHOLE["x"])
    np.testing.assert_array_equal(points.labels, WHOLE["labels"])
    assert (points.seed, points.clusters) == (3, 4)
    if with_y:
        np.testing.assert_array_equal(points.y, WHOLE["y"])
    else:
        assert points.y is None
    assert not arrays.SEEDED


def test_numbers_of_other_types_are_read_as_ours(tmp_path):
    content = {"x": WHOLE["x"].astype(np.float32), "labels": WHOLE["labels"].astype(np.uint8), "y": np.arange(24).reshape(12, 2)}  # fmt: skip
    for name, write in WRITERS.items():
        write(tmp_path / name, content)
        found = read_arrays(tmp_path / name)
        assert [found[key].dtype for key in WHOLE] == [np.float64, np.int64, np.float64]
        np.testing.assert_array_equal(found["x"], content["x"])


# What the header shows is told before any job; what is in the numbers, when they are read.
IN_HEADERS = {
    "no x": (without("x"), r"it has no x; it must hold x \(points, features\) and labels \(points,\)"),
    "no labels": (without("labels"), r"it has no labels; it must hold x .* and labels \(points,\)"),
    "float labels": (
        {**WHOLE, "labels": WHOLE["labels"] / 1},
        "its labels holds values of type float64; they must be whole numbers",
    ),
    "text in x": (
        {**WHOLE, "x": WHOLE["x"].astype("S4")},
        r"its x holds values of type .*; they must be numbers",
    ),
    "flat x": (
        {**WHOLE, "x": WHOLE["x"][:, 0]},
        r"x in it has shape \(12,\); it must be \(points, features\), at least one of each",
    ),
    "images in x": ({**WHOLE, "x": np.zeros((12, 2, 2))}, r"x in it has shape \(12, 2, 2\); it must be \(points, features\)"),
    "one-hot labels": (
        {**WHOLE, "labels": np.eye(12, dtype=int)},
        r"labels in it has shape \(12, 12\); it must be \(points,\)",
    ),
    "flat y": ({**WHOLE, "y": WHOLE["y"][:, 0]}, r"y in it has shape \(12,\); it must be \(points, outputs\)"),
    "no features": ({**WHOLE, "x": np.zeros((12, 0))}, r"x in it has shape \(12, 0\); it must be .*, at least one of each"),
    "no points": (
        {name: values[:0] for name, values in WHOLE.items()},
        r"x in it has shape \(0, 3\); it must be \(points, features\), at least one of each",
    ),
}  # fmt: skip
IN_NUMBERS = {
    "a gap in the labels": (changed("labels", WHOLE["labels"] == 2, 1), r"its labels must be 0, 1, \.\.\., K-1, each with a point, and 2 is missing"),
    "labels from 1": ({**WHOLE, "labels": WHOLE["labels"] + 1}, "its labels must be 0, 1, .* and 0 is missing"),
    "a huge label": (changed("labels", 5, 2**40), r"its labels must be .* and 4 is missing"),
    "a negative label": (changed("labels", 0, -1), r"its labels must be 0, 1, \.\.\., .* and -1 is one of them"),
    "NaN in x": (changed("x", (4, 2), np.nan), r"its x is nan at \[4, 2\]; every number must be finite"),
    "infinity in y": (changed("y", (7, 1), -np.inf), r"its y is -inf at \[7, 1\]; every number must be finite"),
}  # fmt: skip
OF_ARCHIVES = {
    "fewer labels": (
        {**WHOLE, "labels": WHOLE["labels"][:-1]},
        r"labels in it has shape \(11,\); it must be \(points,\), with as many points as x, 12",
    ),
    "fewer y": (
        {**WHOLE, "y": WHOLE["y"][:-2]},
        r"y in it has shape \(10, 2\); it must be \(points, outputs\), with as many points as x, 12",
    ),
}


def assert_told(path, message, *, before=True):
    """One line with the file from the reader and, if it shows in the header, from the check."""
    with pytest.raises(ValueError, match=message) as read:
        read_arrays(path)
    assert str(read.value).startswith(f"{path}: ")
    lines = [str(read.value)]
    if before:
        with pytest.raises(ValueError, match=message) as checked:
            arrays.check({"file": str(path)})
        assert str(checked.value).startswith(f"file is {str(path)!r}, but ")
        lines.append(str(checked.value))
    else:
        arrays.check({"file": str(path)})
    assert all("\n" not in line and len(line) < 300 + len(str(path)) for line in lines)


DEFECTS = {**IN_HEADERS, **IN_NUMBERS, **OF_ARCHIVES}


@pytest.mark.parametrize(
    ("name", "defect"),
    # a table has as many of each
    [
        (name, defect)
        for name in WRITERS
        for defect in DEFECTS
        if (name, defect in OF_ARCHIVES) != ("a.npy", True)
    ],
)
def test_a_defect_is_told_with_file_key_and_what_is_expected(tmp_path, name, defect):
    content, message = DEFECTS[defect]
    WRITERS[name](tmp_path / name, content)
    assert_told(tmp_path / name, message, before=defect not in IN_NUMBERS)


@pytest.mark.parametrize("name", [*WRITERS, "a.csv", "folder.npz"])
def test_a_file_that_is_not_there_or_of_another_kind(tmp_path, name):
    path = tmp_path / name
    assert_told(path, "there is no such file")
    if name == "folder.npz":
        path.mkdir()
        assert_told(path, "there is no such file")
        return
    path.write_text("x, labels\n1, 0\n")
    told = {"a.csv": r"its suffix is '\.csv'; it must be one of \.npz, \.npy, \.nc", "a.nc": "it is no NetCDF file", "a.npy": "magic string"}  # fmt: skip
    assert_told(path, told.get(name, r"it is damaged \(File is not a zip file\)"))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("damage", ["empty", "half"])
def test_a_file_that_is_cut_off_is_told(tmp_path, name, damage):
    path = tmp_path / name
    WRITERS[name](path, WHOLE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 if damage == "half" else 0])
    with pytest.raises(ValueError, match=r"^\S+: [^\n]+$") as told:
        read_arrays(path)
    assert str(told.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", ["a.npz", "small.npz"])
def test_a_flipped_bit_of_an_archive_is_told(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path, WHOLE)
    data = bytearray(path.read_bytes())
    data[data.index(b"x.npy") + 160] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{name}: it is damaged .*"):
        read_arrays(path)


def test_plain_arrays_and_tables_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, WHOLE["x"])
    assert_told(
        path, r"it holds one plain array; save x and labels by numpy\.savez\(FILE, x=x, labels=labels\)"
    )
    np.save(path, np.array(4.0))
    assert_told(path, "it holds one plain array")
    write_npy(path, WHOLE)
    table = np.load(path)
    np.save(path, table.reshape(4, 3))
    assert_told(path, r"x in it has shape \(4, 3, 3\)")
    np.save(path, table[0])
    assert_told(path, r"x in it has shape \(3,\)")


class Trap:
    """An object that writes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.path),)


def test_a_pickle_is_never_loaded(tmp_path):
    sprung = tmp_path / "sprung"
    objects = np.array([Trap(str(sprung))] * POINTS, dtype=object)
    np.savez(tmp_path / "a.npz", x=WHOLE["x"], labels=objects)
    assert_told(tmp_path / "a.npz", "its labels holds values of type object; they must be whole numbers")
    np.savez(tmp_path / "b.npz", **WHOLE, other=objects)
    assert read_arrays(tmp_path / "b.npz").keys() == WHOLE.keys()
    write_npy(tmp_path / "a.npy", {**without("y"), "y": objects[:, None]})
    assert_told(tmp_path / "a.npy", "its y holds values of type object; they must be numbers")
    write_npy(tmp_path / "b.npy", {**WHOLE, "other": objects})
    assert_told(tmp_path / "b.npy", "it holds objects beside x, labels and y")
    for name in ("c.npy", "c.npz", "c.nc"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(str(sprung))))
        with pytest.raises(ValueError, match=f"{name}: "):
            read_arrays(tmp_path / name)
    assert not sprung.exists()
