"""Data sets of images of torchvision, read from a folder or downloaded."""

import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrc.data import Size
from nrc.data.options import DataOptions
from nrc.data.subsets import balanced_subsets
from nrc.options import HomePath
from nrc.text import one_line

if TYPE_CHECKING:
    import xarray as xr

    from nrc.data.points import Points

__all__ = ["SETS", "ImageSet", "Options", "averaged", "check", "draw", "fetch", "fetched", "size"]

# What a missing file, a server or a damaged archive may raise.
UNREADABLE = (
    *(RuntimeError, ValueError, OSError, URLError, EOFError, zlib.error),
    *(AssertionError, KeyError, IndexError, TypeError),
)


class ImageSet(NamedTuple):
    """A data set of torchvision: what it contains, its files in the folder, and arguments of its class.

    Examples
    --------
    >>> SETS["CIFAR10"].shape(side=16)
    (3, 16, 16)
    """

    channels: int
    side: int
    classes: int
    train: int
    test: int
    files: str
    arguments: Mapping[str, str] = {}

    def shape(self, side: int | None) -> tuple[int, ...]:
        """(channels, height, width) of images of a side, the whole one if it is None."""
        return self.channels, side or self.side, side or self.side


IDX = "raw/train-images-idx3-ubyte and three other files (not .gz)"
SETS = {
    "MNIST": ImageSet(1, 28, 10, 60_000, 10_000, f"MNIST/{IDX}"),
    "FashionMNIST": ImageSet(1, 28, 10, 60_000, 10_000, f"FashionMNIST/{IDX}"),
    "KMNIST": ImageSet(1, 28, 10, 60_000, 10_000, f"KMNIST/{IDX}"),
    "EMNIST": ImageSet(
        *(1, 28, 47, 112_800, 18_800),
        f"EMNIST/{IDX.replace('train', 'emnist-balanced-train')}",
        {"split": "balanced"},
    ),
    "CIFAR10": ImageSet(3, 32, 10, 50_000, 10_000, "cifar-10-batches-py/data_batch_1 and others"),
    "CIFAR100": ImageSet(3, 32, 100, 50_000, 10_000, "cifar-100-python/train and others"),
    "SVHN": ImageSet(3, 32, 10, 73_257, 26_032, "train_32x32.mat and test_32x32.mat"),
}


