"""Train a stack of networks until every cell is stationary or out of budget."""

import argparse
import logging
import math
import os
import time
from collections.abc import Callable, Mapping

import torch
from numpy.typing import NDArray

from nrc.data.points import Points
from nrc.determinism import make_deterministic
from nrc.grid import Stack
from nrc.network import Architecture, RegularisedLoss
from nrc.optimize import build
from nrc.optimize.minimise import Progress, minimise
from nrc.optimize.point import Course, State
from nrc.snapshots import Snapshots, look_times
from nrc.stacks import (
    Sample,
    architecture_of,
    initial_parameters,
    load_points,
    regularised_loss,
    sample,
    training_sample,
)
from nrc.start import Start, read_start
from nrc.trained import Arrays, network_arrays
from pipeline.code import code_digest
from pipeline.program import program, run
from pipeline.training import Report, choose_device, train_stack

SECONDS_BETWEEN_REPORTS = 10
# tf32 is float32 whose products a GPU may round to ten bits
DTYPES = {"float64": torch.float64, "float32": torch.float32, "tf32": torch.float32}

logger = logging.getLogger(__name__)


def main(arguments: argparse.Namespace) -> None:
    settings, training = arguments.settings, arguments.settings["training"]
    make_deterministic(tf32=training["precision"] == "tf32")
    stack, device = Stack(settings["stack"]), choose_device(settings["device"])
    loss, shown = objective_of(settings, stack, load_points(stack, arguments.data))
    start = start_of(arguments, stack, loss.architecture)
    theta = start.theta.to(loss.x.dtype)
    seeds = [cell["seed"] for cell in stack.cells()]
    times = look_times(training["look_every"], training["passes"]) if training["look_every"] else []
    times = start.to_come(times)
    name, options = training["method"]["name"], {k: v for k, v in training["method"].items() if k != "name"}
    log = progress_log(arguments.output)

    def train(cells: NDArray, state: State, report: Report) -> Arrays:
        some = loss.select(torch.from_numpy(cells)).to(device)
        snapshots = snapshots_of(some, shown, cells, times) if times else None
        course = Course(training["passes"], [seeds[cell] for cell in cells])

        def after_step(progress: Progress, here: Callable[[], State]) -> None:
            log(progress)
            report(here)

        end = minimise(
            some,
            theta[cells].to(device),
            build(name, options, course),
            tolerance=training["tolerance"],
            passes=training["passes"],
            wall_clock=training["wall_clock"],
            look=snapshots,
            state=state,
            report=after_step,
        )
        return start.whole_way(network_arrays(some, end, snapshots), cells)

    train_stack(
        arguments.output,
        settings,
        arguments.data,
        train,
        code=code_digest(__file__, (f"nrc.optimize.{name}",)),
        device=device,
        start=start,
        times=start.since_the_beginning(times),
        interval=arguments.checkpoint_interval,
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


def start_of(arguments: argparse.Namespace, stack: Stack, architecture: Architecture) -> Start:
    """Where the cells start: at initial weights, or at the networks of another experiment."""
    name = arguments.settings["training"]["start"]
    if (name is None) != (arguments.start is None):
        raise ValueError(f"training.start is {name}, but --start is {arguments.start}; give both, or neither")
    if arguments.start is None:
        return Start(initial_parameters(stack, architecture, arguments.settings["network"]["gain"]))
    return read_start(arguments.start, stack)


def snapshots_of(loss: RegularisedLoss, shown: Sample, cells: NDArray, times: list[int]) -> Snapshots:
    """What looks at some cells on their way."""
    x, y, labels = (a[cells] if len(a) > 1 else a for a in (shown.x, shown.y, shown.labels))
    x, y = (torch.tensor(a, dtype=loss.x.dtype, device=loss.x.device) for a in (x, y))
    return Snapshots(loss.architecture, x, y, labels, len(cells), times)


def progress_log(name: str) -> Callable[[Progress], None]:
    """A function that logs progress now and then, and at the end."""
    last = time.monotonic()

    def log(progress: Progress) -> None:
        nonlocal last
        converged = f"{name}: {progress.converged} of {progress.cells} cells converged"
        if not progress.running:
            logger.info(f"{converged}, after {progress.passes} passes in {progress.seconds:.0f} s")
        elif time.monotonic() - last > SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            worst = "" if math.isnan(progress.worst) else f"worst relative residual {progress.worst:.1e}, "
            logger.info(
                f"{converged}, {progress.running} running, {worst}"
                f"{progress.rate:.0f} passes/s, at most {progress.seconds_left:.0f} s left"
            )

    return log


def arguments() -> argparse.ArgumentParser:
    parser = program(__doc__, "experiment, stack, task, network, loss, training and device")
    parser.add_argument("--data", nargs="+", required=True, metavar="FILE", help="data of each seed")
    parser.add_argument(
        "--start", nargs="?", metavar="FILE", help="trained networks to go on from (default: initial weights)"
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="NetCDF file to write")
    parser.add_argument(
        "--checkpoint-interval",
        type=float,
        default=float(os.environ.get("NRC_CHECKPOINT_INTERVAL", "60")),
        metavar="SECONDS",
        help="between two checkpoints (default: NRC_CHECKPOINT_INTERVAL of the environment, or 60)",
    )
    return parser


if __name__ == "__main__":
    run(main, arguments())
