import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy, ortho_group

from nrc.theory import ranks

MEASURES = {
    "stable_rank": ranks.stable_rank,
    "numerical_rank": lambda s: ranks.numerical_rank(s, 1e-3),
    "effective_rank": ranks.effective_rank,
    "relative_distance": lambda s: ranks.relative_distance(s, 2),
    "relative_tail": ranks.relative_tail,
    "mp_soft_rank": lambda s: ranks.mp_soft_rank(s, (s.shape[-1], s.shape[-1])),
}

# Singular values around 1, or 0: no measure has to distinguish 1e-200 from 0.
VALUES = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))
SPECTRA = (
    arrays(np.float64, st.integers(1, 8), elements=VALUES)
    .map(lambda s: np.sort(s)[::-1])
    .filter(lambda s: s[0] > 0)
)


def test_equal_singular_values_have_full_rank():
    s = np.full(6, 2.5)
    assert ranks.stable_rank(s) == pytest.approx(6)
    assert ranks.numerical_rank(s, 0.5) == 6
    assert ranks.effective_rank(s) == pytest.approx(6)
    np.testing.assert_allclose(ranks.relative_tail(s), np.sqrt(1 - np.arange(1, 7) / 6), atol=1e-15)


def test_a_known_spectrum():
    s = np.array([2.0, 1.0, 1.0, 0.0])
    assert ranks.stable_rank(s) == pytest.approx(6 / 4)
    assert ranks.numerical_rank(s, 0.4) == 3
    assert ranks.numerical_rank(s, 0.6) == 1
    assert ranks.effective_rank(s) == pytest.approx(np.exp(entropy([0.5, 0.25, 0.25])))
    np.testing.assert_allclose(ranks.relative_tail(s), np.sqrt(np.array([2, 1, 0, 0]) / 6))
    assert ranks.relative_distance(s, 1) == pytest.approx(np.sqrt(2 / 6))


def test_soft_rank_of_noise_is_one_and_of_a_spike_is_small():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 200))
    s = np.linalg.svd(noise, compute_uv=False)
    # the largest eigenvalue fluctuates about the edge by a share of the order n^(-2/3)
    assert ranks.mp_soft_rank(s, noise.shape) == pytest.approx(1, abs=3 * 200 ** (-2 / 3))
    assert ranks.mp_soft_rank(s, noise.T.shape) == ranks.mp_soft_rank(s, noise.shape)
    spiked = noise + 10 * np.outer(rng.normal(size=400), rng.normal(size=200))
    assert ranks.mp_soft_rank(np.linalg.svd(spiked, compute_uv=False), noise.shape) < 0.05


@given(SPECTRA, st.floats(1e-3, 1e3))
def test_no_measure_depends_on_scale(s, scale):
    for name, measure in MEASURES.items():
        if name != "numerical_rank":  # a value at its threshold may fall on either side
            np.testing.assert_allclose(measure(scale * s), measure(s), rtol=1e-9, atol=1e-12, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(SPECTRA, st.integers(0, 2**32 - 1))
def test_no_measure_depends_on_rotation(s, seed):
    rng = np.random.default_rng(seed)
    n = len(s)
    u, v = (ortho_group(n, seed=rng).rvs() if n > 1 else np.array([[1.0]]) for _ in range(2))
    rotated = np.linalg.svd((u * s) @ v, compute_uv=False)
    for name, measure in MEASURES.items():
        if name != "numerical_rank":
            np.testing.assert_allclose(measure(rotated), measure(s), rtol=1e-6, atol=1e-6, err_msg=name)


@given(SPECTRA)
def test_bounds_and_order(s):
    rank = np.count_nonzero(s)
    stable, effective = ranks.stable_rank(s), ranks.effective_rank(s)
    assert 1 - 1e-12 <= stable <= rank * (1 + 1e-12)
    assert 1 - 1e-12 <= effective <= rank * (1 + 1e-12)
    assert 1 <= ranks.numerical_rank(s, 1e-3) <= rank
    tail = ranks.relative_tail(s)
    assert (np.diff(tail) <= 1e-12).all()
    assert 0 <= tail[-1] <= tail[0] <= 1
    assert (tail[rank - 1 :] == 0).all()
    for r in range(1, len(s) + 1):
        assert ranks.relative_distance(s, r) == pytest.approx(tail[r - 1], abs=1e-12)


def test_a_zero_matrix_has_no_relative_measures():
    batch = np.array([[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    for name, measure in MEASURES.items():
        values = measure(batch)
        assert np.isfinite(values[0]).all(), name
        assert np.isnan(values[1]).all(), name
