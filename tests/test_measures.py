"""What is measured on a stack of networks, against plain loops over cells, layers and points."""

from dataclasses import dataclass
from itertools import chain, pairwise, product

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.linalg import null_space
from sklearn.cluster import KMeans
from sklearn.metrics import accuracy_score
from torch.nn import functional

from nrc.data.points import Points
from nrc.grid import Stack
from nrc.measured_network import MeasuredStack
from nrc.measures import spaces
from nrc.measures.mixture import mixture_bounds
from nrc.measures.network import accuracy, measure, without
from nrc.measures.ranks import rank_measures
from nrc.networks.mlp import Network
from nrc.theory.bounds import gaussian_wcss_bound, isotropic_wcss_quantile
from nrc.theory.collapse import between_directions, nc1, wcss_share
from nrc.theory.moments import Partition
from support.problems import mixture, modules, normal
from support.references import kmeans_seed, permutations, permuted_labels, sample_in_memory

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


def measured(network, x, y, labels, weight_decay=WEIGHT_DECAY, given=None, **changes):
    of_layers = None if weight_decay is None else np.repeat(weight_decay[:, None], len(network.weights), 1)
    choices = {
        "labels": labels,
        "clusters": CLUSTERS,
        "weight_decay": of_layers,
        "collapsed": np.zeros(len(x), dtype=bool),
        "seeds": SEEDS[: len(x)],
    }
    return measure(given or MeasuredStack(network, x, y), **{**choices, **changes})


CASES = [
    ("tanh", "squared_error", True, 0),
    ("relu", "cross_entropy", False, 4),
    ("linear", "squared_error", False, 2),
]


def plain_wcss(points, labels):
    means = {label: points[labels == label].mean(0) for label in set(labels)}
    return sum(((p - means[label]) ** 2).sum() for p, label in zip(points, labels, strict=True)) / len(points)


def spaces_of(network, x, y):
    """Features and targets side by side, [source][cell]."""
    return [[np.hstack([z[c], y[c]]) for c in range(len(x))] for z in network.features(x)[:-1]]


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
            "exact_rank": np.linalg.matrix_rank(w, rtol=5e-8),
            "effective_rank": np.exp(-(p * np.log(p)).sum()),
            "rank_needed": next(r for r in range(1, 9) if (s[r:] ** 2).sum() <= 0.01 * (s**2).sum()),
        }
        for name, value in plain.items():
            assert float(at[name]) == pytest.approx(value, rel=1e-9), name
        np.testing.assert_allclose(at["singular_values"][: len(s)], s, rtol=1e-12)
        assert at["singular_values"][len(s) :].isnull().all()
        tail = [np.sqrt((s[r:] ** 2).sum() / (s**2).sum()) for r in range(1, len(s) + 1)]
        np.testing.assert_allclose(at["relative_tail"][: len(s)], tail, rtol=1e-9, atol=1e-12)


def decaying(cells, rows, columns):
    """Matrices whose singular values halve."""
    q = [torch.linalg.qr(normal(cells, n, min(rows, columns))).Q for n in (rows, columns)]
    return (q[0] * 0.5 ** torch.arange(min(rows, columns))) @ q[1].mT


