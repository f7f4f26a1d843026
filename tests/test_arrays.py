"""Arrays from a file: the formats, and each defect reported in one line."""

import pathlib
import pickle

import numpy as np
import pytest
import xarray as xr

from nrc.data import Size, arrays
from nrc.data.arrays import Options, read_arrays

POINTS, FEATURES, OUTPUTS = 12, 3, 2
RNG = np.random.default_rng(0)
FULL = {
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
    return {name: values for name, values in FULL.items() if name not in names}


def changed(name, at, value):
    values = FULL[name].copy()
    values[at] = value
    return {**FULL, name: values}


def write_netcdf3(path, content):
    write_netcdf(path, content)
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        older = dataset.load()
    older.to_netcdf(path, engine="scipy")


@pytest.mark.parametrize(
    ("name", "write"),
    [("A.NPZ", write_npz), ("A.NPY", write_npy), ("A.NC", write_netcdf), ("3.nc", write_netcdf3)],
)
def test_labels_of_any_name_and_suffixes_of_any_case(tmp_path, monkeypatch, name, write):
    monkeypatch.setenv("HOME", str(tmp_path))
    numbers = FULL["labels"]
    for labels in (numbers + 1, 10 * numbers, np.array(["ant", "bee", "cat", "dog"])[numbers]):
        write(tmp_path / name.lower(), {**FULL, "labels": labels})
        (tmp_path / name.lower()).rename(tmp_path / name)  # numpy would add a suffix
        options = Options(file=f"~/{name}")
        arrays.check(options)
        assert read_arrays(options.file)["labels"].tolist() == numbers.tolist()


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_every_format_is_read(tmp_path, name):
    with_y = name != "small.npz"
    content = FULL if with_y else without("y")
    WRITERS[name](tmp_path / name, {**content, "other": np.array(["text"] * POINTS)})
    options = Options(file=str(tmp_path / name))
    arrays.check(options)
    assert arrays.size(options) == Size(POINTS, FEATURES, None, OUTPUTS if with_y else None)
    points = arrays.draw(options, 3, [options.file])
    assert (points.seed, points.clusters) == (3, 4)
    np.testing.assert_array_equal(points.base, FULL["x"])
    np.testing.assert_array_equal(points.labels, FULL["labels"])
    np.testing.assert_array_equal(points.y, content.get("y"))


def test_numbers_of_other_types_are_read_as_ours(tmp_path):
    content = {"x": FULL["x"].astype(np.float32), "labels": FULL["labels"].astype(np.uint8), "y": np.arange(24).reshape(12, 2)}  # fmt: skip
    for name, write in WRITERS.items():
        write(tmp_path / name, content)
        found = read_arrays(tmp_path / name)
        assert [found[key].dtype for key in FULL] == [np.float64, np.int64, np.float64]
        np.testing.assert_array_equal(found["x"], content["x"])


X, NO_X = FULL["x"], r"it must be \(points, features\)"
# Defects that the header of a file shows, which the check finds before any job.
IN_HEADERS = {
    "no x": (without("x"), r"it has no x; it must contain x \(points, features\) and labels \(points,\)"),
    "no labels": (without("labels"), r"it has no labels; it must contain x .* and labels \(points,\); without classes, use clusters of sklearn"),
    "float labels": ({**FULL, "labels": FULL["labels"] / 1}, "its labels has values of type float64; they must be whole numbers or texts"),
    "text in x": ({**FULL, "x": X.astype("S4")}, r"its x has values of type .*; they must be numbers"),
    "flat x": ({**FULL, "x": X[:, 0]}, rf"x in it has shape \(12,\); {NO_X}, at least one of each"),
    "one-hot labels": ({**FULL, "labels": np.eye(12, dtype=int)}, r"labels in it has shape \(12, 12\); it must be \(points,\)"),
    "no points": ({name: values[:0] for name, values in FULL.items()}, rf"x in it has shape \(0, 3\); {NO_X}"),
    "fewer labels": ({**FULL, "labels": FULL["labels"][:-1]}, r"labels in it has shape \(11,\); it must be \(points,\), with as many points as x, 12"),
}  # fmt: skip
IN_NUMBERS = {
    "a negative label": (changed("labels", 0, -1), "one of its labels is -1; leave out points without a class"),
    "NaN in x": (changed("x", (4, 2), np.nan), r"its x is nan at \[4, 2\]; every number must be finite"),
    "infinity in y": (changed("y", (7, 1), -np.inf), r"its y is -inf at \[7, 1\]; every number must be finite"),
}  # fmt: skip
DEFECTS = {**IN_HEADERS, **IN_NUMBERS}


def assert_refused(path, message, *, in_header=True):
    """The reader and, if the header shows the defect, the check raise one line with the file."""
    with pytest.raises(ValueError, match=message) as read:
        read_arrays(path)
    assert str(read.value).startswith(f"{path}: ")
    lines = [str(read.value)]
    if in_header:
        with pytest.raises(ValueError, match=message) as checked:
            arrays.check(Options(file=str(path)))
        assert str(checked.value).startswith(f"file is {str(path)!r}, but ")
        lines.append(str(checked.value))
    else:
        arrays.check(Options(file=str(path)))
    assert all("\n" not in line and len(line) < 300 + len(str(path)) for line in lines)


@pytest.mark.parametrize(
    ("name", "defect"),
    [*(("a.npz", defect) for defect in DEFECTS), ("a.nc", "no x"), ("a.npy", "float labels")],
)
def test_a_defect_is_reported_with_file_array_and_what_it_must_be(tmp_path, name, defect):
    content, message = DEFECTS[defect]
    WRITERS[name](tmp_path / name, content)
    assert_refused(tmp_path / name, message, in_header=defect in IN_HEADERS)


OTHER_FORMATS = {"a.csv": r"its suffix is '\.csv'; it must be one of \.npz, \.npy, \.nc", "a.nc": "it is not a NetCDF file", "a.npy": "magic string"}  # fmt: skip


@pytest.mark.parametrize("name", [*WRITERS, "a.csv"])
def test_a_file_that_is_missing_or_of_another_format(tmp_path, name):
    path = tmp_path / name
    assert_refused(path, "there is no such file")
    path.write_text("x, labels\n1, 0\n")
    assert_refused(path, OTHER_FORMATS.get(name, r"it is damaged \(File is not a zip file\)"))


@pytest.mark.parametrize(("name", "damage"), [("a.npz", "half"), ("a.npy", "half"), ("a.nc", "empty")])
def test_a_truncated_file_is_refused(tmp_path, name, damage):
    path = tmp_path / name
    WRITERS[name](path, FULL)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 if damage == "half" else 0])
    with pytest.raises(ValueError, match=rf"^{path}: [^\n]+$"):
        read_arrays(path)


