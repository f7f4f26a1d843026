from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.linalg import inv, sqrtm
from scipy.optimize import minimize

from nrc.theory.linear import (
    Autoencoder,
    at_centroids,
    centroid_shift_bounds,
    critical_values,
    minimiser,
    rank_restriction_bound,
    transition_weight_decay,
)

N, D, M, WEIGHT_DECAY = 60, 6, 5, 0.05


def draw(sigma=0.3, seed=0, autoencode=False):
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % 3
    x = rng.normal(size=(3, D))[labels] + sigma * rng.normal(size=(N, D))
    y = x if autoencode else rng.normal(size=(3, M))[labels] + sigma * rng.normal(size=(N, M))
    return x, y, labels


def plain_ridge(x, y, weight_decay):
    """Least squares on the data with rows sqrt(N lambda) I and 0 below (Remark 5.2)."""
    hat_x = np.vstack([x, np.sqrt(len(x) * weight_decay) * np.eye(x.shape[1])])
    hat_y = np.vstack([y, np.zeros((x.shape[1], y.shape[1]))])
    return np.linalg.lstsq(hat_x, hat_y, rcond=None)[0].T


def objective(w, x, y, weight_decay):
    """(1/2N) ||W X - Y||^2 + (lambda/2) ||W||^2."""
    return ((x @ w.T - y) ** 2).sum() / (2 * len(x)) + weight_decay * (w**2).sum() / 2


def critical_points(x, y, weight_decay, rank):
    """The critical points on matrices of a rank (Theorem 5.1) by the directions kept, the minimiser first.

    They are W_J = sum_{j in J} s_j u_j v_j' (X X' + N lambda I)^{-1/2}, with the singular value decomposition
    of Y X' (X X' + N lambda I)^{-1/2}, and have the value of 0 less sum_{j in J} s_j^2 / 2N.
    """
    root = np.real(inv(sqrtm(x.T @ x + len(x) * weight_decay * np.eye(x.shape[1]))))
    u, s, vt = np.linalg.svd(y.T @ x @ root, full_matrices=False)
    for kept in combinations(range(len(s)), rank):
        j = list(kept)
        yield kept, (u[:, j] * s[j]) @ vt[j] @ root, ((y**2).sum() - (s[j] ** 2).sum()) / (2 * len(x))


@pytest.mark.parametrize("weight_decay", [0.0, 0.05, 10.0])
def test_the_ridge_solution_is_the_minimiser(weight_decay):
    x, y, _ = draw()
    np.testing.assert_allclose(
        minimiser(x, y, weight_decay), plain_ridge(x, y, weight_decay), rtol=1e-8, atol=1e-12
    )


@pytest.mark.parametrize("rank", [1, 3])
def test_no_search_over_factors_beats_the_minimiser(rank):
    x, y, _ = draw(sigma=0.8)
    w = minimiser(x, y, WEIGHT_DECAY, rank)
    assert np.linalg.matrix_rank(w, tol=1e-10) == rank
    least = objective(w, x, y, WEIGHT_DECAY)

    def of_factors(flat):
        a, b = (part.clone() for part in torch.from_numpy(flat).split([M * rank, rank * D]))
        a, b = a.reshape(M, rank).requires_grad_(), b.reshape(rank, D).requires_grad_()
        product = a @ b
        error = torch.from_numpy(x) @ product.T - torch.from_numpy(y)
        value = (error**2).sum() / (2 * N) + WEIGHT_DECAY * (product**2).sum() / 2
        value.backward()
        return value.item(), torch.cat([a.grad.ravel(), b.grad.ravel()]).numpy()

    rng = np.random.default_rng(rank)
    found = [
        minimize(of_factors, rng.normal(size=rank * (M + D)), jac=True, method="BFGS").fun for _ in range(3)
    ]
    assert min(found) == pytest.approx(least, rel=1e-6)
    assert all(value >= least * (1 - 1e-12) for value in found)


