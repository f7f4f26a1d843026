"""Train a stack of networks on MNIST for a number of epochs, with snapshots."""

import argparse
import json
import logging
import time

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from nrc import store
from nrc.classifiers import Snapshots, accuracy, classifier, image_points
from nrc.data.mnist import balanced_subsets
from nrc.determinism import make_deterministic
from nrc.grid import Ended, Stack
from nrc.network import RegularisedLoss
from nrc.optimize.epochs import Course, train_epochs
from nrc.optimize.minimise import Minimum
from nrc.optimize.point import Point
from nrc.stacks import initial_parameters
from workflow.trained_file import choose_device, device_name, trained_dataset, variable

logger = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON with experiment, stack, data, network, training and device",
    )
    parser.add_argument(
        "--data", nargs="+", required=True, help="MNIST file to train on, and to test on if another"
    )
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make_deterministic()

    settings, training, network = args.settings, args.settings["training"], args.settings["network"]
    stack, device = Stack(settings["stack"]), choose_device(settings["device"])
    torch.backends.cuda.matmul.allow_tf32 = training["tf32"]
    try:
        seen, unseen = choose_points(args.data, settings["data"], stack.axes["seed"])
    except ValueError as error:
        raise SystemExit(f"{args.output}: {error}") from error
    dtype = getattr(torch, training["precision"])
    x, y = (torch.tensor(a, dtype=dtype, device=device)[None] for a in seen[:2])
    architecture = classifier(stack.axes["width"], stack.axes["depth"], x.shape[-1], network["activation"])
    weight_decay = torch.tensor([cell["weight_decay"] for cell in stack.cells()], dtype=dtype, device=device)
    loss = RegularisedLoss(architecture, x, y, weight_decay, loss=network["loss"])
    course = Course(
        seed=stack.axes["seed"],
        **{
            key: training[key]
            for key in ("method", "epochs", "batch", "learning_rate", "momentum", "schedule", "history")
        },
    )
    snapshots = Snapshots(architecture, x, y, seen[2], training["snapshots"], training["epochs"])
    start = initial_parameters(stack, architecture, network["gain"]).to(device, dtype)
    began = time.monotonic()

    def look(epoch: int, theta: Tensor) -> None:
        check_finite(theta.isfinite().all(1), loss, epoch)
        snapshots(epoch, theta)

    theta = train_epochs(loss, start, course, look)
    end = end_point(loss, start, theta, training["tolerance"], training["epochs"])

    dataset = trained_dataset(stack, loss, end)
    weights = architecture.split(theta)
    for name, points in (("train", seen), ("test", unseen)):
        inputs = torch.tensor(points[0], dtype=dtype, device=device)[None]
        labels = torch.tensor(points[2], device=device)
        share = accuracy(weights, inputs, labels, architecture.activation)
        dataset[f"{name}_accuracy"] = variable(stack, share, f"share of the {name} images classified right")
    dataset = dataset.merge(snapshot_dataset(stack, snapshots))
    logger.info(
        f"{args.output}: {training['epochs']} epochs in {time.monotonic() - began:.0f} s, test accuracy "
        f"{float(dataset['test_accuracy'].min()):.3f} to {float(dataset['test_accuracy'].max()):.3f}"
    )
    attributes = store.provenance(
        settings,
        torch=str(torch.__version__),
        device=device_name(device),
        precision=training["precision"],
    )
    store.save(dataset.assign_attrs(attributes), args.output)


def choose_points(files: list[str], data: dict, seed: int) -> list[tuple]:
    """Points to train on and to test on: of one file, disjoint, or of a file each."""
    sizes = [data["train_points"], data["test_points"]]
    splits = [store.load(file) for file in files]
    if len(splits) == 1:
        chosen = balanced_subsets(splits[0]["labels"].values, sizes, seed)
        splits = splits * 2
    else:
        chosen = [
            balanced_subsets(split["labels"].values, [size], seed)[0]
            for split, size in zip(splits, sizes, strict=True)
        ]
    return [
        image_points(split["images"].values, split["labels"].values, some)
        for split, some in zip(splits, chosen, strict=True)
    ]


def end_point(loss: RegularisedLoss, start: Tensor, theta: Tensor, tolerance: float, epochs: int) -> Minimum:
    """Where training ended, with the full gradient there; a cell that diverged says so."""
    point = Point.at(loss, theta)
    residual = loss.relative_residual(theta, point.gradient)
    ended = torch.full_like(residual, Ended.EVALUATIONS, dtype=torch.int64)
    ended[residual <= tolerance] = Ended.TOLERANCE
    ended[theta.norm(dim=1) <= 1e-6 * start.norm(dim=1)] = Ended.ORIGIN
    check_finite(point.finite, loss, epochs)
    counts = torch.full_like(ended, epochs)
    return Minimum(point, residual, counts, counts.clone(), ended)


def check_finite(finite: Tensor, loss: RegularisedLoss, epoch: int) -> None:
    """End the job with the weight decay of the cells that diverged, if any did."""
    if not finite.all():
        decays = ", ".join(f"{value:g}" for value in loss.weight_decay[~finite].tolist())
        raise SystemExit(
            f"training diverged at weight decay {decays} by epoch {epoch}: a number is not finite; "
            "use a smaller training.learning_rate"
        )


def snapshot_dataset(stack: Stack, snapshots: Snapshots) -> xr.Dataset:
    """Snapshots with the stack's dimensions and the epoch."""
    spectra, wcss = (
        torch.from_numpy(np.stack(values, axis=1)) for values in (snapshots.singular_values, snapshots.wcss)
    )
    layers, index = spectra.shape[2:]
    dataset = xr.Dataset(
        {
            "snapshot_singular_values": variable(
                stack,
                spectra,
                "singular values on the way",
                ("snapshot", "layer", "index"),
                comment="missing beyond the smaller side of the layer",
            ),
            "snapshot_wcss": variable(
                stack,
                wcss,
                "WCSS of features and targets in the classes, on the way",
                ("snapshot", "source"),
                reference="eq. 6",
            ),
        },
        {
            "snapshot": snapshots.epochs,
            "layer": np.arange(1, layers + 1),
            "index": np.arange(1, index + 1),
            "source": np.arange(wcss.shape[2]),
        },
    )
    return store.describe(
        dataset,
        snapshot={"long_name": "epochs trained"},
        layer={"long_name": "layer, from the input"},
        index={"long_name": "position in the spectrum, from 1"},
        source={"long_name": "space of the features z^k, k = 0 the inputs"},
    )


if __name__ == "__main__":
    main()
