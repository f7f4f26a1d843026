"""Attributes of a file that is made from other files."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["origin"]

# Attributes that may differ between the files of an experiment, and attributes that do not.
VARIED = ("torch", "device", "precision")
SAME = ("clusters", "points", "dimension")


def origin(files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the attributes of files, such as the device "cpu, NVIDIA H100"."""
    files = list(files)
    every = {name: [word for file in files for word in file[name].split(", ")] for name in VARIED}
    return {
        **{name: ", ".join(dict.fromkeys(words)) for name, words in every.items()},
        **{name: files[0][name] for name in SAME},
    }
