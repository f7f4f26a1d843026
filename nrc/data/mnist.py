"""The MNIST images (LeCun, Cortes, Burges), read from a folder or downloaded, with checked bytes."""

import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrc.data import Size
from nrc.data.images import averaged
from nrc.data.options import DataOptions
from nrc.data.subsets import balanced, balanced_subsets
from nrc.options import HomePath
from nrc.text import listed

if TYPE_CHECKING:
    import xarray as xr
    from torchvision import datasets

    from nrc.data.points import Points

__all__ = [
    "CLASSES",
    "SPLITS",
    "Options",
    "Split",
    "check",
    "download_split",
    "draw",
    "fetch",
    "fetched",
    "images_dataset",
    "read_split",
    "size",
]

SIDE, CLASSES = 28, 10
# Bytes of the largest IDX file, which has the training images.
LARGEST = 16 + 60_000 * SIDE * SIDE


@dataclass(frozen=True)
class Split:
    """One of the two splits of MNIST.

    Attributes
    ----------
    digits : tuple of int
        Number of images of each digit.
    digests : dict
        SHA-256 of the uncompressed bytes of the IDX files, images first.

    Examples
    --------
    >>> SPLITS["train"].points
    60000
    """

    digits: tuple[int, ...]
    digests: dict[str, str]

    @property
    def points(self) -> int:
        """Number of images."""
        return sum(self.digits)


