"""Data, tasks, networks and methods in other pairs than in the paper, in one run, each computed again by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from nrc.status import flag_masks
from support.checkout import Checkout
from support.shared import made_once

STACK = "weight_decay~all/sigma~all/width~4/depth~3/seed~{}"

CHOICES = {
    "data": {
        "other_blobs": {"kind": "mixture", "clusters": 3, "points": 30, "dimension": 5, "covariance": "full"},
        "mine": {"kind": "arrays", "file": "mine.npz"},
    },
    "experiments": {
        # a second mixture, with networks that die, converge and stop
        "other": {
            "like": "mixture",
            "data": "other_blobs",
            "grid": {"weight_decay": [0.0001, 0.1, 5.0]},
            "training": {"epochs": 300, "tolerance": 1e-4},
            "measures": {"curvature": True},
        },
        # several seeds in one job, with snapshots
        "classes": {
            "like": "mixture",
            "task": "classify",
            "network": {"activation": "relu"},
            "grid": {"seed": [0, 3]},
            "training": {"tolerance": 1e-5, "epochs": 400, "snapshot_every": 25},
            "stack": ["seed", "sigma", "weight_decay"],
        },
        "fitted": {
            "data": "mine",
            "task": "regress",
            "network": {"activation": "tanh", "bias": True},
            "grid": {"weight_decay": [0.01, 0.05], "sigma": [0, 0.3], "width": [4], "depth": [2], "seed": [2]},
            "training": {"tolerance": 1e-7},
        },
        # rank against noise on images: one line
        "noisy": {"like": "mnist", "grid": {"sigma": [0, 0.5]}, "stack": ["weight_decay", "sigma", "seed"]},
    },
}  # fmt: skip
TRAINED_ONLY = "results/mnist/train/weight_decay~all/sigma~0/width~8/depth~3/seed~1.nc"


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory) -> Checkout:
    """The finished checkout, in which the choices have run too."""

    def make(folder):
        checkout = finished.copy(folder)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((40, 3))
        y = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)
        np.savez(folder / "mine.npz", x=x, labels=np.arange(40) % 4, y=y)
        targets = [f"results/{name}/measures.nc" for name in CHOICES["experiments"]]
        checkout.snakemake(*targets, TRAINED_ONLY, overlays=checkout.overlay(CHOICES))

    return Checkout(made_once(tmp_path_factory, "choices", make))


def test_a_second_mixture_has_data_of_its_own(run):
    cube, data = run.load("results/other/measures.nc"), run.load("results/data/other_blobs/seed~0.nc")
    assert np.bincount(data["labels"]).tolist() == [10, 10, 10]
    assert cube.attrs["clusters"] == 3
    assert json.loads(cube.attrs["settings"])["data"]["covariance"] == "full"
    for sigma in (0.05, 0.5):
        points = pd.DataFrame(data["base"].values + sigma * data["noise"].values)
        within = points - points.groupby(data["labels"].values).transform("mean")
        stated = cube["wcss_class"].sel(source=0, sigma=sigma, weight_decay=0.1).item()
        assert stated == pytest.approx(2 * (within**2).to_numpy().sum() / 30)


def test_stopped_and_dead_cells_are_marked(run):
    cube = run.load("results/other/measures.nc").squeeze()
    assert (cube["status"].sel(weight_decay=5.0) == 2).all()
    assert (cube["status"].sel(weight_decay=0.0001) == 1).all()
    assert cube["relative_distance"].sel(weight_decay=5.0).isnull().all()
    assert cube["singular_values"].sel(weight_decay=5.0).notnull().all()


def test_curvature_is_a_setting(run):
    """At the origin it is weight decay."""
    assert not {"curvature", "curvature_error", "extremum"} & set(run.load("results/mixture/measures.nc"))
    cube = run.load("results/other/measures.nc").squeeze()
    np.testing.assert_allclose(cube["curvature"].sel(weight_decay=5.0), 5)
    assert flag_masks(cube["extremum"])["minimum"].sel(weight_decay=5.0).all()
    assert (cube["curvature_error"] < 1e-11).all()


def test_a_stack_extends_over_seeds_with_the_bits_of_single_seeds(run):
    """Classifiers with mini-batches in the order of each seed."""
    single = run.load(TRAINED_ONLY)
    several = run.load(TRAINED_ONLY.replace("seed~1", "seed~all")).sel(seed=1)
    for name in single.data_vars:
        np.testing.assert_array_equal(several[name], single[name], err_msg=name)


def test_snapshots_end_with_the_measures_and_stay_at_the_end(run):
    cube = run.load("results/classes/measures.nc")
    assert cube["snapshot"].values.tolist() == list(range(0, 401, 25))
    last = cube.sel(snapshot=400)
    for snapshot, measure in (
        ("snapshot_singular_values", "singular_values"),
        ("snapshot_wcss", "wcss_class"),
    ):
        np.testing.assert_allclose(last[snapshot].values, cube[measure].values, rtol=1e-9, atol=1e-12)
    spectra = cube["snapshot_singular_values"].squeeze()
    assert (spectra.sel(snapshot=25) != spectra.sel(snapshot=0)).any(["layer", "index"]).all()
    over = cube["evaluations"].squeeze() <= 375
    assert over.any()
    before, last = spectra.sel(snapshot=375), spectra.sel(snapshot=400)
    same = ((before == last) | last.isnull()).all(["layer", "index"])
    assert same.where(over, True).all()


def test_blobs_are_classified(run):
    """ReLU networks on squared error: predictions by hand, and no analytic bound."""
    cube = run.load("results/classes/measures.nc").squeeze().sel(seed=0)
    trained = run.load(f"results/classes/train/{STACK.format('all')}.nc").sel(seed=0)
    data = run.load("results/data/blobs/seed~0.nc")
    one_hot = np.eye(2)[data["labels"].values]
    for sigma in (0.05, 0.5):
        at = {"sigma": sigma, "weight_decay": 0.01}
        w1, w2, w3 = (trained[f"W{l}"].sel(at).values for l in (1, 2, 3))
        assert w3.shape == (2, 4)
        x = data["base"].values + sigma * data["noise"].values
        outputs = np.maximum(np.maximum(x @ w1.T, 0) @ w2.T, 0) @ w3.T
        loss = ((outputs - one_hot) ** 2).sum() / 2 / len(x)
        assert float(cube["loss"].sel(at)) == pytest.approx(loss)
        share = (outputs.argmax(1) == data["labels"].values).mean()
        assert float(cube["train_accuracy"].sel(at)) == pytest.approx(share)
    assert "test_accuracy" not in cube
    assert cube["bound_measured"].notnull().any()
    assert cube["bound_analytic"].isnull().all()
    assert cube["bound_segments"].isnull().all()


def test_own_targets_are_fitted_until_stationary(run):
    """With biases, and with noise on the inputs that is the seed's standard normal."""
    trained = run.load("results/fitted/train/weight_decay~all/sigma~all/width~4/depth~2/seed~2.nc")
    with np.load(run.folder / "mine.npz") as mine:
        x0, y = mine["x"], mine["y"]
    noise = np.random.default_rng(np.random.SeedSequence(2, spawn_key=(6,))).standard_normal(x0.shape)
    assert (trained["status"] == 0).all()
    for sigma in (0, 0.3):
        for weight_decay in (0.01, 0.05):
            cell = trained.sel(sigma=sigma, weight_decay=weight_decay)
            w1, w2, b1, b2 = (cell[name].values for name in ("W1", "W2", "b1", "b2"))
            x = x0 + sigma * noise
            a = np.tanh(x @ w1.T + b1)
            error = (a @ w2.T + b2 - y) / len(x)
            delta = error @ w2 * (1 - a**2)
            gradients = [delta.T @ x, delta.sum(0), error.T @ a, error.sum(0)]
            residual = [g + weight_decay * w for g, w in zip(gradients, (w1, b1, w2, b2), strict=True)]
            size = weight_decay * np.sqrt(sum((w**2).sum() for w in (w1, b1, w2, b2)))
            assert np.sqrt(sum((r**2).sum() for r in residual)) / size < 1.1e-7
            assert float(cell["loss"]) == pytest.approx(len(x) * (error**2).sum() / 2)
    cube = run.load("results/fitted/measures.nc")
    assert "train_accuracy" not in cube
    assert cube["wcss_class"].notnull().all()


