"""The numbers of `nrc.measure` and `nrc.spectra`: the pipeline's, numpy's, autograd's, other libraries'."""

import copy
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional

import nrc
from nrc.measures.network import measure as measure_stack
from nrc.network import Network
from nrc.seen import StackSeen
from support.zoo import (
    CLASSES,
    LABELS,
    ONCE,
    POINTS,
    ZOO,
    Model,
    Reference,
    cross_entropy,
    mlp,
    outputs,
    squared_error,
)

DECAY = 0.02
LOSSES = {"cross_entropy": cross_entropy, "squared_error": squared_error}
# Missing for every module: no bound on its second derivatives is known.
OF_STACKS = {"bound_analytic", "bound_segments"} | {
    f"gap_bound{kind}{of}" for kind in ("", "_segments") for of in ("", "_best")
}


def agree(found, plain, rtol=1e-9, atol=1e-12, but=()):
    """All variables of two datasets are equal by position."""
    assert set(found.data_vars) == set(plain.data_vars)
    for name, values in found.data_vars.items():
        assert values.dims == plain[name].dims, name
        if name not in but:
            np.testing.assert_allclose(values.values, plain[name].values, rtol, atol, err_msg=name)


# The pipeline and the face.


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


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", [False, True])
def test_a_module_has_the_numbers_and_names_that_the_pipeline_gives_its_cell(bias, loss):
    network, x, y = stack(bias, loss)
    decay = np.array([[0.1] * 3, [0.02] * 3])
    cells = measure_stack(
        StackSeen(network, x, y),
        labels=np.stack([LABELS] * 2),
        clusters=CLASSES,
        weight_decay=decay,
        dead=np.zeros(2, dtype=bool),
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
        assert set(found.data_vars) - set(cells.data_vars) == {"loss", "gradient_norm", "relative_residual"}
        own = found.drop_vars(["loss", "gradient_norm", "relative_residual"])
        agree(own, cells.isel(cell=cell), but=OF_STACKS)
        for name, variable in own.variables.items():
            assert variable.attrs == cells[name].attrs, name
            assert {"long_name", "units"} <= set(variable.attrs), name
        assert all(found[name].isnull().all() for name in OF_STACKS)
        assert found["layer"].values.tolist() == ["0", "2", "4"]
        assert found["source"].values.tolist() == ["input", "2", "4"]
        value, gradient, _ = network.gradient(x, y)
        whole = [g[cell] + decay[cell, 0] * w[cell] for g, w in zip(gradient, network.weights, strict=True)]
        norm = torch.cat([g.flatten() for g in whole]).norm().item()
        pull = decay[cell, 0] * torch.cat([w[cell].flatten() for w in network.weights]).norm().item()
        assert found["loss"].item() == pytest.approx(value[cell].item(), rel=1e-12)
        assert found["gradient_norm"].item() == pytest.approx(norm, rel=1e-9)
        assert found["relative_residual"].item() == pytest.approx(norm / pull, rel=1e-9)
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
        nrc.store.save(dataset, tmp_path / f"{number}.nc")
        assert nrc.load(tmp_path / f"{number}.nc").identical(dataset)


# Gaps, ranks and bounds by autograd on all points at once, and numpy.


def partitions(space, labels):
    """The classes, and k-means of features and targets side by side."""
    return labels, KMeans(CLASSES, n_init=10, random_state=0).fit(space).predict(space)


def means(points, labels):
    return np.array([points[labels == label].mean(0) for label in range(CLASSES)])


def at_centroids(reference, layers, source, y, labels, loss):
    """The gradient at the centroids in every layer."""
    z = reference.enters(source).double()
    centroids = means(z.flatten(1).numpy(), labels).reshape(-1, *z.shape[1:])
    outputs = reference.run(reference.x[:CLASSES], source, torch.from_numpy(centroids))
    shares = torch.from_numpy(np.bincount(labels) / len(labels))
    return reference.gradient(layers, (shares * loss(outputs, torch.from_numpy(means(y, labels)))).sum())


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
def test_gaps_ranks_and_bounds_are_those_of_autograd_and_numpy(kind):
    model, x = ZOO[kind]()
    y = np.eye(outputs(kind))[LABELS]
    found = nrc.measure(model, x, y, labels=LABELS, weight_decay=DECAY)
    reference, layers = Reference(model, x), ZOO[kind].layers
    whole = reference.gradient(layers, cross_entropy(reference.run(reference.x), torch.from_numpy(y)).mean())
    shuffled = np.random.default_rng(0).permutation(LABELS)
    best, largest = {layer: [] for layer in layers}, dict.fromkeys(layers, 0)
    for source in ZOO[kind].sources:
        z = reference.enters(source).double().flatten(1).numpy()
        known, near = partitions(np.hstack([z, y]), LABELS)
        wcss = [sum(((of - means(of, p)[p]) ** 2).sum() / POINTS for of in (z, y)) for p in (known, near)]
        near = near if wcss[1] < wcss[0] else known
        assert found["tcv_upper"].sel(source=source).item() == pytest.approx(min(wcss), rel=1e-9)
        assert found["wcss_class"].sel(source=source).item() == pytest.approx(wcss[0], rel=1e-9)
        gradients = [
            at_centroids(reference, layers, source, y, p, cross_entropy) for p in (known, near, shuffled)
        ]
        for layer in layers:
            at = found.sel(layer=layer, source=source)
            if np.isnan(at["gap"]):
                continue
            w = reference.matrix(layer)
            gaps = [np.linalg.norm(whole[layer] - g[layer]) for g in gradients]
            (rho, known_at), (rho_best, best_at), (_, random_at) = (outside(w, g[layer]) for g in gradients)
            k = min(CLASSES, min(w.shape)) - 1
            usable = [gap for gap, rank in zip(gaps, (rho, rho_best), strict=False) if rank <= CLASSES]
            residual = np.linalg.norm(whole[layer] + DECAY * w)
            plain = {
                "residual": residual,
                "gap": gaps[0],
                "gap_best": gaps[1],
                "rho": rho,
                "rho_best": rho_best,
                "bound_measured": (residual + min(usable)) / DECAY if usable else np.nan,
                "bound_projected": min(known_at[k], best_at[k]),
                "bound_shuffled": random_at[k],
            }
            for name, value in plain.items():
                assert at[name].item() == pytest.approx(value, rel=1e-8, abs=1e-12, nan_ok=True), (
                    name,
                    layer,
                    source,
                )
            best[layer] += [known_at, best_at]
            largest[layer] = max(largest[layer], rho, rho_best, CLASSES)
    for layer in layers:
        w, at = reference.matrix(layer), found.sel(layer=layer)
        if not best[layer]:
            assert at["certified_tail"].isnull().all()
            continue
        tails = np.min(best[layer], axis=0)[: largest[layer]] / np.linalg.norm(w)
        np.testing.assert_allclose(at["certified_tail"].values[: len(tails)], tails, rtol=1e-8, atol=1e-12)
        assert at["certified_tail"][len(tails) :].isnull().all()
        near = [r for r, tail in enumerate(tails, 1) if tail <= 0.1 and r < min(w.shape)]
        assert at["certified_rank"].item() == pytest.approx(near[0] if near else np.nan, nan_ok=True)


@pytest.mark.parametrize("kind", ["no biases", "2d", "branches"])
def test_gaps_of_the_squared_error_are_those_of_autograd(kind):
    model, x = ZOO[kind]()
    y = np.random.default_rng(2).normal(size=(POINTS, 3))
    found = nrc.measure(model, x, y, labels=LABELS, weight_decay=DECAY, loss="squared_error")
    reference, layers = Reference(model, x), ZOO[kind].layers
    whole = reference.gradient(layers, squared_error(reference.run(reference.x), torch.from_numpy(y)).mean())
    for source in ZOO[kind].sources:
        gradient = at_centroids(reference, layers, source, y, LABELS, squared_error)
        for layer in layers:
            gap = found["gap"].sel(layer=layer, source=source).item()
            assert np.isnan(gap) or gap == pytest.approx(
                np.linalg.norm(whole[layer] - gradient[layer]), rel=1e-9
            )


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
        ["bound_measured", "bound_projected", "bound_shuffled", "certified_tail", "certified_rank"]
    ]
    assert all(values.isnull().all() for values in void.values())
    assert found["bound_projected"].sel(layer=["0", "4"], source="input").notnull().all()


