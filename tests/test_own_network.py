"""The numbers of `nrc.measure` and `nrc.spectra` on any module, against the pipeline's, autograd's and numpy's."""

import contextlib
import copy
import io
import logging
import os
import subprocess
import sys
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional

import nrc
from nrc.measured_network import MeasuredStack
from nrc.measures.network import measure as measure_stack
from nrc.networks.mlp import Network
from support.references import (
    DECAY,
    Reference,
    agree,
    assert_bounds_hold,
    at_centroids,
    cross_entropy,
    kmeans_seed,
    means,
    permuted_labels,
)
from support.zoo import CLASSES, LABELS, POINTS, ZOO, Model, mlp, outputs

# Missing for every module: no bound on its second derivatives is known.
OF_STACKS = {"bound_analytic", "bound_segments"} | {
    f"gap_bound{kind}{of}" for kind in ("", "_segments") for of in ("", "_best")
}


# The pipeline and the API.


def stack(bias, loss, cells=2, sizes=(5, 7, 6, 3)):
    """Networks with weights that float32 holds, and points around means."""
    rng = np.random.default_rng(4)
    draw = lambda *shape: torch.from_numpy(rng.normal(size=shape)).float().double()  # noqa: E731
    weights = [draw(cells, n, m) / 2 for m, n in pairwise(sizes)]
    biases = [draw(cells, n) / 4 for n in sizes[1:]] if bias else None
    x = draw(cells, CLASSES, 5)[:, LABELS] + draw(cells, POINTS, 5) / 4
    y = draw(cells, CLASSES, 3)[:, LABELS] + draw(cells, POINTS, 3) / 4
    return Network(weights, "tanh", loss, biases), x, y.softmax(-1) if loss == "cross_entropy" else y


def as_module(network, cell):
    """A cell as a torch module, in float32."""
    sizes = [network.weights[0].shape[2], *(w.shape[1] for w in network.weights)]
    model = mlp(*sizes, bias=network.biases is not None)
    for l, layer in enumerate(model[::2]):
        layer.weight.data = network.weights[l][cell].float()
        if network.biases is not None:
            layer.bias.data = network.biases[l][cell].float()
    return model.eval()


def decayed(model, x, y, loss, decay):
    """The gradient of the loss with weight decay, and all parameters, as vectors."""
    model = copy.deepcopy(model).double()
    output, parameters = model(x), list(model.parameters())
    value = cross_entropy(output, y) if loss == "cross_entropy" else (output - y).square().sum(1) / 2
    gradient = torch.autograd.grad(value.mean(), parameters)
    weights = torch.cat([p.detach().flatten() for p in parameters])
    return torch.cat([g.flatten() for g in gradient]) + decay * weights, weights


@pytest.mark.parametrize(("bias", "loss"), [(False, "squared_error"), (True, "cross_entropy")])
def test_a_module_has_the_numbers_and_names_that_the_pipeline_gives_its_cell(bias, loss):
    network, x, y = stack(bias, loss)
    decay = np.array([[0.1] * 3, [0.02] * 3])
    cells = measure_stack(
        MeasuredStack(network, x, y),
        labels=np.stack([LABELS] * 2),
        clusters=CLASSES,
        weight_decay=decay,
        collapsed=np.zeros(2, dtype=bool),
        seeds=[0, 1],
        certified_ranks=2,
    )
    for cell in range(2):
        found = nrc.measure(
            as_module(network, cell),
            x[cell],
            y[cell],
            labels=LABELS,
            weight_decay=decay[cell, 0],
            loss=loss,
            seed=cell,
            certified_ranks=2,
        )
        of_modules = {"loss", "gradient_norm", "relative_residual", "measured_share"}
        assert set(found.data_vars) - set(cells.data_vars) == of_modules
        own = found.drop_vars(of_modules)
        agree(own, cells.isel(cell=cell), but=OF_STACKS)
        for name, variable in own.variables.items():
            assert variable.attrs == cells[name].attrs, name
            assert {"long_name", "units"} <= set(variable.attrs), name
        assert all(found[name].isnull().all() for name in OF_STACKS)
        assert found["layer"].values.tolist() == ["0", "2", "4"]
        assert found["source"].values.tolist() == ["input", "2", "4"]
        assert found["loss"].item() == pytest.approx(network.gradient(x, y)[0][cell].item(), rel=1e-12)
        whole, weights = decayed(as_module(network, cell), x[cell], y[cell], loss, decay[cell, 0])
        pull = decay[cell, 0] * weights.norm().item()
        assert found["gradient_norm"].item() == pytest.approx(whole.norm().item(), rel=1e-9)
        assert found["relative_residual"].item() == pytest.approx(whole.norm().item() / pull, rel=1e-9)
        assert found.attrs["weight_decay"] == decay[cell, 0]
    assert {name: found.attrs[name] for name in ("clusters", "points", "dimension")} == {
        "clusters": 3,
        "points": 24,
        "dimension": 5,
    }


