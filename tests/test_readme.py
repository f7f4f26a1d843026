"""The overlays in README.md work as they are printed."""

import re
import textwrap

import numpy as np
import pandas as pd

from support.checkout import PROJECT, TINY
from support.configurations import desk, read

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """The indented block after the paragraph that introduces a file."""
    return textwrap.dedent(re.search(rf"`{name}`[^`]*?:\n\n((?:    .*\n)+)", README)[1])


def test_the_overlay_for_your_data_makes_its_figure(checkout):
    (checkout.folder / "mine.yaml").write_text(block("mine.yaml"), encoding="utf-8")
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((30, 4)).astype(np.float32), np.arange(30) % 3
    np.savez(checkout.folder / "mine.npz", x=x, labels=labels)
    checkout.snakemake("results/figures/mine.png", overlays=(TINY, "mine.yaml"))
    cube = checkout.load("results/mine/measures.nc")
    assert (cube.sizes["weight_decay"], cube.sizes["sigma"]) == (5, 3)
    assert (cube.attrs["clusters"], cube.attrs["points"], cube.attrs["dimension"]) == (3, 30, 4)
    assert (cube["relative_residual"] <= 1e-8).all()
    numbers = pd.read_csv(checkout.folder / "results/figures/mine.csv").query("panel == 'plane'")
    assert len(numbers)
    assert not numbers["stopped"].any()


def test_the_overlay_without_mnist_removes_its_experiments(tmp_path):
    kept = read(tmp_path, block("without_mnist.yaml"))["experiments"]
    assert kept
    assert set(kept) == {
        name for name, experiment in desk()["experiments"].items() if experiment["data"] != "digits"
    }


def test_the_script_that_condenses_prints_the_numbers_below_it(capsys):
    """Up to the minimum that rounding decides."""
    exec(compile(block("smaller.py"), "smaller.py", "exec"), {})
    printed = textwrap.dedent(re.search(r"with other numbers:\n\n((?:    .*\n)+)", README)[1])
    found, expected = (
        np.array([line.split()[:3] for line in text.splitlines()[2:5]], dtype=int)
        for text in (capsys.readouterr().out, printed)
    )
    assert (found[:, :2] == expected[:, :2]).all()
    np.testing.assert_allclose(found[:, 2], expected[:, 2], atol=4)
