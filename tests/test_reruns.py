"""What runs again after a change, and what does not."""

import hashlib
import os
import re
import shutil
import time
from contextlib import contextmanager

import pytest
import torch

from support.checkout import TINY, digests
from workflow.config.compatibility import names_of
from workflow.config.load import read_settings

SEED_0 = "results/mixture/{}/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"

EXPLORER = {"explorer": 1}
JUDGED = {"audit": 1, "judge_claims": 1, "summarise": 1, **EXPLORER}


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


def made_of(checkout, *rules, data=None):
    """The jobs of some rules, and all that are made of their outputs, for each experiment with some data."""
    settings = read_settings([checkout.folder / "config.yaml", checkout.folder / TINY])
    with_data = {name for name, e in settings["experiments"].items() if data in (None, e["data"])}
    jobs = {rule: len(with_data) for rule in (*rules, "collect")}
    for name, figure in settings["figures"].items():
        if with_data & set(names_of(figure["of"])):
            jobs[f"plot_{name}"] = 1
    pairs = with_data & {"linear", "linear_product"}
    return jobs | ({"compare_centroids": len(pairs)} if pairs else {}) | JUDGED


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
    touch_everything(checkout)
    rewrite_everything(checkout)
    assert checkout.planned(overlays=checkout.overlay({"checkpoint_interval": 7})) == {}


def test_a_change_of_code_reruns_what_uses_it_and_nothing_else(planning):
    with appended(planning, "nrc/figures/plane.py", "workflow/report/bounds.rst", "nrc/explorer/plane.js"):
        assert planning.planned() == {"plot_figure1": 1, "plot_bounds": 1, "summarise": 1, **EXPLORER}
    with appended(planning, "nrc/measures/ranks.py"):
        assert planning.planned() == made_of(planning, "measure")
    with appended(planning, "nrc/optimize/adam.py"):
        assert planning.planned() == made_of(planning, "train_stack", "measure", data="digits")


@pytest.mark.parametrize(
    ("changes", "reruns"),
    [
        (
            {"figures.figure4.rank": "effective_rank", "claims.transition.at_least": 0.6},
            {"plot_figure4": 1, "judge_claims": 1, "summarise": 1},
        ),
        (
            {"experiments.mixture.grid.sigma": [0.05, 0.2, 0.5]},
            {
                "train_stack": 1,
                "measure": 1,
                "collect": 1,
                "plot_figure1": 1,
                "plot_bounds": 1,
                **JUDGED,
            },
        ),
        (
            {"experiments.depth_stationary.training.epochs": 200},
            {"train_stack": 1, "measure": 1, "collect": 1, **JUDGED},
        ),
        (
            {"experiments.depth.training.epochs": 3},  # depth_stationary starts from depth
            {"train_stack": 2, "measure": 2, "collect": 2, "plot_figure5": 1, **JUDGED},
        ),
        # the results were made with `device: cpu`, which is what auto finds
        pytest.param(
            {"device": "auto"}, {}, marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
        ),
    ],
    ids=lambda value: "+".join(value) if any("." in key for key in value) else "",
)
def test_a_change_of_the_configuration_reruns_what_uses_it_and_nothing_else(planning, changes, reruns):
    assert planning.planned(overlays=planning.overlay(changes)) == reruns


def test_copied_results_without_their_records_can_be_touched_and_are_reported(planning, tmp_path):
    records = planning.folder / ".snakemake"
    records.rename(tmp_path / "records")
    for file in (planning.folder / "results").rglob("*.nc"):
        os.utime(file, (1e9, 1e9))
    assert planning.planned() != {}
    assert "results/ has no records in .snakemake/metadata" in planning.snakemake(options=["--touch"])
    assert planning.planned() == {}
    shutil.rmtree(records)
    (tmp_path / "records").rename(records)
    assert planning.planned() == {}


def test_a_change_of_data_reruns_all_that_is_made_of_them(planning):
    overlays = planning.overlay({"data.blobs.separation": 3})
    assert planning.planned(overlays=overlays) == {
        "make_mixture": 1, **made_of(planning, "train_stack", "measure", data="blobs"),
    }  # fmt: skip


def test_only_new_cells_are_trained_and_the_others_keep_their_bits(checkout):
    """A new seed under a new release number; tests/test_warm_start.py adds a weight decay."""
    before, old = digests(checkout), checkout.load(SEED_0.format("measure"))
    checkout.edit("nrc/version.py", '__version__ = "', '__version__ = "9.')
    overlays, cube = (
        checkout.overlay({"experiments.mixture.grid.seed": [0, 1]}),
        "results/mixture/measures.nc",
    )
    checkout.snakemake(cube, overlays=overlays)
    after = digests(checkout)
    same = {path for path in before if "results/mixture/" in path and "seed~0" in path}
    assert len(same) == 2
    assert {path: after[path] for path in same} == {path: before[path] for path in same}
    assert checkout.load(cube)["seed"].values.tolist() == [0, 1]
    assert checkout.load(SEED_0.format("train").replace("seed~0", "seed~1")).attrs["nrc"].startswith("9.")
    assert old.attrs["nrc"] == checkout.load(SEED_0.format("measure")).attrs["nrc"]


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
