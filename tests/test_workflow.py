"""The real Snakefile: end to end, cell by cell, what reruns, and what is refused."""

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from conftest import digests

from nrc import store

LINEAR = ("linear", "linear_centroids", "linear_product", "linear_product_centroids")
MNIST = ("mnist", "width", "depth")
CELL = "results/mixture/train/weight_decay~0.1/sigma~0.05/width~4/depth~3/seed~0.nc"
PLANE = "results/mixture/{}/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"


def load(checkout, path) -> xr.Dataset:
    with xr.open_dataset(checkout.folder / path, engine="h5netcdf") as dataset:
        return dataset.load()


def test_the_files_are_there(finished):
    results = finished.folder / "results"
    for suffix in ("png", "pdf", "svg", "csv"):
        for figure in (
            "figure1",
            "bounds",
            "figure2",
            "forecast",
            "figure3",
            "figure4",
            "figure5_supplement",
        ):
            assert (results / f"figures/{figure}.{suffix}").stat().st_size > 200
    assert (results / "figures/figure1.png").read_bytes().startswith(b"\x89PNG")
    hidden = {file.suffixes[0] for file in results.rglob(".*")}
    assert hidden == {".earlier"}, "a temporary file is left"


def test_nothing_warns(finished):
    for log in (finished.folder / "results/logs").rglob("*.log"):
        assert "arning" not in log.read_text(encoding="utf-8"), log


def test_a_trained_file_holds_stationary_networks(finished):
    trained, data = (
        load(finished, PLANE.format("train")),
        load(finished, "results/data/mixture/mixture/seed~0.nc"),
    )
    assert trained["W1"].dims == ("weight_decay", "sigma", "n1", "n0")
    assert trained["W3"].dims == ("weight_decay", "sigma", "n3", "n2")
    assert trained["status"].attrs["flag_meanings"] == "converged stopped dead"
    assert (trained["status"] == 0).all()
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
            measured = load(finished, PLANE.format("measure")).sel(weight_decay=weight_decay, sigma=sigma)
            np.testing.assert_allclose(
                measured["residual"], [np.linalg.norm(r) for r in residuals], rtol=1e-3, atol=1e-14
            )


def test_the_cube_holds_the_measures_of_every_cell(finished):
    cube, trained = load(finished, "results/mixture/measures.nc"), load(finished, PLANE.format("train"))
    assert cube["relative_tail"].dims == ("weight_decay", "sigma", "width", "depth", "seed", "layer", "index")
    assert dict(cube.sizes) == {
        "weight_decay": 2, "sigma": 2, "width": 1, "depth": 1, "seed": 1, "layer": 3, "index": 4, "source": 3,
    }  # fmt: skip
    for l in (1, 2, 3):
        s = np.linalg.svd(trained[f"W{l}"].values, compute_uv=False)
        ours = cube["singular_values"].sel(layer=l).squeeze()
        np.testing.assert_allclose(ours, s, rtol=1e-12, atol=1e-14)
        tail = np.sqrt((s[..., 2:] ** 2).sum(-1) / (s**2).sum(-1))
        np.testing.assert_allclose(
            cube["relative_distance"].sel(layer=l).squeeze(), tail, rtol=1e-9, atol=1e-12
        )
    assert (cube["tcv_lower"] <= cube["tcv_upper"]).all()
    assert (cube["tcv_upper"] <= cube["wcss_class"]).all()
    assert (cube["wcss_quantile"] <= cube["wcss_bound"]).all()
    # the space of the inputs is the same for every weight decay, and each point counts twice
    assert (cube["wcss_class"].sel(source=0).std("weight_decay") < 1e-15).all()
    data = load(finished, "results/data/mixture/mixture/seed~0.nc")
    for sigma in (0.05, 0.5):
        points = pd.DataFrame(sigma * data["noise"].values)
        within = points.groupby(data["labels"].values).transform(lambda column: column - column.mean())
        stated = cube["wcss_class"].sel(source=0, sigma=sigma, weight_decay=0.01).item()
        assert stated == pytest.approx(2 * (within**2).to_numpy().sum() / len(points))


def test_theorem_3_4_holds_on_every_cell(finished):
    cube = load(finished, "results/mixture/measures.nc")
    distance = np.sqrt((cube["singular_values"].where(cube["index"] > 2) ** 2).sum("index"))
    bound = cube["bound_measured"].min("source")
    assert bound.notnull().all()
    assert (distance <= bound * (1 + 1e-9)).all()
    gap = np.fmin(cube["gap"], cube["gap_best"])
    np.testing.assert_allclose(cube["bound_measured"], (cube["residual"] + gap) / cube["weight_decay"])
    assert cube["bound_measured"].where(cube["source"] >= cube["layer"]).isnull().all()