def test_critical_points_have_their_value_and_no_slope():
    x, y, _ = draw(sigma=0.8)
    points = list(critical_points(x, y, WEIGHT_DECAY, 2))
    assert len(points) == 10
    assert points[0][0] == (0, 1)
    np.testing.assert_allclose(points[0][1], minimiser(x, y, WEIGHT_DECAY, 2), atol=1e-12)
    for kept, w, value in points:
        assert objective(w, x, y, WEIGHT_DECAY) == pytest.approx(value, rel=1e-12)
        u, s, vt = np.linalg.svd(w)
        factors = [torch.from_numpy(a.copy()).requires_grad_() for a in (u[:, :2] * s[:2], vt[:2])]

        def of_factors(a, b):
            product = a @ b
            error = torch.from_numpy(x) @ product.T - torch.from_numpy(y)
            return (error**2).sum() / (2 * N) + WEIGHT_DECAY * (product**2).sum() / 2

        for gradient in torch.autograd.grad(of_factors(*factors), factors):
            assert gradient.abs().max() < 1e-12
        hessian = torch.autograd.functional.hessian(of_factors, tuple(a.detach() for a in factors))
        rows = [torch.cat([block.flatten(2).flatten(0, 1) for block in row], 1) for row in hessian]
        least = torch.linalg.eigvalsh(torch.cat(rows)).min()
        if kept == (0, 1):
            assert least > -1e-10
        else:
            assert least < -1e-4, "every other critical point is a strict saddle"


@pytest.mark.parametrize("autoencode", [True, False])
@pytest.mark.parametrize("weight_decay", [1e-3, 0.05, 2.0])
def test_theorem_5_3(autoencode, weight_decay):
    for seed in range(4):
        x, y, labels = draw(seed=seed, autoencode=autoencode)
        means = [np.stack([a[labels == label].mean(0) for label in labels]) for a in (x, y)]
        star, bar = plain_ridge(x, y, weight_decay), plain_ridge(*means, weight_decay)
        first, second = centroid_shift_bounds(x, y, labels, weight_decay)
        assert np.linalg.norm(star - bar) <= first * (1 + 1e-12)
        assert first <= second * (1 + 1e-12)
        assert np.linalg.matrix_rank(bar, tol=1e-10) <= 3
        assert np.linalg.norm(np.linalg.svd(star, compute_uv=False)[3:]) <= first


def test_theorem_5_3_is_sharp_for_one_point_of_noise():
    """In one dimension with centroid 0: W* = c / (c + lambda), Wbar* = 0, and c / lambda bounds it."""
    x = np.array([[1e-4], [-1e-4]])
    first, second = centroid_shift_bounds(x, x, [0, 0], 0.1)
    shift = float(minimiser(x, x, 0.1)[0, 0])
    assert first == pytest.approx(shift, rel=1e-6)
    assert second == pytest.approx(shift, rel=1e-6)


@pytest.mark.parametrize("weight_decay", [1e-3, 0.05, 2.0])
def test_theorem_5_4(weight_decay):
    for seed in range(4):
        x, y, labels = draw(seed=seed)
        within = sum(((y[labels == k] - y[labels == k].mean(0)) ** 2).sum() for k in range(3)) / N
        distance = np.linalg.norm(minimiser(x, y, weight_decay) - minimiser(x, y, weight_decay, 3))
        assert distance <= rank_restriction_bound(within, weight_decay)
    assert rank_restriction_bound(0.09, 4.0) == pytest.approx(0.15)


def test_a_stack_is_its_members():
    xs, ys = (np.stack(arrays) for arrays in zip(*[draw(seed=seed)[:2] for seed in range(3)], strict=True))
    labels = draw()[2]
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        np.testing.assert_allclose(minimiser(xs, ys, 0.05, 2)[i], minimiser(x, y, 0.05, 2), atol=1e-12)
        both = zip(
            centroid_shift_bounds(xs, ys, labels, 0.05),
            centroid_shift_bounds(x, y, labels, 0.05),
            strict=True,
        )
        for stacked, alone in both:
            assert stacked[i] == pytest.approx(alone)


def test_what_the_theorems_do_not_cover_is_an_error():
    x, y, labels = draw()
    flat = np.concatenate([x[:, :5], x[:, :1]], axis=1)
    with pytest.raises(ValueError, match=r"singular, but Theorem 5\.1"):
        minimiser(flat, y, 0.0)
    assert np.isfinite(minimiser(flat, y, 0.1)).all()
    for rank in (0, 6):
        with pytest.raises(ValueError, match=rf"rank is {rank}, but must be in 1\.\.5"):
            minimiser(x, y, 0.1, rank)
    with pytest.raises(ValueError, match=r"Theorem 5\.3 needs it greater than 0"):
        centroid_shift_bounds(x, y, labels, 0.0)
    with pytest.raises(ValueError, match=r"Theorem 5\.4 needs it greater than 0"):
        rank_restriction_bound(1.0, 0.0)