class Options(DataOptions):
    """Images of a data set of torchvision, chosen by the seed; the noise is standard normal."""

    places: ClassVar[tuple[str, ...]] = ("folder",)

    dataset: Literal["MNIST", "FashionMNIST", "KMNIST", "EMNIST", "CIFAR10", "CIFAR100", "SVHN"] = Field(
        "MNIST", description="data set of torchvision; EMNIST is its split balanced, with 47 classes"
    )
    folder: HomePath | None = Field(
        None,
        description="folder that torchvision has as `root`, with the files of the data set as torchvision "
        "stores them, or null to download them; ~ at its beginning is the home directory",
    )
    side: int | None = Field(
        None,
        ge=1,
        description="height and width of the images, a divisor of those of the data set, 28 or 32; smaller "
        "images have means over squares of pixels, and null is the whole size",
    )
    train_points: int | None = Field(
        1000,
        ge=1,
        description="images to train on, balanced over the classes, or null for the whole training split",
    )
    test_points: int | None = Field(
        1000,
        ge=1,
        description="images to test on, balanced over the classes, or null for the whole test split",
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        from nrc.data.images import SETS  # options are read without the other names of this module

        return SETS[self.dataset].shape(self.side)


def check(options: Options) -> None:
    """Check the options before any image is read.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check(Options(dataset="CIFAR10", side=14))
    Traceback (most recent call last):
        ...
    ValueError: side is 14, but must be a divisor of 32, the side of images of CIFAR10, or null
    """
    of = SETS[options.dataset]
    if options.side and of.side % options.side:
        raise ValueError(
            f"side is {options.side}, but must be a divisor of {of.side}, the side of images of "
            f"{options.dataset}, or null"
        )
    for name, points, most in (
        ("train_points", options.train_points, of.train),
        ("test_points", options.test_points, of.test),
    ):
        if points is not None and not of.classes <= points <= most:
            raise ValueError(
                f"{name} is {points}, but must be {of.classes} to {most}, with an image of each class of "
                f"{options.dataset}, or null for all images"
            )
    if options.folder is not None and not Path(options.folder).is_dir():
        raise ValueError(
            f"folder is {options.folder!r}, which does not exist; use the root of torchvision, or null to "
            "download the files"
        )


def size(options: Options) -> Size:
    """Training images, numbers of an image and classes; there is no y.

    Examples
    --------
    >>> size(Options(dataset="SVHN", side=8, train_points=500))
    Size(points=500, features=192, clusters=10, outputs=None)
    """
    of = SETS[options.dataset]
    return Size(options.train_points or of.train, int(np.prod(of.shape(options.side))), of.classes, None)


def fetched(options: Options) -> dict[str, list[str]]:
    """The file that `draw` reads, which has the name of the data set.

    Examples
    --------
    >>> fetched(Options(dataset="KMNIST"))
    {'KMNIST': []}
    """
    return {options.dataset: []}


def fetch(options: Options, name: str, bundled: str | Path) -> "xr.Dataset":
    """Images and labels of both splits, whose bytes torchvision checks.

    Parameters
    ----------
    options : Options
        Only the folder counts.
    name : str
        Name of the data set.
    bundled : path
        Not used.

    Raises
    ------
    ValueError
        If the folder does not have the files, or they cannot be downloaded.

    Examples
    --------
    >>> fetch(Options(dataset="SVHN", folder="."), "SVHN", "")
    Traceback (most recent call last):
        ...
    ValueError: folder is '.', where torchvision does not find SVHN
    (Dataset not found or corrupted. You can use download=True to download it);
    put train_32x32.mat and test_32x32.mat there, or use null to download them
    """
    import xarray as xr

    if options.folder is None:
        with tempfile.TemporaryDirectory() as root:
            try:
                splits = _splits(name, root, download=True)
            except UNREADABLE as error:
                raise ValueError(
                    f"{name} could not be downloaded by torchvision ({_reason(error)}); check the network, "
                    "or use folder with the files as torchvision stores them"
                ) from error
    else:
        try:
            splits = _splits(name, options.folder, download=False)
        except UNREADABLE as error:
            raise ValueError(
                f"folder is {options.folder!r}, where torchvision does not find {name} ({_reason(error)}); "
                f"put {SETS[name].files} there, or use null to download them"
            ) from error
    return xr.Dataset(
        {
            f"{split}_{what}": ((f"{split}_point", *dims), values, {"long_name": long_name, "units": "1"})
            for split, arrays in splits.items()
            for (what, dims, long_name), values in zip(
                (("images", ("channel", "row", "column"), "value, to 255"), ("labels", (), "class")),
                arrays,
                strict=True,
            )
        }
    )


Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def _splits(name: str, root: str, download: bool) -> dict[str, Arrays]:
    """Images (points, channels, height, width) and labels (points,) of both splits."""
    from torchvision import datasets

    found = {}
    for split in ("train", "test"):
        which: dict[str, Any] = {"split": split} if name == "SVHN" else {"train": split == "train"}
        data = getattr(datasets, name)(root, download=download, **which, **SETS[name].arguments)
        images = np.asarray(data.data)
        if images.ndim == 3:
            images = images[:, None]
        elif images.shape[3] == SETS[name].channels:  # channels are last
            images = np.moveaxis(images, 3, 1)
        labels = np.asarray(data.labels if name == "SVHN" else data.targets)
        of = SETS[name]
        if images.shape[1:] != of.shape(None) or len(images) != len(labels) or labels.max() >= of.classes:
            raise ValueError(
                f"its {split} split has images {images.shape}, labels {labels.shape} up to {labels.max()}, "
                f"but must have images of shape {of.shape(None)} and as many labels below {of.classes}"
            )
        found[split] = np.ascontiguousarray(images), labels.astype(np.uint8)
    return found


def _reason(error: Exception) -> str:
    return one_line(error) or "a file is damaged"


def draw(options: Options, seed: int, files: Sequence[str]) -> "Points":
    """Choose the images to train and to test on.

    Parameters
    ----------
    options : Options
    seed : int
        Seed of the choice.
    files : sequence of path
        The file of the data set, as `fetch` makes it.
    """
    from nrc.data.points import Points
    from nrc.netcdf import load

    of, whole = SETS[options.dataset], load(files[0])
    arrays = []
    for split, points in (("train", options.train_points), ("test", options.test_points)):
        labels = whole[f"{split}_labels"].values.astype(np.int64)
        (chosen,) = balanced_subsets(labels, [points], seed, of.classes)
        images = averaged(whole[f"{split}_images"].values[chosen], options.side or of.side)
        arrays.append((images.reshape(len(chosen), -1) / 255, labels[chosen]))
    (x, labels), (test_x, test_labels) = arrays
    shape = options.input_shape
    return Points(seed, x, labels, test_base=test_x, test_labels=test_labels, image_shape=shape)


def averaged(images: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """Images (..., side, side), whose pixels are means over squares of pixels.

    Examples
    --------
    >>> averaged(np.array([[[0, 4], [0, 0]]], np.uint8), side=1).tolist()
    [[[1.0]]]
    """
    step = images.shape[-1] // side
    means: NDArray[np.float64] = images.reshape(*images.shape[:-2], side, step, side, step).mean((-3, -1))
    return means
