"""What is measured on a stack of networks, against plain loops over cells, layers and points."""

from itertools import chain, pairwise, product

import numpy as np
import pytest
import torch
from scipy.linalg import null_space
from sklearn.cluster import KMeans
from sklearn.metrics import accuracy_score
from torch.nn import functional

from nrc.data.points import Points
from nrc.grid import Stack
from nrc.measures.mixture import mixture_bounds
from nrc.measures.network import accuracy, measure, without
from nrc.network import Network
from nrc.optimize.minimise import minimise
from nrc.seen import StackSeen
from nrc.theory.bounds import gaussian_wcss_bound, isotropic_wcss_quantile
from nrc.theory.collapse import nc1, wcss_share
from support.problems import METHODS, classifiers, mixture, modules, normal

CELLS, POINTS, CLUSTERS, SIZES = 3, 24, 3, (5, 7, 6, 4)
WEIGHT_DECAY = np.array([0.0, 0.1, 0.02])
SEEDS = [0, 1, 2]


def draw(activation="tanh", loss="squared_error", bias=True):
    """Networks, points around means, targets that are distributions, labels that differ by cell."""
    rng = np.random.default_rng(0)
    labels = np.stack([rng.permutation(np.repeat([0, 1, 2], [12, 8, 4])) for _ in range(CELLS)])
    means, targets = normal(CELLS, CLUSTERS, SIZES[0], seed=1), normal(CELLS, CLUSTERS, SIZES[-1], seed=2)
    cell = np.arange(CELLS)[:, None]
    x = means[cell, labels] + 0.3 * normal(CELLS, POINTS, SIZES[0])
    y = (targets[cell, labels] + 0.3 * normal(CELLS, POINTS, SIZES[-1])).softmax(-1)
    shapes = list(zip(SIZES[1:], SIZES[:-1], strict=True))
    weights = [normal(CELLS, *shape) / shape[1] ** 0.5 for shape in shapes]
    biases = [normal(CELLS, size) / 2 for size in SIZES[1:]] if bias else None
    return Network(weights, activation, loss, biases), x, y, labels


def measured(network, x, y, labels, weight_decay=WEIGHT_DECAY, **changes):
    of_layers = None if weight_decay is None else np.repeat(weight_decay[:, None], len(network.weights), 1)
    choices = {
        "labels": labels,
        "clusters": CLUSTERS,
        "weight_decay": of_layers,
        "dead": np.zeros(len(x), dtype=bool),
        "seeds": SEEDS[: len(x)],
    }
    return measure(StackSeen(network, x, y), **{**choices, **changes})


CASES = list(product(("tanh", "relu", "linear"), ("squared_error", "cross_entropy"), (False, True)))


def plain_wcss(points, labels):
    means = {label: points[labels == label].mean(0) for label in set(labels)}
    return sum(((p - means[label]) ** 2).sum() for p, label in zip(points, labels, strict=True)) / len(points)


def spaces_of(network, x, y):
    """Features and targets side by side, [source][cell]."""
    return [[np.hstack([z[c], y[c]]) for c in range(len(x))] for z in network.features(x)[:-1]]


def test_dimensions_are_those_of_cells_layers_and_sources():
    dataset = measured(*draw())
    assert dict(dataset.sizes) == {"cell": 3, "layer": 3, "index": 6, "source": 3}
    assert dataset["layer"].values.tolist() == [1, 2, 3]
    assert dataset["source"].values.tolist() == [0, 1, 2]
    assert dataset["index"].values.tolist() == [1, 2, 3, 4, 5, 6]
    for name, variable in dataset.variables.items():
        assert {"long_name", "units"} <= set(variable.attrs), name