def test_spectra_without_data_are_those_with_data(tmp_path):
    model, x = ZOO["2d"]()
    measured, alone = nrc.measure(model, x, LABELS), nrc.spectra(model)
    for name in alone.data_vars:
        assert alone[name].equals(measured[name]), name
        assert alone[name].attrs == measured[name].attrs
    assert {"singular_values", "stable_rank", "relative_tail"} <= set(alone.data_vars)
    for number, dataset in enumerate((measured, alone)):
        nrc.netcdf.save(dataset, tmp_path / f"{number}.nc")
        assert nrc.load(tmp_path / f"{number}.nc").identical(dataset)


# Gaps, ranks and bounds by autograd on all points at once, and numpy.


def partitions(space, labels):
    """The classes, and k-means of features and targets side by side."""
    return labels, KMeans(CLASSES, n_init=10, random_state=kmeans_seed(0)).fit(space).predict(space)


def outside(w, g):
    """||W|| without the first r directions of columns or rows of G, the smaller, for each r."""
    u, _, vh = np.linalg.svd(g)
    rank = np.linalg.matrix_rank(g, rtol=1e-6)
    bounds = []
    for r in range(1, min(w.shape) + 1):
        p, q = u[:, : min(r, rank)], vh[: min(r, rank)].T
        bounds.append(min(np.linalg.norm(w - p @ (p.T @ w)), np.linalg.norm(w - (w @ q) @ q.T)))
    return rank, np.array(bounds)


@pytest.mark.parametrize("kind", ZOO)
def test_numbers_are_those_of_autograd_and_numpy(kind):
    """A layer is below a source where all of its gradient is left if the features of the source are held."""
    model, x = ZOO[kind]()
    y = np.eye(outputs(kind))[LABELS]
    found = nrc.measure(model, x, y, labels=LABELS, weight_decay=DECAY, batch=7)
    reference, layers = Reference(model, x), ZOO[kind].layers
    targets = torch.from_numpy(y)
    loss = cross_entropy(reference.run(reference.x), targets).mean()
    whole = reference.gradient(layers, loss)
    assert found["loss"].item() == pytest.approx(loss.item(), rel=1e-12)
    residuals = [np.linalg.norm(whole[layer] + DECAY * reference.matrix(layer)) for layer in layers]
    np.testing.assert_allclose(found["residual"], residuals, rtol=1e-9)
    permuted = permuted_labels(LABELS, 0)
    best, largest = {layer: [] for layer in layers}, dict.fromkeys(layers, 0)
    for source in ZOO[kind].sources:
        z = reference.enters(source).double().flatten(1).numpy()
        known, near = partitions(np.hstack([z, y]), LABELS)
        wcss = [sum(((of - means(of, p)[p]) ** 2).sum() / POINTS for of in (z, y)) for p in (known, near)]
        near = near if wcss[1] < wcss[0] else known
        assert found["tcv_upper"].sel(source=source).item() == pytest.approx(min(wcss), rel=1e-9)
        assert found["wcss_class"].sel(source=source).item() == pytest.approx(wcss[0], rel=1e-9)
        held = reference.run(reference.x, source, reference.enters(source))
        after = reference.gradient(layers, cross_entropy(held, targets).mean())
        gradients = [
            at_centroids(reference, layers, source, y, p, cross_entropy) for p in (known, near, permuted)
        ]
        for layer, residual in zip(layers, residuals, strict=True):
            at = found.sel(layer=layer, source=source)
            below = np.any(whole[layer]) and np.allclose(after[layer], whole[layer], rtol=1e-9, atol=1e-13)
            assert below == at["gap"].notnull(), (layer, source)
            if not below:
                continue
            w = reference.matrix(layer)
            gaps = [np.linalg.norm(whole[layer] - g[layer]) for g in gradients]
            (rho, known_at), (rho_best, best_at), (_, random_at) = (outside(w, g[layer]) for g in gradients)
            k = min(CLASSES, min(w.shape)) - 1
            usable = [gap for gap, rank in zip(gaps, (rho, rho_best), strict=False) if rank <= CLASSES]
            plain = {
                "gap": gaps[0],
                "gap_best": gaps[1],
                "rho": rho,
                "rho_best": rho_best,
                "bound_measured": (residual + min(usable)) / DECAY if usable else np.nan,
                "bound_projected": min(known_at[k], best_at[k]),
                "bound_permuted": random_at[k],
            }
            for name, value in plain.items():
                about = name, layer, source
                assert at[name].item() == pytest.approx(value, rel=1e-8, abs=1e-12, nan_ok=True), about
            best[layer] += [known_at, best_at]
            largest[layer] = max(largest[layer], rho, rho_best, CLASSES)
    for layer in layers:
        w, at = reference.matrix(layer), found.sel(layer=layer)
        if not best[layer]:
            assert at["tail_bound"].isnull().all()
            continue
        tails = np.min(best[layer], axis=0)[: largest[layer]] / np.linalg.norm(w)
        np.testing.assert_allclose(at["tail_bound"].values[: len(tails)], tails, rtol=1e-8, atol=1e-12)
        assert at["tail_bound"][len(tails) :].isnull().all()
        near = [r for r, tail in enumerate(tails, 1) if tail <= 0.1 and r < min(w.shape)]
        assert at["certified_rank"].item() == pytest.approx(near[0] if near else np.nan, nan_ok=True)


