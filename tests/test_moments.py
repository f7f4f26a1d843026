"""Sums over points that come in batches, against numpy on all points at once."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from nrc.theory.moments import Moments, Partition, Spread, of_points

CELLS, POINTS, SIZE, CLUSTERS = 2, 101, 5, 4
# the last cluster of cell 1 has no point, and cluster 2 has none in the first batches
# Sizes of batches, mean and spread of the points; in the last, one-pass formulas find nothing but rounding.
CASES = [((1, 7, 30, 2, 61), 0.0, 1.0), ((1,) * 101, 3.0, 1e-3), ((50, 51), 1e6, 1e-6)]


def draw(mean=0.0, spread=1.0):
    """Points (cells, points, size) around a mean of their own in each cluster, and their clusters."""
    rng = np.random.default_rng(0)
    labels = np.stack([np.r_[rng.choice([0, 1, 3], 40), rng.choice(4, 61)], np.r_[rng.choice(3, 101)]])
    means = mean * rng.uniform(0.5, 1, size=(CELLS, CLUSTERS, SIZE))
    noise = rng.normal(size=(CELLS, POINTS, SIZE)) @ np.diag([4.0, 2.0, 1.0, 0.5, 0.1])
    return means[np.arange(CELLS)[:, None], labels] + spread * noise, labels


def pieces(batches, *arrays):
    """Slices of the points of arrays (cells, points, ...), one after the other."""
    for start, stop in pairwise(np.cumsum((0, *batches))):
        yield [torch.from_numpy(a[:, start:stop]) for a in arrays]


def exactly(points):
    """Their mean and deviations from it, in numpy's longest numbers: x86 has 19 digits of them."""
    points = points.astype(np.longdouble)
    mean = points.mean(0)
    mean += (points - mean).mean(0)
    return mean, points - mean


@pytest.mark.parametrize(("batches", "mean", "spread"), CASES)
def test_moments_of_clusters_are_those_of_all_points_at_once(batches, mean, spread):
    points, labels = draw(mean, spread)
    moments = Moments(CELLS, CLUSTERS, SIZE)
    for batch in pieces(batches, points, labels):
        moments.update(*batch)
    for c, cluster in product(range(CELLS), range(CLUSTERS)):
        members = points[c, labels[c] == cluster]
        assert int(moments.sizes[c, cluster]) == len(members)
        if len(members):
            of_members, deviations = exactly(members)
            np.testing.assert_allclose(moments.means[c, cluster], of_members, rtol=1e-12, atol=1e-12)
            squares = float((deviations**2).sum())
            assert float(moments.squares[c, cluster]) == pytest.approx(squares, rel=1e-12, abs=0)
        else:
            assert not moments.means[c, cluster].any()
            assert not moments.squares[c, cluster]
    assert (moments.sizes == 0).nonzero().tolist() == [[1, 3]]


@pytest.mark.parametrize(("batches", "mean", "spread"), CASES)
def test_partitions_are_those_of_all_points_at_once(batches, mean, spread):
    points, labels = draw(mean, spread)
    z, y = points[:, :, :3], points[:, :, 3:]
    partition = Partition.empty(CELLS, CLUSTERS, 3, 2)
    for batch in pieces(batches, z, y, labels):
        partition.update(*batch)
    for c in range(CELLS):
        counts = np.bincount(labels[c], minlength=CLUSTERS)
        np.testing.assert_allclose(partition.shares[c], counts / POINTS, rtol=1e-15)
        of_all, deviations = exactly(z[c])
        np.testing.assert_allclose(partition.mean[c], of_all, rtol=1e-12, atol=1e-12)
        clusters = [points[c, labels[c] == cluster] for cluster in set(labels[c])]
        within = sum((exactly(members)[1] ** 2).sum() for members in clusters) / POINTS
        assert float(partition.wcss[c]) == pytest.approx(float(within), rel=1e-12, abs=0)
        variance = float((deviations**2).sum() / POINTS)
        assert float(partition.variance[c]) == pytest.approx(variance, rel=1e-12, abs=0)


@pytest.mark.parametrize(("batches", "mean", "spread"), CASES)
def test_the_spread_is_that_of_all_points_at_once(batches, mean, spread):
    points = mean + draw(0, spread)[0]
    found = Spread()
    for batch in pieces(batches, points):
        found.update(*batch)
    for c in range(CELLS):
        squares = np.linalg.svd(exactly(points[c])[1].astype(float), compute_uv=False) ** 2
        for rank in range(SIZE + 1):
            beyond = squares[rank:].sum() / POINTS
            assert float(found.beyond(rank)[c]) == pytest.approx(beyond, rel=1e-12, abs=0)


def test_a_spread_of_fewer_points_than_coordinates():
    points = np.random.default_rng(0).normal(size=(1, 9, 30))
    found = Spread()
    for batch in pieces((2, 3, 4), points):
        found.update(*batch)
    squares = np.linalg.svd(points[0] - points[0].mean(0), compute_uv=False) ** 2
    for rank in range(8):
        assert float(found.beyond(rank)[0]) == pytest.approx(squares[rank:].sum() / 9, rel=1e-12)


def test_each_cell_has_the_better_partition():
    """Of two that are one in cell 1, where the first is kept."""
    points, labels = draw()
    others = np.stack([labels[0][::-1], labels[1]])
    one, other = (Partition.empty(CELLS, CLUSTERS, 3, 2) for _ in range(2))
    for partition, of in ((one, labels), (other, others)):
        partition.update(*(torch.from_numpy(a.copy()) for a in (points[:, :, :3], points[:, :, 3:], of)))
    wins = int(other.wcss[0] < one.wcss[0])
    for better in (one.better(other), other.better(one)):
        assert better.wcss.tolist() == torch.minimum(one.wcss, other.wcss).tolist()
        for name in ("features", "targets"):
            for attribute in ("sizes", "means", "squares"):
                chosen, *both = (getattr(getattr(p, name), attribute) for p in (better, one, other))
                assert torch.equal(chosen[0], both[wins][0])
                assert torch.equal(chosen[1], both[0][1])


def test_points_have_the_means_of_their_clusters():
    means, labels = np.random.default_rng(0).normal(size=(2, 3, 4)), np.array([[2, 0, 2], [1, 1, 0]])
    found = of_points(torch.from_numpy(means), torch.from_numpy(labels))
    np.testing.assert_array_equal(found, means[np.arange(2)[:, None], labels])