SPLITS = {
    "train": Split(
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        {
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        },
    ),
    "test": Split(
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
        {
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
}

Images = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Options(DataOptions):
    """MNIST images, chosen by the seed; the noise is standard normal."""

    places: ClassVar[tuple[str, ...]] = ("source", "folder")

    source: Literal["bundled", "folder", "torchvision"] = Field(
        "bundled",
        description="bundled (the 10,000 test images that come with this project, cut in two), folder (the "
        "IDX files in a folder) or torchvision (a download)",
    )
    folder: HomePath | None = Field(
        None,
        description="folder with MNIST's IDX files, compressed or not, for the source folder; ~ at its "
        "beginning is the home directory",
    )
    train_points: int | None = Field(
        1000,
        ge=10,
        description="images to train on, balanced over the digits, or null for the whole training split",
    )
    test_points: int | None = Field(
        1000,
        ge=10,
        description="images to test on, balanced over the digits, or null for the whole test split",
    )
    side: Literal[28, 14, 7] = Field(
        28, description="height and width of the images; smaller ones have means over squares of pixels"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return 1, self.side, self.side


def check(options: Options) -> None:
    """Check the options before any image is read.

    Raises
    ------
    ValueError
        If a folder is missing, or there are fewer images than the options ask for.

    Examples
    --------
    >>> check(Options(source="torchvision", train_points=70_000))
    Traceback (most recent call last):
        ...
    ValueError: train_points is 70000, but must be at most 60000, or null for all images
    """
    source, folder = options.source, options.folder
    wanted = {"train_points": options.train_points, "test_points": options.test_points}
    if source == "folder":
        if folder is None or not Path(folder).is_dir():
            found = "null" if folder is None else f"{folder!r}, which does not exist"
            raise ValueError(
                f"folder is {found}, but must be a folder with MNIST's IDX files for source folder"
            )
    elif folder is not None:
        raise ValueError(f"folder is {folder!r}, but must be null for source {source}; or use source folder")
    if source == "bundled":
        available = SPLITS["test"].points
        if (
            any(points is None for points in wanted.values())
            or sum(filter(None, wanted.values())) > available
        ):
            raise ValueError(
                f"train_points and test_points are {listed(wanted.values())}, but must be at most "
                f"{available} together for source bundled"
            )
        _check_digits(wanted, SPLITS["test"])
        return
    for split, (name, points) in zip(SPLITS.values(), wanted.items(), strict=True):
        if points is not None and points > split.points:
            raise ValueError(
                f"{name} is {points}, but must be at most {split.points}, or null for all images"
            )
        _check_digits({name: points}, split)


def _check_digits(wanted: Mapping[str, int | None], split: Split) -> None:
    """Check that there are enough images of every digit for balanced subsets."""
    needed = balanced(0, CLASSES) + sum(balanced(points, CLASSES) for points in wanted.values() if points)
    digit = int(np.argmax(needed - split.digits))
    if needed[digit] > split.digits[digit]:
        verb = "is" if len(wanted) == 1 else "are"
        raise ValueError(
            f"{listed(wanted)} {verb} {listed(wanted.values())}, which takes {needed[digit]} images of digit "
            f"{digit}, but there are {split.digits[digit]}; ask for fewer"
        )


def size(options: Options) -> Size:
    """Training images, pixels and classes; there is no y.

    Examples
    --------
    >>> size(Options(train_points=2000))
    Size(points=2000, features=784, clusters=10, outputs=None)
    """
    return Size(options.train_points or SPLITS["train"].points, options.side**2, CLASSES, None)


def fetched(options: Options) -> dict[str, list[str]]:
    """The splits that `draw` reads, with the bundled files that each is made from.

    Examples
    --------
    >>> fetched(Options())
    {'test': ['t10k-images-idx3-ubyte.gz', 't10k-labels-idx1-ubyte.gz']}
    >>> fetched(Options(source="torchvision"))
    {'train': [], 'test': []}
    """
    if options.source == "bundled":
        return {"test": [f"{name}.gz" for name in SPLITS["test"].digests]}
    return {split: [] for split in SPLITS}


def fetch(options: Options, split: str, bundled: str | Path) -> "xr.Dataset":
    """Images and labels of a split from the source of the options.

    Parameters
    ----------
    options : Options
    split : {"train", "test"}
    bundled : path
        Folder of the bundled files.

    Raises
    ------
    ValueError
        As `read_split` and `download_split`.
    """
    if options.source == "torchvision":
        return images_dataset(*download_split(split))
    return images_dataset(*read_split(bundled if options.folder is None else options.folder, split))


def draw(options: Options, seed: int, files: Sequence[str]) -> "Points":
    """Choose the images to train and to test on.

    Parameters
    ----------
    options : Options
    seed : int
        Seed of the choice.
    files : sequence of path
        Files of the splits, as `images_dataset` makes them: one that is divided into training and test
        images, or one for each.

    Examples
    --------
    >>> images, labels = np.zeros((40, 28, 28), np.uint8), np.arange(40, dtype=np.uint8) % 10
    >>> nrc.netcdf.save(images_dataset(images, labels), "test.nc")
    >>> points = draw(Options(train_points=20, test_points=10), seed=0, files=["test.nc"])
    >>> points.base.shape, points.sizes.tolist()
    ((20, 784), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    from nrc.data.points import Points
    from nrc.netcdf import load

    sizes, splits = [options.train_points, options.test_points], [load(file) for file in files]
    labels = [split["labels"].values for split in splits]
    if len(splits) == 1:
        chosen, splits = balanced_subsets(labels[0], sizes, seed, CLASSES), splits * 2
    else:
        pairs = zip(labels, sizes, strict=True)
        chosen = [balanced_subsets(known, [size], seed, CLASSES)[0] for known, size in pairs]
    (x, classes), (test_x, test_classes) = (
        (
            averaged(split["images"].values[some], options.side).reshape(len(some), -1) / 255,
            split["labels"].values[some].astype(np.int64),
        )
        for split, some in zip(splits, chosen, strict=True)
    )
    shape = options.input_shape
    return Points(seed, x, classes, test_base=test_x, test_labels=test_classes, image_shape=shape)


def read_split(folder: str | Path, split: str) -> Images:
    """Images (points, 28, 28) and labels (points,) from a folder with the IDX files, compressed or not.

    Raises
    ------
    ValueError
        If a file is missing, not a complete gzip file, or not a file of MNIST.

    Examples
    --------
    >>> read_split("downloads", "test")
    Traceback (most recent call last):
        ...
    ValueError: downloads has neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz;
    put MNIST's IDX files into it, or use source torchvision
    """
    with tempfile.TemporaryDirectory() as root:
        raw = Path(root) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for name, digest in SPLITS[split].digests.items():
            (raw / name).write_bytes(_checked(_bytes(Path(folder), name), digest, Path(folder) / name))
        return _arrays(_dataset_class(split)(root, train=split == "train"), split)


def download_split(split: str) -> Images:
    """Images (points, 28, 28) and labels (points,) from the internet, by torchvision.

    Raises
    ------
    ValueError
        If no mirror of torchvision's has the files, or they are not files of MNIST.
    """
    mnist = _dataset_class(split)
    with tempfile.TemporaryDirectory() as root:
        try:
            dataset = mnist(root, train=split == "train", download=True)
        except (RuntimeError, ValueError, URLError, OSError, EOFError, zlib.error) as error:
            raise ValueError(
                f"MNIST could not be downloaded from {', '.join(mnist.mirrors)} "
                f"({' '.join(str(error).split())}); "
                "check the network, or use source bundled, or source folder with the files in a folder"
            ) from error
        for name, digest in SPLITS[split].digests.items():
            _checked((Path(dataset.raw_folder) / name).read_bytes(), digest, f"the downloaded {name}")
        return _arrays(dataset, split)


def images_dataset(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> "xr.Dataset":
    """The split as a dataset with dimensions point, row, column.

    Examples
    --------
    >>> dict(images_dataset(np.zeros((5, 28, 28), np.uint8), np.zeros(5, np.uint8)).sizes)
    {'point': 5, 'row': 28, 'column': 28}
    """
    import xarray as xr

    return xr.Dataset(
        {
            "images": (("point", "row", "column"), images, {"long_name": "grey value, to 255", "units": "1"}),
            "labels": ("point", labels, {"long_name": "digit", "units": "1"}),
        }
    )


def _dataset_class(split: str) -> "type[datasets.MNIST]":
    """MNIST of torchvision, restricted to the files of one split."""
    from torchvision import datasets

    # the MD5 of torchvision depends on the compression; the SHA-256 of `Split` is of the uncompressed bytes
    resources = [(f"{name}.gz", None) for name in SPLITS[split].digests]
    return type("MNIST", (datasets.MNIST,), {"resources": resources})


def _bytes(folder: Path, name: str) -> bytes:
    plain, compressed = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        return plain.read_bytes()
    if not compressed.is_file():
        raise ValueError(
            f"{folder} has neither {name} nor {name}.gz; put MNIST's IDX files into it, "
            "or use source torchvision"
        )
    try:
        with gzip.open(compressed) as file:
            # a longer file is not a file of MNIST, and could fill the memory
            return file.read(LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{compressed} is not a complete gzip file ({error}); fetch it again") from error


def _checked(content: bytes, digest: str, name: Path | str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ValueError(
            f"{name} is not a file of MNIST, or is damaged: the SHA-256 of its bytes is {found}, "
            f"expected {digest}; fetch it again"
        )
    return content


def _arrays(dataset: "datasets.MNIST", split: str) -> Images:
    images, labels = dataset.data.numpy(), dataset.targets.numpy().astype(np.uint8)
    points = SPLITS[split].points
    if images.shape != (points, SIDE, SIDE) or labels.shape != (points,) or labels.max() >= CLASSES:
        raise ValueError(
            f"MNIST's {split} split has images {images.shape}, labels {labels.shape} up to {labels.max()}, "
            f"but must have {points} images of {SIDE} x {SIDE} and as many labels below {CLASSES}"
        )
    return images, labels
