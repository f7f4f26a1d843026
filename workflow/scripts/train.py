"""Train a stack of networks until every cell is stationary or out of budget."""

import os
import platform
import signal
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

from workflow.lib.program import Option, Settings, at_least_one, run

import torch

from nrc import netcdf
from nrc.batching import load_points
from nrc.determinism import make_deterministic
from nrc.grid import Stack
from nrc.metadata import provenance
from nrc.training.checkpoint import Checkpoint
from nrc.training.run import device_of, train
from nrc.training.warm_start import InitialPoint, read_warm_start
from workflow.lib.cell_reuse import checkpoint_fingerprint, fingerprints, keep, reused_cells
from workflow.lib.code_digest import code_digest
from workflow.lib.training_log import TrainingLog


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
    stack, device = Stack(settings["stack"]), device_of(settings["device"])
    initial = initial_point(training["warm_start"], warm_start, stack)
    versions = {
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": training["precision"],
    }
    prints = fingerprints(
        stack,
        settings,
        data,
        versions | {"python": platform.python_version()},
        code_digest(
            __file__,
            (f"nrc.optimize.{training['method']['name']}", f"nrc.networks.{settings['network']['kind']}"),
        ),
        initial.fingerprints if initial else (),
    )
    known = reused_cells(output, prints)
    checkpoint = Checkpoint(output, checkpoint_fingerprint(prints, known[0]), checkpoint_interval)
    for request in (signal.SIGTERM, signal.SIGINT):
        signal.signal(request, checkpoint.request)
    with closing(TrainingLog(output, len(stack), training["epochs"], log)) as training_log:
        trained = train(
            stack,
            load_points(stack, data),
            task=settings["task"],
            network=settings["network"],
            loss=settings["loss"],
            penalty=training["penalty"],
            loss_on=training["loss_on"],
            method=training["method"],
            tolerance=training["tolerance"],
            epochs=training["epochs"],
            precision=training["precision"],
            snapshot_every=training["snapshot_every"],
            warm_start=initial,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
            known=known,
            fingerprints=prints,
            report=training_log,
            name=output,
        )
    netcdf.save(trained.assign_attrs(provenance(settings, **versions)), output)
    keep(output)
    checkpoint.remove()


def initial_point(
    setting: str | Mapping[str, Any] | None, file: str | None, stack: Stack
) -> InitialPoint | None:
    """The networks of another experiment or of another value of an axis; None for initial weights."""
    along = setting["along"] if isinstance(setting, Mapping) else None
    # along an axis the first cells start from initial weights
    if along is None and (setting is None) != (file is None):
        raise ValueError(
            f"training.warm_start is {setting}, but --warm-start is {file}; give both, or neither"
        )
    return None if file is None else read_warm_start(file, stack, along)


if __name__ == "__main__":
    run(main)