def test_noise_on_images_is_there(run):
    """The stored loss is the loss of the trained network on images with the noise that the seed draws."""
    trained = run.load("results/noisy/train/weight_decay~all/sigma~all/width~8/depth~3/seed~all.nc").sel(
        seed=1
    )
    cube = run.load("results/noisy/measures.nc").squeeze().sel(seed=1)
    assert cube["sigma"].values.tolist() == [0, 0.5]
    data = run.load("results/data/digits/seed~1.nc")
    noise = np.random.default_rng(np.random.SeedSequence(1, spawn_key=(6,))).standard_normal(
        data["base"].shape
    )
    for sigma in (0, 0.5):
        cell = trained.sel(sigma=sigma, weight_decay=0.001).squeeze()
        w1, w2, w3 = (cell[f"W{l}"].values.astype(float) for l in (1, 2, 3))

        def loss(x, w1=w1, w2=w2, w3=w3):
            scores = np.tanh(np.tanh(x @ w1.T) @ w2.T) @ w3.T
            right = scores[np.arange(len(x)), data["labels"].values]
            return (np.log(np.exp(scores).sum(1)) - right).mean()

        x = data["base"].values + sigma * noise
        assert float(cell["loss"]) == pytest.approx(loss(x), rel=1e-4)
        if sigma:
            assert float(cell["loss"]) != pytest.approx(loss(data["base"].values), rel=1e-2)
        within = pd.DataFrame(x) - pd.DataFrame(x).groupby(data["labels"].values).transform("mean")
        stated = cube["wcss_class"].sel(source=0, sigma=sigma, weight_decay=0.001).item()
        assert stated == pytest.approx((within**2).to_numpy().sum() / len(x), rel=1e-6)
