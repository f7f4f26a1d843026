"""Networks that start from the end of their neighbour along an axis: what is refused, trained and trained again."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from nrc import netcdf
from nrc.batching import architecture_of, initial_parameters, load_points, regularised_loss, training_sample
from nrc.determinism import make_deterministic
from nrc.grid import Stack, notation
from nrc.optimize import build
from nrc.optimize.minimise import minimise
from nrc.optimize.protocols import RunInfo
from nrc.status import Status, TerminationReason
from nrc.training.warm_start import read_warm_start
from support.configurations import CONFIG, read, refused
from support.training import Training
from workflow.config.load import read_settings
from workflow.lib import paths

# Configurations.

SWEEP = "experiments: {sweep: {like: mixture, stack: [seed], training: {warm_start: {along: sigma, direction: up}}}}"


def test_a_chain_is_inherited_turned_and_ended(tmp_path):
    text = """
        experiments:
          back: {like: sweep, training: {warm_start: {direction: down}}}
          across: {like: back, training: {warm_start: {along: weight_decay}}}
          from_another: {like: mixture, stack: [seed], training: {warm_start: sweep}}
          ended: {like: sweep, training: {warm_start: null}}
        """
    known = read(tmp_path, SWEEP, text)["experiments"]
    assert {name: known[name]["training"]["warm_start"] for name in ("sweep", "back", "across", "ended", "from_another")} == {
        "sweep": {"along": "sigma", "direction": "up"},
        "back": {"along": "sigma", "direction": "down"},
        "across": {"along": "weight_decay", "direction": "down"},
        "ended": None,
        "from_another": "sweep",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("stack: [sigma, seed]", "training.warm_start.along is 'sigma', which needs stack to be without sigma, but experiments.sweep.stack is ['sigma', 'seed']"),
        ("training: {warm_start: {direction: left}}", "training.warm_start.direction is 'left', but must be one of up, down"),
        ("training: {warm_start: [sigma, up]}", "training.warm_start is ['sigma', 'up'], but must be the name of an experiment, or {along, direction}, or null"),
        ("training: {snapshot_every: 5}", "training.warm_start.along is 'sigma', which needs training.snapshot_every to be null, but experiments.sweep.training.snapshot_every is 5"),
    ],
)  # fmt: skip
def test_an_impossible_chain_is_refused_in_one_line(tmp_path, sweep, message):
    sweep = sweep if sweep.startswith("{") else f"{{{sweep}}}"
    line = refused(tmp_path, SWEEP, f"experiments: {{sweep: {sweep}}}")
    assert line.startswith(f"experiments.sweep.{message}")


def test_a_chain_has_an_axis_and_a_direction(tmp_path):
    text = "experiments: {sweep: {like: mixture, stack: [], training: {warm_start: {along: sigma}}}}"
    line = refused(tmp_path, text)
    assert line.startswith("experiments.sweep.training.warm_start.direction is missing; it must be one of ")


def test_the_overlay_of_branches_is_a_configuration():
    settings = read_settings([CONFIG, CONFIG.parent / "workflow/scales/branches.yaml"])
    assert list(settings["experiments"]) == ["random_start", "sweep_up", "sweep_down"]
    grids = [experiment["grid"] for experiment in settings["experiments"].values()]
    assert grids[0] == grids[1] == grids[2]
    assert list(settings["figures"]) == ["hysteresis", "branches"]


# Paths.


def settings_of(**start):
    grid = {"weight_decay": [0.1, 0.01], "sigma": [0.4, 0.1, 0.2], "width": [4], "depth": [3], "seed": [0, 1]}
    chain = {"grid": grid, "stack": ["seed"], "training": {"warm_start": start}}
    return {"experiments": {"chain": chain, "after": {**chain, "training": {"warm_start": "chain"}}}}


def cells(weight_decay=0.1, sigma=0.2, seed="all"):
    return f"weight_decay~{notation(weight_decay)}/sigma~{notation(sigma)}/width~4/depth~3/seed~{seed}"


def file(*where, name="chain", **axes):
    return f"results/{name}/train/{cells(*where, **axes)}.nc"


@pytest.mark.parametrize(
    ("along", "direction", "value", "before"),
    [
        ("sigma", "up", 0.2, 0.1),
        ("sigma", "up", 0.4, 0.2),
        ("sigma", "down", 0.1, 0.2),
        ("weight_decay", "up", 0.1, 0.01),
        # off the grid
        ("sigma", "up", 0.3, 0.2),
        ("sigma", "down", 0.3, 0.4),
        ("sigma", "up", 0, None),
        ("weight_decay", "down", 0.05, 0.1),
    ],
)
def test_a_network_starts_from_its_nearest_neighbour_on_the_grid(along, direction, value, before):
    settings = settings_of(along=along, direction=direction)
    for seed in ("all", 7):
        found = paths.start_files("chain", cells(**{along: value}, seed=seed), settings)
        assert found == ([] if before is None else [file(**{along: before}, seed=seed)])


def test_the_way_to_a_network_is_all_that_it_comes_from():
    settings = settings_of(along="sigma", direction="up")
    assert paths.warm_start_chain("chain", cells(sigma=0.1), settings) == []
    assert paths.warm_start_chain("chain", cells(sigma=0.3), settings) == [file(sigma=0.2), file(sigma=0.1)]
    whole = [file(sigma=0.4), file(sigma=0.2), file(sigma=0.1)]
    assert paths.warm_start_chain("after", cells(sigma=0.4), settings) == whole
    # another axis stays as it is, on the grid or off it
    assert paths.warm_start_chain("chain", cells(0.5, 0.2), settings) == [file(0.5, 0.1)]


def test_a_stack_along_a_chain_is_refused_with_another_path():
    settings = settings_of(along="sigma", direction="up")
    path = cells(sigma=0.2).replace("sigma~0.2", "sigma~all")
    with pytest.raises(
        ValueError,
        match=r"^sigma 'all' is not possible, because networks start from their neighbours along it; ask",
    ) as refused:
        paths.start_files("chain", path, settings)
    assert f"ask for {file(sigma=0.4)}" in str(refused.value)
    paths.stack_of("chain", cells(sigma=0.2).replace("weight_decay~0.1", "weight_decay~all"), settings)


# The program.

START = {"along": "sigma", "direction": "up"}
LINE = {"weight_decay": [0.01, 0.03], "width": 6, "depth": 4, "seed": 0}


@pytest.fixture
def trained(tmp_path):
    """A training, and the file of the first cells of a chain, without a start."""
    training = Training(tmp_path)
    training.settings["training"] = training.training(warm_start=START, epochs=20)
    training.run_here(stack={**LINE, "sigma": 0.1})
    return training, training.output.rename(tmp_path / "first.nc")


def test_cells_start_from_the_same_cells_of_another_value(trained):
    _, first = trained
    with pytest.raises(ValueError, match=r"has no network of weight_decay 0.01, sigma 0.2, width 6"):
        read_warm_start(first, Stack({**LINE, "sigma": 0.2}))
    with pytest.raises(ValueError, match=r"has no network of weight_decay 0.02, width 6, depth 4, seed 0 to"):
        read_warm_start(first, Stack({**LINE, "sigma": 0.2, "weight_decay": 0.02}), "sigma")
    start = read_warm_start(first, Stack({**LINE, "sigma": 0.2, "weight_decay": [0.03, 0.01]}), "sigma")
    dataset = netcdf.load(first)
    for theta, cell in zip(start.theta, (1, 0), strict=True):
        np.testing.assert_array_equal(theta[:36].reshape(6, 6), dataset["W1"].values[cell])
    assert start.fingerprints == dataset["fingerprint"].values.astype(str)[::-1].tolist()


def test_a_chain_counts_all_epochs_and_reuses_cells_with_the_same_earlier_training(trained):
    training, first = trained
    stack = {**LINE, "sigma": 0.2}
    second, _ = training.run_here(before=first, stack=stack)
    assert netcdf.load(training.output).attrs["start"] == 20
    again, said = training.run_here(before=first, stack=stack)
    assert "2 of 2 cells reused" in said
    assert again == second
    third = training.output.rename(first.with_name("second.nc"))
    training.run_here(before=third, stack={**LINE, "sigma": 0.4})
    assert netcdf.load(training.output).attrs["start"] == 40
    # another way to the same cells is other networks
    _, said = training.run_here(before=first, stack={**LINE, "sigma": 0.4})
    assert "reused" not in said


def test_a_chain_goes_on_from_what_stopped_and_not_from_what_diverged(trained):
    training, first = trained
    dataset = netcdf.load(first)
    dataset["termination_reason"].values[1], dataset["status"].values[1] = (
        TerminationReason.DIVERGED,
        Status.STOPPED,
    )
    training.run_here(before=first, stack={**LINE, "sigma": 0.2})
    netcdf.save(dataset, first)
    cell = "weight_decay 0.03, width 6, depth 4, seed 0"
    with pytest.raises(ValueError, match=f"the network of {cell} diverged, so no training"):
        training.run_here(before=first, stack={**LINE, "sigma": 0.2})


# The pipeline.

GRID = {"weight_decay": [0.01, 0.1], "sigma": [0.1, 0.2, 0.4], "width": [4], "depth": [3], "seed": [0]}
OVERLAY = {
    "experiments.sweep": {
        "like": "mixture",
        "grid": GRID,
        # so few that every network stops where its start still shows
        "training": {"warm_start": START, "method": {"name": "lbfgs"}, "epochs": 6, "tolerance": 1e-13},
        "stack": ["weight_decay", "seed"],
    }
}
CUBE = "results/sweep/measures.nc"


def overlays_of(checkout, name, changes=()):
    """Overlays with the chain, and changes of it."""
    below = {f"experiments.sweep.{key}": value for key, value in dict(changes).items()}
    return checkout.overlay({**deepcopy(OVERLAY), **below}, name)


def path(sigma, stage="train"):
    return f"results/sweep/{stage}/weight_decay~all/sigma~{notation(sigma)}/width~4/depth~3/seed~all.nc"


def recomputed(checkout, sigmas):
    """Parameters at the end of every link, by the library alone."""
    make_deterministic()
    data = {
        0: load_points(
            Stack({**GRID, "sigma": 0.1, "width": 4, "depth": 3}),
            [checkout.folder / "results/data/blobs/seed~0.nc"],
        )[0]
    }
    theta, ends = None, {}
    for sigma in sigmas:
        stack = Stack({**GRID, "sigma": sigma, "width": 4, "depth": 3})
        architecture = architecture_of(stack, (4,), 4)
        seen = training_sample(stack, data, "autoencode", centroids=False, linear=False)
        loss = regularised_loss(stack, architecture, seen, torch.float64)
        theta = initial_parameters(stack, architecture) if theta is None else theta
        method = build("lbfgs", {"history": 10}, RunInfo(6, [0, 0], 1e-13))
        theta = minimise(loss, theta, method, tolerance=1e-13, epochs=6).point.theta
        ends[sigma] = [w.numpy() for w in architecture.network(theta).weights]
    return ends


def assert_are(checkout, ends):
    for sigma, weights in ends.items():
        found = checkout.load(path(sigma))
        for l, w in enumerate(weights, start=1):
            ours = found[f"W{l}"].sel(weight_decay=GRID["weight_decay"]).values.reshape(w.shape)
            np.testing.assert_allclose(ours, w, rtol=1e-10, err_msg=f"{sigma} {l}")


def test_each_network_begins_where_its_neighbour_ended_and_a_new_value_trains_what_is_behind_it(checkout):
    overlays = overlays_of(checkout, "chain")
    checkout.snakemake(CUBE, overlays=overlays)
    assert_are(checkout, recomputed(checkout, [0.1, 0.2, 0.4]))
    assert [checkout.load(path(sigma)).attrs.get("start", 0) for sigma in (0.1, 0.2, 0.4)] == [0, 6, 12]
    cube = checkout.load(CUBE)
    assert cube["sigma"].values.tolist() == [0.1, 0.2, 0.4]
    assert (cube["status"] == Status.STOPPED).all()
    # there is nothing behind the end of the chain
    longer = overlays_of(checkout, "longer", {"grid.sigma": [0.1, 0.2, 0.4, 0.5]})
    assert checkout.planned(CUBE, overlays=longer) == {"train_stack": 1, "measure": 1, "collect": 1}
    values = {"grid.sigma": [0.1, 0.2, 0.3, 0.4]}
    grown = overlays_of(checkout, "grown", values)
    assert checkout.planned(CUBE, overlays=grown) == {"train_stack": 2, "measure": 2, "collect": 1}
    # where the last one fails, its measures must not pass for up to date
    checkout.snakemake(path(0.3), overlays=grown)
    (checkout.folder / path(0.4)).unlink()
    assert checkout.planned(CUBE, overlays=grown) == {"train_stack": 1, "measure": 2, "collect": 1}
    # a new weight decay is swept alone
    wider = overlays_of(checkout, "wider", {**values, "grid.weight_decay": [0.01, 0.03, 0.1]})
    checkout.snakemake(CUBE, overlays=wider)
    for sigma in (0.1, 0.2, 0.3):
        assert f"{path(sigma)}: 2 of 3 cells reused from the earlier file" in checkout.log(path(sigma))
    assert "reused" not in checkout.log(path(0.4))
    assert_are(checkout, recomputed(checkout, [0.1, 0.2, 0.3, 0.4]))