def assert_bounds_hold(found):
    distance, slack = found["distance"], 1e-9 * found["singular_values"].max("index")
    for bound in ("bound_measured", "bound_projected", "bound_shuffled"):
        assert not (distance > found[bound] + slack).any(), bound
    assert (
        (found["bound_projected"] <= found["bound_measured"] + slack)
        .where(found["bound_measured"].notnull(), True)
        .all()
    )
    assert not (found["relative_tail"] > found["certified_tail"] + 1e-9).any()
    assert (found["tcv_lower"] <= found["tcv_upper"] * (1 + 1e-9)).all()
    assert (found["tcv_upper"] <= found["wcss_class"] * (1 + 1e-9)).all()


@pytest.mark.parametrize("kind", ZOO)
def test_bounds_are_above_what_they_bound_at_random_weights_and_on_the_way(kind):
    model, x = ZOO[kind]()
    inputs = torch.from_numpy(x) if ZOO[kind].tokens else torch.from_numpy(x).float()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=DECAY)
    for seed in range(3):
        found = nrc.measure(
            model, x, LABELS, weight_decay=DECAY, seed=seed, restarts=1, certified_ranks=4, batch=1 + 8 * seed
        )
        assert_bounds_hold(found)
        for _ in range(10):
            optimiser.zero_grad()
            functional.cross_entropy(model(inputs), torch.from_numpy(LABELS)).backward()
            optimiser.step()


