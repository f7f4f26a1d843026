"""`nrc.train`, the training of a stack as a function of the library."""

import numpy as np
import pytest
import torch
import xarray as xr

import nrc
from nrc.networks.activations import ACTIVATIONS
from nrc.training.checkpoint import Checkpoint
from nrc.training.run import train
from support.problems import mixture

STACK = {"weight_decay": [0.02, 0.05], "sigma": [0.1, 0.3], "width": 3, "depth": 3, "seed": 0}


def test_it_is_public_under_both_names():
    assert nrc.train is nrc.training.train is train


@pytest.mark.parametrize(
    ("activation", "method"),
    [("relu", "lbfgs"), ("leaky_relu", "lbfgs"), ("gelu", "varpro"), ("silu", "newton")],
)
def test_networks_with_every_activation_are_trained(activation, method):
    network = {"activation": activation}
    trained = train(STACK, mixture(), network=network, method=method, epochs=2000, tolerance=1e-6)
    assert trained["W1"].dims == ("weight_decay", "sigma", "n1", "n0")
    initial = train(STACK, mixture(), network=network, epochs=1, tolerance=1e-6)
    assert (trained["loss"] < initial["loss"]).all()
    if ACTIVATIONS[activation].curvature:  # a minimum can be at a kink of the others
        assert (trained["status"] == 0).all()


def test_cells_alone_and_on_threads_have_the_bits_of_the_stack():
    together = train(STACK, mixture(), epochs=50)
    parts = train(STACK, mixture(), epochs=50, threads=2)
    xr.testing.assert_identical(parts, together)
    alone = train({**STACK, "sigma": 0.3}, mixture(), epochs=50, threads=2)
    for name in alone.data_vars:
        np.testing.assert_array_equal(alone[name], together[name].sel(sigma=0.3), err_msg=name)


def test_a_warm_start_continues_from_a_dataset_with_its_snapshots():
    options = {"snapshot_every": 10, "epochs": 20, "method": {"name": "gd", "step": 0.1}}
    first = train(STACK, mixture(), **options)
    second = train(STACK, mixture(), **options, warm_start=first)
    whole = train(STACK, mixture(), **{**options, "epochs": 39})  # the initial point counts once
    assert second["snapshot"].values.tolist() == [0, 10, 20, 30, 40]
    assert second.attrs["start"] == 20
    np.testing.assert_array_equal(second["W1"], whole["W1"])
    shared = second["snapshot_wcss"].isel(snapshot=slice(0, 3))
    np.testing.assert_array_equal(shared, whole["snapshot_wcss"].isel(snapshot=slice(0, 3)))


def test_a_requested_checkpoint_ends_training_and_the_next_run_continues(tmp_path):
    undisturbed = train(STACK, mixture(), epochs=100, tolerance=1e-12)
    checkpoint = Checkpoint(tmp_path / "a.nc", "a", interval=1e9)
    reports = 0

    def report(part, progress):
        nonlocal reports
        reports += 1
        if reports == 30:
            assert progress().cells == 4
            checkpoint.request()

    with pytest.raises(
        InterruptedError, match="stopped by a signal; the next run continues from the checkpoint"
    ):
        train(STACK, mixture(), epochs=100, tolerance=1e-12, checkpoint=checkpoint, report=report)
    again = Checkpoint(tmp_path / "a.nc", "a", interval=1e9)
    continued = train(STACK, mixture(), epochs=100, tolerance=1e-12, checkpoint=again)
    xr.testing.assert_identical(continued, undisturbed)


def test_known_cells_are_not_trained_again():
    trained = train(STACK, mixture(), epochs=20)
    arrays = nrc.training.trained_file.cell_arrays(trained)
    arrays["loss"] = np.full(4, 7.0)
    some = np.array([1, 2])
    known = some, {name: values[some] for name, values in arrays.items()}
    again = train(STACK, mixture(), epochs=20, known=known)
    loss = trained["loss"].values.ravel()
    assert again["loss"].values.ravel().tolist() == [loss[0], 7, 7, loss[3]]


def test_without_memory_for_a_stack_it_is_split(monkeypatch):
    together = train(STACK, mixture(), epochs=20)
    original = torch.Tensor.to
    limit = 2

    def limited(self, *args, **kwargs):
        if self.ndim == 2 and len(self) > limit and self.shape[1] > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", limited)
    xr.testing.assert_identical(train(STACK, mixture(), epochs=20), together)
    limit = 0
    with pytest.raises(ValueError, match="one network does not fit in memory"):
        train(STACK, mixture(), epochs=20)