def test_ranks_agree_with_numpy_on_each_matrix():
    network, x, y, labels = draw()
    dataset = measured(network, x, y, labels, numerical_rank_tolerance=0.3)
    for c, l in product(range(CELLS), range(3)):
        at, w = dataset.isel(cell=c, layer=l), network.weights[l][c].numpy()
        u, s, vt = np.linalg.svd(w, full_matrices=False)
        nearest = (u[:, :CLUSTERS] * s[:CLUSTERS]) @ vt[:CLUSTERS]
        p = s / s.sum()
        plain = {
            "distance": np.linalg.norm(w - nearest),
            "relative_distance": np.linalg.norm(w - nearest) / np.linalg.norm(w),
            "stable_rank": np.linalg.norm(w) ** 2 / np.linalg.norm(w, 2) ** 2,
            "numerical_rank": np.linalg.matrix_rank(w, rtol=0.3),
            "exact_rank": np.linalg.matrix_rank(w, rtol=1e-5),
            "effective_rank": np.exp(-(p * np.log(p)).sum()),
        }
        for name, value in plain.items():
            assert float(at[name]) == pytest.approx(value, rel=1e-9), name
        np.testing.assert_allclose(at["singular_values"][: len(s)], s, rtol=1e-12)
        assert at["singular_values"][len(s) :].isnull().all()
        tail = [np.sqrt((s[r:] ** 2).sum() / (s**2).sum()) for r in range(1, len(s) + 1)]
        np.testing.assert_allclose(at["relative_tail"][: len(s)], tail, rtol=1e-9, atol=1e-12)


def test_the_exact_rank_counts_what_training_would_not_leave():
    """Layers of rank 3 but for rounding, or for a tail of the size that training leaves or does not."""
    network, x, y, labels = draw()
    for noise, ranks in ((0, [3, 3, 3]), (1e-7, [3, 3, 3]), (1e-3, [5, 6, 4])):
        for w in network.weights:
            u, s, vt = torch.linalg.svd(w, full_matrices=False)
            s = torch.where(torch.arange(s.shape[1]) < 3, s, noise * s[:, :1])
            w.copy_((u * s[:, None]) @ vt)
        exact = measured(network, x, y, labels)["exact_rank"].transpose("cell", "layer")
        assert exact.values.tolist() == [ranks] * CELLS


def test_variability_agrees_with_a_plain_loop():
    network, x, y, labels = draw()
    dataset = measured(network, x, y, labels)
    for k, space in enumerate(spaces_of(network, x, y)):
        for c, points in enumerate(space):
            at = dataset.isel(cell=c, source=k)
            of_classes = plain_wcss(points, labels[c])
            assert float(at["wcss_class"]) == pytest.approx(of_classes, rel=1e-12)
            s = np.linalg.svd(points - points.mean(0), compute_uv=False)
            assert float(at["tcv_lower"]) == pytest.approx((s[CLUSTERS - 1 :] ** 2).sum() / POINTS, rel=1e-9)
            assert at["tcv_lower"] <= at["tcv_upper"] <= of_classes * (1 + 1e-12)


def plain_covariances(z, labels):
    """Within- and between-class covariance, point by point and class by class."""
    mean, n = z.mean(0), z.shape[1]
    within, between = np.zeros((n, n)), np.zeros((n, n))
    for label in set(labels.tolist()):
        members = z[labels == label]
        for point in members:
            within += np.outer(point - members.mean(0), point - members.mean(0)) / len(z)
        between += len(members) / len(z) * np.outer(members.mean(0) - mean, members.mean(0) - mean)
    return within, between


def test_measures_of_collapse_without_a_scale_agree_with_covariances():
    network, x, y, labels = draw()
    dataset = measured(network, x, y, labels)
    scaled = measured(network, 1e3 * x, y, labels)
    for k, z in enumerate(network.features(x)[:-1]):
        for c in range(CELLS):
            within, between = plain_covariances(z[c].numpy(), labels[c])
            share = np.trace(within) / np.trace(within + between)
            collapse = np.trace(within @ np.linalg.pinv(between, rcond=1e-9)) / CLUSTERS
            assert float(dataset["wcss_share"][c, k]) == pytest.approx(share, rel=1e-9)
            assert float(dataset["nc1"][c, k]) == pytest.approx(collapse, rel=1e-6)
    for name in ("wcss_share", "nc1"):
        np.testing.assert_allclose(scaled[name].sel(source=0), dataset[name].sel(source=0), rtol=1e-9)