def test_a_trained_network_is_certified_and_its_residual_is_small():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = np.eye(5)[LABELS] + 0.02 * rng.normal(size=(POINTS, 5))
    model = mlp(5, 8, 8, 3)
    optimiser = torch.optim.LBFGS(
        model.parameters(),
        max_iter=2000,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-9,
        tolerance_change=0,
    )
    model.double()

    def closure():
        optimiser.zero_grad()
        value = functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(LABELS))
        value = value + 0.005 * sum(p.square().sum() for p in model.parameters())
        value.backward()
        return value

    optimiser.step(closure)
    found = nrc.measure(model.eval(), x, LABELS, weight_decay=0.01)
    assert_bounds_hold(found)
    assert found["relative_residual"] < 1e-5
    assert found["gap"].notnull().sum() == 6
    assert (found["certified_rank"] <= CLASSES).all()
    assert (found["certified_rank"] >= found["rank_needed"]).all()
    assert found["rho"].max() <= CLASSES


@pytest.mark.parametrize("kind", ONCE)
def test_where_a_layer_acts_on_a_point_once_rho_is_k_at_most(kind):
    model, x = ZOO[kind]()
    found = nrc.measure(model, x, LABELS, weight_decay=DECAY)
    # gradients of the cross-entropy in the outputs sum to 0
    assert found["rho"].max() == (CLASSES - 1 if kind == "one layer" else CLASSES)
    assert (found["bound_measured"].notnull() == found["gap"].notnull()).all()


@pytest.mark.parametrize(
    ("kind", "layer"),
    [("1d", "0"), ("2d", "0"), ("residual", "1.first"), ("post-norm", "second.self_attn.v_proj")],
)
def test_where_many_positions_fill_a_layer_its_certificate_is_void(kind, layer):
    model, x = ZOO[kind]()
    found = nrc.measure(model, x, LABELS, weight_decay=DECAY).sel(layer=layer)
    assert found["rho"].max() > CLASSES
    assert found["bound_measured"].where(found["rho"] > CLASSES).isnull().all()
    full = int(found["singular_values"].notnull().sum())
    if found["rho"].max() == full:
        assert found["certified_rank"].isnull()
        assert found["certified_tail"].sel(index=full) < 1e-9
    assert kind == "post-norm" or found["rho"].max() == full


