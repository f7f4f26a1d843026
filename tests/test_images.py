"""Data sets of images in the files of torchvision: what is read, chosen, averaged and refused."""

import hashlib
import pickle

import numpy as np
import pytest
import scipy.io
from torchvision import datasets

from nrc import netcdf
from nrc.data import images, mnist
from nrc.data.images import SETS, Options

# images of each class in a split
EACH = {"train": 3, "test": 2}
GREY = [name for name, of in SETS.items() if of.channels == 1]


def split_of(name, split):
    rng, of = np.random.default_rng(len(split)), SETS[name]
    labels = rng.permutation(np.repeat(np.arange(of.classes, dtype=np.uint8), EACH[split]))
    return rng.integers(0, 256, (len(labels), *of.shape(None)), dtype=np.uint8), labels


def idx(path, array):
    """An IDX file, as of MNIST."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.tobytes())


def write(name, root, monkeypatch):
    """The files of a data set in a folder; torchvision expects their MD5."""
    kind = getattr(datasets, name)

    def pickled(file, contents):
        path = root / kind.base_folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(contents))
        return file, hashlib.md5(path.read_bytes()).hexdigest()

    for split in EACH:
        found, labels = split_of(name, split)
        if name in GREY:
            short = {"train": "train", "test": "t10k"}[split]
            prefix = f"emnist-balanced-{split}" if name == "EMNIST" else short
            idx(root / name / "raw" / f"{prefix}-images-idx3-ubyte", found[:, 0])
            idx(root / name / "raw" / f"{prefix}-labels-idx1-ubyte", labels)
        elif name == "SVHN":
            file = root / f"{split}_32x32.mat"
            ten = np.where(labels == 0, 10, labels)  # the digit 0 has the label 10 in its files
            scipy.io.savemat(file, {"X": found.transpose(2, 3, 1, 0), "y": ten[:, None]})
            md5 = hashlib.md5(file.read_bytes()).hexdigest()
            monkeypatch.setitem(kind.split_list, split, ["", file.name, md5])
        else:
            key = "labels" if name == "CIFAR10" else "fine_labels"
            entry = pickled(split, {"data": found.reshape(len(found), -1), key: labels.tolist()})
            monkeypatch.setattr(kind, f"{split}_list", [entry])
            file, md5 = pickled("meta", {"names": []})
            monkeypatch.setattr(kind, "meta", {"filename": file, "key": "names", "md5": md5})


@pytest.mark.parametrize("name", SETS)
def test_images_of_a_folder_are_read_chosen_and_averaged(name, tmp_path, monkeypatch):
    write(name, tmp_path, monkeypatch)
    whole = images.fetch(Options(dataset=name, folder=str(tmp_path)), name, "")
    for split in EACH:
        found, labels = split_of(name, split)
        np.testing.assert_array_equal(whole[f"{split}_images"], found)
        np.testing.assert_array_equal(whole[f"{split}_labels"], labels)
    netcdf.save(whole, tmp_path / "whole.nc")
    of, side = SETS[name], SETS[name].side // 4
    options = Options(dataset=name, side=side, train_points=2 * of.classes, test_points=of.classes)
    points, again, other = (images.draw(options, seed, [str(tmp_path / "whole.nc")]) for seed in (0, 0, 1))
    assert points.sizes.tolist() == [2] * of.classes
    assert np.bincount(points.test_labels).tolist() == [1] * of.classes
    assert images.size(options).features == points.base.shape[1] == of.channels * side**2
    np.testing.assert_array_equal(points.base, again.base)
    assert not np.array_equal(points.base, other.base)
    # each point is an image of its class, of which each pixel is the mean of 4 x 4
    for split, x, classes in (
        ("train", points.base, points.labels),
        ("test", points.test_base, points.test_labels),
    ):
        found, labels = split_of(name, split)
        means = sum(found[..., i::4, j::4] / 255 for i in range(4) for j in range(4)) / 16
        distances = np.abs(x[:, None] - means.reshape(len(means), -1)).max(2)
        assert distances.min(1).max() < 1e-12
        assert labels[distances.argmin(1)].tolist() == classes.tolist()
        assert len(set(distances.argmin(1))) == len(x)
    rest = images.draw(
        Options(dataset=name, train_points=None, test_points=None), 0, [str(tmp_path / "whole.nc")]
    )
    assert (len(rest.base), len(rest.test_base)) == (3 * of.classes, 2 * of.classes)


def test_files_of_another_data_set_or_with_other_bytes_are_refused(tmp_path, monkeypatch):
    write("CIFAR10", tmp_path, monkeypatch)
    (tmp_path / "cifar-10-batches-py/train").write_bytes(b"damaged")
    with pytest.raises(
        ValueError, match=r"where torchvision does not find CIFAR10 \(Dataset not found or corr"
    ):
        images.fetch(Options(dataset="CIFAR10", folder=str(tmp_path)), "CIFAR10", "")
    found, labels = split_of("KMNIST", "train")
    for file in ("train", "t10k"):
        idx(tmp_path / "KMNIST/raw" / f"{file}-images-idx3-ubyte", found[:, 0, 1:])
        idx(tmp_path / "KMNIST/raw" / f"{file}-labels-idx1-ubyte", labels)
    with pytest.raises(
        ValueError, match=r"its train split has images \(30, 1, 27, 28\), .* shape \(1, 28, 28\)"
    ):
        images.fetch(Options(dataset="KMNIST", folder=str(tmp_path)), "KMNIST", "")


@pytest.mark.parametrize(
    "contents", [b"", b"ab", b"<html>not found</html>", bytes([0, 0, 8, 1, 0, 0, 0, 9, 1])]
)
def test_damaged_files_without_a_checksum_are_refused(contents, tmp_path, monkeypatch):
    write("MNIST", tmp_path, monkeypatch)
    (tmp_path / "MNIST/raw/train-labels-idx1-ubyte").write_bytes(contents)
    with pytest.raises(
        ValueError, match=r"find MNIST \(.+\); put MNIST/raw/train-images-idx3-ubyte and three"
    ) as error:
        images.fetch(Options(dataset="MNIST", folder=str(tmp_path)), "MNIST", "")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["KMNIST", "CIFAR10"])
def test_without_a_network_the_error_is_one_line(name, monkeypatch):
    nowhere = "http://127.0.0.1:9/"
    monkeypatch.setattr(
        getattr(datasets, name), *({"KMNIST": ("mirrors", [nowhere])}.get(name, ("url", nowhere)))
    )
    with pytest.raises(
        ValueError, match=f"^{name} could not be downloaded by torchvision .*check the network"
    ) as error:
        images.fetch(Options(dataset=name), name, "")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"side": 5}, "side is 5, but must be a divisor of 28"),
        (
            {"train_points": 9},
            "train_points is 9, but must be 10 to 60000, with an image of each class of MNIST",
        ),
        ({"test_points": 10_001}, "test_points is 10001, but must be 10 to 10000"),
        ({"folder": "nowhere/at/all"}, "folder is 'nowhere/at/all', which does not exist"),
    ],
)
def test_options_are_checked_before_any_image_is_read(changes, line):
    with pytest.raises(ValueError, match=f"^{line}"):
        images.check(Options(dataset="MNIST", **changes))


@pytest.mark.parametrize("kind", [images, mnist])
def test_a_folder_may_begin_with_the_home_directory(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kind.Options(folder="~/pictures").folder == str(tmp_path / "pictures")
