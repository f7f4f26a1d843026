"""Train a stack of networks on MNIST for a number of epochs, with snapshots."""

import argparse
import json
import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrc import store
from nrc.classifiers import Snapshots, accuracy, classifier, image_points
from nrc.data.mnist import balanced_subsets
from nrc.determinism import make_deterministic
from nrc.grid import Ended, Stack
from nrc.network import Architecture, RegularisedLoss
from nrc.optimize.epochs import Course, train_epochs
from nrc.optimize.minimise import Minimum
from nrc.optimize.point import Point, State
from nrc.stacks import initial_parameters
from workflow.program import run
from workflow.trained_file import Arrays, about_networks, as_arrays, network_arrays
from workflow.training import Report, choose_device, train_stack

logger = logging.getLogger(__name__)

# What the file holds beside the networks.
ABOUT = {
    "train_accuracy": ((), {"long_name": "share of the train images classified right"}),
    "test_accuracy": ((), {"long_name": "share of the test images classified right"}),
    "snapshot_singular_values": (
        ("snapshot", "layer", "index"),
        {
            "long_name": "singular values on the way",
            "comment": "missing beyond the smaller side of the layer, and once a cell diverged",
        },
    ),
    "snapshot_wcss": (
        ("snapshot", "source"),
        {"long_name": "WCSS of features and targets in the classes, on the way", "reference": "eq. 6"},
    ),
}


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
    parser.add_argument("--checkpoint-interval", type=float, default=60, help="seconds between checkpoints")
    args = parser.parse_args()
    make_deterministic()

    settings, training, network = args.settings, args.settings["training"], args.settings["network"]
    stack, device = Stack(settings["stack"]), choose_device(settings["device"])
    torch.backends.cuda.matmul.allow_tf32 = training["tf32"]
    try:
        seen, unseen = choose_points(args.data, settings["data"], stack.axes["seed"])
    except ValueError as error:
        raise SystemExit(f"{args.output}: {error}") from error
    dtype = getattr(torch, training["precision"])
    x, y = (torch.tensor(a, dtype=dtype)[None] for a in seen[:2])
    architecture = classifier(stack.axes["width"], stack.axes["depth"], x.shape[-1], network["activation"])
    weight_decay = torch.tensor([cell["weight_decay"] for cell in stack.cells()], dtype=dtype)
    loss = RegularisedLoss(architecture, x, y, weight_decay, loss=network["loss"])
    start = initial_parameters(stack, architecture, network["gain"]).to(dtype)
    course = Course(
        seed=stack.axes["seed"],
        **{
            key: training[key]
            for key in ("method", "epochs", "batch", "learning_rate", "momentum", "schedule", "history")
        },
    )

    def train(cells: NDArray[np.int64], state: State, report: Report) -> Arrays:
        some, begin = loss.select(torch.from_numpy(cells)).to(device), start[cells].to(device)
        snapshots = Snapshots(
            architecture, some.x, some.y, seen[2], training["snapshots"], training["epochs"]
        )
        if state:
            snapshots.resume(state["snapshots"])
        theta, diverged = train_epochs(
            some,
            begin,
            course,
            snapshots,
            state=state.get("training"),
            report=lambda here: report(lambda: {"training": here(), "snapshots": snapshots.state}),
        )
        end = end_point(some, begin, theta, diverged, training["tolerance"], training["epochs"])
        accuracies = {}
        for name, (inputs, _, labels) in (("train", seen), ("test", unseen)):
            share = accuracy(
                architecture.split(theta),
                torch.tensor(inputs, dtype=dtype, device=device)[None],
                torch.tensor(labels, device=device),
                architecture.activation,
            )
            accuracies[f"{name}_accuracy"] = torch.where(end.ended == Ended.DIVERGED, torch.nan, share)
            logger.info(
                f"{args.output}: {name} accuracy {float(share.min()):.3f} to {float(share.max()):.3f}"
            )
        on_the_way = {
            "snapshot_singular_values": np.stack(snapshots.singular_values, axis=1),
            "snapshot_wcss": np.stack(snapshots.wcss, axis=1),
        }
        return network_arrays(some, end) | as_arrays(accuracies) | on_the_way

    train_stack(
        args.output,
        settings,
        [args.data] * len(stack),
        train,
        about_networks(stack.axes["depth"]) | ABOUT,
        coordinates(architecture, training),
        device=device,
        precision=training["precision"],
        interval=args.checkpoint_interval,
    )


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


def end_point(
    loss: RegularisedLoss, start: Tensor, theta: Tensor, diverged: Tensor, tolerance: float, epochs: int
) -> Minimum:
    """Where training ended, with the full gradient there."""
    point = Point.at(loss, theta)
    residual = loss.relative_residual(theta, point.gradient)
    ended = torch.full_like(residual, Ended.EVALUATIONS, dtype=torch.int64)
    ended[residual <= tolerance] = Ended.TOLERANCE
    ended[theta.norm(dim=1) <= 1e-6 * start.norm(dim=1)] = Ended.ORIGIN
    ended[diverged | ~point.finite] = Ended.DIVERGED
    counts = torch.full_like(ended, epochs)
    return Minimum(point, residual, counts, counts.clone(), ended)


def coordinates(architecture: Architecture, training: dict) -> dict[str, tuple]:
    """Coordinates of the snapshots."""
    epochs, layers = training["epochs"], len(architecture.shapes)
    about = {
        "snapshot": (sorted({*range(0, epochs, training["snapshots"]), epochs}), "epochs trained"),
        "layer": (range(1, layers + 1), "layer, from the input"),
        "index": (range(1, max(map(min, architecture.shapes)) + 1), "position in the spectrum, from 1"),
        "source": (range(layers), "space of the features z^k, k = 0 the inputs"),
    }
    return {
        name: (name, np.array(values), {"long_name": says, "units": "1"})
        for name, (values, says) in about.items()
    }


if __name__ == "__main__":
    run(main)