def test_classes_that_are_points_or_have_one_mean():
    """NC1 and the share are 0 where classes are points; without classes apart there is no NC1."""
    points, labels = np.repeat(np.eye(3), 4, axis=0), np.repeat([0, 1, 2], 4)
    assert wcss_share(points, labels) == nc1(points, labels) == 0
    assert np.isnan(wcss_share(np.ones((6, 2)), [0, 0, 0, 1, 1, 1]))
    assert np.isnan(nc1(np.ones((6, 2)), [0, 0, 0, 1, 1, 1]))
    apart = np.array([[-1.0, 0], [1, 0], [-1, 0], [1, 0]])
    assert np.isnan(nc1(apart, [0, 0, 1, 1]))
    assert wcss_share(apart, [0, 0, 1, 1]) == 1
    # a direction in which the means differ by 1e-12 counts, by its own scale
    thin = np.array([[-1, -1e-12], [-1, 1e-12], [0, 1e-12], [0, 3e-12], [1, -3e-12], [1, -1e-12]])
    within, between = plain_covariances(thin * [1, 1e12], np.array([0, 0, 1, 1, 2, 2]))
    expected = np.trace(within @ np.linalg.inv(between)) / 3
    assert nc1(thin, [0, 0, 1, 1, 2, 2]) == pytest.approx(expected, rel=1e-3)
    # in one direction the classes are 2 apart and their variance is 1; the other has no class means
    line = np.array([[-2.0, 5], [0, -5], [0, -5], [2, 5]])
    assert nc1(line, [0, 0, 1, 1]) == pytest.approx(1 / 2)


def test_the_semidefinite_bound_is_the_larger():
    network, x, y, labels = draw()
    spectral, semidefinite = (
        measured(network, x, y, labels, tcv_lower=kind)["tcv_lower"] for kind in ("spectral", "semidefinite")
    )
    assert (semidefinite >= spectral).all()
    assert (semidefinite > spectral).any()


def gradients(module, x, y, loss, shares):
    """The gradient of sum_i p_i ell_i in each matrix of one network, by autograd on torch's layers."""
    module.zero_grad()
    if loss == "cross_entropy":
        plain = functional.cross_entropy(module(x), y, reduction="none")
    else:
        plain = (module(x) - y).square().sum(1) / 2
    (shares * plain).sum().backward()
    return [layer.weight.grad.clone() for layer in module if isinstance(layer, torch.nn.Linear)]


@pytest.mark.parametrize(("activation", "loss", "bias"), CASES)
def test_residuals_and_gaps_agree_with_autograd_on_torchs_layers(activation, loss, bias):
    network, x, y, labels = draw(activation, loss, bias)
    dataset = measured(network, x, y, labels)
    even = torch.full((POINTS,), 1 / POINTS, dtype=torch.float64)
    for c, module in enumerate(modules(network)):
        full = gradients(module, x[c], y[c], loss, even)
        for l, g in enumerate(full):
            residual = g + WEIGHT_DECAY[c] * network.weights[l][c]
            assert float(dataset["residual"][c, l]) == pytest.approx(float(residual.norm()), rel=1e-10)
        for k in range(3):
            # the layers after z^k, on the weighted centroids of z^k and y, which are held fixed
            z = module[: 2 * k](x[c]).detach()
            members = [torch.from_numpy(labels[c] == label) for label in range(CLUSTERS)]
            z_means, y_means = (torch.stack([a[m].mean(0) for m in members]) for a in (z, y[c]))
            shares = torch.stack([m.double().mean() for m in members])
            at_means = gradients(module[2 * k :], z_means, y_means, loss, shares)
            for l in range(3):
                at = dataset.isel(cell=c, layer=l, source=k)
                if l < k:
                    assert np.isnan(at["gap"])
                    continue
                gap = float((full[l] - at_means[l - k]).norm())
                assert float(at["gap"]) == pytest.approx(gap, rel=1e-9)
                rank = np.linalg.matrix_rank(at_means[l - k].numpy(), rtol=1e-10)
                assert int(at["rho"]) == rank <= int(at["rho_bound"]) == CLUSTERS
                # either partition bounds the distance, so the smaller gap is taken
                with np.errstate(divide="ignore"):
                    least = min(gap, float(at["gap_best"]))
                    bound = (float(at["residual"]) + least) / WEIGHT_DECAY[c]
                assert np.isnan(at["bound_measured"]) == (c == 0), "void without weight decay"
                if c:
                    assert float(at["bound_measured"]) == pytest.approx(bound, rel=1e-9)
                assert np.isnan(at["bound_projected"]) == (c == 0), "void without weight decay"


