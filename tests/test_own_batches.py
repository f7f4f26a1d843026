"""Your networks on data that come in batches, and what their measures need of memory."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import nrc
from support.references import (
    DECAY,
    agree,
    assert_bounds_hold,
)
from support.zoo import LABELS, ZOO, mlp


@pytest.mark.parametrize("kind", ["no biases", "2d", "pre-norm"])
def test_batches_change_nothing(kind, tmp_path):
    model, x = ZOO[kind]()
    whole = nrc.measure(model, x, LABELS, weight_decay=DECAY)
    np.save(tmp_path / "x.npy", x)
    for batch in (7, 23, 64):
        agree(nrc.measure(model, x, LABELS, weight_decay=DECAY, batch=batch), whole)
    for data in (np.load(tmp_path / "x.npy", mmap_mode="r"), torch.from_numpy(x), x.tolist()):
        agree(nrc.measure(model, data, LABELS, weight_decay=DECAY, batch=7), whole)


@pytest.mark.parametrize("size", [5, 1100])
def test_points_that_do_not_fit_into_memory_are_measured_in_batches(size, monkeypatch):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(600) % 3)
    x = rng.normal(size=(3, size))[labels] + rng.normal(size=(600, size))
    model = mlp(size, 6, 3).eval()
    settings = {"weight_decay": DECAY, "restarts": 1, "batch": 100}
    whole = nrc.measure(model, x, labels, **settings)
    monkeypatch.setattr("nrc.measured_module.MEMORY", 2**12)
    network = nrc.measured_module.MeasuredModule(model, x, torch.from_numpy(labels), "cross_entropy")
    assert network.capacity == 256
    found = nrc.measure(model, x, labels, **settings)
    of_sample = {
        "gap_best",
        "rho_best",
        "bound_measured",
        "bound_projected",
        "tail_bound",
        "certified_rank",
    }
    agree(found, whole, but={"tcv_lower", "tcv_upper", *of_sample})
    assert_bounds_hold(found)
    assert (found["tcv_upper"] >= whole["tcv_lower"]).all()
    np.testing.assert_allclose(found["tcv_upper"], whole["tcv_upper"], rtol=0.05)
    if size < 1024:
        np.testing.assert_allclose(found["tcv_lower"], whole["tcv_lower"], rtol=1e-9)
    else:
        assert (found["tcv_lower"] <= whole["tcv_lower"] * (1 + 1e-9)).all()


GROWTH = """
import sys
import numpy as np, torch, nrc, nrc.measured_module
torch.set_num_threads(1)

def own():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

class Watched(torch.nn.Module):
    peak = 0
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(512, 4), torch.nn.Linear(4, 3)
    def forward(self, x):
        Watched.peak = max(Watched.peak, own())
        return self.last(self.first(x).tanh())

x, model = np.load(sys.argv[1], mmap_mode="r"), Watched().eval()
for memory, points in ((2**12, 1000), (2**12, 8000), (2**30, 8000)):
    nrc.measured_module.MEMORY, Watched.peak = memory, 0
    nrc.measure(model, x[:points], np.arange(points) % 3, weight_decay=0.1, restarts=1)
    print(Watched.peak)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is read from /proc")
def test_memory_does_not_grow_with_the_points(tmp_path):
    """What the process holds at its forward epochs, pages of the file left out."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(8000, 512)).astype(np.float32))
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "x.npy")]
    # what is freed goes back at once
    freed = dict(os.environ, MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536")
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=freed).stdout
    few, many, kept = map(float, said.split())
    assert many - few < 8, "MiB; the features of all points have 31"
    assert kept - many > 20, "the features that are in memory are measured"
