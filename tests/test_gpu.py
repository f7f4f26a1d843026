"""Training on a GPU: on a pretended one everywhere, and on a real one if torch finds it."""

import logging
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
import train

from nrc import netcdf
from nrc.metadata import provenance
from nrc.networks.mlp import Network
from nrc.optimize.minimise import minimise
from nrc.status import TerminationReason
from nrc.theory.centroids import centroid_gap, centroid_gap_bound, centroids
from nrc.theory.segments import segment_gap_bound
from nrc.training.checkpoint import Checkpoint
from nrc.training.run import device_of
from nrc.training.snapshots import Snapshots
from nrc.training.trained_file import cell_arrays
from support.pretended_gpu import GPU, pretended_gpu
from support.problems import METHODS, let_torch_compute, mixture, normal
from support.references import centroid_gradient
from workflow.lib import device

# what torch refuses on a GPU, or does in another order each time (its notes on determinism)
NOT_DETERMINISTIC = {"bincount", "cumsum", "histc", "kthvalue", "median", "put", "put_", "scatter_reduce"}

# torch finds singular values of such tensors by another way
SVD = 1e-12

# torch's own, when it loads its compiler
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")


# ---- all on one device ------------------------------------------------------------------------------


def test_the_pretended_gpu_refuses_what_a_gpu_refuses():
    here = torch.arange(6.0).reshape(2, 3)
    with pretended_gpu():
        there = here.to(GPU)
        assert there.device.type == "cuda"
        assert torch.equal((there @ there.mT)[0, 1:].cpu(), (here @ here.mT)[0, 1:])
        assert there[torch.tensor([1])].device == there.device, "indices may be on the CPU"
        assert torch.equal(there[there > 2].cpu(), here[here > 2])
        index = torch.tensor([1], device=GPU)
        for mixed in (
            lambda: there + here,
            lambda: there @ here.mT,
            lambda: torch.cat([there, here]),
            lambda: torch.where(there > 2, here, there),
            lambda: here[index],
            lambda: there.index_put_((index,), here[:1]),
        ):
            with pytest.raises(RuntimeError, match="cuda"):
                mixed()
        for direct in (there.numpy, lambda: np.asarray(there)):
            with pytest.raises((RuntimeError, TypeError)):
                direct()


@pytest.fixture(autouse=True)
def torch_computes(monkeypatch):
    let_torch_compute(monkeypatch)


def run(name, loss, start, device, **options):
    """Train with snapshots on a device."""
    objective = loss.to(device)
    labels = np.arange(loss.x.shape[1])[None] % 2
    snapshots = Snapshots(objective.architecture, objective.x, objective.y, labels, len(start), [0, 2, 4])
    method, start = METHODS[name].method(4, [0, 1, 0, 1]), start.to(device)
    end = minimise(objective, start, method, tolerance=1e-6, epochs=4, observer=snapshots, **options)
    return end, snapshots


@pytest.mark.parametrize("name", ["lbfgs", "varpro", "levenberg_marquardt", "adam in batches"])
def test_methods_have_the_bits_of_the_cpu(name, tmp_path):
    """With snapshots, and a cell that diverges; a state of the CPU is refused."""
    loss, start = METHODS[name].autoencoders()
    start[3] *= 1e170
    saved, reports = Checkpoint(tmp_path / "a.nc", "a", 0), count(1)

    def save_once(minimisation):
        if next(reports) == 2:
            saved.save({"run": minimisation.state})

    plain, plain_snapshots = run(name, loss, start, "cpu", report=save_once)
    assert plain.termination_reason[3] == TerminationReason.DIVERGED
    with pretended_gpu() as gpu:
        end, snapshots = run(name, loss, start, GPU)
        assert end.point.theta.device.type == "cuda"
        for what in ("theta", "value", "gradient"):
            ours, theirs = getattr(end.point, what).cpu(), getattr(plain.point, what)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(end.termination_reason.cpu(), plain.termination_reason)
        assert torch.equal(end.evaluations.cpu(), plain.evaluations)
        pair = snapshots.singular_values, plain_snapshots.singular_values
        np.testing.assert_allclose(*pair, rtol=SVD, atol=SVD)
        np.testing.assert_array_equal(snapshots.wcss, plain_snapshots.wcss)
        with pytest.raises(RuntimeError, match="cuda"):
            run(name, loss, start, GPU, state=saved.open("cpu")["run"])
    assert {"mm", "bmm"} & gpu.operations
    assert not NOT_DETERMINISTIC & gpu.operations


def test_centroids_are_computed_where_the_network_is():
    network = Network([normal(2, 4, 3), normal(2, 3, 4)], biases=[normal(2, 4), normal(2, 3)])
    x, labels = normal(2, 9, 3, seed=1), torch.arange(18).reshape(2, 9) % 3

    def computed(device):
        parts = ([p.to(device) for p in part] for part in (network.weights, network.biases))
        weights, biases = parts
        after = (
            replace(network, weights=weights, biases=biases),
            x.to(device),
            x.to(device),
            labels.to(device),
        )
        gradient = centroid_gradient(*after, 3)
        gap = centroid_gap(after[0].gradient(*after[1:3])[1], gradient)
        bounds = [bound(*after, 3) for bound in (centroid_gap_bound, segment_gap_bound)]
        return [gap, *bounds, *gradient, *centroids(*after[1:4:2], 3)]

    plain = computed("cpu")
    with pretended_gpu():
        for ours, theirs in zip(computed(GPU), plain, strict=True):
            assert ours.device.type == "cuda"
            torch.testing.assert_close(ours.cpu(), theirs, rtol=SVD, atol=0)


