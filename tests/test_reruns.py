"""What runs again after a change, and what does not."""

import hashlib
import os
import re
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pytest

from support.checkout import digests

SEED_0 = "results/mixture/{}/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"

EXPLORER = {"explorer": 1}
JUDGED = {"audit": 1, "judge_claims": 1, "summarise": 1, **EXPLORER}
PLOTS_OF_MIXTURE = {"plot_figure1": 1, "plot_bounds": 1, "plot_certified": 1}
PLOTS_OF_MNIST = {
    f"plot_{name}": 1
    for name in (
        *("figure3", "figure4", "figure4_supplement", "figure5"),
        *("figure3_stationary", "certified_mnist_stationary"),
    )
}
PLANE_ON = {"train_stack": 1, "measure": 1, "collect": 1, "plot_figure1": 1, "plot_bounds": 1, **JUDGED}
MIXTURE_ON = {"train_stack": 2, "measure": 2, "collect": 2, **PLOTS_OF_MIXTURE, **JUDGED}
MNIST_ON = {"train_stack": 6, "measure": 6, "collect": 6, **PLOTS_OF_MNIST, **JUDGED}
MEASURE_ON = {
    **{"measure": 12, "collect": 12, "compare_centroids": 2, "plot_figure2": 1, "plot_forecast": 1},
    **PLOTS_OF_MIXTURE,
    **PLOTS_OF_MNIST,
    **JUDGED,
}


@pytest.fixture(scope="module")
def planning(finished, tmp_path_factory):
    """A finished checkout in which tests change files, and change them back."""
    return finished.copy(tmp_path_factory.mktemp("planning") / "checkout")


@contextmanager
def appended(checkout, *files):
    """Other code at the end of some files, for a while."""
    before = {checkout.folder / file: checkout.read(file) for file in files}
    for file, text in before.items():
        file.write_text(f"{text}\n\nANOTHER = 1\n", encoding="utf-8")
    yield
    for file, text in before.items():
        file.write_text(text, encoding="utf-8")


def touch_everything(checkout):
    """Give every file another time, in no order."""
    files = [file for file in checkout.folder.rglob("*") if file.is_file() and ".snakemake" not in file.parts]
    now = time.time()
    for age, file in enumerate(sorted(files, key=lambda file: hashlib.sha256(str(file).encode()).digest())):
        os.utime(file, (now + age, now + age))


def rewrite_everything(checkout):
    """Change comments, docstrings, types of arguments and layout in every module, and the release number."""
    for file in [*checkout.folder.glob("nrc/**/*.py"), *checkout.folder.glob("workflow/**/*.py")]:
        text = file.read_text(encoding="utf-8")
        text = re.sub(r'^( *)"""', r'\1"""Other words. ', text, count=1, flags=re.MULTILINE)
        text = text.replace("\n\n", "\n\n\n# another comment\n\n").replace(") -> None:", ") -> object:")
        file.write_text(text, encoding="utf-8")
    checkout.edit("nrc/version.py", '__version__ = "', '__version__ = "9.')


def test_nothing_runs_after_changes_that_do_not_matter(checkout):
    assert "Nothing to do" in checkout.snakemake()
    touch_everything(checkout)
    rewrite_everything(checkout)
    assert checkout.planned(overlays=checkout.overlay({"checkpoint_interval": 7})) == {}


@pytest.mark.parametrize(
    ("files", "reruns"),
    [
        (["nrc/figures/plane.py", "workflow/report/spectra.rst"], {"plot_figure1": 1, "plot_figure3": 1, "plot_figure3_stationary": 1, "summarise": 1}),
        (["nrc/explorer/page.py", "nrc/explorer/page.css", "nrc/explorer/plane.js"], EXPLORER),
        (["nrc/measures/ranks.py"], MEASURE_ON),
        (["nrc/optimize/adam.py"], MNIST_ON),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_change_of_code_reruns_what_uses_it_and_nothing_else(planning, files, reruns):
    with appended(planning, *files):
        assert planning.planned() == reruns


@pytest.mark.parametrize(
    ("changes", "reruns"),
    [
        (
            {"figures.figure4.rank": "effective_rank", "figures.figure1.certified": 0.2, "claims.transition.at_least": 0.6},
            {"plot_figure4": 1, "plot_figure1": 1, "judge_claims": 1, "summarise": 1},
        ),
        ({"data.blobs.separation": 3}, {"make_mixture": 1, **MIXTURE_ON}),
        ({"experiments.mixture.grid.sigma": [0.05, 0.2, 0.5]}, PLANE_ON),
        ({"experiments.mixture.measures.delta": 0.01}, {rule: count for rule, count in MIXTURE_ON.items() if rule != "train_stack"}),
    ],
    ids=lambda value: "+".join(value) if any("." in key for key in value) else "",
)  # fmt: skip
def test_a_change_of_the_configuration_reruns_what_uses_it_and_nothing_else(planning, changes, reruns):
    assert planning.planned(overlays=planning.overlay(changes)) == reruns


def test_only_new_cells_are_trained_and_the_others_keep_their_bits(checkout):
    """A new value on an axis, a new seed and a new release number, in one run."""
    before, old = digests(checkout), checkout.load(SEED_0.format("measure"))
    depth = checkout.load("results/depth/measures.nc")
    checkout.edit("nrc/version.py", '__version__ = "', '__version__ = "9.')
    overlays = checkout.overlay(
        {"experiments.mixture.grid.seed": [0, 1], "experiments.depth.grid.weight_decay": [0.001, 0.01, 0.1]}
    )
    checkout.snakemake("results/mixture/measures.nc", "results/depth/measures.nc", overlays=overlays)
    after = digests(checkout)
    same = {path for path in before if "results/mixture/" in path and "seed~0" in path}
    assert len(same) == 2
    assert {path: after[path] for path in same} == {path: before[path] for path in same}
    assert checkout.load("results/mixture/measures.nc")["seed"].values.tolist() == [0, 1]
    assert checkout.load(SEED_0.format("train").replace("seed~0", "seed~1")).attrs["nrc"].startswith("9.")
    assert old.attrs["nrc"] == checkout.load(SEED_0.format("measure")).attrs["nrc"]
    logs = [
        log.read_text(encoding="utf-8") for log in checkout.folder.glob("results/logs/depth/train/**/*.log")
    ]
    assert any("4 of 6 cells" in log for log in logs), logs
    wider = checkout.load("results/depth/measures.nc").sel(weight_decay=depth["weight_decay"])
    for name in depth.data_vars:
        np.testing.assert_array_equal(wider[name], depth[name], err_msg=name)


def test_other_code_trains_anew_and_where_it_changes_no_number_it_changes_no_bytes(checkout):
    before = digests(checkout)
    with appended(checkout, "nrc/networks/mlp.py"):
        target = "results/mixture/measures.nc"
        assert checkout.planned(target) == {"train_stack": 1, "measure": 1, "collect": 1}
        checkout.snakemake(target)
    assert "from the earlier file" not in checkout.log(SEED_0.format("train"))
    after = digests(checkout)
    others = {path for path in before if "/train/" not in path}
    assert {path: after[path] for path in others} == {path: before[path] for path in others}


def test_the_same_inputs_give_the_same_bytes(finished, fresh):
    """Every job in a Python of its own, instead of a fork of the tests' process."""
    command = fresh.command("results/figures/figure1.png", "results/mnist/measures.nc")
    done = subprocess.run(command, cwd=fresh.folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    before, again = digests(finished), digests(fresh)
    assert len(again) > 12
    assert again == {path: before[path] for path in again}
