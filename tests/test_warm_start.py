"""Experiments that go on from the trained networks of others: what is refused, what is trained, what is kept."""

import json

import numpy as np
import pytest
import torch

from nrc import netcdf
from nrc.grid import Stack
from nrc.status import Status, TerminationReason
from nrc.training.trained_file import cell_arrays
from nrc.training.warm_start import InitialPoint, read_warm_start
from support.configurations import desk, read, refused
from support.training import Training

# Configurations.

LATER = "experiments: {later: {like: mnist, training: {warm_start: mnist}}}"


def test_networks_start_from_initial_weights_unless_they_say_otherwise(tmp_path):
    assert desk()["experiments"]["mixture"]["training"]["warm_start"] is None
    text = "experiments: {b: {like: later}, c: {like: later, training: {warm_start: null}}, d: {like: later, training: {warm_start: later}}}"
    settings = read(tmp_path, LATER, text)["experiments"]
    starts = {name: settings[name]["training"]["warm_start"] for name in ("later", "b", "c", "d")}
    assert starts == {"later": "mnist", "b": "mnist", "c": None, "d": "later"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("later: {training: {warm_start: mnits}}", "experiments.later.training.warm_start is 'mnits', but must be one of mixture, mixture_cells, linear,"),
        ("mnist: {training: {warm_start: later}}", "experiments.later.training.warm_start is 'mnist', but no experiment may start from itself (mnist from later from mnist)"),
        ("later: {grid: {seed: [0, 7]}}", "experiments.later.training.warm_start is 'mnist', which has no network with seed 7, but later has; give this value to"),
        ("later: {stack: [seed]}", "but the stack of mnist is ['weight_decay', 'seed'] and the stack of later is ['seed']; both must have the same axes"),
        ("later: {task: autoencode, loss: squared_error}", "but the task of mnist is 'classify' and the task of later is 'autoencode'; both must have the same data, task, network"),
    ],
)  # fmt: skip
def test_a_warm_start_that_cannot_be_is_refused_in_one_line(tmp_path, text, message):
    text = text if text.startswith("{") else f"{{{text}}}"
    assert message in refused(tmp_path, LATER, f"experiments: {text}")


def test_a_start_may_have_more_cells_and_another_loss_or_precision(tmp_path):
    read(
        tmp_path,
        LATER,
        """
        experiments:
          later:
            loss: squared_error
            grid: {seed: [2, 0], weight_decay: [1e-3]}
            stack: [seed, weight_decay]
            training: {precision: float64, loss_on: centroids, method: {name: lbfgs}}
        """,
    )


def test_experiments_that_start_from_a_removed_one_are_removed_with_it(tmp_path):
    text = """
        experiments:
          base: {like: mixture}
          later: {like: mixture, training: {warm_start: base}}
          further: {like: mixture, training: {warm_start: later}}
          like_later: {like: later, training: {warm_start: null}}
        figures: {mine: {kind: plane, of: further}}
        """
    settings = read(tmp_path, text, "experiments: {base: null}")
    assert not {"base", "later", "further", "like_later"} & set(settings["experiments"])
    assert settings["removed"] == (
        "configuration: experiments base is removed, and with it experiments later, like_later, further, "
        "figures mine, which depend on it"
    )
    kept = read(tmp_path, text, "experiments: {base: null, later: {training: {warm_start: null}}}")
    assert {"later", "further", "like_later"} <= set(kept["experiments"])
    assert kept["removed"] == "configuration: experiments base is removed"


# The program.

FIRST = {"epochs": 40, "snapshot_every": 10}
LBFGS = {"method": {"name": "lbfgs", "history": 5}, "tolerance": 1e-8, "epochs": 60, "precision": "float64"}


@pytest.fixture
def trainings(tmp_path):
    """Classifiers trained by Adam, and a training to go on from there."""
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    return [Training(folder, "adam") for folder in folders]


def go_on(trainings, *, first=FIRST, second=(), stack=None):
    """Train both; the two files."""
    one, two = trainings
    one.run_here(training=one.training(**first))
    settings = {
        "training": two.training(**{"warm_start": "adam", "snapshot_every": 20, **LBFGS, **dict(second)})
    }
    if stack is not None:
        settings["stack"] = stack
    two.run_here(before=one.output, **settings)
    return netcdf.load(one.output), netcdf.load(two.output)