def test_the_audit_counts_every_layer_of_every_cell(finished):
    every = pd.read_csv(finished.folder / "results/audit.csv")
    assert every["violations"].sum() == 0
    assert set(every["experiment"]) == {"mixture", *LINEAR, *MNIST}
    table = every[every["experiment"] == "mixture"].set_index("statement")
    assert table["checked"].to_dict() == {
        "Proposition 3.1": 4 * 6, "Lemma 3.3, classes": 4 * 6, "Lemma 3.3, best partition": 4 * 6,
        "Theorem 3.4, measured": 4 * 3, "Theorem 3.4, analytic": 4 * 3,
        "Proposition 4.1": 1, "Proposition 4.1, quantile": 1, "eq. 7": 4 * 3,
    }  # fmt: skip
    product = every[every["experiment"] == "linear_product"].set_index("statement")
    for statement in ("Theorem 5.3, trained", "Theorem 5.3, closed form", "Theorem 5.4"):
        assert product.loc[statement, "checked"] == 2 * 3 * 2
    assert not every["largest_ratio"].gt(1).any()
    assert table["largest_ratio"]["Theorem 3.4, analytic"] < table["largest_ratio"]["Theorem 3.4, measured"]
    assert "Theorem 3.4" in (finished.folder / "results/audit.md").read_text(encoding="utf-8")


def test_a_violation_fails_the_run_with_the_name_of_the_cell(checkout):
    cube = load(checkout, "results/mixture/measures.nc")
    at = {"weight_decay": 0.01, "sigma": 0.5}
    cube["bound_measured"].loc[at] = 1e-3
    store.save(cube, checkout.folder / "results/mixture/measures.nc")
    checkout.snakemake("audit", fails=True)
    said = (checkout.folder / "results/logs/audit.log").read_text(encoding="utf-8")
    assert said.startswith("Theorem 3.4, measured is violated in 3 of 12 numbers of mixture, by a factor of ")
    assert "at weight_decay~0.01/sigma~0.5/width~4/depth~3/seed~0 layer" in said
    assert said.count("\n") == 1
    assert not (checkout.folder / "results/audit.csv").exists()


def test_every_variable_says_what_it_is(finished):
    for path in [
        "results/data/mixture/mixture/seed~0.nc",
        PLANE.format("train"),
        PLANE.format("measure"),
        "results/mixture/measures.nc",
        *(f"results/{name}/measures.nc" for name in (*LINEAR, *MNIST)),
        "results/linear_product/shift.nc",
    ]:
        dataset = load(finished, path)
        for name, variable in dataset.variables.items():
            assert {"long_name", "units"} <= set(variable.attrs), f"{path}: {name}"
        assert dataset.attrs["experiment"] in path
        assert json.loads(dataset.attrs["settings"])["data"]["kind"] in ("mixture", "mnist")
        text = json.dumps(dataset.attrs, default=str)
        assert str(finished.folder) not in text
        assert time.strftime("%Y-") not in text


def test_the_numbers_drawn_are_the_measures(finished):
    numbers = pd.read_csv(finished.folder / "results/figures/figure1.csv")
    cube = load(finished, "results/mixture/measures.nc").squeeze()
    plane, curves = (numbers[numbers["panel"] == name] for name in ("plane", "variation"))
    assert len(plane) == 3 * 2 * 2
    for row in plane.itertuples():
        at = cube["relative_distance"].sel(layer=row.layer, sigma=row.sigma, weight_decay=row.weight_decay)
        assert row.relative_distance == float(at)
        assert (row.converged, row.stopped, row.dead) == (1, 0, 0)
    assert curves["tcv_upper"].tolist() == cube["tcv_upper"].sel(source=0, weight_decay=0.01).values.tolist()


def test_the_figure_of_bounds_draws_every_layer(finished):
    numbers = pd.read_csv(finished.folder / "results/figures/bounds.csv")
    cube = load(finished, "results/mixture/measures.nc")
    assert len(numbers) == 4 * 3
    assert set(numbers["status"]) == {"converged"}
    for row in numbers.itertuples():
        at = cube.sel(weight_decay=row.weight_decay, sigma=row.sigma, layer=row.layer).squeeze()
        assert row.distance == float(np.sqrt((at["singular_values"][2:] ** 2).sum()))
        assert row.distance <= row.bound_measured == float(at["bound_measured"].min("source"))
        assert row.bound_measured <= row.bound_analytic
    caption = (finished.folder / "results/figures/bounds.rst").read_text(encoding="utf-8")
    assert "12 of 12 layers are drawn; 0 are void" in caption


