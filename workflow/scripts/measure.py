"""Measure the rank of every layer and the within-class variability of every hidden space of a stack."""

import argparse
import json

import numpy as np
import xarray as xr

from nrc import linear_measures, measures, store
from nrc.determinism import make_deterministic
from nrc.grid import Stack, Status
from nrc.stacks import diverged_cells, load_mixtures, mixture_points, trained_weights, unflatten
from workflow.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON with experiment, data, activation, loss_on, penalty, measures",
    )
    parser.add_argument("--data", nargs="+", required=True, help="mixture file of each seed")
    parser.add_argument("--trained", required=True, help="NetCDF file of the trained stack")
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    args = parser.parse_args()
    make_deterministic()

    settings, choices = args.settings, args.settings["measures"]
    clusters, activation, penalty = settings["data"]["clusters"], settings["activation"], settings["penalty"]
    on_data = settings["loss_on"] == "data"
    trained = store.load(args.trained)
    stack = Stack.of(trained)
    mixtures = load_mixtures(stack, args.data)
    x = mixture_points(stack, mixtures, centroids=not on_data)
    labels = np.stack([mixture.labels for mixture in mixtures])
    weight_decay = np.array([cell["weight_decay"] for cell in stack.cells()])
    try:
        weights = trained_weights(trained)
        spaces = measures.hidden_spaces(weights, x, x, activation)
    except ValueError as error:
        raise SystemExit(f"{args.trained} on {', '.join(args.data)}: {error}") from error
    best = measures.best_partitions(
        spaces, labels, clusters, choices["kmeans_restarts"], [cell["seed"] for cell in stack.cells()]
    )
    sizes = (x.shape[2], *(w.shape[1] for w in weights))
    lost = diverged_cells(trained)
    of_networks = [
        measures.rank_measures(
            weights,
            dead=lost | (trained["status"].values.ravel() == Status.DEAD),
            clusters=clusters,
            tolerance=choices["numerical_rank_tolerance"],
        ),
        measures.variability(spaces, labels, best, clusters, choices["tcv_lower"]),
    ]
    of_data = []
    if penalty == "factors":
        of_networks.append(
            measures.stationarity_bounds(
                weights, x, x, weight_decay, activation, labels=labels, best=best, clusters=clusters
            )
        )
    if on_data:
        isotropic = settings["data"]["covariance"] == "isotropic"
        of_data.append(measures.mixture_bounds(stack, mixtures, isotropic, choices["delta"]))
        of_data.append(linear_measures.transition(x, len(weights), clusters))
    if activation == "linear":
        of_networks.append(linear_measures.forecasts(weights, x, weight_decay, penalty))
    if activation == "linear" and on_data:
        of_data.append(linear_measures.centroid_shift(x, labels, weight_decay, sizes, penalty))
    networks = [measures.without(part, lost) for part in of_networks]
    measured = xr.merge([*networks, *of_data], join="exact", compat="equals")
    course = trained.drop_vars(["fingerprint", *(name for name in trained.data_vars if name.startswith("W"))])
    result = xr.merge(
        [course, unflatten(stack, measured)], join="exact", compat="equals", combine_attrs="override"
    )
    versions = {name: trained.attrs[name] for name in ("torch", "device", "precision")}
    store.save(result.assign_attrs(store.provenance(args.settings, **versions)), args.output)


if __name__ == "__main__":
    run(main)
