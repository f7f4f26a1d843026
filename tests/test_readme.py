"""The README's overlays, as they stand there, through `make` and `snakemake`."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import yaml

from support.checkout import PROJECT, TINY

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """The indented block that follows the paragraph on a file."""
    return textwrap.dedent(re.search(rf"`{name}`:\n\n((?:    .*\n)+)", README)[1])


def make(checkout, *overlays: str, target: str = "all", fails: bool = False) -> str:
    """What `make TARGET CONFIG=...` says, in the environment that the tests run in."""
    for file in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / file, checkout.folder)
    programs = checkout.folder / ".venv/bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, module in (("python", ""), ("snakemake", " -m snakemake")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    (checkout.folder / ".venv/installed").touch()  # newer than the files that it is made from
    done = subprocess.run(
        ["make", target, f"CONFIG={' '.join(overlays)}"],
        cwd=checkout.folder,
        env={**os.environ, "PYTHONPATH": str(checkout.folder)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def test_ten_lines_bring_data_of_ones_own_to_a_figure(checkout):
    """Classified by networks with biases, all of them at stationary points."""
    overlay = block("mine.yaml")
    assert overlay.count("\n") <= 10
    (checkout.folder / "mine.yaml").write_text(overlay, encoding="utf-8")
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((30, 4)).astype(np.float32), np.arange(30) % 3
    np.savez(checkout.folder / "mine.npz", x=x, labels=labels)
    said = make(checkout, TINY, "mine.yaml")
    assert re.search(r"figures .* in results/figures: [\w\s,]*\bmine\b", said), "the end says what was made"
    (checkout.folder / "results/figures/mine.csv").unlink()
    said = make(checkout, TINY, "mine.yaml", target="results/figures/mine.csv")
    assert re.search(r"figures +1 in results/figures: mine\n", said)
    experiment = yaml.safe_load(overlay)["experiments"]["mine"]
    cube = checkout.load("results/mine/measures.nc")
    assert (cube.sizes["weight_decay"], cube.sizes["sigma"]) == (5, 3)
    assert (cube.attrs["clusters"], cube.attrs["points"], cube.attrs["dimension"]) == (3, 30, 4)
    assert cube["train_accuracy"].notnull().all()
    assert (cube["relative_residual"] <= experiment["training"]["tolerance"]).all()
    numbers = pd.read_csv(checkout.folder / "results/figures/mine.csv").query("panel == 'plane'")
    assert len(numbers)
    assert not numbers["stopped"].any()
    caption = " ".join(checkout.read("results/figures/mine.rst").split())
    assert "15 of 15 networks converged" in caption
    assert "Tanh classifiers with biases" in caption
    assert "mine" in set(pd.read_csv(checkout.folder / "results/audit.csv")["experiment"])


def test_three_lines_take_all_of_mnist_away(checkout, fresh):
    overlay = block("without_mnist.yaml")
    assert overlay.count("\n") <= 3
    for one in (checkout, fresh):
        (one.folder / "without_mnist.yaml").write_text(overlay, encoding="utf-8")
    said = make(checkout, TINY, "without_mnist.yaml")
    (line,) = {line for line in said.splitlines() if "is dropped" in line}
    assert "experiments mnist is dropped, and with it experiments width, depth, mnist_stationary," in line
    assert "claims tail, head," in line
    left = {
        "mixture",
        "mixture_cells",
        "linear",
        "linear_centroids",
        "linear_product",
        "linear_product_centroids",
    }
    assert set(pd.read_csv(checkout.folder / "results/audit.csv")["experiment"]) == left
    assert checkout.load("results/claims.nc").sizes["claim"] == 8
    # and where nothing is there yet, the rest is all that runs
    planned = fresh.planned(overlays=[TINY, "without_mnist.yaml"])
    assert planned == {
        "make_mixture": 3, "train_stack": 6, "measure": 6, "collect": 6, "compare_centroids": 2,
        "plot_figure1": 1, "plot_bounds": 1, "plot_certified": 1, "plot_figure2": 1, "plot_forecast": 1, "audit": 1, "judge_claims": 1, "summarise": 1, "explorer": 1,
    }  # fmt: skip


def test_an_overlay_that_is_not_there_is_told_in_one_line(fresh):
    said = make(fresh, "nowhere.yaml", fails=True)
    assert "Error: configuration: nowhere.yaml cannot be read (No such file or directory)" in said
    assert "Traceback" not in said
    assert not (fresh.folder / "results").exists()