def test_the_semidefinite_bound_is_a_setting(checkout):
    before = load(checkout, "results/mixture/measures.nc")
    checkout.snakemake("measures", scale=write_scale(checkout, **{"measures.tcv_lower": "semidefinite"}))
    after = load(checkout, "results/mixture/measures.nc")
    assert "semidefinite" in after["tcv_lower"].attrs["long_name"]
    assert (after["tcv_lower"] > before["tcv_lower"]).all()
    assert (after["tcv_lower"] <= after["tcv_upper"]).all()
    xr.testing.assert_equal(after["tcv_upper"], before["tcv_upper"])


def test_weight_decay_zero_leaves_the_theorem_void(checkout):
    grid = {"experiments.mixture.grid.weight_decay": [0, 0.1], "experiments.mixture.training.tolerance": 1e-3}
    checkout.snakemake("measures", "audit", scale=write_scale(checkout, **grid))
    cube = load(checkout, "results/mixture/measures.nc")
    for name in ("bound_measured", "bound_analytic"):
        assert cube[name].sel(weight_decay=0).isnull().all()
        assert "weight decay is 0: the theorem is void there" in cube[name].attrs["comment"]
    table = pd.read_csv(checkout.folder / "results/audit.csv").set_index("statement")
    row = table[table["experiment"] == "mixture"].loc["Theorem 3.4, measured"]
    assert (row["checked"], row["void"]) == (6, 6)


def test_weights_that_are_not_finite_or_do_not_fit_are_named(checkout):
    trained = load(checkout, PLANE.format("train"))
    log = checkout.folder / "results/logs" / PLANE.format("measure").removeprefix("results/")
    for change, message in (
        ({"W2": trained["W2"] * np.nan}, "W2 holds a weight that is not finite; train the stack again"),
        (
            {"W1": trained["W1"].isel(n0=slice(3))},
            "W_1 have shape (4, 4, 3), but the arrays before them call",
        ),
    ):
        store.save(
            trained.drop_dims("n0", errors="ignore").assign(change)
            if "W1" in change
            else trained.assign(change),
            checkout.folder / PLANE.format("train"),
        )
        checkout.snakemake("measures", fails=True)
        said = log.with_suffix(".log").read_text(encoding="utf-8")
        assert message in said
        assert said.count("\n") == 1
        assert not (checkout.folder / PLANE.format("measure")).exists()


def test_linear_networks_end_where_the_closed_forms_say(finished):
    for name in LINEAR:
        cube = load(finished, f"results/{name}/measures.nc")
        assert (cube["status"] == 0).all()
        assert (cube["critical_distance"] < 1e-6).all()
        trained = load(
            finished, f"results/{name}/train/weight_decay~all/sigma~all/width~4/depth~3/seed~all.nc"
        )
        product = trained["W3"].values @ trained["W2"].values @ trained["W1"].values
        ours = cube["product"].squeeze().transpose("weight_decay", "sigma", "seed", "output", "input")
        np.testing.assert_allclose(ours, product, rtol=1e-12, atol=1e-14)
    factors = load(finished, "results/linear/measures.nc")
    error = abs(factors["forecast"] - factors["singular_values"]).max(["layer", "index"])
    assert (factors["at_minimum"] == 1).sum() > 0
    assert (error.where(factors["at_minimum"] == 1, 0) < 1e-4).all()
    assert (error.where(factors["at_minimum"] == 0, 1) > 1e-2).all()
    assert (factors["imbalance"] < 1e-6).all()
    assert (load(finished, "results/linear_product/measures.nc")["at_minimum"] == 1).all()


def test_the_product_penalty_ends_at_the_ridge_solution(finished):
    """Remark 5.2 by hand, on data and on centroids, and the shift between them."""
    cubes = {name: load(finished, f"results/{name}/measures.nc").squeeze() for name in LINEAR[2:]}
    shift = load(finished, "results/linear_product/shift.nc").squeeze()
    for seed in (0, 1):
        data = load(finished, f"results/data/mixture/linear/seed~{seed}.nc")
        for sigma in (0.02, 0.5):
            x = data["means"].values[data["labels"].values] + sigma * data["noise"].values
            means = pd.DataFrame(x).groupby(data["labels"].values).transform("mean").to_numpy()
            found = []
            for name, points in zip(cubes, (x, means), strict=True):
                moments = points.T @ points / len(points)
                ridge = moments @ np.linalg.inv(moments + 0.1 * np.eye(4))
                product = cubes[name]["product"].sel(weight_decay=0.1, sigma=sigma, seed=seed)
                np.testing.assert_allclose(product.transpose("output", "input"), ridge, atol=1e-6)
                found.append(ridge)
            at = shift.sel(weight_decay=0.1, sigma=sigma, seed=seed)
            assert float(at["shift"]) == pytest.approx(np.linalg.norm(found[0] - found[1]), abs=1e-6)