def test_the_snapshots_are_those_of_the_whole_way(trainings):
    """Both parts' looks, none twice; what is seen first after the change is what a run to there ends with."""
    first, second = go_on(trainings)
    assert first["snapshot"].values.tolist() == [0, 10, 20, 30, 40]
    assert second["snapshot"].values.tolist() == [0, 10, 20, 30, 40, 60, 80, 100]
    assert (second["snapshot"].attrs["start"], second.attrs["start"]) == (40, 40)
    assert "start" not in first["snapshot"].attrs
    assert "start" not in first.attrs
    trainings[1].forget()
    _, shorter = go_on(trainings, second={"epochs": 20})
    for name in ("snapshot_singular_values", "snapshot_wcss"):
        both = second[name]
        np.testing.assert_array_equal(both.isel(snapshot=slice(0, 5)), first[name], err_msg=name)
        # a line search that runs at 20 epochs is completed, and the snapshot is taken at its end in both
        np.testing.assert_array_equal(both.sel(snapshot=60), shorter[name].sel(snapshot=60), err_msg=name)
    for l in (1, 4):
        ends = np.linalg.svd(second[f"W{l}"].values, compute_uv=False)
        seen = second["snapshot_singular_values"].sel(layer=l, snapshot=100).values[..., : ends.shape[-1]]
        np.testing.assert_allclose(seen, ends, rtol=1e-9, atol=1e-12)


def test_a_killed_training_goes_on_to_the_same_bytes(trainings):
    one, two = trainings
    one.run_here(training=one.training(**FIRST))
    training = two.training(
        warm_start="adam", snapshot_every=20, **{**LBFGS, "epochs": 300, "tolerance": 1e-13}
    )
    whole = two.run_here(before=one.output, training=training)[0]
    two.forget()
    program = two.start(before=one.output, training=training, interval=0)
    two.wait_for_checkpoints(program, 3)
    program.kill()
    program.wait()
    assert not two.output.exists()
    again, said = two.run_here(before=one.output, training=training)
    assert "continuing from a checkpoint" in said
    assert again == whole


def test_cells_are_taken_over_where_their_start_is_the_same(trainings):
    """Another cell at the start is another cell here; another way to the start is another network."""
    one, two = trainings
    go_on(trainings)
    more = {**two.settings["stack"], "weight_decay": [0.001, 0.003, 0.01]}
    said = {}
    for name, first, stack in (("more", FIRST, more), ("other", {**FIRST, "epochs": 50}, more)):
        one.run_here(training=one.training(**first), stack=stack)
        training = two.training(warm_start="adam", snapshot_every=20, **LBFGS)
        said[name] = two.run_here(before=one.output, training=training, stack=stack)[1]
    assert "4 of 6 cells reused from the earlier file" in said["more"]
    assert "reused" not in said["other"]


def test_a_start_is_given_where_the_settings_have_one_and_only_there(trainings):
    one, two = trainings
    one.run_here(training=one.training(**FIRST))
    for settings, before in ((two.training(warm_start="adam"), None), (two.training(), one.output)):
        message = f"^training.warm_start is {settings['warm_start']}, but --warm-start is "
        with pytest.raises(ValueError, match=message):
            two.run_here(training=settings, before=before)


# The library.

AXES = {"weight_decay": [0.1, 0.2], "sigma": 0.0, "width": 3, "depth": 2, "seed": [4, 9]}


@pytest.fixture
def trained(tmp_path, trainings):
    """A trained file whose cells are marked, in which one diverged and one is dead."""
    one = trainings[0]
    one.run_here(
        training=one.training(epochs=3, snapshot_every=None),
        stack={**one.settings["stack"], **AXES, "seed": [0, 1]},
    )
    dataset = netcdf.load(one.output)
    for l in (1, 2):
        dataset[f"W{l}"].values[:] = np.arange(4).reshape(2, 2, 1, 1) + l / 10
    dataset["termination_reason"].values[0, 1], dataset["status"].values[0, 1] = (
        TerminationReason.DIVERGED,
        Status.STOPPED,
    )
    dataset["termination_reason"].values[1, 0], dataset["status"].values[1, 0] = (
        TerminationReason.COLLAPSED_TO_ZERO,
        Status.COLLAPSED_TO_ZERO,
    )
    netcdf.save(dataset, tmp_path / "trained.nc")
    return tmp_path / "trained.nc"


def test_each_cell_starts_at_its_own_parameters_however_the_training_ended(trained):
    stack = Stack({**AXES, "weight_decay": [0.2, 0.1], "seed": 0})
    start = read_warm_start(trained, stack)
    assert start.theta.dtype == torch.float64
    first = 3 * 6  # W_1 is 3 x 6, W_2 is 2 x 3
    assert start.theta.shape == (2, first + 2 * 3)
    for theta, cell in zip(start.theta, (2, 0), strict=True):
        np.testing.assert_allclose(theta[:first], cell + 0.1, rtol=1e-6)
        np.testing.assert_allclose(theta[first:], cell + 0.2, rtol=1e-6)
    flat = cell_arrays(netcdf.load(trained))
    assert start.fingerprints == flat["fingerprint"].astype(str)[[2, 0]].tolist()
    assert start.epochs == json.loads(netcdf.load(trained).attrs["settings"])["training"]["epochs"] == 3


