"""What runs again after an edit, and what stays: the promise to the user."""

import hashlib
import os
import re
import subprocess
import time

import numpy as np
import pytest

from support.checkout import digests

SEED_0 = "results/mixture/{}/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"

EXPLORER = {"explorer": 1}
JUDGED = {"audit": 1, "judge_claims": 1, **EXPLORER}
PLOTS_OF_PLANE = {"plot_figure1": 1, "plot_bounds": 1}
PLOTS_OF_MIXTURE = {**PLOTS_OF_PLANE, "plot_certified": 1}
PLOTS_OF_LINEAR = {"plot_figure2": 1, "plot_forecast": 1}
PLOTS_OF_STATIONARY = {
    **{"plot_figure3_stationary": 1, "plot_certified_mnist_stationary": 1},
    **{f"plot_figure{n}_stationary{part}": 1 for n in (4, 5) for part in ("", "_supplement")},
}
PLOTS_OF_MNIST = {
    **{name.replace("_stationary", ""): 1 for name in PLOTS_OF_STATIONARY},
    **PLOTS_OF_STATIONARY,
}
PLANE_ON = {"train_stack": 1, "measure": 1, "collect": 1, **PLOTS_OF_PLANE, **JUDGED}
MIXTURE_ON = {"train_stack": 2, "measure": 2, "collect": 2, **PLOTS_OF_MIXTURE, **JUDGED}
MNIST_ON = {"train_stack": 6, "measure": 6, "collect": 6, **PLOTS_OF_MNIST, **JUDGED}
STATIONARY_ON = {"train_stack": 3, "measure": 3, "collect": 3, **PLOTS_OF_STATIONARY, **JUDGED}
MEASURE_ON = {
    **{"measure": 12, "collect": 12, "compare_centroids": 2},
    **PLOTS_OF_MIXTURE,
    **PLOTS_OF_LINEAR,
    **PLOTS_OF_MNIST,
    **JUDGED,
}


def touch_everything(checkout):
    """Give every file another time, in no order."""
    files = [file for file in checkout.folder.rglob("*") if file.is_file() and ".snakemake" not in file.parts]
    now = time.time()
    for age, file in enumerate(sorted(files, key=lambda file: hashlib.sha256(str(file).encode()).digest())):
        os.utime(file, (now + age, now + age))


def rewrite_everything(checkout):
    """Other comments, docstrings and layout in every module."""
    for file in [*checkout.folder.glob("nrc/**/*.py"), *checkout.folder.glob("workflow/**/*.py")]:
        text = file.read_text(encoding="utf-8")
        text = re.sub(r'^( *)"""', r'\1"""Other words. ', text, count=1, flags=re.MULTILINE)
        text = text.replace("\n\n", "\n\n\n# another comment\n\n")
        file.write_text(text, encoding="utf-8")


def test_nothing_runs_where_nothing_that_counts_is_changed(checkout):
    assert "Nothing to be done" in checkout.snakemake()
    touch_everything(checkout)
    rewrite_everything(checkout)
    checkout.edit("nrc/version.py", '__version__ = "', '__version__ = "9.')
    assert checkout.planned(overlays=checkout.overlay({"checkpoint_interval": 7})) == {}


ADDED = "\n\nANOTHER = 1\n"