def test_experiments_like_another_share_its_data(finished):
    folders = {path.name for path in (finished.folder / "results/data/mixture").iterdir()}
    assert folders == {"mixture", "linear"}
    assert [file.name for file in (finished.folder / "results/data/mnist").iterdir()] == ["test.nc"]


def test_tanh_networks_train_on_centroids_too(checkout):
    scale = write_scale(checkout, **{"experiments.mixture.training.loss_on": "centroids"})
    checkout.snakemake("results/mixture/measures.nc", scale=scale)
    cube = load(checkout, "results/mixture/measures.nc")
    assert (cube["status"] == 0).all()
    assert (cube["wcss_class"] < 1e-25).all()
    assert (cube["numerical_rank"] <= 2).all()
    assert (cube["residual"] < 1e-6).all()


def test_weight_decay_zero_on_the_product_is_refused(checkout):
    scale = write_scale(checkout, **{"experiments.linear.grid.weight_decay": [0, 0.1]})
    said = checkout.snakemake("results/linear_product/measures.nc", scale=scale, fails=True)
    assert "weight decay is 0, but a penalty on the product needs it above 0" in said
    assert "Theorem 5.1" in said
    assert "Traceback" not in said


def test_the_numbers_of_figure_2_are_the_shifts(finished):
    numbers = pd.read_csv(finished.folder / "results/figures/figure2.csv")
    assert len(numbers) == 2 * 2 * 3
    for penalty, name in (("product", "linear_product"), ("factors", "linear")):
        shift = load(finished, f"results/{name}/shift.nc").squeeze()
        for row in numbers[numbers["penalty"] == penalty].itertuples():
            at = shift.sel(weight_decay=row.weight_decay, sigma=row.sigma)
            assert row.shift == pytest.approx(float(at["shift"].median()))
            assert (row.shift_least, row.shift_largest) == pytest.approx(
                (float(at["shift"].min()), float(at["shift"].max()))
            )
            assert row.elsewhere == int((at["at_minimum"] == 0).sum())
    caption = (finished.folder / "results/figures/figure2.rst").read_text(encoding="utf-8")
    assert "12 of 12 pairs converged" in " ".join(caption.split())


def test_classifiers_are_measured_as_they_were_trained(finished):
    """Two epochs end to end: the last snapshot is the measurement of the saved weights."""
    cube = load(finished, "results/mnist/measures.nc")
    assert dict(cube.sizes) | {"index": 8} == {
        "weight_decay": 2, "sigma": 1, "width": 1, "depth": 1, "seed": 2, "layer": 3, "index": 8, "source": 3, "snapshot": 3,
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
    numbers = pd.read_csv(finished.folder / "results/figures/figure3.csv")
    wcss = numbers[(numbers["panel"] == "class WCSS") & (numbers["layer"] == 1)]
    expected = cube["snapshot_wcss"].sel(source=1).squeeze().median("seed").values
    np.testing.assert_allclose(wcss.pivot(index="weight_decay", columns="snapshot", values="value"), expected)


def test_rank_curves_are_the_measures(finished):
    width, depth = (pd.read_csv(finished.folder / f"results/figures/figure{n}.csv") for n in (4, 5))
    for table, name in ((width, "width"), (depth, "depth")):
        cube = load(finished, f"results/{name}/measures.nc").squeeze("sigma")
        rank = cube["stable_rank"].sel(layer=2) if name == "width" else cube["stable_rank"].mean("layer")
        for row in table.itertuples():
            at = rank.sel(weight_decay=row.weight_decay, **{name: getattr(row, name)})
            assert row.median == pytest.approx(float(at.median()))
    others = set(pd.read_csv(finished.folder / "results/figures/figure4_supplement.csv")["measure"])
    assert others == {"numerical_rank", "effective_rank", "relative_distance", "mp_soft_rank"}


def test_claims_have_a_verdict_each(finished):
    claims = load(finished, "results/claims.nc")
    assert claims["verdict"].attrs["flag_meanings"] == "confirmed denied undecided"
    assert set(np.unique(claims["verdict"])) <= {0, 1, 2}
    assert claims.sizes["claim"] == 14
    said = (finished.folder / "results/claims.md").read_text(encoding="utf-8")
    assert said.count("\n") == 14 + 2
    # one seed is no interval
    assert int(claims["verdict"].sel(claim="transition")) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "folder", "folder": "nowhere"}, "data source folder: nowhere has neither train-images-idx3-ubyte"),
        ({"source": "torchvision", "mirrors": ["http://127.0.0.1:9/"]}, "data source torchvision: MNIST could not be downloaded"),
    ],
)  # fmt: skip
def test_missing_images_stop_before_training(fresh, data, message):
    scale = write_scale(fresh, **{f"experiments.mnist.data.{key}": value for key, value in data.items()})
    fresh.snakemake("results/mnist/measures.nc", scale=scale, fails=True)
    log = (fresh.folder / "results/logs/data/mnist/train.log").read_text(encoding="utf-8")
    assert message in log
    assert "Traceback" not in log
    assert not list((fresh.folder / "results").rglob("*.nc"))