def test_leading_singular_values_of_large_layers():
    """Measures of them agree with measures of all, measures of the others are missing, tails are not too small."""
    weights, none = [decaying(3, 60, 80), normal(3, 70, 50), decaying(3, 12, 40)], np.array([False] * 3)
    exact = rank_measures(weights, none, 3, 1e-3)
    found = rank_measures(weights, none, 3, 1e-3, leading=12)
    assert found.sizes["index"] == 12
    known = found.sizes["index"]
    xr.testing.assert_identical(found.isel(layer=2), exact.isel(layer=2, index=slice(known)))
    smooth, rough = (found.isel(layer=l) for l in (0, 1))
    for name, rtol in {
        **{"singular_values": 1e-6, "distance": 1e-6, "relative_distance": 1e-6},
        **{"stable_rank": 1e-9, "mp_soft_rank": 1e-9, "rank_needed": 0, "numerical_rank": 0},
    }.items():
        of_all = exact[name].isel(layer=0)
        of_all = of_all.isel(index=slice(known)) if "index" in of_all.dims else of_all
        np.testing.assert_allclose(smooth[name], of_all, rtol=rtol, err_msg=name)
    np.testing.assert_allclose(rough["stable_rank"], exact["stable_rank"].isel(layer=1), rtol=1e-2)
    # the twelfth is above the shares of the largest that these count, and the entropy is of all
    for name in ("numerical_rank", "exact_rank", "effective_rank", "rank_needed"):
        assert rough[name].isnull().all(), name
    assert smooth["exact_rank"].isnull().all()
    assert smooth["effective_rank"].isnull().all()
    for l in range(2):
        whole = exact.isel(layer=l, index=slice(known))
        at = found.isel(layer=l)
        assert (at["singular_values"] <= whole["singular_values"] * (1 + 1e-12)).all()
        assert (at["relative_tail"] >= whole["relative_tail"] * (1 - 1e-9)).all()
        assert (at["distance"] >= whole["distance"] * (1 - 1e-9)).all()
    np.testing.assert_allclose(
        smooth["relative_tail"], exact["relative_tail"].isel(layer=0, index=slice(known)), rtol=1e-4
    )
    beyond = rank_measures(weights, none, 20, 1e-3, leading=12)
    for name in ("distance", "relative_distance"):
        assert beyond[name].isel(layer=[0, 1]).isnull().all()
        assert beyond[name].isel(layer=2).notnull().all()
    assert not {"distance", "relative_distance"} & set(rank_measures(weights, none, None, 1e-3))


def test_the_exact_rank_counts_what_training_would_not_leave():
    """Layers of rank 3 but for rounding, or for a tail of the size that training leaves or does not."""
    network, x, y, labels = draw()
    for noise, ranks in ((0, [3, 3, 3]), (1e-8, [3, 3, 3]), (1e-6, [5, 6, 4])):
        for w in network.weights:
            u, s, vt = torch.linalg.svd(w, full_matrices=False)
            s = torch.where(torch.arange(s.shape[1]) < 3, s, noise * s[:, :1])
            w.copy_((u * s[:, None]) @ vt)
        exact = measured(network, x, y, labels)["exact_rank"].transpose("cell", "layer")
        assert exact.values.tolist() == [ranks] * CELLS


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


def test_variability_and_collapse_agree_with_plain_loops():
    network, x, y, labels = draw()
    dataset, scaled = measured(network, x, y, labels), measured(network, 1e3 * x, y, labels)
    for k, space in enumerate(spaces_of(network, x, y)):
        for c, points in enumerate(space):
            at, z = dataset.isel(cell=c, source=k), points[:, : -SIZES[-1]]
            of_classes = plain_wcss(points, labels[c])
            assert float(at["wcss_class"]) == pytest.approx(of_classes, rel=1e-12)
            s = np.linalg.svd(points - points.mean(0), compute_uv=False)
            assert float(at["tcv_lower"]) == pytest.approx((s[CLUSTERS - 1 :] ** 2).sum() / POINTS, rel=1e-9)
            assert at["tcv_lower"] <= at["tcv_upper"] <= of_classes * (1 + 1e-12)
            within, between = plain_covariances(z, labels[c])
            share = np.trace(within) / np.trace(within + between)
            collapse = np.trace(within @ np.linalg.pinv(between, rcond=1e-9)) / CLUSTERS
            assert float(at["wcss_share"]) == pytest.approx(share, rel=1e-9)
            assert float(at["nc1"]) == pytest.approx(collapse, rel=1e-6)
    for name in ("wcss_share", "nc1"):
        np.testing.assert_allclose(scaled[name].sel(source=0), dataset[name].sel(source=0), rtol=1e-9)


