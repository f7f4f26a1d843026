"""Train a stack of networks until every cell is stationary or out of budget."""

import argparse
import json
import logging
import time
from collections.abc import Callable

import torch

from nrc import store
from nrc.determinism import make_deterministic
from nrc.grid import Stack
from nrc.optimize.gradient_descent import GradientDescent
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.levenberg_marquardt import LevenbergMarquardt
from nrc.optimize.minimise import Progress, minimise
from nrc.stacks import (
    autoencoder,
    initial_parameters,
    load_mixtures,
    regularised_loss,
    training_points,
)
from workflow.trained_file import choose_device, device_name, trained_dataset

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
        help="JSON with experiment, stack, network, training, device and precision",
    )
    parser.add_argument("--data", nargs="+", required=True, help="mixture file of each seed")
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make_deterministic()

    settings, training = args.settings, args.settings["training"]
    stack = Stack(settings["stack"])
    activation = settings["network"]["activation"]
    x, shares = training_points(
        stack,
        load_mixtures(stack, args.data),
        centroids=training["loss_on"] == "centroids",
        linear=activation == "linear",
    )
    architecture = autoencoder(stack, x.shape[-1], activation)
    device, dtype = choose_device(settings["device"]), getattr(torch, settings["precision"])
    try:
        loss = regularised_loss(stack, architecture, x, shares, dtype, device, training["penalty"])
    except ValueError as error:
        raise SystemExit(f"{args.output}: {error}") from error
    end = minimise(
        loss,
        initial_parameters(stack, architecture, settings["network"]["gain"]).to(device, dtype),
        METHODS[training["method"]](training),
        tolerance=training["tolerance"],
        evaluations=training["evaluations"],
        wall_clock=training["wall_clock"],
        report=reporter(args.output),
    )
    attributes = store.provenance(
        settings,
        torch=str(torch.__version__),
        device=device_name(device),
        precision=settings["precision"],
    )
    store.save(trained_dataset(stack, loss, end).assign_attrs(attributes), args.output)


def reporter(name: str) -> Callable[[Progress], None]:
    """A function that logs progress now and then, and at the end."""
    last = time.monotonic()

    def report(progress: Progress) -> None:
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

    return report


if __name__ == "__main__":
    main()
