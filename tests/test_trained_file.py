"""The trained file: what is written is read, and its numbers agree with the networks."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from nrc import netcdf
from nrc.grid import Stack
from nrc.networks.mlp import Architecture
from nrc.optimize.minimise import minimise
from nrc.status import Status, TerminationReason, count_flags, flag_masks
from nrc.training.snapshots import Snapshots
from nrc.training.trained_file import (
    cell_arrays,
    diverged_cells,
    in_order,
    network_arrays,
    trained_dataset,
    trained_network,
    training_info,
)
from support.problems import METHODS, MethodCase, classifiers, gradient_of, modules

STACK = Stack({"weight_decay": [1e-3, 1e-1], "sigma": 0.4, "width": 7, "depth": 3, "seed": [5, 8]})
TIMES = [0, 3, 6]
ADAM = MethodCase("adam", {"learning_rate": 0.01, "batch": 20, "schedule": "constant"})


def train(bias=True, times=TIMES, diverging=None):
    """A stack, its end points, and its arrays; a cell can diverge at once."""
    loss, start, seeds = classifiers(seeds=(5, 8), bias=bias)
    if diverging is not None:
        start[diverging] *= 1e200
    labels = loss.y.argmax(2).numpy()
    snapshots = Snapshots(loss.architecture, loss.x, loss.y, labels, 4, times) if times else None
    end = minimise(loss, start, ADAM.method(6, seeds), tolerance=1e-9, epochs=6, observer=snapshots)
    arrays = network_arrays(loss, end, snapshots)
    arrays["fingerprint"] = np.array([f"{cell:064}" for cell in range(4)], dtype="S64")
    return loss, end, arrays


def architecture_of_arrays(arrays):
    return Architecture((5, 7, 7, 3), bias="b1" in arrays)


def round_trip(folder, arrays, times=TIMES) -> xr.Dataset:
    netcdf.save(trained_dataset(STACK, arrays, architecture_of_arrays(arrays), times), folder / "a.nc")
    return netcdf.load(folder / "a.nc")


@pytest.mark.parametrize("bias", [False, True])
def test_the_networks_that_are_written_are_read(tmp_path, bias):
    loss, end, arrays = train(bias)
    dataset = round_trip(tmp_path, arrays)
    network, trained = (
        trained_network(dataset, "tanh", "cross_entropy"),
        loss.architecture.network(end.point.theta),
    )
    assert (network.activation, network.loss) == ("tanh", "cross_entropy")
    assert (network.biases is None) == (trained.biases is None) == (not bias)
    assert torch.equal(loss.architecture.join(network.weights, network.biases or []), end.point.theta)
    assert ("b1" in dataset) == bias
    for l, shape in enumerate(loss.architecture.shapes, start=1):
        assert dataset[f"W{l}"].dims == ("weight_decay", "seed", f"n{l}", f"n{l - 1}")
        assert dataset[f"W{l}"].shape[2:] == shape
        # the cell of weight decay 0.1 and seed 8 is the last
        at = dataset[f"W{l}"].sel(weight_decay=0.1, seed=8)
        np.testing.assert_array_equal(at, trained.weights[l - 1][3])


def test_its_numbers_are_those_of_the_networks_by_torch(tmp_path):
    loss, end, arrays = train()
    flat = cell_arrays(round_trip(tmp_path, arrays))
    for cell, module in enumerate(modules(loss.architecture.network(end.point.theta))):
        plain = functional.cross_entropy(module(loss.x[cell]), loss.y[cell])
        penalty = loss.weight_decay[cell] / 2 * sum((p**2).sum() for p in module.parameters())
        (plain + penalty).backward()
        norm = float(gradient_of(module).norm())
        assert flat["loss"][cell] == pytest.approx(plain.item(), rel=1e-12)
        assert flat["gradient_norm"][cell] == pytest.approx(norm, rel=1e-9)
        size = float(loss.weight_decay[cell] * end.point.theta[cell].norm())
        assert flat["relative_residual"][cell] == pytest.approx(norm / size, rel=1e-9)
    assert flat["evaluations"].tolist() == flat["iterations"].tolist() == [6] * 4
    assert flat["termination_reason"].tolist() == [TerminationReason.EPOCHS] * 4
    assert flat["status"].tolist() == [Status.STOPPED] * 4
    assert flat["fingerprint"].astype(str).tolist() == [f"{cell:064}" for cell in range(4)]


def test_a_cell_that_diverged_has_no_numbers_and_no_weights(tmp_path):
    _, end, arrays = train(diverging=1)
    dataset = round_trip(tmp_path, arrays)
    assert diverged_cells(dataset).tolist() == [False, True, False, False]
    for name in ("loss", "gradient_norm", "relative_residual"):
        np.testing.assert_array_equal(np.isnan(dataset[name]), [[False, True], [False, False]])
    network = trained_network(dataset, "tanh", "cross_entropy")
    for parameter in (*network.weights, *network.biases):
        assert not parameter[1].any()
    assert network.weights[0][[0, 2, 3]].all()
    assert end.point.theta[1].norm() > 1e100
    # the file keeps what it had
    assert np.abs(cell_arrays(dataset)["W1"][1]).max() > 1e100


def test_flags_have_the_status_and_the_termination_reason(tmp_path):
    _, _, arrays = train(diverging=1)
    dataset = round_trip(tmp_path, arrays)
    assert count_flags(dataset) == {"converged": 0, "stopped": 4, "collapsed_to_zero": 0, "diverged": 1}
    masks = flag_masks(dataset["termination_reason"])
    assert list(masks) == ["tolerance", "collapsed_to_zero", "epochs", "no_descent", "diverged"]
    assert [int(mask.sum()) for mask in masks.values()] == [0, 0, 3, 0, 1]
    statuses = [reason.status for reason in TerminationReason]
    assert statuses == [Status.CONVERGED, Status.COLLAPSED_TO_ZERO] + [Status.STOPPED] * 3


def test_the_training_info_is_all_but_the_parameters(tmp_path):
    _, _, arrays = train()
    dataset = round_trip(tmp_path, arrays)
    info = training_info(dataset)
    assert set(info.data_vars) == {
        *("loss", "gradient_norm", "relative_residual", "iterations", "evaluations", "status"),
        *("termination_reason", "snapshot_singular_values", "snapshot_wcss", "snapshot_distinct_neurons"),
    }
    assert info["snapshot_wcss"].dims == ("weight_decay", "seed", "snapshot", "source")
    assert info["snapshot_singular_values"].dims[2:] == ("snapshot", "layer", "index")
    assert info["snapshot"].values.tolist() == TIMES
    assert (info["layer"].values.tolist(), info["source"].values.tolist()) == ([1, 2, 3], [0, 1, 2])
    assert info["index"].values.tolist() == list(range(1, 8))


def test_a_single_cell_is_a_file_without_dimensions_of_a_stack(tmp_path):
    _, _, arrays = train()
    cell = Stack({**STACK.axes, "weight_decay": 0.1, "seed": 5})
    one = {name: a[2:3] for name, a in arrays.items()}
    netcdf.save(trained_dataset(cell, one, architecture_of_arrays(one), TIMES), tmp_path / "a.nc")
    dataset = netcdf.load(tmp_path / "a.nc")
    assert dataset["W1"].dims == ("n1", "n0")
    np.testing.assert_array_equal(
        trained_network(dataset, "tanh", "cross_entropy").weights[0][0], arrays["W1"][2]
    )
    assert Stack.of(dataset) == cell


def test_single_precision_is_read_in_double(tmp_path):
    _, _, arrays = train()
    arrays = {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in arrays.items()}
    dataset = round_trip(tmp_path, arrays)
    network = trained_network(dataset, "relu", "squared_error")
    assert dataset["W1"].dtype == np.float32
    assert {p.dtype for p in (*network.weights, *network.biases)} == {torch.float64}
    np.testing.assert_array_equal(network.weights[0], arrays["W1"])


def test_a_parameter_that_is_not_finite_is_named(tmp_path):
    name = "b3"
    _, _, arrays = train()
    arrays[name][0, 0] = np.nan
    with pytest.raises(ValueError, match=f"{name} has a weight that is not finite; train the stack again"):
        trained_network(round_trip(tmp_path, arrays), "tanh", "cross_entropy")


def test_parts_are_put_in_the_order_of_the_cells():
    _, _, arrays = train()
    some, others = np.array([3, 0]), np.array([1, 2])
    parts = [(cells, {name: a[cells] for name, a in arrays.items()}) for cells in (some, others)]
    for name, values in in_order(parts).items():
        np.testing.assert_array_equal(values, arrays[name])


def test_a_penalty_on_the_product_is_taken_off_the_loss(tmp_path):
    loss, start = METHODS["levenberg_marquardt"].autoencoders()
    end = minimise(loss, start, METHODS["levenberg_marquardt"].method(5, [0] * 4), tolerance=1e-9, epochs=5)
    arrays = network_arrays(loss, end)
    for cell in range(4):
        w1, w2, w3 = (w[cell].numpy() for w in loss.architecture.network(end.point.theta).weights)
        x, product = loss.x[cell].numpy(), w3 @ w2 @ w1
        plain = (loss.shares[cell].numpy() * ((x @ product.T - x) ** 2).sum(1)).sum() / 2
        assert arrays["loss"][cell] == pytest.approx(plain, rel=1e-9)