def partition(points, labels):
    """Of one cell, all features."""
    z, labels = torch.tensor(points).double()[None], torch.as_tensor(labels)[None]
    of = Partition.empty(1, int(labels.max()) + 1, z.shape[2], 0)
    of.update(z, z[:, :, :0], labels)
    return of


def share_and_collapse(points, labels):
    """The share, and NC1 by the directions between the classes and the points' deviations along them."""
    of, points, labels = partition(points, labels), np.asarray(points, dtype=float), np.asarray(labels)
    directions = between_directions(of)
    assert directions.shape == (1, points.shape[1], labels.max() + 1)
    means = np.stack([points[labels == label].mean(0) for label in range(labels.max() + 1)])
    along = (points - means[labels]) @ directions[0].numpy()
    found = nc1(torch.tensor([(along**2).sum()]), directions, len(points))
    return float(wcss_share(of)[0]), float(found[0])


def test_classes_that_are_points_or_have_one_mean():
    """NC1 and the share are 0 where classes are points; without classes apart there is no NC1."""
    points, labels = np.repeat(np.eye(3), 4, axis=0), np.repeat([0, 1, 2], 4)
    assert share_and_collapse(points, labels) == (0, 0)
    assert np.isnan(share_and_collapse(np.ones((6, 2)), [0, 0, 0, 1, 1, 1])).all()
    apart = [[-1.0, 0], [1, 0], [-1, 0], [1, 0]]
    share, collapse = share_and_collapse(apart, [0, 0, 1, 1])
    assert share == 1
    assert np.isnan(collapse)
    # a direction in which the means differ by little counts by its own scale, and by 1e-6 is none
    thin = np.array([[-1.0, -1], [-1, 1], [0, 1], [0, 3], [1, -3], [1, -1]]) * [1, 1e-4]
    labels = np.array([0, 0, 1, 1, 2, 2])
    within, between = plain_covariances(thin * [1, 1e4], labels)
    expected = np.trace(within @ np.linalg.inv(between)) / 3
    assert expected > 0.1
    assert share_and_collapse(thin, labels)[1] == pytest.approx(expected, rel=1e-3)
    assert share_and_collapse(thin * [1, 1e-2], labels)[1] == pytest.approx(0, abs=1e-9)
    # in one direction the classes are 2 apart and their variance is 1; the other has no class means
    line = [[-2.0, 5], [0, -5], [0, -5], [2, 5]]
    assert share_and_collapse(line, [0, 0, 1, 1])[1] == pytest.approx(1 / 2)


def gradients(module, x, y, loss, shares):
    """The gradient of sum_i p_i ell_i in each matrix of one network, by autograd on torch's layers."""
    module.zero_grad()
    if loss == "cross_entropy":
        plain = functional.cross_entropy(module(x), y, reduction="none")
    else:
        plain = (module(x) - y).square().sum(1) / 2
    (shares * plain).sum().backward()
    return [layer.weight.grad.clone() for layer in module if isinstance(layer, torch.nn.Linear)]


def gradients_at_centroids(module, k, x, y, labels, loss):
    """The gradient in W_{k+1}, ... at the weighted centroids of any sets, by autograd on torch's layers."""
    z = module[: 2 * k](x).detach()
    members = [torch.from_numpy(labels == one) for one in sorted(set(labels.tolist()))]
    z_means, y_means = (torch.stack([a[m].mean(0) for m in members]) for a in (z, y))
    shares = torch.stack([m.double().mean() for m in members])
    return gradients(module[2 * k :], z_means, y_means, loss, shares)


