"""The state of a long computation, in a file beside its output, so that it can be killed at any moment."""

import hashlib
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc.netcdf import atomic
from nrc.optimize.protocols import State

__all__ = ["Checkpoint"]

# A checkpoint is the digest of its contents, followed by the contents: arrays as .npz.
DIGEST = hashlib.sha256().digest_size


class Checkpoint:
    """The state of a computation, in a hidden file beside its output.

    Parameters
    ----------
    output : path
        What is computed.
    fingerprint : str
        Identifies everything that the computation depends on. A state with another fingerprint is ignored.
    interval : float
        Seconds between two states.

    Examples
    --------
    A process saves its state and is killed. The next process continues from there:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Checkpoint(f"{folder}/out.nc", "all settings", interval=60).save({"step": 3})
    ...     Checkpoint(f"{folder}/out.nc", "all settings", interval=60).open()
    ...     Checkpoint(f"{folder}/out.nc", "other settings", interval=60).open()
    {'step': tensor(3)}
    {}
    """

    def __init__(self, output: str | Path, fingerprint: str, interval: float) -> None:
        output = Path(output).expanduser()
        self.path = output.with_name(f".{output.stem}.checkpoint")
        self.requested = False
        self._fingerprint, self._interval = fingerprint, interval
        self._saved = time.monotonic()

    def open(self, device: torch.device | str = "cpu") -> State:
        """The state to continue from; empty if there is none.

        A checkpoint that is damaged, or of another computation, is ignored.
        """
        state = _read(self.path)
        if state.pop("fingerprint", None) != self._fingerprint:
            return {}
        return _tree(state, torch.device(device))

    def request(self, *_: Any) -> None:
        """Request a state as soon as possible, and the end of the computation; a signal handler."""
        self.requested = True

    @property
    def due(self) -> bool:
        """Whether it is time for a state."""
        return self.requested or time.monotonic() - self._saved >= self._interval

    def save(self, state: State) -> None:
        """Write the state.

        Raises
        ------
        OSError
            If it cannot be written. The next state is due after another interval.
        """
        self._saved = time.monotonic()
        data = io.BytesIO()
        np.savez(data, fingerprint=self._fingerprint, allow_pickle=False, **_arrays(state))
        with atomic(self.path) as temporary:
            temporary.write_bytes(hashlib.sha256(data.getvalue()).digest() + data.getvalue())

    def remove(self) -> None:
        """Remove the file, because the output is complete."""
        self.path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """The arrays of a checkpoint by their paths; none if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    if hashlib.sha256(data[DIGEST:]).digest() != data[:DIGEST]:
        return {}
    try:
        with np.load(io.BytesIO(data[DIGEST:]), allow_pickle=False) as arrays:
            return dict(arrays)
    except ValueError:  # pickled objects, which another program wrote
        return {}


def _arrays(state: State, prefix: str = "") -> dict[str, NDArray[Any]]:
    """The leaves of a tree by their paths."""
    leaves: dict[str, NDArray[Any]] = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            leaves |= _arrays(value, f"{prefix}{name}/")
        else:
            leaves[prefix + name] = value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return leaves


def _tree(arrays: Mapping[str, NDArray[Any]], device: torch.device) -> dict[str, Any]:
    """The tree of leaves by their paths, as tensors on a device."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *branches, name = path.split("/")
        at = tree
        for branch in branches:
            at = at.setdefault(branch, {})
        at[name] = torch.as_tensor(array, device=device)
    return tree