def test_a_cell_that_the_start_lacks_is_named(trained):
    with pytest.raises(
        ValueError,
        match=r"trained.nc has no network of weight_decay 0.3, sigma 0, width 3, depth 2, seed 1 to",
    ):
        read_warm_start(trained, Stack({**AXES, "weight_decay": [0.2, 0.3], "seed": 1}))


def test_no_training_starts_from_a_network_that_diverged(trained):
    with pytest.raises(ValueError, match=r"seed 1 diverged, so no training can start from it"):
        read_warm_start(trained, Stack({**AXES, "weight_decay": [0.2, 0.1], "seed": 1}))


def test_earlier_snapshots_come_first_and_the_common_one_once():
    theta = torch.zeros(2, 3)
    fresh = InitialPoint(theta)
    assert fresh.new_times([0, 5, 10]) == fresh.all_times([0, 5, 10]) == [0, 5, 10]
    assert fresh.with_earlier_snapshots({"snapshot_wcss": theta}, np.array([0])) == {"snapshot_wcss": theta}
    snapshots = {"snapshot_wcss": np.arange(6.0).reshape(2, 3, 1)}
    start = InitialPoint(theta, 20, ["a", "b"], [0, 10, 20], snapshots)
    assert start.new_times([0, 5, 10]) == [5, 10]
    assert start.all_times([5, 10]) == [0, 10, 20, 25, 30]
    assert start.all_times([]) == []
    own = {"snapshot_wcss": np.full((1, 2, 1), 7.0), "loss": np.zeros(1)}
    way = start.with_earlier_snapshots(own, np.array([1]))
    assert way["snapshot_wcss"].ravel().tolist() == [3, 4, 5, 7, 7]
    assert set(start.with_earlier_snapshots({"loss": own["loss"]}, np.array([1]))) == {"loss"}


# The pipeline.

STACK = "weight_decay~all/sigma~0/width~4/depth~2/seed~all"


def test_a_grown_axis_trains_its_new_cells_alone_in_both_parts(checkout):
    before = checkout.load("results/depth_stationary/measures.nc")
    overlays = checkout.overlay({"experiments.depth.grid.weight_decay": [0.001, 0.01, 0.1]})
    checkout.snakemake("results/depth_stationary/measures.nc", overlays=overlays)
    for name in ("depth", "depth_stationary"):
        trained = f"results/{name}/train/{STACK}.nc"
        assert f"{trained}: 4 of 6 cells reused from the earlier file" in checkout.log(trained)
    after = checkout.load("results/depth_stationary/measures.nc")
    assert after.sizes["weight_decay"] == 3
    for name in before.data_vars:
        kept = after[name].sel(weight_decay=before["weight_decay"])
        np.testing.assert_array_equal(kept, before[name], err_msg=name)


def test_cells_alone_on_the_grid_and_off_it_pull_those_they_start_from(checkout):
    cell = "weight_decay~0.1/sigma~0/width~8/depth~3/seed~1"
    on = f"results/mnist_stationary/train/{cell}.nc"
    off = "results/mnist_stationary/train/weight_decay~0.05/sigma~0/width~3/depth~2/seed~1.nc"
    assert checkout.planned(on, off) == {"train_stack": 4}
    checkout.snakemake(on, off)
    assert (checkout.folder / f"results/mnist/train/{cell}.nc").exists()
    alone = checkout.load(on)
    together = checkout.load(
        "results/mnist_stationary/train/weight_decay~all/sigma~0/width~8/depth~3/seed~all.nc"
    )
    together = together.sel(weight_decay=0.1, seed=1)
    for name in together.data_vars:
        np.testing.assert_array_equal(alone[name], together[name], err_msg=name)
    assert checkout.load(off)["snapshot"].values.tolist()[:3] == [0, 1, 2]


def test_measures_hold_the_whole_way_and_the_pass_of_the_change(finished):
    earlier, cube = (finished.load(f"results/{name}/measures.nc") for name in ("mnist", "mnist_stationary"))
    assert cube["snapshot"].values.tolist() == [0, 1, 2, 102, 202, 302]
    assert cube["snapshot"].attrs["start"] == 2
    for name in ("snapshot_singular_values", "snapshot_wcss"):
        np.testing.assert_array_equal(cube[name].isel(snapshot=slice(0, 3)), earlier[name], err_msg=name)
    last = cube["snapshot_singular_values"].isel(snapshot=-1).values
    np.testing.assert_allclose(last, cube["singular_values"].values, rtol=1e-9, atol=1e-12)
    caption = " ".join(finished.read("results/figures/figure3_stationary.rst").split())
    assert "Orange is epoch 2, where their method ends" in caption
    assert "in layer 3." in caption
