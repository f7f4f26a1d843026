"""The tiny pipeline, run once: its data, trained files, cubes and audit, computed again by hand."""

import json
import re
import time
from itertools import product

import numpy as np
import pandas as pd
import pytest

from nrc import netcdf
from support.checkout import TINY
from workflow.config.load import read_settings

LINEAR = ("linear", "linear_centroids", "linear_product", "linear_product_centroids")
MNIST = ("mnist", "width", "depth", "mnist_stationary", "width_stationary", "depth_stationary")
PLANE = "results/mixture/{}/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"


def test_the_files_are_there(finished):
    results = finished.folder / "results"
    figures = read_settings([finished.folder / "config.yaml", finished.folder / TINY])["figures"]
    for suffix in ("png", "pdf", "svg", "csv", "rst", "html"):
        assert {file.stem for file in results.glob(f"figures/*.{suffix}")} == set(figures)
        assert all(file.stat().st_size > 200 for file in results.glob(f"figures/*.{suffix}"))
    assert (results / "figures/figure1.png").read_bytes().startswith(b"\x89PNG")
    hidden = {file.suffixes[0] for file in results.rglob(".*")}
    assert hidden == {".earlier"}, "a temporary file is left"


def test_nothing_warns(finished):
    for log in (finished.folder / "results/logs").rglob("*.log"):
        assert not re.search(r"\b[Ww]arning|WARNING|[a-z]Warning", log.read_text(encoding="utf-8")), log


def test_every_variable_says_what_it_is(finished):
    kinds = {"blobs": "mixture", "small_blobs": "mixture", "digits": "mnist"}
    paths = [
        *(f"results/data/{data}/seed~0.nc" for data in kinds),
        PLANE.format("train"),
        PLANE.format("measure"),
        *(f"results/{name}/measures.nc" for name in ("mixture", *LINEAR, *MNIST)),
        "results/linear_product/shift.nc",
    ]
    for path in paths:
        dataset = finished.load(path)
        for name, variable in dataset.variables.items():
            assert {"long_name", "units"} <= set(variable.attrs), f"{path}: {name}"
        assert dataset.attrs["experiment"] in path
        assert json.loads(dataset.attrs["settings"])["experiment"] == dataset.attrs["experiment"]
        text = json.dumps(dataset.attrs, default=str)
        assert str(finished.folder) not in text
        assert time.strftime("%Y-") not in text
        if path.endswith("measures.nc"):
            assert {"torch", "device", "precision", "python", "nrc"} <= set(dataset.attrs)
            assert json.loads(dataset.attrs["settings"])["data"]["kind"] in kinds.values()


def test_a_trained_file_holds_stationary_networks(finished):
    trained, data = finished.load(PLANE.format("train")), finished.load("results/data/blobs/seed~0.nc")
    measures = finished.load(PLANE.format("measure"))
    assert trained["W1"].dims == ("weight_decay", "sigma", "n1", "n0")
    assert trained["W3"].dims == ("weight_decay", "sigma", "n3", "n2")
    assert trained["status"].attrs["flag_meanings"] == "converged stopped collapsed_to_zero"
    assert (trained["status"] == 0).all()
    np.testing.assert_array_equal(data["base"], data["means"].values[data["labels"].values])
    for weight_decay in trained["weight_decay"].values:
        for sigma in trained["sigma"].values:
            cell = trained.sel(weight_decay=weight_decay, sigma=sigma)
            w1, w2, w3 = (cell[f"W{l}"].values for l in (1, 2, 3))
            x = data["means"].values[data["labels"].values] + sigma * data["noise"].values
            a = np.tanh(x @ w1.T)
            b = np.tanh(a @ w2.T)
            error = (b @ w3.T - x) / len(x)
            delta2 = error @ w3 * (1 - b**2)
            delta1 = delta2 @ w2 * (1 - a**2)
            residuals = [
                d.T @ z + weight_decay * w for d, z, w in ((delta1, x, w1), (delta2, a, w2), (error, b, w3))
            ]
            size = weight_decay * np.sqrt(sum((w**2).sum() for w in (w1, w2, w3)))
            assert np.sqrt(sum((r**2).sum() for r in residuals)) / size < 1.1e-8
            assert float(cell["loss"]) == pytest.approx(len(x) * (error**2).sum() / 2)
            measured = measures.sel(weight_decay=weight_decay, sigma=sigma)["residual"]
            expected = [np.linalg.norm(r) for r in residuals]
            np.testing.assert_allclose(measured, expected, rtol=1e-3, atol=1e-14)