def outside(w, g):
    """W outside the r = 1, 2, ... leading singular vectors of G, the lesser of columns and rows, by numpy.

    From the rank of G on it is what scipy's null spaces leave.
    """
    u, s, vt = np.linalg.svd(g)
    rank = int((s > 1e-10 * s[0]).sum())
    bounds = [
        min(np.linalg.norm(w - u[:, :r] @ (u[:, :r].T @ w)), np.linalg.norm(w - (w @ vt[:r].T) @ vt[:r]))
        for r in range(1, rank)
    ]
    columns, rows = null_space(g.T, rcond=1e-10), null_space(g, rcond=1e-10)
    least = min(np.linalg.norm(columns.T @ w), np.linalg.norm(w @ rows))
    return np.array(bounds + [least] * (min(w.shape) - rank + 1))


def kmeans_of(module, k, x, y, clusters, seed):
    space = np.hstack([module[: 2 * k](x).detach(), y])
    return KMeans(clusters, n_init=10, random_state=kmeans_seed(seed)).fit_predict(space)


@pytest.mark.parametrize(("activation", "loss", "bias", "ranks"), CASES)
def test_gaps_and_bounds_are_those_of_autograd_kmeans_and_numpy(activation, loss, bias, ranks):
    """Gradients at the centroids of the classes, of sets of k-means (K, and 1, ..., `ranks`), and of permuted labels."""
    network, x, y, labels = draw(activation, loss, bias)
    dataset = measured(network, x, y, labels, certified_ranks=ranks)
    even, last = torch.full((POINTS,), 1 / POINTS, dtype=torch.float64), max(CLUSTERS, ranks)
    for c, module in enumerate(modules(network)):
        full, least = gradients(module, x[c], y[c], loss, even), np.full((3, last), np.inf)
        matrices = [w[c].numpy() for w in network.weights]
        residuals = [
            float((g + WEIGHT_DECAY[c] * w[c]).norm()) for g, w in zip(full, network.weights, strict=True)
        ]
        np.testing.assert_allclose(dataset["residual"][c], residuals, rtol=1e-10)
        for k in range(3):
            best = kmeans_of(module, k, x[c], y[c], CLUSTERS, SEEDS[c])
            others = [kmeans_of(module, k, x[c], y[c], r, SEEDS[c]) for r in range(1, ranks + 1)]
            partitions = [labels[c], best, permuted_labels(labels[c], SEEDS[c]), *others]
            at_means = [gradients_at_centroids(module, k, x[c], y[c], sets, loss) for sets in partitions]
            by_chance = [
                gradients_at_centroids(module, k, x[c], y[c], sets, loss)
                for sets in permutations(labels[c], SEEDS[c])
            ]
            assert dataset["gap"][c, :k, k].isnull().all()
            for l, w in enumerate(matrices[k:], start=k):
                at, of = dataset.isel(cell=c, layer=l, source=k), [g[l - k] for g in at_means]
                gaps = [float((full[l] - g).norm()) for g in of[:2]]
                rank = np.linalg.matrix_rank(of[0].numpy(), rtol=1e-10)
                assert int(at["rho"]) == rank <= int(at["rho_bound"]) == CLUSTERS >= int(at["rho_best"])
                assert [float(at["gap"]), float(at["gap_best"])] == pytest.approx(gaps, rel=1e-9)
                if not c:
                    continue
                beyond = [outside(w, g.numpy()) for g in of]
                found = [float(at[f"bound_{name}"]) for name in ("measured", "projected", "permuted")]
                # either partition bounds the distance, so the smaller is taken
                plain = [
                    (residuals[l] + min(gaps)) / WEIGHT_DECAY[c],
                    min(b[CLUSTERS - 1] for b in beyond[:2]),
                ]
                assert found == pytest.approx([*plain, beyond[2][CLUSTERS - 1]], rel=1e-8)
                of_chance = min(float((full[l] - g[l - k]).norm()) for g in by_chance)
                control = (residuals[l] + of_chance) / WEIGHT_DECAY[c]
                assert float(at["bound_measured_permuted"]) == pytest.approx(control, rel=1e-8)
                tails = [b[:last] / np.linalg.norm(w) for b in (*beyond[:2], *beyond[3:])]
                least[l] = np.minimum(least[l], np.min(tails, axis=0))
        bounds = dataset["tail_bound"].isel(cell=c).transpose("layer", "index").values
        assert np.isnan(bounds[:, last:]).all()
        if not c:
            bounds_at_k = [
                f"bound_{name}" for name in ("measured", "projected", "permuted", "measured_permuted")
            ]
            void = [*bounds_at_k, "tail_bound", "certified_rank"]
            assert all(dataset[name].isel(cell=0).isnull().all() for name in void)
            continue
        np.testing.assert_allclose(bounds[:, :last], least, rtol=1e-8, atol=1e-12)
        for l, of_layer in enumerate(least):
            near = np.flatnonzero(of_layer <= 0.1)
            expected = near[0] + 1 if len(near) and near[0] + 1 < min(SIZES[l : l + 2]) else np.nan
            np.testing.assert_equal(float(dataset["certified_rank"][c, l]), expected)