def test_networks_that_diverge_are_marked_and_counted(checkout):
    scale = write_scale(
        checkout,
        **{
            "experiments.mnist.training": {"method": "sgd", "learning_rate": 3, "schedule": "constant", "momentum": 0, "epochs": 10},
            "experiments.mnist.network.activation": "linear",
            "experiments.mnist.grid.weight_decay": [0.001, 1],
        },
    )  # fmt: skip
    checkout.snakemake("results/figures/figure3.png", "results/claims.nc", "audit", scale=scale)
    cube = load(checkout, "results/mnist/measures.nc").squeeze()
    diverged = store.flag_masks(cube["ended"])["diverged"]
    assert diverged.sel(weight_decay=1).all()
    assert (cube["status"].where(diverged) == 1).sum() == diverged.sum()
    for name in ("singular_values", "test_accuracy", "loss", "bound_measured"):
        assert cube[name].where(diverged).isnull().all(), name
    assert cube["wcss_class"].sel(source=0).notnull().all(), "the images are what they are"
    assert cube["wcss_class"].sel(source=1).where(diverged).isnull().all()
    caption = (checkout.folder / "results/figures/figure3.rst").read_text(encoding="utf-8")
    assert f"({int(diverged.sum())} diverged and have no measures)" in " ".join(caption.split())


def test_relu_networks_and_squared_error_run_through_the_pipeline(checkout):
    scale = write_scale(
        checkout,
        **{
            "experiments.mnist.network": {"activation": "relu", "loss": "squared_error"},
            "experiments.mnist.training.method": "lbfgs",
        },
    )
    checkout.snakemake("results/mnist/measures.nc", scale=scale)
    cube = load(checkout, "results/mnist/measures.nc")
    assert cube["bound_measured"].notnull().any()
    assert cube["bound_analytic"].isnull().all()
    assert "or activation and loss have no M" in cube["bound_analytic"].attrs["comment"]


def test_the_same_inputs_give_the_same_bytes(finished, fresh):
    fresh.snakemake()
    assert digests(fresh) == digests(finished)


def test_a_cell_trains_alone_as_in_its_stack(checkout):
    checkout.snakemake(CELL)
    alone, plane = load(checkout, CELL), load(checkout, PLANE.format("train"))
    assert alone["W1"].dims == ("n1", "n0")
    together = plane.sel(weight_decay=0.1, sigma=0.05)
    for name in plane.data_vars:
        np.testing.assert_array_equal(alone[name], together[name], err_msg=name)


def test_a_cell_off_the_grid_is_a_target(checkout):
    cell = "results/mixture/measure/weight_decay~0.07/sigma~0.2/width~3/depth~2/seed~5.nc"
    assert checkout.planned(cell) == {"make_mixture": 1, "train_stack": 1, "measure": 1}
    checkout.snakemake(cell)
    measured = load(checkout, cell)
    assert measured["relative_distance"].dims == ("layer",)
    assert float(measured["sigma"]) == 0.2


def test_a_stack_may_extend_over_seeds(checkout):
    """One job trains several seeds, each on its own data, as the jobs of the seeds would."""
    scale = write_scale(
        checkout,
        **{
            "experiments.mixture.grid.seed": [0, 3],
            "experiments.mixture.stack": ["seed", "sigma", "weight_decay"],
        },
    )
    assert checkout.planned(scale=scale) == {
        "make_mixture": 1,
        "train_stack": 1,
        **MIXTURE_ON,
    }
    checkout.snakemake(scale=scale)
    cube, before = load(checkout, "results/mixture/measures.nc"), load(checkout, PLANE.format("measure"))
    assert cube["seed"].values.tolist() == [0, 3]
    for name in ("singular_values", "tcv_upper", "relative_residual"):
        np.testing.assert_array_equal(cube[name].sel(seed=0).squeeze(), before[name].squeeze())


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("weight_decay~1e-1", "weight_decay~0.1"),
        ("weight_decay~0.10", "weight_decay~0.1"),
        ("weight_decay~strong", "weight_decay~0.01"),
        ("weight_decay~-0.1", "weight_decay~0.01"),
        ("weight_decay~nan", "weight_decay~0.01"),
        ("width~4.0", "width~4"),
        ("width~all", "width~4"),
        ("seed~one", "seed~0"),
        ("sigma", "sigma~0.05"),
        ("sigma~0.05/temperature~1", "sigma~0.05"),
        ("sigma~0.05/sigma~0.05", "sigma~0.05"),
    ],
)
def test_another_notation_is_refused_with_the_path_to_ask_for(checkout, wrong, right):
    axis = wrong.partition("~")[0]
    parts = [wrong if part.startswith(axis) else part for part in CELL.removesuffix(".nc").split("/")]
    asked = "/".join(parts) + ".nc"
    expected = asked.replace(wrong, right)
    said = checkout.snakemake(asked, options=["--dry-run"], fails=True)
    assert f"ask for {expected}" in said
    assert "Traceback" not in said


