from itertools import product

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from nrc.theory.clusters import kmeans, tcv_lower, tcv_lower_semidefinite
from nrc.theory.wcss import wcss


def blobs(points=30, clusters=3, features=4, sigma=0.3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(points) % clusters
    return rng.normal(size=(clusters, features))[labels] + sigma * rng.normal(size=(points, features)), labels


def exact_tcv(points, clusters):
    """Least WCSS over every partition into at most `clusters` sets."""
    assignments = product(range(clusters), repeat=len(points) - 1)
    return min(wcss(points, np.array([0, *rest])) for rest in assignments)


def tcv_upper(points, clusters, **how):
    return wcss(points, kmeans(points, clusters, **how).labels_)


def test_wcss_agrees_with_a_plain_loop():
    points, labels = blobs()
    total = 0.0
    for cluster in range(3):
        members = [p for p, label in zip(points, labels, strict=True) if label == cluster]
        centroid = sum(members) / len(members)
        total += sum(((p - centroid) ** 2).sum() for p in members)
    assert wcss(points, labels) == pytest.approx(total / len(points), rel=1e-12)


def test_wcss_is_the_trace_of_the_within_class_scatter():
    points, labels = blobs()
    fitted = LinearDiscriminantAnalysis(solver="eigen", store_covariance=True).fit(points, labels)
    assert wcss(points, labels) == pytest.approx(np.trace(fitted.covariance_), rel=1e-9)


def test_wcss_is_the_inertia_of_kmeans():
    points, _ = blobs()
    kmeans = KMeans(3, n_init=3, random_state=0).fit(points)
    assert wcss(points, kmeans.labels_) == pytest.approx(kmeans.inertia_ / len(points), rel=1e-12)


def test_a_batch_is_its_members():
    batch = np.stack([blobs(seed=seed)[0] for seed in range(3)])
    labels = blobs()[1]
    np.testing.assert_allclose(wcss(batch, labels), [wcss(points, labels) for points in batch])
    np.testing.assert_allclose(tcv_lower(batch, 3), [tcv_lower(points, 3) for points in batch])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("clusters", [1, 2, 3])
def test_the_bracket_holds_the_optimum(seed, clusters):
    points, _ = blobs(points=9, clusters=max(clusters, 2), sigma=0.6, seed=seed)
    optimum = exact_tcv(points, clusters)
    lower = tcv_lower(points, clusters)
    upper = tcv_upper(points, clusters, restarts=10, seed=0)
    tighter = tcv_lower_semidefinite(points, clusters)
    assert lower <= optimum * (1 + 1e-12)
    assert tighter <= optimum * (1 + 1e-12)
    assert optimum <= upper * (1 + 1e-12)
    assert lower > 0


def test_kmeans_is_scikit_learns_from_its_seed():
    points, _ = blobs(sigma=2)
    for seed in range(3):
        found = kmeans(points, 4, restarts=2, seed=seed)
        plain = KMeans(4, n_init=2, random_state=seed).fit(points)
        np.testing.assert_array_equal(found.labels_, plain.labels_)
        np.testing.assert_array_equal(found.predict(points), plain.labels_)


def test_points_at_their_means_have_no_variation():
    points, labels = blobs(sigma=0)
    assert wcss(points, labels) < 1e-30
    assert tcv_lower(points, 3) < 1e-28
    assert tcv_upper(points, 3, restarts=2, seed=0) < 1e-30


def test_the_lower_bound_is_tight_for_points_on_a_simplex():
    """K clusters whose noise is orthogonal to the span of the means: the bound is the WCSS."""
    points = np.array([[0, 0, 1.0], [0, 0, -1.0], [9, 0, 1.0], [9, 0, -1.0], [0, 9, 1.0], [0, 9, -1.0]])
    assert tcv_lower(points, 3) == pytest.approx(wcss(points, [0, 0, 1, 1, 2, 2]))


def test_the_semidefinite_bound_closes_the_bracket():
    points, _ = blobs(points=60, sigma=0.5)
    upper = tcv_upper(points, 3, restarts=10, seed=0)
    assert tcv_lower(points, 3) < 0.8 * upper
    assert 0.98 * upper < tcv_lower_semidefinite(points, 3) <= upper


def test_the_semidefinite_bound_of_equal_points_is_zero():
    assert tcv_lower_semidefinite(np.ones((6, 2)), 2) == 0


@pytest.mark.parametrize("clusters", [0, 7])
def test_more_clusters_than_points_are_an_error(clusters):
    points = np.eye(6)
    message = f"K is {clusters}, but must be in 1..6, the number of points"
    for bound in (tcv_lower, tcv_lower_semidefinite):
        with pytest.raises(ValueError, match=message):
            bound(points, clusters)
    with pytest.raises(ValueError, match=message):
        kmeans(points, clusters, restarts=1, seed=0)