def test_shuffled_labels_are_sets_of_the_same_sizes_by_the_seed():
    network, x, y, labels = draw()
    dataset = measured(network, x, y, labels)
    shuffled = np.stack(
        [np.random.default_rng(s).permutation(of) for s, of in zip(SEEDS, labels, strict=True)]
    )
    assert (np.sort(shuffled) == np.sort(labels)).all()
    # sets of any kind bound the distance; given as the classes they are what is stored
    as_classes = measured(network, x, y, shuffled)
    for c, l, k in product((1, 2), range(3), range(3)):
        at = dataset.isel(cell=c, layer=l, source=k)
        if l >= k:
            assert float(at["distance"]) <= float(at["bound_shuffled"]) * (1 + 1e-12)
            known = as_classes.isel(cell=c, layer=l, source=k)
            assert float(known["bound_projected"]) <= float(at["bound_shuffled"]) * (1 + 1e-12)
    assert dataset["bound_shuffled"].isel(cell=0).isnull().all()


@pytest.mark.parametrize(("activation", "loss", "bias"), CASES)
def test_tails_are_certified_by_partitions_into_as_many_sets(activation, loss, bias):
    """By scikit-learn's k-means, autograd on torch's layers at its centroids, and scipy's null spaces."""
    network, x, y, labels = draw(activation, loss, bias)
    dataset = measured(network, x, y, labels, certified_ranks=4)
    certified, tail = (
        dataset[name].transpose("cell", "layer", "index") for name in ("certified_tail", "relative_tail")
    )
    assert certified.sel(index=slice(5, None)).isnull().all()
    assert certified.isel(cell=0).isnull().all(), "void without weight decay"
    for c in (1, 2):
        module, least = modules(network)[c], np.full((3, 4), np.inf)
        for r, k in product(range(1, 5), range(3)):
            z = module[: 2 * k](x[c]).detach()
            sets = KMeans(r, n_init=10, random_state=SEEDS[c]).fit_predict(np.hstack([z, y[c]]))
            members = [torch.from_numpy(sets == one) for one in range(r)]
            z_means, y_means = (torch.stack([a[m].mean(0) for m in members]) for a in (z, y[c]))
            shares = torch.stack([m.double().mean() for m in members])
            for l, g in enumerate(gradients(module[2 * k :], z_means, y_means, loss, shares), start=k):
                w = network.weights[l][c].numpy()
                columns, rows = (null_space(a, rcond=1e-10) for a in (g.numpy().T, g.numpy()))
                outside = min(np.linalg.norm(columns.T @ w), np.linalg.norm(w @ rows))
                least[l, r - 1] = min(least[l, r - 1], outside / np.linalg.norm(w))
        found = certified[c, :, :4].values
        np.testing.assert_allclose(found, np.minimum.accumulate(least, axis=1), rtol=1e-8, atol=1e-12)
        below = tail[c, :, :4].values
        assert (below <= found + 1e-12)[~np.isnan(below)].all()


