"""A training program in a folder, to be killed."""

import contextlib
import io
import json
import logging
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow.lib.program import call

import train

from nrc import netcdf
from nrc.data.mixture import Options, draw
from nrc.metadata import provenance
from support.programs import Program

__all__ = ["STACK", "Training"]

DATA = {
    "clusters": 2,
    "points": 60,
    "dimension": 6,
    "separation": 2,
    "covariance": "isotropic",
    "weights": None,
}
STACK = {"weight_decay": [0.001, 0.002, 0.004, 0.008, 0.016], "sigma": [0.1, 0.2, 0.4], "width": 6, "depth": 4, "seed": 0}  # fmt: skip
COMMON = {
    "warm_start": None,
    "loss_on": "data",
    "penalty": "factors",
    "snapshot_every": None,
}
LBFGS = {"method": {"name": "lbfgs", "history": 10}, "tolerance": 1e-12, "epochs": 500, "precision": "float64"}  # fmt: skip
ADAM = {
    "method": {"name": "adam", "learning_rate": 1e-3, "batch": 20, "schedule": "cosine"},
    "tolerance": 1e-9,
    "epochs": 300,
    "snapshot_every": 10,
    "precision": "float32",
}
KINDS = {
    "lbfgs": {"task": "autoencode", "loss": "squared_error", "training": {**COMMON, **LBFGS}, "stack": STACK},
    "varpro": {
        "task": "autoencode",
        "loss": "squared_error",
        "training": {**COMMON, **LBFGS, "method": {"name": "varpro", "plain_epochs": 30, "history": 5}},
        "stack": STACK,
    },
    "adam": {
        "task": "classify",
        "loss": "cross_entropy",
        "training": {**COMMON, **ADAM},
        "stack": {**STACK, "weight_decay": [0.001, 0.01], "sigma": 0.2, "seed": [0, 1]},
    },
}


class Training:
    """A training program, its data and its output in a folder.

    Parameters
    ----------
    folder : path
    kind : {"lbfgs", "varpro", "adam"}
        Autoencoders on the whole data, or classifiers in mini-batches, with looks on the way.
    points : int
    """

    def __init__(self, folder: Path, kind: str = "lbfgs", points: int = DATA["points"]) -> None:
        self.folder, self.output = folder, folder / "train.nc"
        network = {"kind": "mlp", "activation": "tanh", "bias": False}
        self.settings = {"experiment": kind, "network": network, "device": "cpu", **KINDS[kind]}
        seeds = self.settings["stack"]["seed"]
        self.data = []
        for seed in seeds if isinstance(seeds, list) else [seeds]:
            self.data.append(folder / f"seed~{seed}.nc")
            drawn = draw(Options(**{**DATA, "points": points}), seed).to_dataset()
            netcdf.save(drawn.assign_attrs(provenance({"experiment": "blobs"})), self.data[-1])

    def training(self, **changes: Any) -> dict[str, Any]:
        """The `training` settings with changes."""
        return {**self.settings["training"], **changes}

    def start(
        self,
        *,
        interval: float = 0.05,
        threads: int = 1,
        memory: int | None = None,
        said: str = "said",
        before: Path | None = None,
        **settings: Mapping[str, Any],
    ) -> Program:
        """Start it, with other settings if they are given.

        `said` is the file that takes its output, `before` the trained networks that it goes on from.
        """
        arguments = self._arguments(interval, threads, before, settings)
        return Program("train", arguments, self.folder / said, memory=memory)

    def _arguments(
        self, interval: float, threads: int, before: Path | None, settings: Mapping[str, Any]
    ) -> list[str]:
        return [
            *("--settings", json.dumps({**self.settings, **settings})),
            *("--data", *map(str, self.data)),
            *(("--warm-start", str(before)) if before else ()),
            *("--output", str(self.output)),
            *("--threads", str(threads)),
            *("--checkpoint-interval", str(interval)),
        ]

    def run_here(self, before: Path | None = None, **settings: Mapping[str, Any]) -> tuple[bytes, str]:
        """What `run` does, in this process, which is faster."""
        stream, root = io.StringIO(), logging.getLogger()
        handler, level = logging.StreamHandler(stream), root.level
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        try:
            call(train.main, self._arguments(60, 1, before, settings))
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
            for number, known in handlers.items():
                signal.signal(number, known)
        return self.output.read_bytes(), stream.getvalue()

    def run(self, **options: Any) -> tuple[bytes, str]:
        """The bytes of the output, and what the program says."""
        program = self.start(**options)
        assert program.wait() == 0, program.said()
        return self.output.read_bytes(), program.said()

    def hidden(self, name: str) -> Path:
        """The checkpoint or the earlier file beside the output."""
        return self.output.with_name(f".{self.output.stem}.{name}")

    def wait_for_checkpoints(self, program: Program, count: int) -> None:
        """Until it has written some checkpoints, or has ended."""
        checkpoint, before = self.hidden("checkpoint"), set()
        with contextlib.suppress(FileNotFoundError):
            before.add(checkpoint.stat().st_mtime_ns)
        seen = set(before)
        while program.running and len(seen - before) < count:
            with contextlib.suppress(FileNotFoundError):
                seen.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.005)

    def forget(self) -> None:
        """Be as if nothing had ever run."""
        for file in (self.output, *self.output.parent.glob(f".{self.output.stem}.*")):
            file.unlink(missing_ok=True)
