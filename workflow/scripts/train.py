"""Train a stack of networks until every cell is stationary or out of budget."""

import argparse
import json
import logging
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from nrc.determinism import make_deterministic
from nrc.grid import Stack
from nrc.optimize.gradient_descent import GradientDescent
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.levenberg_marquardt import LevenbergMarquardt
from nrc.optimize.minimise import Progress, minimise
from nrc.optimize.point import State
from nrc.stacks import (
    autoencoder,
    initial_parameters,
    load_mixtures,
    regularised_loss,
    training_points,
)
from workflow.program import run
from workflow.trained_file import Arrays, about_networks, network_arrays
from workflow.training import Report, choose_device, train_stack

SECONDS_BETWEEN_REPORTS = 10

logger = logging.getLogger(__name__)

METHODS = {
    "gd": lambda training: GradientDescent(training["step"]),
    "lbfgs": lambda training: LBFGS(training["history"]),
    "lm": lambda training: LevenbergMarquardt(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON with experiment, stack, data, network, training, device and precision",
    )
    parser.add_argument("--data", nargs="+", required=True, help="mixture file of each seed")
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    parser.add_argument("--checkpoint-interval", type=float, default=60, help="seconds between checkpoints")
    args = parser.parse_args()
    make_deterministic()

    settings, training = args.settings, args.settings["training"]
    stack, activation = Stack(settings["stack"]), settings["network"]["activation"]
    x, shares = training_points(
        stack,
        load_mixtures(stack, args.data),
        centroids=training["loss_on"] == "centroids",
        linear=activation == "linear",
    )
    architecture = autoencoder(stack, x.shape[-1], activation)
    device, dtype = choose_device(settings["device"]), getattr(torch, settings["precision"])
    try:
        loss = regularised_loss(stack, architecture, x, shares, dtype, training["penalty"])
    except ValueError as error:
        raise SystemExit(f"{args.output}: {error}") from error
    start = initial_parameters(stack, architecture, settings["network"]["gain"]).to(dtype)
    log = progress_log(args.output)

    def train(cells: NDArray[np.int64], state: State, report: Report) -> Arrays:
        def look(progress: Progress, here: Callable[[], State]) -> None:
            log(progress)
            report(here)

        some = loss.select(torch.from_numpy(cells)).to(device)
        end = minimise(
            some,
            start[cells].to(device),
            METHODS[training["method"]](training),
            tolerance=training["tolerance"],
            evaluations=training["evaluations"],
            wall_clock=training["wall_clock"],
            state=state,
            report=look,
        )
        return network_arrays(some, end)

    of_seed = dict(zip(stack.seeds, args.data, strict=True))
    train_stack(
        args.output,
        settings,
        [[of_seed[cell["seed"]]] for cell in stack.cells()],
        train,
        about_networks(stack.axes["depth"]),
        device=device,
        precision=settings["precision"],
        interval=args.checkpoint_interval,
    )


def progress_log(name: str) -> Callable[[Progress], None]:
    """A function that logs progress now and then, and at the end."""
    last = time.monotonic()

    def log(progress: Progress) -> None:
        nonlocal last
        converged = f"{name}: {progress.converged} of {progress.cells} cells converged"
        if not progress.running:
            logger.info(f"{converged}, after {progress.evaluations} evaluations in {progress.seconds:.0f} s")
        elif time.monotonic() - last > SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            logger.info(
                f"{converged}, {progress.running} running, worst relative residual {progress.worst:.1e}, "
                f"{progress.rate:.0f} evaluations/s, at most {progress.seconds_left:.0f} s left"
            )

    return log


if __name__ == "__main__":
    run(main)
