"""Write the tables of docs/explanation/centroid_start.md: training from networks trained on centroids.

python -m tools.centroid_start --results FOLDER/results     after workflow/scales/centroid_start.yaml -- train
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import nrc
from nrc.data.points import Points
from nrc.determinism import make_deterministic
from nrc.grid import notation
from nrc.status import Status
from nrc.theory.ranks import numerical_rank, relative_distance
from tools.markdown import between, filled, table
from tools.potential_map import CHANGE, objective

PAGE = Path(__file__).parents[1] / "docs/explanation/centroid_start.md"
# experiments of each data set: the data and their clusters
DATA = {"blobs": ("Figure 1", 5), "digits": ("MNIST", 10)}
# starts: experiments on centroids and on all points
STARTS = {
    "random": (None, "random"),
    "centroids": ("centroids", "warm"),
    "centroids, to a residual of 0.1": ("rough", "warm_rough"),
}
# relative distance of networks of rank K, and tolerance of numerical ranks
NEAR, RANK = 0.1, 1e-3

Array = NDArray[np.float64]


def networks(results: Path, experiment: str) -> xr.Dataset:
    """The trained networks of an experiment, which are one stack."""
    (file,) = (results / experiment / "train").rglob("[!.]*.nc")
    return nrc.load(file)


def seconds(results: Path, experiment: str) -> float:
    """Processor seconds of the same training again, in this process."""
    settings = json.loads(networks(results, experiment).attrs["settings"])
    training, data = settings["training"], experiment.partition("_")[0]
    points = {
        seed: Points.from_dataset(nrc.load(results / "data" / data / f"seed~{seed}.nc"))
        for seed in settings["stack"]["seed"]
    }
    if training["warm_start"]:
        training["warm_start"] = networks(results, training["warm_start"])
    begin = process_time()
    nrc.train(
        {"sigma": 0.0, **settings["stack"]},
        points,
        task=settings["task"],
        loss=settings["loss"],
        network=settings["network"],
        **training,
    )
    return process_time() - begin


def costs(results: Path) -> Iterator[dict[str, object]]:
    """A row for each data set and start: epochs and processor seconds."""
    for data, (name, _) in DATA.items():
        for start, (before, after) in STARTS.items():
            parts = [f"{data}_{part}" for part in (before, after) if part]
            trained = [networks(results, part) for part in parts]
            epochs = [int(part["evaluations"].sum()) for part in trained]
            times = [seconds(results, part) for part in parts]
            yield {
                "data": name,
                "start": start,
                "networks": trained[-1]["loss"].size,
                "stationary": int((trained[-1]["status"] == Status.CONVERGED).sum()),
                "epochs on centroids": epochs[0] if before else 0,
                "epochs on all points": epochs[-1],
                "seconds on centroids": f"{times[0] if before else 0:.1f}",
                "seconds on all points": f"{times[-1]:.1f}",
                "seconds": f"{sum(times):.1f}",
            }


def ranks(trained: xr.Dataset) -> Array:
    """Numerical ranks of all layers, (cells, layers)."""
    return np.stack([numerical_rank(s, RANK) for s in spectra(trained)], axis=1)


def spectra(trained: xr.Dataset) -> list[Array]:
    """Singular values of each layer, (cells, n)."""
    weights = [trained[f"W{l}"].values for l in range(1, int(trained["depth"]) + 1)]
    return [np.linalg.svd(w.reshape(-1, *w.shape[-2:]), compute_uv=False) for w in weights]


def groups(data: str, trained: xr.Dataset) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Names and cells of the rows: by rank on the plane, and by weight decay on MNIST."""
    if data == "digits":
        decays = np.broadcast_to(trained["weight_decay"].values[:, None], trained["loss"].shape).ravel()
        yield from ((f"weight decay {notation(decay)}", decays == decay) for decay in np.unique(decays))
        return
    zero = (trained["status"] == Status.COLLAPSED_TO_ZERO).values.ravel()
    far = np.stack([relative_distance(s, DATA[data][1]) for s in spectra(trained)]).max(0)
    yield "rank K", (far <= NEAR) & ~zero
    yield "above rank K", (far > NEAR) & ~zero
    if zero.any():
        yield "at zero", zero


def ends(results: Path) -> Iterator[dict[str, object]]:
    """A row for each group of networks and each warm start: objectives and ranks beside a random start."""
    for data, (name, _) in DATA.items():
        random = networks(results, f"{data}_random")
        old, old_ranks, old_epochs = objective(random).values.ravel(), ranks(random), _epochs(random)
        for start, (before, after) in STARTS.items():
            if before is None:
                continue
            warm = networks(results, f"{data}_{after}")
            change, new_ranks = objective(warm).values.ravel() / old - 1, ranks(warm)
            for group, cells in groups(data, random):
                here = change[cells]
                yield {
                    "data": name,
                    "networks from a random start": group,
                    "warm start": start,
                    "number": int(cells.sum()),
                    "lower objective": int((here < -CHANGE).sum()),
                    "same": int((np.abs(here) <= CHANGE).sum()),
                    "higher": int((here > CHANGE).sum()),
                    "median change": f"{np.median(here):.1e}",
                    "largest": f"{here.max():.1e}",
                    "epochs, of a random start": float(np.median(_epochs(warm)[cells] / old_epochs[cells])),
                    "ranks, random": _ranks(old_ranks[cells]),
                    "ranks, warm": _ranks(new_ranks[cells]),
                }


def _epochs(trained: xr.Dataset) -> Array:
    found: Array = trained["evaluations"].values.ravel().astype(float)
    return found


def _ranks(of_cells: Array) -> str:
    """Medians over networks, for each layer."""
    return "-".join(f"{np.median(of_layer):.0f}" for of_layer in of_cells.T)


def main(results: Path) -> None:
    make_deterministic()
    for mark, rows in (("costs", costs(results)), ("ends", ends(results))):
        between(PAGE, mark, filled(table(list(rows))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.centroid_start", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="results of the scale")
    main(parser.parse_args().results)