def test_an_unknown_experiment_is_refused(checkout):
    said = checkout.snakemake(
        CELL.replace("results/mixture", "results/blobs"), options=["--dry-run"], fails=True
    )
    assert "no experiment 'blobs'; the configuration has mixture, linear" in said


def write_scale(checkout, **changes) -> list[str]:
    """Overlay files: the tiny scale, and another with changes given by dotted keys."""
    overlay = {}
    for key, value in changes.items():
        *path, last = key.split(".")
        part = overlay
        for name in path:
            part = part.setdefault(name, {})
        part[last] = value
    (checkout.folder / "changes.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    return ["workflow/scales/tiny.yaml", "changes.yaml"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "experiments.mixture.sigmas",
            [1],
            "experiments.mixture.sigmas is no key here; allowed are data, grid",
        ),
        (
            "experiments.mixture.grid.sigma",
            ["large"],
            "grid.sigma[0] is 'large', but must be a finite number",
        ),
        ("experiments.mixture.grid.sigma", [], "grid.sigma is [], but must be a list"),
        (
            "experiments.mixture.grid.sigma",
            [-0.1],
            "grid.sigma[0] is -0.1, but must be a finite number of at least 0",
        ),
        (
            "experiments.mixture.grid.weight_decay",
            [-1],
            "grid.weight_decay[0] is -1, but must be a finite number",
        ),
        (
            "experiments.mixture.data.clusters",
            25,
            "data.clusters is 25, but must be at most 24, the number of points",
        ),
        (
            "experiments.mixture.stack",
            ["momentum"],
            "stack[0] is 'momentum', but must be one of weight_decay",
        ),
        ("experiments.blobs", {}, "experiments.blobs is no key here; allowed are mixture"),
    ],
)
def test_a_mistake_in_the_configuration_stops_before_any_job(fresh, key, value, message):
    said = fresh.snakemake(scale=write_scale(fresh, **{key: value}), fails=True)
    assert f"configuration: {key.split('.')[0]}" in said
    assert message in said
    assert "Traceback" not in said
    assert not (fresh.folder / "results").exists()


def test_nothing_is_to_be_done_when_all_is_done(checkout):
    assert "Nothing to be done" in checkout.snakemake()


def test_touching_everything_reruns_nothing(checkout):
    files = [file for file in checkout.folder.rglob("*") if file.is_file() and ".snakemake" not in file.parts]
    now = time.time()
    for age, file in enumerate(sorted(files, key=lambda file: hashlib.sha256(str(file).encode()).digest())):
        os.utime(file, (now + age, now + age))
    assert checkout.planned() == {}


PLOTS_OF_MIXTURE = {"plot_figure1": 1, "plot_bounds": 1}
# of the mixture alone
ANOTHER_SEED = [f"seed: {seeds}\n    training:\n      tolerance" for seeds in ("[0]", "[0, 1]")]
JUDGED = {"audit": 1, "judge_claims": 1}
MIXTURE_ON = {"measure": 1, "collect": 1, **PLOTS_OF_MIXTURE, **JUDGED}
PLOTS_OF_BLOBS = {**PLOTS_OF_MIXTURE, "plot_figure2": 1, "plot_forecast": 1}
PLOTS_OF_RANKS = {f"plot_figure{n}{supplement}": 1 for n in (4, 5) for supplement in ("", "_supplement")}
PLOTS_OF_MNIST = {"plot_figure3": 1, **PLOTS_OF_RANKS}
FIGURES = {**PLOTS_OF_BLOBS, **PLOTS_OF_MNIST}
MEASURE_BLOBS_ON = {"measure": 5, "collect": 5, "compare_centroids": 2, **PLOTS_OF_BLOBS, **JUDGED}
MEASURE_MNIST_ON = {"measure_classifier": 6, "collect": 3, **PLOTS_OF_MNIST, **JUDGED}
MEASURE_ON = {**MEASURE_BLOBS_ON, **MEASURE_MNIST_ON, "collect": 8}
TRAIN_ALL = {"make_mixture": 3, "fetch_mnist": 1, "train_stack": 5, "train_classifier": 6}


