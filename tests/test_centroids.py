import itertools

import numpy as np
import pytest
import torch

from nrc.bounds import distance_bound
from nrc.centroids import centroid_gap, centroid_gradient, centroids
from nrc.network import ACTIVATIONS, features, squared_error_gradient

CELLS, POINTS, CLUSTERS, SIZES = 3, 30, 3, (5, 7, 6, 5)


def draw(sigma=0.5, seed=0):
    """Weights, points around means with targets of their own, and uneven clusters that differ by cell."""
    rng = np.random.default_rng(seed)
    weights = [
        torch.from_numpy(rng.normal(size=(CELLS, m, n)) / n**0.5) for n, m in itertools.pairwise(SIZES)
    ]
    labels = np.stack([rng.permutation(np.repeat([0, 1, 2], [15, 10, 5])) for _ in range(CELLS)])
    means, targets = (rng.normal(size=(CELLS, CLUSTERS, SIZES[i])) for i in (0, -1))
    noise, other = (rng.normal(size=(CELLS, POINTS, SIZES[i])) for i in (0, -1))
    cell = np.arange(CELLS)[:, None]
    x, y = means[cell, labels] + sigma * noise, targets[cell, labels] + sigma * other
    return weights, torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(labels)


def plain_centroid_loss(weights, z, y, labels, activation):
    """The centroid-based loss of one network, cluster by cluster, for autograd."""
    total = 0
    for cluster in range(CLUSTERS):
        members = labels == cluster
        output = z[members].mean(0).detach()
        for w in weights[:-1]:
            output = {"tanh": torch.tanh, "linear": lambda t: t}[activation](w @ output)
        error = weights[-1] @ output - y[members].mean(0)
        total = total + members.double().mean() * (error**2).sum() / 2
    return total


def test_centroids_agree_with_a_plain_loop():
    _, x, _, labels = draw()
    means, shares = centroids(x, labels, CLUSTERS)
    for c in range(CELLS):
        for cluster in range(CLUSTERS):
            members = [x[c, i] for i in range(POINTS) if labels[c, i] == cluster]
            torch.testing.assert_close(means[c, cluster], sum(members) / len(members))
            assert float(shares[c, cluster]) == len(members) / POINTS


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_gap_agrees_with_autograd(activation):
    weights, x, y, labels = draw()
    gap = centroid_gap(weights, x, y, [labels] * 3, CLUSTERS, activation)
    assert gap.shape == (CELLS, 3, 3)
    for c in range(CELLS):
        leaves = [w[c].clone().requires_grad_() for w in weights]
        z = features([w[None] for w in leaves], x[c : c + 1], activation)
        full = torch.autograd.grad(((z[-1] - y[c]) ** 2).sum() / (2 * POINTS), leaves, retain_graph=True)
        for k in range(3):
            loss = plain_centroid_loss(leaves[k:], z[k][0], y[c], labels[c], activation)
            for l, gradient in enumerate(torch.autograd.grad(loss, leaves[k:]), start=k):
                assert float(gap[c, l, k]) == pytest.approx(float((full[l] - gradient).norm()), rel=1e-10)
            assert gap[c, :k, k].isnan().all()


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_gradient_at_centroids_has_rank_at_most_k(activation):
    weights, x, y, labels = draw()
    for k, z in enumerate(features(weights, x, activation)[:-1]):
        for gradient in centroid_gradient(weights[k:], z, y, labels, CLUSTERS, activation):
            ranks = torch.linalg.matrix_rank(gradient)
            assert (ranks <= CLUSTERS).all()
            assert ranks.max() == CLUSTERS, "K distinct centroids fill the rank"


def test_the_gap_vanishes_with_the_variability_and_is_of_its_order():
    """Lemma 3.3: the first-order terms cancel, so the gap is quadratic in sigma as the WCSS is."""
    gaps = []
    for sigma in (1e-2, 1e-3, 0.0):
        weights, x, y, labels = draw(sigma)
        gaps.append(centroid_gap(weights, x, y, [labels] * 3, CLUSTERS, "tanh"))
    below = ~gaps[0].isnan()
    torch.testing.assert_close(
        gaps[0][below] / gaps[1][below], torch.full_like(gaps[0][below], 100), rtol=0.1, atol=0
    )
    assert (gaps[2][below] < 1e-14).all()


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("weight_decay", [1e-3, 1.0])
@pytest.mark.parametrize("partition", ["classes", "random"])
def test_theorem_3_4_holds_at_any_weights_and_for_any_partition(activation, weight_decay, partition):
    for seed in range(20):
        weights, x, y, labels = draw(sigma=0.3, seed=seed)
        if partition == "random":
            labels = labels[:, torch.randperm(POINTS, generator=torch.Generator().manual_seed(seed))]
        _, gradient = squared_error_gradient(weights, x, y, activation)
        r = torch.stack(
            [(g + weight_decay * w).norm(dim=(1, 2)) for g, w in zip(gradient, weights, strict=True)], 1
        )
        gap = centroid_gap(weights, x, y, [labels] * 3, CLUSTERS, activation)
        bound = np.nanmin(distance_bound(r[:, :, None], gap, weight_decay), axis=2)
        for l, w in enumerate(weights):
            distance = torch.linalg.svdvals(w)[:, CLUSTERS:].norm(dim=1)
            assert (distance.numpy() <= bound[:, l] * (1 + 1e-12)).all()


def test_theorem_3_4_is_sharp():
    """At weights equal to -gradient / lambda the residual is 0; a bound 10% smaller would be false.

    One linear layer on two points a cluster whose noise is orthogonal to everything else: the
    stationary weights are the ridge solution, and what is beyond rank K is the gap alone.
    """
    weight_decay = 0.1
    x = torch.tensor([[[2.0, 0, 1], [2.0, 0, -1]]], dtype=torch.float64)
    covariance = x[0].T @ x[0] / 2
    ridge = covariance @ torch.linalg.inv(covariance + weight_decay * torch.eye(3, dtype=torch.float64))
    labels = [torch.zeros(1, 2, dtype=torch.long)]
    _, gradient = squared_error_gradient([ridge[None]], x, x, "linear")
    residual = (gradient[0] + weight_decay * ridge).norm(dim=(1, 2))
    gap = centroid_gap([ridge[None]], x, x, labels, 1, "linear")
    bound = distance_bound(residual, gap[:, 0, 0], weight_decay)
    assert float(torch.linalg.svdvals(ridge)[1:].norm()) == pytest.approx(float(bound[0]), rel=1e-9)


def test_without_weight_decay_the_theorem_is_void():
    bound = distance_bound([1.0, 1.0], [2.0, 2.0], [0.0, 0.5])
    assert np.isnan(bound[0])
    assert bound[1] == 6


def test_an_empty_cluster_is_an_error():
    weights, x, y, labels = draw()
    labels[1, labels[1] == 2] = 0
    with pytest.raises(ValueError, match="cluster 2 of cell 1 is empty"):
        centroid_gap(weights, x, y, [labels] * 3, CLUSTERS, "tanh")
