"""The overlays in README.md work as they are printed, with `make` and with `snakemake`."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd

from support.checkout import PROJECT, TINY

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """The indented block after the paragraph that names a file."""
    return textwrap.dedent(re.search(rf"`{name}`:\n\n((?:    .*\n)+)", README)[1])


def make(checkout, target: str, *overlays: str) -> None:
    """Run `make TARGET CONFIG=...`, with the programs of the environment of the tests."""
    for file in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / file, checkout.folder)
    programs = checkout.folder / ".venv/bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, module in (("python", ""), ("snakemake", " -m snakemake")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    (checkout.folder / ".venv/installed").touch()  # newer than the files that it depends on
    done = subprocess.run(
        ["make", target, f"CONFIG={' '.join(overlays)}"],
        cwd=checkout.folder,
        env={**os.environ, "PYTHONPATH": str(checkout.folder)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_overlay_for_your_data_makes_its_figure(checkout):
    (checkout.folder / "mine.yaml").write_text(block("mine.yaml"), encoding="utf-8")
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((30, 4)).astype(np.float32), np.arange(30) % 3
    np.savez(checkout.folder / "mine.npz", x=x, labels=labels)
    make(checkout, "results/figures/mine.png", TINY, "mine.yaml")
    cube = checkout.load("results/mine/measures.nc")
    assert (cube.sizes["weight_decay"], cube.sizes["sigma"]) == (5, 3)
    assert (cube.attrs["clusters"], cube.attrs["points"], cube.attrs["dimension"]) == (3, 30, 4)
    assert (cube["relative_residual"] <= 1e-8).all()
    numbers = pd.read_csv(checkout.folder / "results/figures/mine.csv").query("panel == 'plane'")
    assert len(numbers)
    assert not numbers["stopped"].any()


def test_the_overlay_without_mnist_removes_its_experiments(fresh):
    (fresh.folder / "without_mnist.yaml").write_text(block("without_mnist.yaml"), encoding="utf-8")
    planned = fresh.planned(overlays=[TINY, "without_mnist.yaml"])
    assert planned == {
        "make_mixture": 3, "train_stack": 6, "measure": 6, "collect": 6, "compare_centroids": 2,
        "plot_figure1": 1, "plot_bounds": 1, "plot_certified": 1, "plot_figure2": 1, "plot_forecast": 1, "audit": 1, "judge_claims": 1, "summarise": 1, "explorer": 1,
    }  # fmt: skip
