"""The device on which this machine trains."""

import ctypes
import sys
from pathlib import Path

__all__ = ["device_here"]


def device_here(device: str) -> str:
    """The device of the configuration, "cpu" or "cuda" instead of "auto".

    Torch, whose import takes seconds, is asked only where its answer is not clear without it.

    Raises
    ------
    ValueError
        If it is "cuda" and there is no GPU.

    Examples
    --------
    >>> device_here("cpu")
    'cpu'
    """
    if device == "cpu" or (device == "auto" and not _has_driver()):
        return "cpu"
    from nrc.training.run import device_of

    return device_of(device).type


def _has_driver() -> bool:
    """Whether there is a driver of GPUs by NVIDIA or AMD."""
    if sys.platform != "linux":
        return sys.platform == "win32"
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()
    return True