def test_weight_decay_by_name_is_that_of_each_layer():
    model, x = ZOO["no biases"]()
    found = nrc.measure(model, x, LABELS, weight_decay={"0.weight": 0.1, "4.weight": 0.3})
    reference = Reference(model, x)
    value = cross_entropy(reference.run(reference.x), torch.from_numpy(LABELS)).mean()
    for layer, g in reference.gradient(["0", "2", "4"], value).items():
        decay = {"0": 0.1, "2": 0.0, "4": 0.3}[layer]
        residual = np.linalg.norm(g + decay * reference.matrix(layer))
        assert found["residual"].sel(layer=layer).item() == pytest.approx(residual, rel=1e-9)
    void = found.sel(layer="2")[
        ["bound_measured", "bound_projected", "bound_permuted", "tail_bound", "certified_rank"]
    ]
    assert all(values.isnull().all() for values in void.values())
    assert found["bound_projected"].sel(layer=["0", "4"], source="input").notnull().all()


@pytest.mark.parametrize("kind", ["in place", "2d", "post-norm", "dense"])
def test_bounds_are_above_what_they_bound_at_random_weights_and_on_the_way(kind):
    model, x = ZOO[kind]()
    inputs = torch.from_numpy(x) if ZOO[kind].tokens else torch.from_numpy(x).float()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=DECAY)
    for seed in range(2):
        found = nrc.measure(model, x, LABELS, weight_decay=DECAY, seed=seed, restarts=1, certified_ranks=4)
        assert_bounds_hold(found)
        for _ in range(10):
            optimiser.zero_grad()
            functional.cross_entropy(model(inputs), torch.from_numpy(LABELS)).backward()
            optimiser.step()


def test_sources_are_chosen_by_name():
    model, x = ZOO["no biases"]()
    whole = nrc.measure(model, x, LABELS, weight_decay=DECAY)
    found = nrc.measure(model, x, LABELS, weight_decay=DECAY, sources=["2", "input"])
    assert found["source"].values.tolist() == ["input", "2"]
    np.testing.assert_allclose(found["gap"], whole["gap"].sel(source=["input", "2"]), rtol=1e-12)
    assert nrc.measure(model, x, LABELS, sources="2")["source"].values.tolist() == ["2"]


# Other libraries, losses and batches.


