"""Train a stack of networks until every cell is stationary or out of budget."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc.batching import (
    Sample,
    architecture_of,
    initial_parameters,
    load_points,
    regularised_loss,
    sample,
    training_sample,
)
from nrc.data.points import Points
from nrc.determinism import make_deterministic
from nrc.grid import Stack
from nrc.networks.mlp import Architecture
from nrc.objectives.principal_axes import Rotation
from nrc.objectives.protocols import Point
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize import build, rotates
from nrc.optimize.minimise import Progress, minimise
from nrc.optimize.protocols import RunInfo, State
from nrc.status import Status
from nrc.training.parallel import Cells, Report, block_size, part_size
from nrc.training.snapshots import Snapshots, snapshot_times
from nrc.training.trained_file import Arrays, network_arrays
from nrc.training.warm_start import Start, read_start
from workflow.lib.code_digest import code_digest
from workflow.lib.program import Option, Settings, at_least_one, run
from workflow.lib.progress_file import ProgressFile
from workflow.lib.training import choose_device, train_stack

# in the log, and for the bar
SECONDS_BETWEEN_REPORTS, SECONDS_BETWEEN_LOOKS = 10, 1
# tf32 is float32 whose products a GPU may round to ten bits
DTYPES = {"float64": torch.float64, "float32": torch.float32, "tf32": torch.float32}

logger = logging.getLogger(__name__)


def main(
    settings: Annotated[
        Settings,
        "experiment, stack (one value of each axis; of every axis but width and depth also a list of values "
        "that are trained together), task, network, loss, training and device",
    ],
    data: Annotated[list[str], "NetCDF files of data to read, one for each seed"],
    output: Annotated[
        str, "NetCDF file to write: weights, and the status of each cell; a hidden checkpoint is beside it"
    ],
    warm_start: Annotated[
        str | None, "NetCDF file of the trained networks from which training starts"
    ] = None,
    threads: Annotated[int, Option("cores, each for one part of the stack", at_least_one, "CORES")] = 1,
    checkpoint_interval: Annotated[
        float,
        Option("seconds between two checkpoints; NRC_CHECKPOINT_INTERVAL sets the default", float, "SECONDS"),
    ] = float(os.environ.get("NRC_CHECKPOINT_INTERVAL", "60")),
    log: Path | None = None,
) -> None:
    training = settings["training"]
    make_deterministic(tf32=training["precision"] == "tf32")
    stack, device = Stack(settings["stack"]), choose_device(settings["device"])
    loss, shown = objective_of(settings, stack, load_points(stack, data))
    start = start_of(settings, warm_start, stack, loss.architecture)
    theta = start.theta.to(loss.x.dtype)
    seeds = [cell["seed"] for cell in stack.cells()]
    times = (
        snapshot_times(training["snapshot_every"], training["epochs"]) if training["snapshot_every"] else []
    )
    times = start.to_come(times)
    name, options = training["method"]["name"], {k: v for k, v in training["method"].items() if k != "name"}
    progress_log = ProgressLog(output, len(stack), training["epochs"], log)

    # gradients are this library's own: on a CPU a tenth faster without torch's book of them
    @torch.inference_mode(device.type == "cpu")
    def train(cells: Cells, state: State, report: Report, spent: float) -> Arrays:
        some = loss.select(torch.from_numpy(cells)).to(device)
        axes = Rotation.of(some) if rotates(name) else Rotation(None)
        turned = axes.rotate(some)
        back = partial(axes.back, turned)
        snapshots = snapshots_of(some, shown, cells, times, back) if times else None
        course = RunInfo(training["epochs"], [seeds[cell] for cell in cells], training["tolerance"])

        def after_step(progress: Progress, here: Callable[[], State]) -> None:
            progress_log(int(cells[0]), progress, here)
            report(here)

        end = minimise(
            turned,
            axes.into(some, theta[cells].to(device)),
            build(name, options, course),
            tolerance=training["tolerance"],
            epochs=training["epochs"],
            window=block,
            look=snapshots,
            state=state,
            report=after_step,
        )
        end.point = Point(back(end.point.theta), end.point.value, back(end.point.gradient))
        return start.whole_way(network_arrays(some, end, snapshots), cells)

    seen = training["method"].get("batch") or loss.x.shape[1]
    block = block_size(loss.architecture, seen, loss.x.dtype) if device.type == "cpu" else len(stack)
    with closing(progress_log):
        train_stack(
            output,
            settings,
            data,
            train,
            # in the coordinates of their points cells have other sizes
            size=1 if rotates(name) else part_size(len(stack), block, threads),
            threads=threads,
            code=code_digest(__file__, (f"nrc.optimize.{name}",)),
            device=device,
            start=start,
            times=start.since_the_beginning(times),
            interval=checkpoint_interval,
            known=progress_log.known,
        )


def objective_of(
    settings: Mapping, stack: Stack, points: Mapping[int, Points]
) -> tuple[RegularisedLoss, Sample]:
    """The loss of every cell, and the points that looks on the way show."""
    task, network, training = settings["task"], settings["network"], settings["training"]
    centroids = training["loss_on"] == "centroids"
    linear = network["activation"] == "linear" and task == "autoencode" and not network["bias"]
    seen = training_sample(stack, points, task, centroids=centroids, linear=linear)
    shown = sample(stack, points, task, centroids=centroids) if centroids or linear else seen
    architecture = architecture_of(
        stack, seen.x.shape[-1], seen.y.shape[-1], network["activation"], network["bias"]
    )
    dtype, penalty = DTYPES[training["precision"]], training["penalty"]
    return regularised_loss(stack, architecture, seen, dtype, loss=settings["loss"], penalty=penalty), shown


def start_of(settings: Mapping, file: str | None, stack: Stack, architecture: Architecture) -> Start:
    """Where the cells start: at initial weights, or at networks of another experiment or another value."""
    start = settings["training"]["warm_start"]
    along = start["along"] if isinstance(start, Mapping) else None
    # along an axis the first cells start from initial weights
    if along is None and (start is None) != (file is None):
        raise ValueError(f"training.warm_start is {start}, but --warm-start is {file}; give both, or neither")
    if file is None:
        return Start(initial_parameters(stack, architecture, 1.0))
    return read_start(file, stack, along)


def snapshots_of(
    loss: RegularisedLoss,
    shown: Sample,
    cells: NDArray,
    times: list[int],
    parameters: Callable[[Tensor], Tensor],
) -> Snapshots:
    """What looks at some cells on their way, with their parameters in the coordinates of the data."""
    x, y, labels = (a[cells] if len(a) > 1 else a for a in (shown.x, shown.y, shown.labels))
    x, y = (torch.tensor(a, dtype=loss.x.dtype, device=loss.x.device) for a in (x, y))
    return Snapshots(loss.architecture, x, y, labels, len(cells), times, parameters)


class ProgressLog:
    """Tells now and then how far the parts of a stack are: in the log, and for the bar of the whole run.

    Parameters
    ----------
    name : str
        Of the output.
    cells, epochs : int
        Number of cells of all parts, and the budget of each.
    log : path, optional
        The log, beside which the bar finds the numbers.
    """

    def __init__(self, name: str, cells: int, epochs: int, log: Path | None) -> None:
        self._name, self._cells, self._passes, self._log = name, cells, epochs, log
        self._logged = self._told = time.monotonic()
        self._parts: dict[int, tuple[Progress, Callable[[], State] | None]] = {}

    def known(self, arrays: Arrays) -> None:
        """Count cells that need no training any more."""
        status = arrays["status"]
        converged = int((status == Status.CONVERGED).sum())
        # parts have numbers from 0
        self._parts[-1 - len(self._parts)] = Progress(len(status), converged, 0, float("nan")), None

    def __call__(self, part: int, progress: Progress, here: Callable[[], State]) -> None:
        """Take up where a part is, given by its first cell."""
        self._parts[part] = progress, here if progress.running else None
        now = time.monotonic()
        if self._log and now - self._told >= SECONDS_BETWEEN_LOOKS:
            self._told = now
            self._under_way(list(self._parts.values())).tell(self._log)
        if now - self._logged >= SECONDS_BETWEEN_REPORTS:
            self._logged = now
            logger.info(self._in_words([progress for progress, _ in list(self._parts.values())]))

    def close(self) -> None:
        if self._log:
            ProgressFile.remove(self._log)

    def _under_way(self, parts: list[tuple[Progress, Callable[[], State] | None]]) -> ProgressFile:
        return ProgressFile(
            ended=sum(progress.cells - progress.running for progress, _ in parts),
            converged=sum(progress.converged for progress, _ in parts),
            share=sum(_spent(here()) for _, here in parts if here) / self._passes,
        )

    def _in_words(self, parts: list[Progress]) -> str:
        ended, worst = sum(p.cells - p.running for p in parts), np.nanmax([p.worst for p in parts] + [0.0])
        return (
            f"{self._name}: {ended} of {self._cells} cells ended, {sum(p.converged for p in parts)} of them "
            f"converged, {sum(p.running for p in parts)} running"
            + (f", worst relative residual {worst:.1e}" if worst else "")
        )


def _spent(state: State) -> float:
    """Passes that the running cells of a part have had."""
    return float(state["end"]["evaluations"][state["running"]].sum())


if __name__ == "__main__":
    run(main)
