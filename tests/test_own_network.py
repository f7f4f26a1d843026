"""The numbers of `nrc.measure` and `nrc.spectra` on any module, against the pipeline's, autograd's and numpy's."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
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
    squared_error,
)
from support.zoo import CLASSES, LABELS, ONCE, POINTS, ZOO, mlp, outputs

LOSSES = {"cross_entropy": cross_entropy, "squared_error": squared_error}
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


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", [False, True])
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
def test_gaps_ranks_and_bounds_are_those_of_autograd_and_numpy(kind):
    model, x = ZOO[kind]()
    y = np.eye(outputs(kind))[LABELS]
    found = nrc.measure(model, x, y, labels=LABELS, weight_decay=DECAY)
    reference, layers = Reference(model, x), ZOO[kind].layers
    whole = reference.gradient(layers, cross_entropy(reference.run(reference.x), torch.from_numpy(y)).mean())
    permuted = permuted_labels(LABELS, 0)
    best, largest = {layer: [] for layer in layers}, dict.fromkeys(layers, 0)
    for source in ZOO[kind].sources:
        z = reference.enters(source).double().flatten(1).numpy()
        known, near = partitions(np.hstack([z, y]), LABELS)
        wcss = [sum(((of - means(of, p)[p]) ** 2).sum() / POINTS for of in (z, y)) for p in (known, near)]
        near = near if wcss[1] < wcss[0] else known
        assert found["tcv_upper"].sel(source=source).item() == pytest.approx(min(wcss), rel=1e-9)
        assert found["wcss_class"].sel(source=source).item() == pytest.approx(wcss[0], rel=1e-9)
        gradients = [
            at_centroids(reference, layers, source, y, p, cross_entropy) for p in (known, near, permuted)
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
                "bound_permuted": random_at[k],
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
            assert at["tail_bound"].isnull().all()
            continue
        tails = np.min(best[layer], axis=0)[: largest[layer]] / np.linalg.norm(w)
        np.testing.assert_allclose(at["tail_bound"].values[: len(tails)], tails, rtol=1e-8, atol=1e-12)
        assert at["tail_bound"][len(tails) :].isnull().all()
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
        ["bound_measured", "bound_projected", "bound_permuted", "tail_bound", "certified_rank"]
    ]
    assert all(values.isnull().all() for values in void.values())
    assert found["bound_projected"].sel(layer=["0", "4"], source="input").notnull().all()


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
        assert found["tail_bound"].sel(index=full) < 1e-9
    assert kind == "post-norm" or found["rho"].max() == full


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
    assert {"measure", "spectra", "train", "load", "plot", "Recorder"} == set(nrc.__all__)
    with pytest.raises(AttributeError, match="module 'nrc' has no attribute 'mesure'"):
        nrc.mesure  # noqa: B018
