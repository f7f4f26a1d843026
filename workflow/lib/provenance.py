"""What a file made from others says of where their numbers come from."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["origin"]

# Attributes of which all that occur are told, and those that are the same in all files of an experiment.
VARIED = ("torch", "device", "precision")
SAME = ("clusters", "points", "dimension")


def origin(files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Attributes of a file made from others, from theirs: such as device "cpu, NVIDIA H100"."""
    files = list(files)
    every = {name: [word for file in files for word in file[name].split(", ")] for name in VARIED}
    return {
        **{name: ", ".join(dict.fromkeys(words)) for name, words in every.items()},
        **{name: files[0][name] for name in SAME},
    }