@pytest.mark.parametrize(("activation", "loss", "bias"), CASES)
def test_bounds_hold_and_are_in_order(activation, loss, bias):
    dataset = measured(*draw(activation, loss, bias)).isel(cell=[1, 2])
    below = (dataset["layer"] > dataset["source"]).broadcast_like(dataset["gap"])
    assert (dataset["distance"] <= dataset["bound_measured"].min("source") * (1 + 1e-12)).all()
    assert (dataset["distance"] <= dataset["bound_projected"].min("source") * (1 + 1e-12)).all()
    assert (dataset["bound_projected"] <= dataset["bound_measured"] * (1 + 1e-12)).where(below, True).all()
    assert (dataset["bound_projected"].notnull() == below).all()
    smooth = activation != "relu" and loss == "squared_error"
    gap_bounds = [f"{gap}{best}" for gap in ("gap_bound", "gap_bound_segments") for best in ("", "_best")]
    for name in (*gap_bounds, "bound_analytic", "bound_segments"):
        assert (dataset[name].notnull() == (below & smooth)).all(), name
    if smooth:
        ladders = [
            *(("gap" + best, "gap_bound_segments" + best, "gap_bound" + best) for best in ("", "_best")),
            ("bound_measured", "bound_segments", "bound_analytic"),
        ]
        for lower, upper in chain.from_iterable(map(pairwise, ladders)):
            assert (dataset[lower] <= dataset[upper] * (1 + 1e-12)).where(below, True).all()


def test_at_a_stationary_point_of_networks_with_biases_the_gap_alone_is_left():
    """Trained by L-BFGS: r is nearly 0, so distance <= gap / lambda, which Theorem 3.4 promises."""
    loss, start, _ = classifiers(weight_decay=(0.02, 0.05), loss="squared_error")
    method = METHODS["lbfgs"].method(3000, [5, 5])
    end = minimise(loss, start, method, tolerance=1e-8, passes=3000)
    network = loss.architecture.network(end.point.theta)
    assert all((b.norm(dim=1) > 1e-3).all() for b in network.biases)
    x, y = (a.expand(2, -1, -1).clone() for a in (loss.x, loss.y))
    weight_decay = loss.weight_decay.numpy()
    dataset = measured(network, x, y, y.argmax(2).numpy(), weight_decay=weight_decay)
    assert (dataset["residual"] < 1e-6).all()
    alone = np.fmin(dataset["gap"], dataset["gap_best"]) / weight_decay[:, None, None]
    np.testing.assert_allclose(dataset["bound_measured"], alone, rtol=0, atol=1e-4)
    assert (dataset["distance"] <= dataset["bound_measured"].min("source")).all()
    # the gradient of the loss is -lambda W there, by autograd on torch's layers
    even = torch.full((x.shape[1],), 1 / x.shape[1], dtype=torch.float64)
    for c, module in enumerate(modules(network)):
        for g, w in zip(gradients(module, x[c], y[c], "squared_error", even), network.weights, strict=True):
            torch.testing.assert_close(g, -weight_decay[c] * w[c], rtol=0, atol=1e-6)


def test_without_a_penalty_on_the_factors_there_are_no_residuals_and_no_bounds():
    dataset = measured(*draw(), weight_decay=None, certified_ranks=3)
    theory = {"residual", "gap", "rho", "certified_tail"}
    assert not theory & set(dataset)
    assert not [name for name in dataset if name.startswith("bound_")]
    assert {"stable_rank", "tcv_upper"} <= set(dataset)


def test_dead_cells_have_no_relative_measures():
    network, x, y, labels = draw()
    for w in network.weights:
        w[1] *= 1e-9
    dataset = measured(network, x, y, labels, dead=np.array([False, True, False])).sel(index=1)
    for name in (
        *("relative_tail", "relative_distance"),
        *("stable_rank", "numerical_rank", "exact_rank", "effective_rank", "mp_soft_rank"),
    ):
        assert dataset[name].isel(cell=1).isnull().all(), name
        assert dataset[name].isel(cell=0).notnull().all(), name
    assert dataset["singular_values"].isel(cell=1).notnull().all()
    assert dataset["distance"].isel(cell=1).notnull().all()