@pytest.mark.parametrize(
    ("file", "old", "new", "reruns"),
    [
        ("nrc/figures/figure1.py", "noise level", "level of the noise", {"plot_figure1": 1}),
        ("nrc/figures/style.py", '"font.size": 8', '"font.size": 9', FIGURES),
        ("nrc/figures/bounds.py", "equality", "equal", {"plot_bounds": 1}),
        ("workflow/scripts/plot_figure1.py", "Draw Figure 1", "Draw it", {"plot_figure1": 1}),
        ("workflow/report/figure1.rst", "Figure 1", "Figure one", {"plot_figure1": 1}),
        ("nrc/spectra.py", "def stable_rank", "\n\ndef stable_rank", MEASURE_ON),
        ("nrc/clusters.py", "def wcss", "\n\ndef wcss", {"train_classifier": 6, **MEASURE_ON}),
        ("nrc/optimize/lbfgs.py", "class LBFGS", "\n\nclass LBFGS", {"train_stack": 5, "train_classifier": 6, **MEASURE_ON}),
        ("nrc/optimize/epochs.py", "class Course", "\n\nclass Course", {"train_classifier": 6, **MEASURE_MNIST_ON}),
        ("nrc/figures/figure3.py", "class WCSS\"", "WCSS of classes\"", {"plot_figure3": 1}),
        ("nrc/figures/rank_curves.py", "of the network", "of networks", PLOTS_OF_RANKS),
        ("nrc/claims.py", "is sharp", "is steep", {"judge_claims": 1}),
        ("config.yaml", "transition: {least: 0.5}", "transition: {least: 0.6}", {"judge_claims": 1}),
        ("config.yaml", "  figure4:\n    rank: stable_rank", "  figure4:\n    rank: effective_rank", {"plot_figure4": 1, "plot_figure4_supplement": 1}),
        ("nrc/figures/forecast.py", "trained", "Trained", {"plot_forecast": 1}),
        ("nrc/optimize/levenberg_marquardt.py", "crawl", "creep", {"train_stack": 5, **MEASURE_BLOBS_ON}),
        ("config.yaml", "device: auto", "checkpoint_interval: 7\ndevice: auto", {}),
        ("config.yaml", "saturation: 0.02", "saturation: 0.03", {"plot_figure2": 1}),
        ("config.yaml", "certified: 0.1", "certified: 0.2", {"plot_figure1": 1}),
        ("config.yaml", "delta: 0.05", "delta: 0.01", MEASURE_ON),
        ("workflow/scales/tiny.yaml", "separation: 2", "separation: 3", {"make_mixture": 1, "train_stack": 1, **MIXTURE_ON}),
        ("workflow/scales/tiny.yaml", *ANOTHER_SEED, {"make_mixture": 1, "train_stack": 1, **MIXTURE_ON}),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" in value else None,
)  # fmt: skip
def test_an_edit_reruns_what_it_touches_and_nothing_else(checkout, file, old, new, reruns):
    checkout.edit(file, old, new)
    assert checkout.planned() == reruns


def test_a_new_seed_leaves_the_others_untouched(checkout):
    before = digests(checkout)
    checkout.edit("workflow/scales/tiny.yaml", *ANOTHER_SEED)
    checkout.snakemake()
    after = digests(checkout)
    same = {path for path in before if "seed~0" in path}
    assert same
    assert {path: after[path] for path in same} == {path: before[path] for path in same}
    assert load(checkout, "results/mixture/measures.nc")["seed"].values.tolist() == [0, 1]


def test_the_code_that_runs_is_the_code_of_the_folder(checkout):
    checkout.edit("nrc/__init__.py", '__version__ = "', '__version__ = "of this folder ')
    checkout.snakemake("data", "train")
    for path in (PLANE.format("train"), "results/data/mixture/mixture/seed~0.nc"):
        assert load(checkout, path).attrs["nrc"].startswith("of this folder")


def test_an_edit_that_changes_nothing_changes_no_bytes(checkout):
    before = digests(checkout)
    checkout.edit("nrc/spectra.py", "def stable_rank", "\n\ndef stable_rank")
    checkout.snakemake()
    assert digests(checkout) == before


@pytest.mark.parametrize("rule", ["data", "train", "measures", "figures"])
def test_every_stage_is_a_target(fresh, rule):
    measured = {**TRAIN_ALL, "measure": 5, "measure_classifier": 6, "collect": 8}
    stages = {
        "data": {"make_mixture": 3, "fetch_mnist": 1},
        "train": TRAIN_ALL,
        "measures": measured,
        "figures": {**measured, "compare_centroids": 2, **FIGURES},
    }
    assert fresh.planned(rule) == stages[rule]


def test_stopped_and_dead_cells_are_counted_and_named(checkout):
    scale = write_scale(
        checkout,
        **{
            "experiments.mixture.grid.weight_decay": [0.0001, 0.1, 5.0],
            "experiments.mixture.training": {"evaluations": 100, "tolerance": 1e-5},
        },
    )
    checkout.snakemake(scale=scale)
    cube = load(checkout, "results/mixture/measures.nc").squeeze()
    assert (cube["status"].sel(weight_decay=5.0) == 2).all()
    assert (cube["status"].sel(weight_decay=0.0001) == 1).all()
    assert cube["relative_distance"].sel(weight_decay=5.0).isnull().all()
    assert cube["singular_values"].sel(weight_decay=5.0).notnull().all()
    numbers = pd.read_csv(checkout.folder / "results/figures/figure1.csv").query("panel == 'plane'")
    dead, stopped = numbers.query("weight_decay == 5"), numbers.query("weight_decay == 0.0001")
    assert (dead["dead"] == 1).all()
    assert dead["relative_distance"].isna().all()
    assert (stopped["stopped"] == 1).all()
    assert stopped["relative_distance"].isna().all()
    assert stopped["relative_distance_stopped"].notna().all()
    caption = (checkout.folder / "results/figures/figure1.rst").read_text(encoding="utf-8")
    assert "2 stopped and 2 are dead" in " ".join(caption.split())


def test_a_zero_on_a_logarithmic_axis_is_refused_by_the_figure_alone(checkout):
    scale = write_scale(checkout, **{"experiments.mixture.grid.sigma": [0, 0.5]})
    checkout.snakemake("measures", scale=scale)
    checkout.snakemake("figures", scale=scale, fails=True)
    log = (checkout.folder / "results/logs/figures/figure1.log").read_text(encoding="utf-8")
    assert log == "figure 1 has logarithmic axes and cannot draw sigma 0; take it off the grid\n"


def test_plain_gradient_descent_runs_through_the_pipeline(checkout):
    scale = write_scale(
        checkout, **{"experiments.mixture.training": {"method": "gd", "step": 0.2, "tolerance": 1e-3}}
    )
    checkout.snakemake("train", scale=scale)
    trained = load(checkout, PLANE.format("train"))
    assert json.loads(trained.attrs["settings"])["training"]["method"] == "gd"
    assert (trained["evaluations"] == trained["iterations"] + 1).all()
    assert (trained["relative_residual"].where(trained["status"] == 0, 0) <= 1e-3).all()


def test_a_wall_clock_limit_is_in_the_file(checkout):
    scale = write_scale(
        checkout, **{"experiments.mixture.training": {"wall_clock": 0.001, "tolerance": 1e-12}}
    )
    checkout.snakemake("train", scale=scale)
    trained = load(checkout, PLANE.format("train"))
    meaning = trained["ended"].attrs["flag_meanings"].split()
    assert {meaning[code] for code in trained["ended"].values.ravel()} == {"wall_clock"}
    assert (trained["status"] == 1).all()


def test_a_gpu_that_is_not_there_is_named(checkout):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    said = checkout.snakemake("train", scale=write_scale(checkout, device="cuda"), fails=True)
    assert "device: cuda is asked for, but torch finds no GPU here; use device: auto or cpu" in said


def test_a_damaged_input_is_named_and_leaves_no_output(checkout):
    trained = checkout.folder / PLANE.format("train")
    trained.write_bytes(trained.read_bytes()[:500])
    (checkout.folder / PLANE.format("measure")).unlink()
    checkout.snakemake("measures", options=["--rerun-triggers", "mtime"], fails=True)
    log = (
        checkout.folder
        / "results/logs"
        / PLANE.format("measure").removeprefix("results/").replace(".nc", ".log")
    )
    assert "is damaged" in log.read_text(encoding="utf-8")
    assert not (checkout.folder / PLANE.format("measure")).exists()


def test_the_report_shows_the_figure_with_its_counts(checkout):
    checkout.snakemake(options=["--report", "report.zip"])
    with zipfile.ZipFile(checkout.folder / "report.zip") as report:
        pages = {name: report.read(name) for name in report.namelist()}
    page = b"".join(data for name, data in pages.items() if name.endswith(".html")).decode()
    assert "Gaussian mixture" in page
    assert "Of 4 cells 4 converged, 0 stopped and 0 are dead" in " ".join(page.replace("\\n", " ").split())
    assert any(name.endswith("figure1.png") for name in pages)


def test_planning_needs_no_torch(checkout):
    """The Snakefile is parsed again in every job of a cluster: it must not wait for torch."""
    code = (
        "import sys; from snakemake.cli import main\n"
        "try: main(['--dry-run', '--cores', '1', '--configfile', 'workflow/scales/tiny.yaml'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'xarray', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=checkout.folder, check=True, capture_output=True)
