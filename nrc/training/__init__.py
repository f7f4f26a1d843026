"""Training a stack of networks: `train`, warm starts, snapshots, checkpoints and the trained file."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nrc.training.run import train as train

__all__ = ["train"]


def __getattr__(name: str) -> Any:
    # a program that only reads trained files does not depend on the methods
    if name == "train":
        return import_module("nrc.training.run").train
    raise AttributeError(f"module 'nrc.training' has no attribute {name!r}")
