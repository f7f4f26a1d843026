"""Train a stack of networks until every cell is stationary or out of budget."""

import argparse
import json
import logging
import time
from collections.abc import Callable

import torch
import xarray as xr
from torch import Tensor

from nrc import store
from nrc.determinism import make_deterministic
from nrc.grid import Ended, Stack, Status
from nrc.network import RegularisedLoss
from nrc.optimize.gradient_descent import GradientDescent
from nrc.optimize.lbfgs import LBFGS
from nrc.optimize.levenberg_marquardt import LevenbergMarquardt
from nrc.optimize.minimise import Minimum, Progress, minimise
from nrc.stacks import (
    autoencoder,
    initial_parameters,
    load_mixtures,
    regularised_loss,
    training_points,
)

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
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    attributes = store.provenance(
        settings, torch=str(torch.__version__), device=name, precision=settings["precision"]
    )
    store.save(trained_dataset(stack, loss, end).assign_attrs(attributes), args.output)


def choose_device(name: str) -> torch.device:
    """The torch device for auto, cpu or cuda."""
    if name == "cuda" and not torch.cuda.is_available():
        raise SystemExit("device: cuda is asked for, but torch finds no GPU here; use device: auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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


def trained_dataset(stack: Stack, loss: RegularisedLoss, end: Minimum) -> xr.Dataset:
    """Trained weights W1..WL and how they were reached, with the stack's dimensions."""

    def cube(values: Tensor, long_name: str, dims: tuple[str, ...] = (), **attributes) -> tuple:
        array = values.cpu().numpy().reshape(stack.shape + values.shape[1:])
        return stack.dims + dims, array, {"long_name": long_name, "units": "1", **attributes}

    point = end.point
    weights = {
        f"W{l}": cube(w, f"weight matrix of layer {l}", (f"n{l}", f"n{l - 1}"))
        for l, w in enumerate(loss.architecture.split(point.theta), start=1)
    }
    penalty, _ = loss.penalty_gradient(point.theta)
    status = torch.tensor([Ended(code).status for code in end.ended.tolist()], dtype=torch.int8)
    course = {
        "loss": cube(point.value - penalty, "loss without the penalty"),
        "gradient_norm": cube(
            point.gradient.norm(dim=1), "norm ||r|| of the residual of all layers", reference="eq. 4"
        ),
        "relative_residual": cube(
            end.residual,
            "relative residual ||r|| / ||gradient of the penalty||",
            reference="eq. 4",
            comment="missing where the penalty's gradient is 0; it is lambda Theta for weight decay",
        ),
        "iterations": cube(end.iterations, "iterations of the method"),
        "evaluations": cube(end.evaluations, "evaluations of the loss with its gradient"),
        "status": cube(status, "status of the cell", **store.flag_attributes(Status)),
        "ended": cube(end.ended.to(torch.int8), "reason why training ended", **store.flag_attributes(Ended)),
    }
    return xr.Dataset(weights | course, stack.coords)


if __name__ == "__main__":
    main()