@pytest.mark.parametrize(("target", "bound"), [(1.0, 0), (1e3, 1)])
def test_theorem_5_3_is_nearly_attained(target, bound):
    """Targets without noise and strong weight decay: what is left is the norm of Wbar* times the noise."""
    x, labels = np.array([1.1, 0.9, -1.1, -0.9])[:, None], np.array([0, 0, 1, 1])
    y = target * np.sign(x)
    shift = minimiser(x, y, 100.0) - minimiser(at_centroids(x, labels), at_centroids(y, labels), 100.0)
    limit = centroid_shift_bounds(x, y, labels, 100.0)[bound]
    assert 0.92 * limit < np.linalg.norm(shift) <= limit


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_critical_values_are_the_minima_of_the_scalar_problem(depth):
    """Against a fine grid over s, a basin at a time."""
    c, weight_decay = np.array([3.0, 1.0, 0.3, 0.05, 0.02]), 0.02
    s, learnt = critical_values(c, weight_decay, depth)
    grid = np.linspace(0, 1.2, 1_200_001)
    for j, c_j in enumerate(c):
        value = c_j * (grid - 1) ** 2 / 2 + weight_decay * depth / 2 * grid ** (2 / depth)
        best = grid[value.argmin()]
        assert learnt[j] == (best > 0)
        if learnt[j]:
            assert s[j] == pytest.approx(best, abs=2e-6)
        inner = np.flatnonzero((value[1:-1] < value[:-2]) & (value[1:-1] < value[2:])) + 1
        assert len(inner) == (s[j] > 0)
        if len(inner):
            assert s[j] == pytest.approx(grid[inner[0]], abs=2e-6)


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
def test_the_transition_is_where_the_minimum_jumps_to_zero(depth):
    c = np.array([2.0, 0.1])
    line = transition_weight_decay(c, depth)
    for factor, learnt in ((0.999, True), (1.001, False)):
        for c_j, at in zip(c, line, strict=True):
            assert critical_values([c_j], factor * at, depth)[1].tolist() == [learnt]


def test_the_autoencoders_critical_points_are_those_of_theorem_5_1():
    x = draw()[0]
    closed = Autoencoder.of(x[None], [WEIGHT_DECAY], (D, D, D), factors=1)
    np.testing.assert_allclose(closed.minimum[0], minimiser(x, x, WEIGHT_DECAY), atol=1e-12)
    for rank in (1, 2, D):
        for kept, w, _ in critical_points(x, x, WEIGHT_DECAY, rank):
            near = w + 1e-3 * np.random.default_rng(0).normal(size=w.shape)
            learnt = closed.nearest(near[None])
            np.testing.assert_allclose(closed.product(learnt)[0], w, atol=1e-12)
            assert learnt.sum() == len(kept) == rank


def test_narrow_layers_limit_the_rank_of_the_minimum():
    x = draw()[0]
    closed = Autoencoder.of(x[None], [WEIGHT_DECAY], (D, 2, D), factors=1)
    np.testing.assert_allclose(closed.minimum[0], minimiser(x, x, WEIGHT_DECAY, 2), atol=1e-12)


def test_the_minimum_over_factors_is_below_all_factorisations():
    """Schatten-2/L: sum_l ||W_l||^2 >= L sum_j s_j^{2/L}, with equality for balanced factors."""
    rng = np.random.default_rng(0)
    for depth in (2, 3, 4):
        factors = [rng.normal(size=(4, 4)) for _ in range(depth)]
        product = np.linalg.multi_dot(factors)
        u, s, vt = np.linalg.svd(product)
        least = depth * (s ** (2 / depth)).sum()
        assert sum((w**2).sum() for w in factors) >= least
        root = np.diag(s ** (1 / depth))
        balanced = [root @ vt, *[root] * (depth - 2), u @ root]
        np.testing.assert_allclose(np.linalg.multi_dot(balanced[::-1]), product, atol=1e-12)
        assert sum((w**2).sum() for w in balanced) == pytest.approx(least)