def test_the_best_partition_is_the_better_of_classes_and_kmeans_in_each_cell():
    """One start of k-means in many clusters: it wins where labels say little, and loses where all."""
    network, x, y, _ = draw()
    many, apart = 8, np.tile(np.arange(8), 3)
    x, y = x.clone(), y.clone()
    x[0], y[0] = 10 * normal(many, SIZES[0])[apart] + 0.1 * x[0], normal(many, SIZES[-1])[apart].softmax(-1)
    labels = np.stack([apart] * CELLS)
    dataset = measured(network, x, y, labels, clusters=many, kmeans_restarts=1)
    won = []
    for k, space in enumerate(spaces_of(network, x, y)):
        for c, points in enumerate(space):
            sets = KMeans(many, n_init=1, random_state=kmeans_seed(SEEDS[c])).fit_predict(points)
            both = plain_wcss(points, labels[c]), plain_wcss(points, sets)
            assert float(dataset["tcv_upper"][c, k]) == pytest.approx(min(both), rel=1e-12)
            won.append(both[1] < both[0])
            gradient = gradients_at_centroids(
                modules(network)[c], k, x[c], y[c], sets if won[-1] else labels[c], "squared_error"
            )
            rank = np.linalg.matrix_rank(gradient[0].numpy(), rtol=1e-10)
            assert int(dataset["rho_best"][c, k, k]) == rank
    assert set(won) == {True, False}


@dataclass(frozen=True)
class InPieces(MeasuredStack):
    """The same data in batches, of which some may be kept."""

    sizes_of_batches: tuple[int, ...] = (7, 1, 13, 3)
    kept: int = POINTS

    @property
    def capacity(self):
        return self.kept

    def batches(self, description):
        stop = 0
        for size in self.sizes_of_batches:
            start, stop = stop, stop + size
            rows = slice(start, stop)
            yield rows, [z[:, rows] for z in self.features[:-1]], self.y[:, rows]
        assert stop == self.points


@pytest.mark.parametrize("how", [{"certified_ranks": 4}, {"labels": None}])
def test_data_in_batches_are_measured_as_all_at_once(how, monkeypatch):
    monkeypatch.setattr(spaces, "WIDE", 4)
    network, x, y, labels = draw(loss="cross_entropy")
    of = {"labels": labels, **how}
    whole = measured(network, x, y, **of)
    found = measured(network, x, y, given=InPieces(network, x, y), **of)
    for name, values in whole.data_vars.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-8, atol=1e-12, err_msg=name)


# what depends on k-means, whose centres are of the points that are kept
OF_KMEANS = {"tcv_upper", "gap_best", "rho_best", "tail_bound", "certified_rank"}
OF_EITHER = {"bound_measured", "bound_projected", "bound_analytic", "bound_segments"}
OF_BEST = OF_KMEANS | OF_EITHER | {"gap_bound_best", "gap_bound_segments_best"}