@pytest.mark.parametrize(
    ("files", "reruns"),
    [
        (["nrc/figures/plane.py"], {"plot_figure1": 1}),
        (["nrc/explorer/page.py"], EXPLORER),
        (["nrc/explorer/page.css", "nrc/explorer/plane.js"], EXPLORER),
        (["nrc/measures/ranks.py"], MEASURE_ON),
        (["nrc/optimize/adam.py"], MNIST_ON),
        (["nrc/optimize/levenberg_marquardt.py", "nrc/claims/statistics.py"], {"train_stack": 2, "measure": 2, "collect": 2, "compare_centroids": 1, "plot_figure2": 1, **JUDGED}),
        (["workflow/report/plane.rst", "workflow/report/spectra.rst"], {"plot_figure1": 1, "plot_figure3": 1, "plot_figure3_stationary": 1}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_an_edit_of_code_reruns_what_it_touches_and_nothing_else(checkout, files, reruns):
    for file in files:
        with (checkout.folder / file).open("a", encoding="utf-8") as edited:
            edited.write(ADDED)
    # the summary is of all but the explorer
    assert checkout.planned() == (reruns if reruns == EXPLORER else {**reruns, "summarise": 1})


@pytest.mark.parametrize(
    ("changes", "reruns"),
    [
        (
            {"figures.figure4.rank": "effective_rank", "claims.transition.at_most": 0.6},
            {"plot_figure4": 1, "judge_claims": 1},
        ),
        ({"figures.figure1.certified": 0.2, "figures.figure2.saturation": 0.03}, {"plot_figure1": 1, "plot_figure2": 1}),
        ({"data.blobs.separation": 3}, {"make_mixture": 1, **MIXTURE_ON}),
        ({"experiments.mixture.grid.sigma": [0.05, 0.2, 0.5]}, PLANE_ON),
        ({"experiments.mixture.grid.seed": [0, 1]}, {"make_mixture": 1, **MIXTURE_ON}),
        ({"experiments.mixture.measures.delta": 0.01}, {rule: count for rule, count in MIXTURE_ON.items() if rule != "train_stack"}),
    ],
    ids=lambda value: "+".join(value) if any("." in key for key in value) else "",
)  # fmt: skip
def test_a_change_of_the_configuration_reruns_what_it_touches_and_nothing_else(checkout, changes, reruns):
    # cells of another stack need none of those that are there
    assert checkout.planned(overlays=checkout.overlay(changes)) == {**reruns, "summarise": 1}


def test_only_new_cells_are_trained_and_the_others_keep_their_bits(checkout):
    """A new value on an axis, a new seed and a new release number, in one run."""
    before, old = digests(checkout), checkout.load(SEED_0.format("measure"))
    depth = checkout.load("results/depth/measures.nc")
    checkout.edit("nrc/version.py", '__version__ = "', '__version__ = "9.')
    overlays = checkout.overlay(
        {
            "experiments.mixture.grid.seed": [0, 1],
            "experiments.depth.grid.weight_decay": [0.001, 0.01, 0.1],
        }
    )
    checkout.snakemake("results/mixture/measures.nc", "results/depth/measures.nc", overlays=overlays)
    after = digests(checkout)
    same = {path for path in before if "results/mixture/" in path and "seed~0" in path}
    assert len(same) == 2
    assert {path: after[path] for path in same} == {path: before[path] for path in same}
    assert checkout.load("results/mixture/measures.nc")["seed"].values.tolist() == [0, 1]
    assert checkout.load(SEED_0.format("train").replace("seed~0", "seed~1")).attrs["nrc"].startswith("9.")
    assert old.attrs["nrc"] == checkout.load(SEED_0.format("measure")).attrs["nrc"]
    logs = (checkout.folder / "results/logs/depth/train").rglob("*.log")
    said = [log.read_text(encoding="utf-8") for log in logs]
    assert any("4 of 6 cells taken over from the earlier file" in log for log in said), said
    wider = checkout.load("results/depth/measures.nc").sel(weight_decay=depth["weight_decay"])
    for name in depth.data_vars:
        np.testing.assert_array_equal(wider[name], depth[name], err_msg=name)


def test_an_edit_that_changes_no_number_changes_no_bytes(checkout):
    before = digests(checkout)
    with (checkout.folder / "nrc/networks/mlp.py").open("a", encoding="utf-8") as edited:
        edited.write(ADDED)
    targets = ["results/mixture/measures.nc", "results/depth/measures.nc"]
    assert checkout.planned(*targets) == {"train_stack": 2, "measure": 2, "collect": 2}
    checkout.snakemake(*targets)
    assert "taken over" not in checkout.log(SEED_0.format("train")), (
        "other code is other networks, until they are trained"
    )
    after = digests(checkout)
    trained = {path for path in before if "/train/" in path}
    assert {path: after[path] for path in before if path not in trained} == {
        path: before[path] for path in before if path not in trained
    }


def test_the_same_inputs_give_the_same_bytes(finished, fresh):
    """A job of every kind, but for those that the tests of faults run again; each a Python of its own."""
    targets = "results/figures/figure1.png", "results/figures/figure3.png", "results/linear_product/shift.nc"
    command = fresh.command(*targets)
    done = subprocess.run(command, cwd=fresh.folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    before, again = digests(finished), digests(fresh)
    assert len(again) > 25
    assert again == {path: before[path] for path in again}