def test_a_flipped_bit_of_an_archive_is_found(tmp_path):
    name = "a.npz"
    path = tmp_path / name
    WRITERS[name](path, FULL)
    data = bytearray(path.read_bytes())
    data[data.index(b"x.npy") + 160] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{name}: it is damaged .*"):
        read_arrays(path)


def test_plain_arrays_and_tables_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    for array in (FULL["x"], np.array(4.0)):
        np.save(path, array)
        assert_refused(
            path, r"it has a single array, but must have arrays x and labels; use numpy\.savez\(FILE, x=x"
        )
    write_npy(path, FULL)
    table = np.load(path)
    for array, shape in ((table.reshape(4, 3), r"\(4, 3, 3\)"), (table[0], r"\(3,\)")):
        np.save(path, array)
        assert_refused(path, f"x in it has shape {shape}")


class Trap:
    """An object that writes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.path),)


def test_a_pickle_is_never_loaded(tmp_path):
    sprung = tmp_path / "sprung"
    objects = np.array([Trap(str(sprung))] * POINTS, dtype=object)
    np.savez(tmp_path / "a.npz", x=FULL["x"], labels=objects)
    assert_refused(
        tmp_path / "a.npz", "its labels has values of type object; they must be whole numbers or texts"
    )
    np.savez(tmp_path / "b.npz", **FULL, other=objects)
    assert read_arrays(tmp_path / "b.npz").keys() == FULL.keys()
    write_npy(tmp_path / "a.npy", {**without("y"), "y": objects[:, None]})
    assert_refused(tmp_path / "a.npy", "its y has values of type object; they must be numbers")
    write_npy(tmp_path / "b.npy", {**FULL, "other": objects})
    assert_refused(tmp_path / "b.npy", "it has Python objects besides x, labels and y")
    for name in ("c.npy", "c.npz", "c.nc"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(str(sprung))))
        with pytest.raises(ValueError, match=f"{name}: "):
            read_arrays(tmp_path / name)
    assert not sprung.exists()