def test_a_cell_alone_is_measured_as_in_its_stack():
    network, x, y, labels = draw()
    together = measured(network, x, y, labels)
    for c in range(CELLS):
        weights, biases = ([a[c : c + 1] for a in arrays] for arrays in (network.weights, network.biases))
        alone = measured(
            Network(weights, biases=biases),
            *(array[c : c + 1] for array in (x, y, labels)),
            weight_decay=WEIGHT_DECAY[c : c + 1],
            seeds=[SEEDS[c]],
        )
        for name in together.data_vars:
            ours, theirs = alone[name].isel(cell=0), together[name].isel(cell=c)
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_what_does_not_fit_is_named():
    network, x, y, labels = draw()
    for given, message in (
        ((network, x[:, :, 1:], y, labels), "W_1 have shape"),
        ((network, x, y * torch.nan, labels), "the targets of cell 0 are not finite"),
        ((network, x, y, np.where(labels == 2, 0, labels)), "cluster 2 of cell 0 is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            measured(*given)


def test_accuracy_is_scikit_learns():
    network, x, _, _ = draw()
    labels = np.random.default_rng(1).integers(0, SIZES[-1], (CELLS, POINTS))
    found = accuracy(network, x, labels, "test")["test_accuracy"]
    for c, module in enumerate(modules(network)):
        assert float(found[c]) == accuracy_score(labels[c], module(x[c]).argmax(1).numpy())


def test_networks_that_diverged_have_no_measures_but_those_of_the_inputs():
    network, x, y, labels = draw()
    whole = measured(network, x, y, labels)
    lost = np.array([False, True, False])
    kept = without(whole, lost)
    assert without(whole, ~lost & lost) is whole
    for name, values in kept.data_vars.items():
        assert values.attrs == whole[name].attrs
        np.testing.assert_array_equal(values.isel(cell=[0, 2]), whole[name].isel(cell=[0, 2]))
        missing = values.isel(cell=1).isnull()
        if name in ("wcss_class", "wcss_share", "nc1", "tcv_lower", "tcv_upper", "rho_bound"):
            assert missing.values.tolist() == [False, True, True], name
        else:
            assert missing.all(), name


@pytest.mark.parametrize("covariance", ["isotropic", "full"])
@pytest.mark.parametrize("task", ["autoencode", "classify"])
def test_bounds_of_a_mixture_are_for_what_its_networks_see(covariance, task):
    """By plain calls for each cell; and they hold for the WCSS of the classes of the first space."""
    data = {
        seed: mixture(clusters=3, points=40, dimension=4, covariance=covariance, seed=seed) for seed in (1, 2)
    }
    axes = {"weight_decay": 0.1, "sigma": [0.0, 0.3], "width": 4, "depth": 2, "seed": [1, 2]}
    stack = Stack(axes)
    dataset = mixture_bounds(stack, data, task, delta=0.01)
    for number, cell in enumerate(stack.cells()):
        points: Points = data[cell["seed"]]
        x = points.x(cell["sigma"])
        seen = np.hstack([x, points.targets(task, x)])
        factor = 2 if task == "autoencode" else 1
        bound = factor * gaussian_wcss_bound(cell["sigma"] ** 2 * points.covariances, points.sizes, 0.01)
        exact = isotropic_wcss_quantile(cell["sigma"], dimension=4, points=40, clusters=3, delta=0.01)
        assert float(dataset["wcss_bound"][number]) == pytest.approx(bound)
        assert plain_wcss(seen, points.labels) <= bound + 1e-20
        if covariance == "isotropic":
            assert float(dataset["wcss_quantile"][number]) == pytest.approx(factor * exact)
            assert plain_wcss(seen, points.labels) <= factor * exact + 1e-20
        else:
            assert np.isnan(dataset["wcss_quantile"][number])