@pytest.fixture(scope="module")
def weightwatcher():
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import weightwatcher

        logging.getLogger("weightwatcher").setLevel(logging.ERROR)
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.ReLU(),
            nn.Conv2d(8, 6, 1),
            nn.Flatten(),
            nn.Linear(216, 30),
            nn.Linear(30, 12),
        )
        watcher = weightwatcher.WeightWatcher(model=model)
        details = watcher.analyze(min_evals=1).set_index("longname")
        ids = {name: int(row["layer_id"]) for name, row in details.iterrows()}
        esds = {name: watcher.get_ESD(layer=ids[name]) for name in ("0", "4", "5")}
        return model, details, esds


def test_spectra_agree_with_weightwatcher(weightwatcher):
    """For a kernel with many positions WeightWatcher has a matrix per position; only ||W|| agrees."""
    model, details, esds = weightwatcher
    found = nrc.spectra(model)
    # a kernel of one position is a matrix
    for layer in ("2", "4", "5"):
        at = found.sel(layer=layer)
        assert at["stable_rank"].item() == pytest.approx(details.loc[layer, "stable_rank"], rel=1e-5)
        assert at["exact_rank"].item() == details.loc[layer, "matrix_rank"]
    for layer in ("4", "5"):
        s = found["singular_values"].sel(layer=layer).dropna("index").values
        np.testing.assert_allclose(np.sort(np.sqrt(esds[layer]))[::-1], s, rtol=1e-5)
    assert len(esds["0"]) == 3 * 9
    norm = (found["singular_values"].sel(layer="0") ** 2).sum().item()
    assert esds["0"].sum() == pytest.approx(norm, rel=1e-5)


def test_losses_agree_with_torch():
    model, x = ZOO["no biases"]()
    output = copy.deepcopy(model).double()(torch.from_numpy(x)).detach()
    y = torch.from_numpy(np.random.default_rng(6).dirichlet(np.ones(3), POINTS))
    classes = torch.from_numpy(LABELS)
    plain = [
        (nrc.measure(model, x, LABELS), functional.cross_entropy(output, classes)),
        (nrc.measure(model, x, labels=LABELS), functional.cross_entropy(output, classes)),
        (
            nrc.measure(model, x, torch.from_numpy(LABELS), clusters=4),
            functional.cross_entropy(output, classes),
        ),
        (nrc.measure(model, x, y, clusters=2), functional.cross_entropy(output, y)),
        (nrc.measure(model, x, y, clusters=2, loss="squared_error"), functional.mse_loss(output, y) * 3 / 2),
    ]
    for found, value in plain:
        assert found["loss"].item() == pytest.approx(value.item(), rel=1e-12)


def smooth(output, y):
    return functional.smooth_l1_loss(output, y, reduction="none", beta=0.3).mean(1)


def test_your_own_loss_is_differentiated_by_autograd():
    model, x = ZOO["2d"]()
    y = np.random.default_rng(6).normal(size=(POINTS, 3))
    found = nrc.measure(model, x, y, labels=LABELS, weight_decay=DECAY, loss=smooth, batch=10)
    reference, layers = Reference(model, x), ZOO["2d"].layers
    value = smooth(reference.run(reference.x), torch.from_numpy(y)).mean()
    whole = reference.gradient(layers, value)
    assert found["loss"].item() == pytest.approx(value.item(), rel=1e-12)
    for source in ZOO["2d"].sources:
        gradient = at_centroids(reference, layers, source, y, LABELS, smooth)
        for layer in layers[ZOO["2d"].sources.index(source) :]:
            gap = np.linalg.norm(whole[layer] - gradient[layer])
            assert found["gap"].sel(layer=layer, source=source).item() == pytest.approx(gap, rel=1e-9)
    assert '"loss": "smooth"' in found.attrs["settings"]


def test_outputs_may_be_one_number_per_point():
    """Also where the last batch has one point."""
    model = Model(
        lambda m, x: m.last(m.first(x).tanh()).squeeze(), first=nn.Linear(5, 4), last=nn.Linear(4, 1)
    ).eval()
    x, y = ZOO["no biases"]()[1], np.random.default_rng(0).normal(size=POINTS)
    plain = Model(lambda m, x: m.last(m.first(x).tanh()), first=model.first, last=model.last).eval()
    settings = {"labels": LABELS, "weight_decay": DECAY, "loss": "squared_error"}
    found = nrc.measure(model, x, y, batch=23, **settings)
    agree(found, nrc.measure(plain, x, y[:, None], **settings))
    binary = nrc.measure(
        model,
        x,
        (LABELS > 0) * 1.0,
        labels=LABELS,
        loss=lambda output, y: functional.binary_cross_entropy_with_logits(output, y, reduction="none"),
        batch=23,
    )
    output = copy.deepcopy(plain).double()(torch.from_numpy(x))[:, 0]
    value = functional.binary_cross_entropy_with_logits(output, torch.from_numpy((LABELS > 0) * 1.0))
    assert binary["loss"].item() == pytest.approx(value.item(), rel=1e-12)