def test_of_points_too_many_to_be_kept_a_sample_has_the_centres():
    kept = 15
    network, x, y, labels = draw()
    whole = measured(network, x, y, labels)
    found = measured(network, x, y, labels, given=InPieces(network, x, y, kept=kept))
    for name, values in whole.data_vars.items():
        if name not in OF_BEST:
            np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-12, err_msg=name)
    assert set(whole.data_vars) >= OF_BEST
    # k-means of the sample, by scikit-learn, then the nearest centre of all points
    sample = sample_in_memory(POINTS, kept, SEEDS[0])
    for k, space in enumerate(spaces_of(network, x, y)):
        for c, points in enumerate(space):
            fit = KMeans(CLUSTERS, n_init=10, random_state=kmeans_seed(SEEDS[c])).fit(points[sample])
            upper = min(plain_wcss(points, sets) for sets in (labels[c], fit.predict(points)))
            assert float(found["tcv_upper"][c, k]) == pytest.approx(upper, rel=1e-12)
    assert (found["tcv_lower"] <= found["tcv_upper"]).all()
    bounded = found.isel(cell=[1, 2])
    below = bounded["layer"] > bounded["source"]
    for name in ("bound_measured", "bound_projected", "bound_permuted", "bound_segments", "bound_analytic"):
        held = bounded["distance"] <= bounded[name] * (1 + 1e-12)
        assert held.where(below, True).all(), name
    tails = found[["relative_tail", "tail_bound"]].isel(cell=[1, 2], index=slice(3)).transpose(..., "index")
    assert (tails["relative_tail"] <= tails["tail_bound"] + 1e-12).all()


@pytest.mark.parametrize("leading", [3, 256])
def test_in_a_wide_space_of_many_points_the_lower_bound_stays_one(leading, monkeypatch):
    """It is of the spread in the leading directions of a sample, found by numpy, and no more than all of it."""
    monkeypatch.setattr(spaces, "WIDE", 9)
    monkeypatch.setattr(spaces, "LEADING", leading)
    network, x, y, labels = draw()
    exact = measured(network, x, y, labels)
    found = measured(network, x, y, labels, given=InPieces(network, x, y, kept=15))
    sample = sample_in_memory(POINTS, 15, SEEDS[0])
    for k, space in enumerate(spaces_of(network, x, y)):
        for c, points in enumerate(space):
            kept = points[sample] - points[sample].mean(0)
            basis = np.linalg.svd(kept, full_matrices=False)[2][:leading].T
            if points.shape[1] <= 9:
                basis = np.eye(points.shape[1])
            s = np.linalg.svd((points - points.mean(0)) @ basis, compute_uv=False)
            expected = (s[CLUSTERS - 1 :] ** 2).sum() / POINTS
            assert float(found["tcv_lower"][c, k]) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert (found["tcv_lower"] <= exact["tcv_lower"] * (1 + 1e-12)).all()
    assert (found["tcv_lower"] <= found["tcv_upper"]).all()
    if leading < 9:
        assert (found["tcv_lower"] < exact["tcv_lower"]).isel(source=[1, 2]).all()