# Batches.


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
    monkeypatch.setattr("nrc.module.MEMORY", 2**12)
    seen = nrc.module.ModuleSeen(model, x, torch.from_numpy(labels), "cross_entropy")
    assert seen.capacity == 256
    found = nrc.measure(model, x, labels, **settings)
    of_sample = {
        "gap_best",
        "rho_best",
        "bound_measured",
        "bound_projected",
        "certified_tail",
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
import numpy as np, torch, nrc, nrc.module
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
    nrc.module.MEMORY, Watched.peak = memory, 0
    nrc.measure(model, x[:points], np.arange(points) % 3, weight_decay=0.1, restarts=1)
    print(Watched.peak)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is read from /proc")
def test_memory_does_not_grow_with_the_points(tmp_path):
    """What the process holds at its forward passes, pages of the file left out."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(8000, 512)).astype(np.float32))
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "x.npy")]
    # what is freed goes back at once
    freed = dict(os.environ, MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536")
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=freed).stdout
    few, many, kept = map(float, said.split())
    assert many - few < 8, "MiB; the features of all points have 31"
    assert kept - many > 20, "and are seen where they are kept"


# Other libraries, and plain loops.


@pytest.fixture(scope="module")
def weightwatcher():
    import contextlib
    import io
    import logging
    import warnings

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


def test_linear_layers_are_those_of_weightwatcher(weightwatcher):
    """Where a kernel has many positions WeightWatcher takes a matrix of each, of which only ||W|| is the same."""
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


@pytest.mark.parametrize("kind", ["no biases", "in place", "2d", "residual"])
def test_variability_is_that_of_a_loop_over_points(kind):
    model, x = ZOO[kind]()
    y = np.random.default_rng(6).dirichlet(np.ones(3), POINTS)
    found, reference = nrc.measure(model, x, y, labels=LABELS), Reference(model, x)
    for source in ZOO[kind].sources:
        z = reference.enters(source).flatten(1).numpy()
        centre, mean = z.mean(0), [z[label == LABELS].mean(0) for label in range(3)]
        within = (
            sum(np.outer(a - mean[label], a - mean[label]) for a, label in zip(z, LABELS, strict=True))
            / POINTS
        )
        between = sum(np.outer(mean[label] - centre, mean[label] - centre) for label in LABELS) / POINTS
        of_targets = (
            sum(((a - y[label == LABELS].mean(0)) ** 2).sum() for a, label in zip(y, LABELS, strict=True))
            / POINTS
        )
        at = found.sel(source=source)
        assert at["wcss_class"].item() == pytest.approx(np.trace(within) + of_targets, rel=1e-9)
        assert at["wcss_share"].item() == pytest.approx(
            np.trace(within) / np.trace(within + between), rel=1e-9
        )
        inverse = np.linalg.pinv(between, rcond=1e-10, hermitian=True)
        assert at["nc1"].item() == pytest.approx(np.trace(within @ inverse) / 3, rel=1e-7)
        s = np.linalg.svd(np.hstack([z, y]) - np.hstack([z, y]).mean(0), compute_uv=False)
        assert at["tcv_lower"].item() == pytest.approx((s[2:] ** 2).sum() / POINTS, rel=1e-9)


def test_losses_are_those_of_torch():
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


def test_a_loss_of_ones_own_is_followed_by_autograd():
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


@pytest.mark.parametrize("squeezed", [lambda z: z.squeeze(-1), lambda z: z.squeeze()])
def test_outputs_may_be_one_number_a_point(squeezed):
    model = Model(
        lambda m, x: squeezed(m.last(m.first(x).tanh())), first=nn.Linear(5, 4), last=nn.Linear(4, 1)
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


def test_sources_are_chosen_by_name():
    model, x = ZOO["nested"]()
    whole = nrc.measure(model, x, LABELS, weight_decay=DECAY)
    found = nrc.measure(model, x, LABELS, weight_decay=DECAY, sources=["2", "input"])
    assert found["source"].values.tolist() == ["input", "2"]
    np.testing.assert_allclose(found["gap"], whole["gap"].sel(source=["input", "2"]), rtol=1e-12)
    assert nrc.measure(model, x, LABELS, sources="2")["source"].values.tolist() == ["2"]


# The package itself.


def test_the_package_is_imported_at_once_and_without_torch():
    code = (
        "import sys, time; start = time.perf_counter(); import nrc; print(time.perf_counter() - start); dir(nrc);"
        "print({'torch', 'numpy', 'xarray', 'matplotlib'} & set(sys.modules))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )
        for _ in range(2)
    ]
    assert min(float(seconds) for seconds, *_ in runs) < 0.1
    assert runs[0][1] == "set()"
    assert set(nrc.__all__) <= set(dir(nrc))
    assert {"measure", "spectra", "load", "plot", "Recorder"} == set(nrc.__all__)
    with pytest.raises(AttributeError, match="module 'nrc' has no attribute 'mesure'"):
        nrc.mesure  # noqa: B018
