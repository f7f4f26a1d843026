from itertools import product

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from threadpoolctl import threadpool_info, threadpool_limits

from nrc.theory.clusters import kmeans, nearest
from nrc.theory.moments import Spread
from nrc.theory.wcss import wcss


def clusters_of(points=30, clusters=3, features=4, sigma=0.3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(points) % clusters
    return rng.normal(size=(clusters, features))[labels] + sigma * rng.normal(size=(points, features)), labels


def exact_tcv(points, clusters):
    """The smallest WCSS over all partitions into at most `clusters` sets."""
    assignments = product(range(clusters), repeat=len(points) - 1)
    return min(wcss(points, np.array([0, *rest])) for rest in assignments)


def tcv_lower(points, clusters):
    spread = Spread()
    spread.update(torch.from_numpy(points)[None])
    return float(spread.beyond(clusters - 1))


def tcv_upper(points, clusters, restarts):
    return wcss(points, kmeans(points, clusters, restarts=restarts, seed=0).labels_)


def test_wcss_agrees_with_a_plain_loop_and_scikit_learn():
    batch, labels = np.stack([clusters_of(seed=seed)[0] for seed in range(3)]), clusters_of()[1]
    for points, found in zip(batch, wcss(batch, labels), strict=True):
        members = [points[labels == cluster] for cluster in range(3)]
        plain = sum(((p - of.mean(0)) ** 2).sum() for of in members for p in of) / len(points)
        scatter = LinearDiscriminantAnalysis(solver="eigen", store_covariance=True).fit(points, labels)
        fitted = KMeans(3, n_init=3, random_state=0).fit(points)
        assert found == pytest.approx(plain, rel=1e-12)
        assert found == pytest.approx(np.trace(scatter.covariance_), rel=1e-9)
        assert wcss(points, fitted.labels_) == pytest.approx(fitted.inertia_ / len(points), rel=1e-12)


@pytest.mark.parametrize("clusters", [2, 3])
def test_the_bracket_contains_the_optimum(clusters):
    for seed in range(2):
        points, _ = clusters_of(points=8, clusters=max(clusters, 2), sigma=0.6, seed=seed)
        optimum = exact_tcv(points, clusters)
        assert 0 < tcv_lower(points, clusters) <= optimum * (1 + 1e-12)
        assert optimum <= tcv_upper(points, clusters, restarts=10) * (1 + 1e-12)


def test_kmeans_is_the_one_of_scikit_learn_for_a_seed():
    points, _ = clusters_of(sigma=2)
    for seed in range(3):
        found = kmeans(points, 4, restarts=2, seed=seed)
        plain = KMeans(4, n_init=2, random_state=seed).fit(points)
        np.testing.assert_array_equal(found.labels_, plain.labels_)
        np.testing.assert_array_equal(nearest(found, points), plain.labels_)


def test_the_lower_bound_is_attained():
    """At the means, and for K clusters whose noise is orthogonal to the span of the means."""
    points, labels = clusters_of(sigma=0)
    assert max(wcss(points, labels), tcv_lower(points, 3), tcv_upper(points, 3, restarts=2)) < 1e-28
    points = np.array([[0, 0, 1.0], [0, 0, -1.0], [9, 0, 1.0], [9, 0, -1.0], [0, 9, 1.0], [0, 9, -1.0]])
    assert tcv_lower(points, 3) == pytest.approx(wcss(points, [0, 0, 1, 1, 2, 2]))


@pytest.mark.parametrize("clusters", [0, 7])
def test_a_number_of_clusters_that_is_impossible_is_an_error(clusters):
    with pytest.raises(ValueError, match=rf"K is {clusters}, but must be in 1\.\.6, the number of points"):
        kmeans(np.eye(6), clusters, restarts=1, seed=0)


def test_repeated_points_have_no_more_clusters_than_values_and_no_warning(recwarn):
    points = np.repeat(np.eye(3), 4, axis=0)
    found = kmeans(points, 5, restarts=2, seed=0)
    assert len(np.unique(found.labels_)) == 3
    assert wcss(points, found.labels_) == 0
    assert not recwarn


def test_openmp_has_one_thread_in_kmeans_and_its_own_number_afterwards(monkeypatch):
    def threads():
        return [of["num_threads"] for of in threadpool_info() if of["user_api"] == "openmp"]

    seen, fit, predict = [], KMeans.fit, KMeans.predict
    monkeypatch.setattr(KMeans, "fit", lambda self, points: seen.append(threads()) or fit(self, points))
    monkeypatch.setattr(KMeans, "predict", lambda self, x: seen.append(threads()) or predict(self, x))
    with threadpool_limits(3, "openmp"):
        before = threads()
        nearest(kmeans(np.eye(6), 2, restarts=1, seed=0), np.eye(6))
        assert threads() == before
    assert before
    assert seen == [[1] * len(before)] * 2