def test_the_cube_holds_the_measures_of_every_cell(finished):
    cube, trained = finished.load("results/mixture/measures.nc"), finished.load(PLANE.format("train"))
    assert cube["relative_tail"].dims == ("weight_decay", "sigma", "width", "depth", "seed", "layer", "index")
    assert dict(cube.sizes) == {
        "weight_decay": 2, "sigma": 2, "width": 1, "depth": 1, "seed": 1, "layer": 3, "index": 4, "source": 3, "decade": 18,
    }  # fmt: skip
    for l in (1, 2, 3):
        s = np.linalg.svd(trained[f"W{l}"].values, compute_uv=False)
        ours = cube.sel(layer=l).squeeze()
        np.testing.assert_allclose(ours["singular_values"], s, rtol=1e-12, atol=1e-14)
        tail = np.sqrt((s[..., 2:] ** 2).sum(-1) / (s**2).sum(-1))
        np.testing.assert_allclose(ours["relative_distance"], tail, rtol=1e-9, atol=1e-12)
    assert (cube["tcv_lower"] <= cube["tcv_upper"]).all()
    assert (cube["tcv_upper"] <= cube["wcss_class"]).all()
    assert (cube["wcss_quantile"] <= cube["wcss_bound"]).all()
    # the space of the inputs is the same for every weight decay, and each point counts twice
    assert (cube["wcss_class"].sel(source=0).std("weight_decay") < 1e-15).all()
    data = finished.load("results/data/blobs/seed~0.nc")
    for sigma in (0.05, 0.5):
        points = pd.DataFrame(sigma * data["noise"].values)
        within = points.groupby(data["labels"].values).transform(lambda column: column - column.mean())
        stated = cube["wcss_class"].sel(source=0, sigma=sigma, weight_decay=0.01).item()
        assert stated == pytest.approx(2 * (within**2).to_numpy().sum() / len(points))


def test_the_audit_counts_every_layer_of_every_cell(finished):
    every = pd.read_csv(finished.folder / "results/audit.csv")
    observed = every["statement"].str.contains(r"\(c\)|\(f\)")
    assert every["violations"][~observed].sum() == 0
    assert set(every["experiment"]) == {"mixture", "mixture_cells", *LINEAR, *MNIST}
    table = every[every["experiment"] == "mixture"].set_index("statement")
    assert table["checked"].to_dict() == {
        "Proposition 3.1": 4 * 6, "Lemma 3.3, classes": 4 * 6, "Lemma 3.3, best partition": 4 * 6,
        "Lemma 3.3 along segments, classes": 4 * 6, "Lemma 3.3 along segments, best partition": 4 * 6,
        "Theorem 3.4, projected": 4 * 6, "Theorem 3.4, projected bound in order": 4 * 6,
        "Theorem 3.4, bound on tails": 4 * 3 * 2,
        "Theorem 3.4, measured": 4 * 3, "Theorem 3.4, analytic": 4 * 3, "Theorem 3.4 along segments": 4 * 3,
        "Proposition 4.1": 1, "Proposition 4.1, quantile": 1, "eq. 7": 4 * 3,
        "Merged neurons (a)": 4 * 2 * 4, "Merged neurons (b)": 4 * 2 * 4,
        "Merged neurons (c), at most": 4 * 3, "Merged neurons (c), at least": 4 * 3,
        "Merged neurons (e)": 4 * 2, "Merged neurons (f)": 4 * 2,
    }  # fmt: skip
    product = every[every["experiment"] == "linear_product"].set_index("statement")
    for statement in ("Theorem 5.3, trained", "Theorem 5.3, closed form", "Theorem 5.4"):
        assert product.loc[statement, "checked"] == 2 * 3 * 2
    # projected bounds are attained, and then rounding decides which is larger
    sharp = every["statement"].str.contains("projected|tails|neurons")
    assert not every["largest_ratio"][~sharp].gt(1).any()
    cells = every[every["experiment"] == "mixture_cells"].set_index("statement")
    assert cells.loc["Theorem 3.4, bound on tails", "checked"] == 2 * 3 * 4
    tighter = [f"Theorem 3.4{bound}" for bound in (", analytic", " along segments", ", measured")]
    assert table["largest_ratio"][tighter].is_monotonic_increasing
    assert "Theorem 3.4" in finished.read("results/audit.md")


def test_a_violation_fails_the_run_with_the_name_of_the_cell(checkout):
    cube = netcdf.load(checkout.folder / "results/mixture/measures.nc")
    cube["bound_measured"].loc[{"weight_decay": 0.01, "sigma": 0.5}] = 1e-3
    netcdf.save(cube, checkout.folder / "results/mixture/measures.nc")
    shown = checkout.snakemake("audit", fails=True)
    for said in (shown, checkout.read("results/logs/audit.log")):
        (line,) = {line for line in said.splitlines() if line.startswith("Error: ")}
        assert line.startswith(
            "Error: Theorem 3.4, measured is violated in 3 of 12 numbers of mixture, by a factor of "
        )
        assert "at weight_decay~0.01/sigma~0.5/width~4/depth~3/seed~0 layer" in line
    assert not (checkout.folder / "results/audit.csv").exists()


