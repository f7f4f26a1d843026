import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from nrc.linear import (
    at_centroids,
    centroid_shift_bounds,
    critical_points,
    minimiser,
    objective,
    rank_restriction_bound,
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


@pytest.mark.parametrize("weight_decay", [0.0, 0.05, 10.0])
def test_the_ridge_solution_is_the_minimiser(weight_decay):
    x, y, _ = draw()
    np.testing.assert_allclose(
        minimiser(x, y, weight_decay), plain_ridge(x, y, weight_decay), rtol=1e-8, atol=1e-12
    )


@pytest.mark.parametrize("rank", [1, 2, 4])
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
        minimize(of_factors, rng.normal(size=rank * (M + D)), jac=True, method="BFGS").fun for _ in range(6)
    ]
    assert min(found) == pytest.approx(least, rel=1e-6)
    assert all(value >= least * (1 - 1e-12) for value in found)


def test_critical_points_have_their_value_and_no_slope():
    x, y, _ = draw(sigma=0.8)
    points = list(critical_points(x, y, WEIGHT_DECAY, 2))
    assert len(points) == 10
    assert points[0][0] == (0, 1)
    np.testing.assert_array_equal(points[0][1], minimiser(x, y, WEIGHT_DECAY, 2))
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
    for seed in range(10):
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
    for seed in range(10):
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
        with pytest.raises(ValueError, match="rank is"):
            next(critical_points(x, y, 0.1, rank))
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