# ---- the whole program, on both ---------------------------------------------------------------------

STACK = {"weight_decay": [0.05, 0.1], "sigma": [0.1, 0.3], "width": 3, "depth": 3, "seed": 0}
KINDS = {
    "lbfgs": ("autoencode", "squared_error", {"name": "lbfgs", "history": 10}, 6),
    "adam": (
        *("classify", "cross_entropy"),
        {"name": "adam", "learning_rate": 1e-2, "batch": 8, "schedule": "cosine"},
        4,
    ),
}


class Pretended:
    """The program on the pretended GPU: the bits of the CPU.

    In `memory`, the inputs of two networks on `points` fit, and those of four do not.
    """

    rounding = 0.0
    points, memory = 201, 2 * 201 * 3 * 8

    @contextmanager
    def on_gpu(self, memory=None):
        with pytest.MonkeyPatch.context() as patch, pretended_gpu() as gpu:
            patch.setattr(torch.cuda, "is_available", lambda: True)
            patch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU that is not there")
            gpu.memory = memory or gpu.memory
            yield


class Real:
    """The program on a GPU: the numbers of the CPU, to rounding.

    In `memory`, what a network on `points` takes fits beside the 64 MiB of cuBLAS, and that of four does not.
    """

    rounding = 1e-5
    points, memory = 400_001, 300 * 2**20

    @contextmanager
    def on_gpu(self, memory=None):
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction((memory or total) / total)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.fixture(
    params=[
        Pretended,
        pytest.param(
            Real,
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"),
            ],
        ),
    ],
    ids=["pretended", "real"],
)
def gpu(request):
    return request.param()


class Interrupt(Exception):
    pass


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Trains in a folder of its own, and returns the file; interrupted after some reports if asked."""
    monkeypatch.setattr(train.signal, "signal", lambda *_: None)

    def run_program(kind, points, device, name="train", interrupt=None):
        task, loss, method, epochs = KINDS[kind]
        data, output = tmp_path / f"data-{points}.nc", tmp_path / name / "train.nc"
        drawn = mixture(clusters=2, points=points).to_dataset()
        netcdf.save(drawn.assign_attrs(provenance({"experiment": "blobs"})), data)
        settings = {
            "experiment": "tiny", "device": device, "task": task, "loss": loss, "stack": STACK,
            "network": {"kind": "mlp", "activation": "tanh", "bias": True},
            "training": {
                "warm_start": None, "method": method, "tolerance": 1e-9, "epochs": epochs, "snapshot_every": 4, "loss_on": "data",
                "penalty": "factors", "precision": "float64",
            },
        }  # fmt: skip
        reports = 0

        class Log(train.TrainingLog):
            def __call__(self, part, progress):
                nonlocal reports
                reports += 1
                if reports == interrupt:
                    raise Interrupt

        monkeypatch.setattr(train, "TrainingLog", Log)
        train.main(settings, [str(data)], str(output), checkpoint_interval=0.0)
        return output

    return run_program


def assert_same(found, expected, rounding):
    """The same numbers, to rounding; the weights of cells that stopped, which rounding leads elsewhere, apart."""
    ours, theirs = netcdf.load(found), netcdf.load(expected)
    assert theirs.attrs["device"] == "cpu"
    assert ours.attrs["device"] != "cpu"
    ours, theirs = cell_arrays(ours), cell_arrays(theirs)
    assert ours.keys() == theirs.keys()
    np.testing.assert_array_equal(ours["termination_reason"], theirs["termination_reason"])
    exact = set(theirs) - {"fingerprint"}
    inexact = {"iterations", "evaluations", "gradient_norm", "relative_residual"}
    for name in exact - (inexact if rounding else set()):
        to = max(rounding, SVD) if name == "snapshot_singular_values" else rounding
        np.testing.assert_allclose(ours[name], theirs[name], rtol=to, atol=to, err_msg=name)


def test_a_gpu_gives_the_numbers_of_the_cpu_and_continues_in_its_own_bits(program, gpu, caplog):
    caplog.set_level(logging.INFO)
    expected = program("adam", 21, "cpu", "cpu")
    with gpu.on_gpu():
        unbroken = program("adam", 21, "cuda", "unbroken")
        with pytest.raises(Interrupt):
            program("adam", 21, "cuda", "broken", interrupt=4)
        caplog.clear()
        resumed = program("adam", 21, "cuda", "broken")
    assert "continuing from a checkpoint" in caplog.text
    assert resumed.read_bytes() == unbroken.read_bytes()
    assert_same(unbroken, expected, gpu.rounding)


def test_a_stack_that_does_not_fit_trains_in_parts(program, gpu, caplog):
    expected = program("lbfgs", gpu.points, "cpu", "cpu")
    with gpu.on_gpu(gpu.memory):
        found = program("lbfgs", gpu.points, "cuda", "gpu")
    assert "4 cells do not fit in memory; training 2 at a time" in caplog.text
    assert_same(found, expected, gpu.rounding)


def test_a_network_that_does_not_fit_is_refused(program, gpu):
    with gpu.on_gpu(8), pytest.raises(ValueError, match="one network does not fit in memory; use fewer"):
        program("lbfgs", gpu.points, "cuda")


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto").type == "cpu"
    with pytest.raises(ValueError, match="device is cuda, but torch finds no GPU; use device: auto or cpu"):
        device_of("cuda")


def test_auto_is_the_device_that_torch_finds(monkeypatch):
    monkeypatch.setattr(device, "_has_driver", lambda: True)
    for gpu, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        assert device.device_here("auto") == name
    monkeypatch.setattr(device, "_has_driver", lambda: False)
    assert device.device_here("auto") == "cpu"
