"""Measure the rank of every layer and the within-class variability of networks trained on MNIST."""

import argparse
import json

import numpy as np
import xarray as xr

from nrc import measures, store
from nrc.classifiers import image_points
from nrc.data.mnist import CLASSES, balanced_subsets
from nrc.determinism import make_deterministic
from nrc.grid import Stack, Status
from nrc.stacks import diverged_cells, trained_weights, unflatten
from workflow.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON with experiment, data, network, measures"
    )
    parser.add_argument("--data", nargs="+", required=True, help="MNIST file, the one trained on first")
    parser.add_argument("--trained", required=True, help="NetCDF file of the trained stack")
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    args = parser.parse_args()
    make_deterministic()

    settings, choices = args.settings, args.settings["measures"]
    trained, split = store.load(args.trained), store.load(args.data[0])
    stack = Stack.of(trained)
    seed, cells = stack.axes["seed"], len(stack)
    chosen = balanced_subsets(split["labels"].values, [settings["data"]["train_points"]], seed)[0]
    x, y, labels = image_points(split["images"].values, split["labels"].values, chosen)
    # the cells of a stack see the same points
    x, y, labels = (np.broadcast_to(a, (cells, *a.shape)).copy() for a in (x, y, labels))
    activation = settings["network"]["activation"]
    try:
        weights = trained_weights(trained)
        spaces = measures.hidden_spaces(weights, x, y, activation)
    except ValueError as error:
        raise SystemExit(f"{args.trained} on {args.data[0]}: {error}") from error
    best = measures.best_partitions(spaces, labels, CLASSES, settings["restarts"], [seed] * cells)
    lost = diverged_cells(trained)
    of_networks = [
        measures.rank_measures(
            weights,
            dead=lost | (trained["status"].values.ravel() == Status.DEAD),
            clusters=CLASSES,
            tolerance=choices["numerical_rank_tolerance"],
        ),
        measures.variability(spaces, labels, best, CLASSES),
        measures.stationarity_bounds(
            weights,
            x,
            y,
            np.array([cell["weight_decay"] for cell in stack.cells()]),
            activation,
            labels=labels,
            best=best,
            clusters=CLASSES,
            loss=settings["network"]["loss"],
        ),
    ]
    measured = xr.merge([measures.without(part, lost) for part in of_networks], join="exact", compat="equals")
    course = trained.drop_vars(["fingerprint", *(name for name in trained.data_vars if name.startswith("W"))])
    result = xr.merge(
        [course, unflatten(stack, measured)], join="outer", compat="equals", combine_attrs="override"
    )
    versions = {name: trained.attrs[name] for name in ("torch", "device", "precision")}
    store.save(result.assign_attrs(store.provenance(settings, **versions)), args.output)


if __name__ == "__main__":
    run(main)