def test_linear_networks_are_at_the_closed_forms(finished):
    cells = "weight_decay~all/sigma~all/width~4/depth~3/seed~all"
    for name in LINEAR:
        cube = finished.load(f"results/{name}/measures.nc")
        assert (cube["status"] == 0).all()
        assert (cube["critical_distance"] < 1e-6).all()
        trained = finished.load(f"results/{name}/train/{cells}.nc")
        product = trained["W3"].values @ trained["W2"].values @ trained["W1"].values
        ours = cube["product"].squeeze().transpose("weight_decay", "sigma", "seed", "output", "input")
        np.testing.assert_allclose(ours, product, rtol=1e-12, atol=1e-14)
    factors = finished.load("results/linear/measures.nc")
    error = abs(factors["forecast"] - factors["singular_values"]).max(["layer", "index"])
    assert (factors["at_minimum"] == 1).sum() > 0
    assert (error.where(factors["at_minimum"] == 1, 0) < 1e-4).all()
    assert (error.where(factors["at_minimum"] == 0, 1) > 1e-2).all()
    assert (factors["imbalance"] < 1e-6).all()
    assert (finished.load("results/linear_product/measures.nc")["at_minimum"] == 1).all()


def test_classifiers_are_measured_as_they_were_trained(finished):
    """Two epochs end to end: the last snapshot is the measurement of the saved weights."""
    cube = finished.load("results/mnist/measures.nc")
    assert dict(cube.sizes) == {
        "weight_decay": 2, "sigma": 1, "width": 1, "depth": 1, "seed": 2, "layer": 3, "index": 8, "source": 3, "snapshot": 3, "decade": 18,
    }  # fmt: skip
    assert cube["snapshot"].values.tolist() == [0, 1, 2]
    last = cube.sel(snapshot=2)
    np.testing.assert_allclose(
        last["snapshot_singular_values"].values, cube["singular_values"].values, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(last["snapshot_wcss"].values, cube["wcss_class"].values, rtol=1e-5)
    assert ((cube["train_accuracy"] >= 0) & (cube["train_accuracy"] <= 1)).all()
    assert (cube["gap"].notnull() == cube["bound_measured"].notnull()).all()
    assert cube["bound_analytic"].isnull().all()
    assert cube["bound_segments"].isnull().all()


def test_the_accuracy_is_the_accuracy_of_the_trained_network_on_its_images(finished):
    cells = "weight_decay~all/sigma~0/width~8/depth~3/seed~all"
    trained = finished.load(f"results/mnist/train/{cells}.nc")
    cube = finished.load("results/mnist/measures.nc").squeeze()
    for seed, weight_decay in product((0, 1), (0.001, 0.1)):
        data, at = (
            finished.load(f"results/data/digits/seed~{seed}.nc"),
            {"weight_decay": weight_decay, "seed": seed},
        )
        w1, w2, w3 = (trained[f"W{l}"].sel(at).values.astype(float) for l in (1, 2, 3))
        for name, prefix in (("train_accuracy", ""), ("test_accuracy", "test_")):
            scores = np.tanh(np.tanh(data[f"{prefix}base"].values @ w1.T) @ w2.T) @ w3.T
            share = (scores.argmax(1) == data[f"{prefix}labels"].values).mean()
            assert float(cube[name].sel(at)) == pytest.approx(share), name


def test_experiments_on_the_same_data_share_its_files(finished):
    files = {str(path.relative_to(finished.folder)) for path in finished.folder.glob("results/data/*/*")}
    assert files == {
        "results/data/blobs/seed~0.nc",
        *(f"results/data/{data}/seed~{seed}.nc" for data in ("small_blobs", "digits") for seed in (0, 1)),
        "results/data/digits/test.nc",
    }
    splits = [finished.load(f"results/data/digits/seed~{seed}.nc") for seed in (0, 1)]
    images = finished.load("results/data/digits/test.nc")["images"].values.reshape(10_000, -1) / 255
    for split in splits:
        assert np.bincount(split["labels"]).tolist() == [4] * 10
        known = {image.tobytes() for image in images}
        chosen = [row.tobytes() for name in ("base", "test_base") for row in split[name].values]
        assert len(set(chosen)) == 60, "no image is to train and to test on"
        assert set(chosen) <= known
    assert not np.array_equal(splits[0]["base"], splits[1]["base"])
