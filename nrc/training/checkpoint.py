"""Where a long computation is, in a file beside its output, so that it may be killed at any moment."""

import hashlib
import io
import secrets
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

__all__ = ["Checkpoint", "Superseded"]

# A checkpoint is the digest of what follows, and the arrays as .npz.
DIGEST = hashlib.sha256().digest_size


class Superseded(Exception):
    """Another process has begun to compute the same output."""


class Checkpoint:
    """The state of a computation, on disk, and its claim to write the output.

    Whoever opens the checkpoint last holds the claim, a file that nobody else writes. A process that
    was forgotten and still runs (its scheduler was killed, say) finds the claim of another when it
    next looks, and must give up: so two processes never write one output in turns, without a lock
    that a killed process would leave.

    Parameters
    ----------
    output : path
        What is computed. Checkpoint and claim are hidden files beside it.
    fingerprint : str
        Of all that the computation depends on. A state with another one is not taken up.
    interval : float
        Seconds between two states.

    Examples
    --------
    A process saves its state and is killed; the next one goes on from there:

    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> output = Path(folder.name) / "out.nc"
    >>> killed, after = (Checkpoint(output, "all settings", interval=60) for _ in range(2))
    >>> killed.open()
    {}
    >>> killed.save({"step": 3})
    >>> after.open()
    {'step': tensor(3)}

    Should the first one still run, it gives up when it next looks:

    >>> killed.check()
    Traceback (most recent call last):
    nrc.training.checkpoint.Superseded
    >>> folder.cleanup()
    """

    def __init__(self, output: str | Path, fingerprint: str, interval: float) -> None:
        output = Path(output)
        self.path = output.with_name(f".{output.stem}.checkpoint")
        self.claim = output.with_name(f".{output.stem}.claim")
        self.asked = False
        self._fingerprint, self._interval = fingerprint, interval
        self._token = secrets.token_hex(16)
        self._saved = time.monotonic()

    def open(self, device: torch.device | str = "cpu") -> State:
        """Claim the output, and return the state to go on from, empty if there is none.

        A checkpoint that is damaged, or of another computation, is no state.
        """
        with atomic(self.claim) as temporary:
            temporary.write_text(self._token, encoding="utf-8")
        state = _read(self.path)
        if state.pop("fingerprint", None) != self._fingerprint:
            return {}
        return _tree(state, torch.device(device))

    def ask(self, *_: Any) -> None:
        """Make the next moment the time for a state; a signal handler."""
        self.asked = True

    @property
    def due(self) -> bool:
        """Whether it is time for a state."""
        return self.asked or time.monotonic() - self._saved >= self._interval

    def save(self, state: State) -> None:
        """Write the state.

        Raises
        ------
        Superseded
        OSError
            If it cannot be written. The next one is due after another interval.
        """
        self.check()
        self._saved = time.monotonic()
        data = io.BytesIO()
        np.savez(data, fingerprint=self._fingerprint, allow_pickle=False, **_arrays(state))
        with atomic(self.path) as temporary:
            temporary.write_bytes(hashlib.sha256(data.getvalue()).digest() + data.getvalue())

    def check(self) -> None:
        """Raise `Superseded` unless this process holds the claim."""
        try:
            holder = self.claim.read_text(encoding="utf-8")
        except FileNotFoundError:  # another process has begun since, and ended
            holder = None
        if holder != self._token:
            raise Superseded

    def remove(self) -> None:
        """Remove both files: the output is complete."""
        self.path.unlink(missing_ok=True)
        self.claim.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """The arrays of a checkpoint, by path; nothing if it is missing or not whole."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    if hashlib.sha256(data[DIGEST:]).digest() != data[:DIGEST]:
        return {}
    try:
        with np.load(io.BytesIO(data[DIGEST:]), allow_pickle=False) as arrays:
            return dict(arrays)
    except ValueError:  # pickled objects, from somebody else
        return {}


def _arrays(state: State, prefix: str = "") -> dict[str, NDArray[Any]]:
    """The leaves of a tree, by their path."""
    leaves: dict[str, NDArray[Any]] = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            leaves |= _arrays(value, f"{prefix}{name}/")
        else:
            leaves[prefix + name] = value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return leaves


def _tree(arrays: Mapping[str, NDArray[Any]], device: torch.device) -> dict[str, Any]:
    """The tree of leaves by their path, as tensors on a device."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *branches, name = path.split("/")
        at = tree
        for branch in branches:
            at = at.setdefault(branch, {})
        at[name] = torch.as_tensor(array, device=device)
    return tree
