"""MNIST: the loader against the raw bytes, damaged files, the choice of images."""

import functools
import gc
import gzip
import hashlib
import http.server
import shutil
import threading

import numpy as np
import pytest
import torchvision.datasets

from nrc import netcdf
from nrc.data import Size, mnist
from nrc.data.mnist import SPLITS, Options, download_split, images_dataset, read_split
from nrc.data.subsets import balanced_subsets
from support.checkout import PROJECT

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

BUNDLED = PROJECT / "resources/mnist"
IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture(scope="module")
def split():
    return read_split(BUNDLED, "test")


@pytest.fixture
def folder(tmp_path):
    for name in (IMAGES, LABELS):
        shutil.copy(BUNDLED / f"{name}.gz", tmp_path)
    return tmp_path


@pytest.fixture
def mirrors(folder, monkeypatch):
    """Mirrors of torchvision: a server on loopback that has the files of the fixture `folder`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        addresses = [f"http://127.0.0.1:{running.server_port}/"]
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", addresses)
        yield addresses
        running.shutdown()
    # urllib leaves the socket of a refused file to the garbage collector, which would warn elsewhere
    gc.collect()


def test_the_loader_agrees_with_the_raw_bytes(split):
    images, labels = split
    raw = {name: gzip.decompress((BUNDLED / f"{name}.gz").read_bytes()) for name in (IMAGES, LABELS)}
    assert raw[IMAGES][:16] == bytes([0, 0, 8, 3, 0, 0, 39, 16, 0, 0, 0, 28, 0, 0, 0, 28])
    np.testing.assert_array_equal(images.ravel(), np.frombuffer(raw[IMAGES], np.uint8, offset=16))
    np.testing.assert_array_equal(labels, np.frombuffer(raw[LABELS], np.uint8, offset=8))
    assert SPLITS["test"].digits == tuple(np.bincount(labels))
    for name, content in raw.items():
        assert hashlib.sha256(content).hexdigest() == SPLITS["test"].digests[name]


def flipped(content: bytes) -> bytes:
    changed = bytearray(gzip.decompress(content))
    changed[9000] ^= 1
    return gzip.compress(changed, compresslevel=1)


GZIP = f"{IMAGES}.gz is not a complete gzip file .*; fetch it again"
NOT_MNIST = f"{IMAGES} is not a file of MNIST, or is damaged: .* expected 0fa7898d.*; fetch it again"
DAMAGES = {
    "truncated": (lambda content: content[:5000], GZIP),
    "flipped bit": (flipped, NOT_MNIST),
    "missing": (None, f"has neither {IMAGES} nor {IMAGES}.gz; put MNIST's IDX files into it"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_from_a_folder_and_from_the_internet(mirrors, folder, damage, capsys):
    (change, message), path = DAMAGES[damage], folder / f"{IMAGES}.gz"
    if change:
        path.write_bytes(change(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(ValueError, match=message):
        read_split(folder, "test")
    with pytest.raises(
        ValueError, match=r"could not be downloaded from|is not a file of MNIST, or is damaged"
    ):
        download_split("test")


def test_the_second_mirror_serves_where_the_first_fails(mirrors, split, capsys):
    mirrors.insert(0, "http://127.0.0.1:9/")
    np.testing.assert_array_equal(download_split("test")[0], split[0])
    mirrors[:] = mirrors[:1]
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9/ .*; check the network, or use source bundled"):
        download_split("test")


def test_subsets_are_balanced_disjoint_and_from_the_seed(split):
    labels = split[1]
    first, second = balanced_subsets(labels, [205, 1000], seed=3, classes=10)
    assert np.bincount(labels[first]).tolist() == [21] * 5 + [20] * 5
    assert np.bincount(labels[second]).tolist() == [100] * 10
    assert not set(first) & set(second)
    np.testing.assert_array_equal(first, balanced_subsets(labels, [205], seed=3, classes=10)[0])
    assert set(first) != set(balanced_subsets(labels, [205], seed=4, classes=10)[0])
    some, rest = balanced_subsets(labels, [300, None], seed=3, classes=10)
    assert sorted([*some, *rest]) == list(range(10_000))
    with pytest.raises(ValueError, match="needs more images of class 5 than the 892 left; ask for fewer"):
        balanced_subsets(labels, [9000], seed=0, classes=10)


OPTIONS = Options(train_points=300, test_points=205)


@pytest.fixture(scope="module")
def files(split, tmp_path_factory):
    """The bundled images, and images that take the place of two splits: the first 4000, and the rest."""
    folder = tmp_path_factory.mktemp("splits")
    parts = {"all": slice(None), "train": slice(4000), "test": slice(4000, None)}
    for name, part in parts.items():
        netcdf.save(images_dataset(*(array[part] for array in split)), folder / f"{name}.nc")
    return {name: str(folder / f"{name}.nc") for name in parts}


def places(points, split):
    """Which images the points are, by their pixels."""
    numbers = {image.tobytes(): number for number, image in enumerate(split[0])}
    pixels = np.rint(points * 255).astype(np.uint8)
    np.testing.assert_array_equal(pixels / 255, points)
    return [numbers[row.tobytes()] for row in pixels]


@pytest.mark.parametrize("names", [["all"], ["train", "test"]])
def test_images_are_chosen_once_for_a_seed(files, split, names):
    assert mnist.size(OPTIONS) == Size(points=300, features=784, clusters=10, outputs=None)
    paths = [files[name] for name in names]
    points, again, other = (mnist.draw(OPTIONS, seed, paths) for seed in (3, 3, 4))
    for ours, same in zip(vars(points).values(), vars(again).values(), strict=True):
        np.testing.assert_array_equal(ours, same)
    train, test = places(points.base, split), places(points.test_base, split)
    assert len({*train, *test}) == 505, "each image once, and none to train and to test on"
    assert points.labels.tolist() == split[1][train].tolist()
    assert points.test_labels.tolist() == split[1][test].tolist()
    assert points.sizes.tolist() == [30] * 10
    assert np.bincount(points.test_labels).tolist() == [21] * 5 + [20] * 5
    assert set(train) != set(places(other.base, split))
    if len(names) == 2:
        assert max(train) < 4000 <= min(test)
    assert points.noise is None
    assert points.seed == 3
    np.testing.assert_array_equal(points.x(0), points.base)
    np.testing.assert_allclose((points.x(0.5) - points.base).std(), 0.5, rtol=0.01)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"source": "folder", "folder": "nowhere/at/all"}, "folder is 'nowhere/at/all', which does not exist"),
        ({"folder": "."}, "folder is '.', but must be null for source bundled; or use source folder"),
        ({"train_points": 9000, "test_points": 1001}, "train_points and test_points are 9000 and 1001, but must be at most 10000 together"),
        ({"train_points": 9000, "test_points": 1000}, "train_points and test_points are 9000 and 1000, which takes 1000 images of digit 5, but there are 892"),
        ({"source": "torchvision", "train_points": 60_000}, "train_points is 60000, which takes 6000 images of digit 5, but there are 5421; ask for fewer"),
    ],
)  # fmt: skip
def test_options_are_checked_before_any_image_is_read(changes, line):
    with pytest.raises(ValueError, match=f"^{line}"):
        mnist.check(OPTIONS.model_copy(update=changes))


def test_the_largest_balanced_subsets_are_accepted():
    mnist.check(Options(train_points=7920, test_points=1000))
    mnist.check(Options(source="folder", folder=str(BUNDLED), train_points=None))
    mnist.check(Options(source="torchvision", train_points=54_215))


def test_images_come_from_the_source_of_the_options(mirrors, folder, split, capsys):
    for options in ({}, {"source": "folder", "folder": str(folder)}, {"source": "torchvision"}):
        found = mnist.fetch(Options(**options), "test", BUNDLED)
        for name, expected in zip(("images", "labels"), split, strict=True):
            np.testing.assert_array_equal(found[name], expected)