def test_without_labels_what_is_about_classes_is_missing():
    network, x, y, labels = draw()
    known, found = measured(network, x, y, labels), measured(network, x, y, None)
    assert set(found) == set(known)
    for name in ("wcss_class", "wcss_share", "nc1", "gap", "rho", "gap_bound", "gap_bound_segments"):
        assert found[name].isnull().all(), name
    for k, space in enumerate(spaces_of(network, x, y)):
        for c, points in enumerate(space):
            sets = KMeans(CLUSTERS, n_init=10, random_state=kmeans_seed(SEEDS[c])).fit_predict(points)
            assert float(found["tcv_upper"][c, k]) == pytest.approx(plain_wcss(points, sets), rel=1e-12)
    below = (found["layer"] > found["source"]).broadcast_like(found["gap"]).isel(cell=[1, 2])
    for name in ("gap_best", "bound_measured", "bound_projected", "bound_permuted", "bound_analytic"):
        assert (found[name].isel(cell=[1, 2]).notnull() == below).all(), name
    assert (found["rho_bound"] == CLUSTERS).all()
    # sets drawn at random, of equal sizes
    drawn = np.stack([permuted_labels(np.arange(POINTS) % CLUSTERS, seed) for seed in SEEDS])
    np.testing.assert_array_equal(np.sort(drawn), np.sort(np.tile(np.repeat(range(CLUSTERS), 8), (CELLS, 1))))
    for c, k in product((1, 2), range(3)):
        at_random = gradients_at_centroids(modules(network)[c], k, x[c], y[c], drawn[c], "squared_error")
        for l, g in enumerate(at_random, start=k):
            bound = outside(network.weights[l][c].numpy(), g.numpy())[CLUSTERS - 1]
            assert float(found["bound_permuted"][c, l, k]) == pytest.approx(bound, rel=1e-8)


def test_labels_are_of_any_integers():
    network, x, y, labels = draw()
    expected = measured(network, x, y, labels)
    for dtype in (np.uint8,):
        xr.testing.assert_identical(measured(network, x, y, labels.astype(dtype)), expected)


@pytest.mark.parametrize(("activation", "loss", "bias"), [case[:3] for case in CASES])
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


def test_without_a_penalty_on_the_factors_there_are_no_residuals_and_no_bounds():
    dataset = measured(*draw(), weight_decay=None, certified_ranks=3)
    theory = {"residual", "gap", "rho", "tail_bound"}
    assert not theory & set(dataset)
    assert not [name for name in dataset if name.startswith("bound_")]
    assert {"stable_rank", "tcv_upper"} <= set(dataset)


def test_collapsed_cells_have_no_relative_measures():
    network, x, y, labels = draw()
    for w in network.weights:
        w[1] *= 1e-9
    collapsed, none = np.array([False, True, False]), np.zeros(3, dtype=bool)
    relative = (
        *("relative_tail", "relative_distance", "rank_needed"),
        *("stable_rank", "numerical_rank", "exact_rank", "effective_rank", "mp_soft_rank"),
    )
    for leading in (None, 4):
        dataset, as_others = (
            measured(network, x, y, labels, collapsed=of, leading=leading, numerical_rank_tolerance=0.99).sel(
                index=1
            )
            for of in (collapsed, none)
        )
        for name in relative:
            assert dataset[name].isel(cell=1).isnull().all(), name
            xr.testing.assert_identical(dataset[name].isel(cell=[0, 2]), as_others[name].isel(cell=[0, 2]))
        for name in ("singular_values", "distance"):
            xr.testing.assert_identical(dataset[name], as_others[name])
        assert (dataset["distance"].isel(cell=1) > 0).all()


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
    found = accuracy(network.features(x)[-1], labels, "test")["test_accuracy"]
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
        pairs = np.hstack([x, points.targets(task, x)])
        factor = 2 if task == "autoencode" else 1
        bound = factor * gaussian_wcss_bound(cell["sigma"] ** 2 * points.covariances, points.sizes, 0.01)
        exact = isotropic_wcss_quantile(cell["sigma"], dimension=4, points=40, clusters=3, delta=0.01)
        assert float(dataset["wcss_bound"][number]) == pytest.approx(bound)
        assert plain_wcss(pairs, points.labels) <= bound + 1e-20
        if covariance == "isotropic":
            assert float(dataset["wcss_quantile"][number]) == pytest.approx(factor * exact)
            assert plain_wcss(pairs, points.labels) <= factor * exact + 1e-20
        else:
            assert np.isnan(dataset["wcss_quantile"][number])