@pytest.mark.parametrize("kind", ["2d", "pre-norm"])
def test_batches_change_nothing(kind, tmp_path):
    model, x = ZOO[kind]()
    whole = nrc.measure(model, x, LABELS, weight_decay=DECAY)
    np.save(tmp_path / "x.npy", x)
    for batch in (7, 23):
        agree(nrc.measure(model, x, LABELS, weight_decay=DECAY, batch=batch), whole)
    for data in (np.load(tmp_path / "x.npy", mmap_mode="r"), torch.from_numpy(x), x.tolist()):
        agree(nrc.measure(model, data, LABELS, weight_decay=DECAY, batch=7), whole)


def test_points_that_do_not_fit_into_memory_are_measured_in_batches(monkeypatch):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(600) % 3)
    x = rng.normal(size=(3, 1100))[labels] + rng.normal(size=(600, 1100))
    model, settings = mlp(1100, 6, 3).eval(), {"weight_decay": DECAY, "restarts": 1, "batch": 100}
    whole = nrc.measure(model, x, labels, **settings)
    monkeypatch.setattr("nrc.modules.measured_module.MEMORY", 2**12)
    found = nrc.measure(model, x, labels, **settings)
    of_sample = {"gap_best", "rho_best", "bound_measured", "bound_projected", "tail_bound", "certified_rank"}
    # the potential of neurons needs all points
    of_all = {"neuron_rank", "neuron_gap", "potential_gradient", "potential_gradient_bound"}
    assert all(found[name].isnull().all() for name in of_all - {"neuron_rank", "neuron_gap"})
    agree(found, whole, but={"tcv_lower", "tcv_upper", *of_sample, *of_all})
    assert_bounds_hold(found)
    assert (found["tcv_upper"] >= whole["tcv_lower"]).all()
    np.testing.assert_allclose(found["tcv_upper"], whole["tcv_upper"], rtol=0.05)
    assert (found["tcv_lower"] <= whole["tcv_lower"] * (1 + 1e-9)).all()


GROWTH = """
import sys
import numpy as np, torch, nrc, nrc.modules.measured_module
torch.set_num_threads(1)

def own():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

class Watched(torch.nn.Module):
    peak = 0
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(256, 4), torch.nn.Linear(4, 3)
    def forward(self, x):
        Watched.peak = max(Watched.peak, own())
        return self.last(self.first(x).tanh())

x, model = np.load(sys.argv[1], mmap_mode="r"), Watched().eval()
for memory, points in ((2**12, 1000), (2**12, 8000), (2**30, 8000)):
    nrc.modules.measured_module.MEMORY, Watched.peak = memory, 0
    nrc.measure(model, x[:points], np.arange(points) % 3, weight_decay=0.1, restarts=1)
    print(Watched.peak)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is read from /proc")
def test_memory_does_not_grow_with_the_points(tmp_path):
    """What the process holds at its forward epochs, pages of the file left out."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(8000, 256)).astype(np.float32))
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "x.npy")]
    # what is freed goes back at once
    freed = dict(os.environ, MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536")
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=freed).stdout
    few, many, kept = map(float, said.split())
    assert many - few < 4, "MiB; the features of all points have 16"
    assert kept - many > 10, "the features that are in memory are measured"


# The package itself.


def test_the_package_is_imported_without_torch():
    code = "import sys, nrc; dir(nrc); print({'torch', 'numpy', 'xarray', 'matplotlib'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"
    assert set(nrc.__all__) <= set(dir(nrc))
    public = {
        "measure",
        "spectra",
        "train",
        "load",
        "save",
        "plot",
        "compare",
        "Recorder",
        "condense",
        "module",
    }
    assert public == set(nrc.__all__)
    with pytest.raises(AttributeError, match="module 'nrc' has no attribute 'mesure'"):
        nrc.mesure  # noqa: B018
