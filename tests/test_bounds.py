import numpy as np
import pytest

from nrc.data import mixture
from nrc.theory.bounds import gaussian_wcss_bound, isotropic_wcss_quantile
from nrc.theory.wcss import wcss

DELTA, DRAWS = 0.1, 2000


def wcss_of_draws(covariance, **changes):
    choices = {"clusters": 3, "points": 30, "dimension": 4, "separation": 1, "weights": [3, 2, 1], **changes}
    options = mixture.Options(**choices, covariance=covariance)
    drawn = [mixture.draw(options, seed) for seed in range(DRAWS)]
    return drawn, np.array([wcss(points.x(0.5), points.labels) for points in drawn])


@pytest.mark.parametrize("covariance", ["isotropic", "full"])
def test_the_bound_holds_with_its_probability(covariance):
    drawn, values = wcss_of_draws(covariance)
    bounds = [gaussian_wcss_bound(0.25 * m.covariances, m.sizes, DELTA) for m in drawn]
    assert (values <= bounds).mean() >= 1 - DELTA


def test_the_quantile_is_exact():
    _, values = wcss_of_draws("isotropic")
    quantile = isotropic_wcss_quantile(0.5, dimension=4, points=30, clusters=3, delta=DELTA)
    # four standard errors of a share of 2000 draws: a constant off by 10% is far outside
    error = 4 * np.sqrt(DELTA * (1 - DELTA) / DRAWS)
    assert (values <= quantile).mean() == pytest.approx(1 - DELTA, abs=error)
    assert abs((values <= 1.1 * quantile).mean() - (1 - DELTA)) > error
    assert abs((values <= 0.9 * quantile).mean() - (1 - DELTA)) > error


def test_the_bound_is_above_the_quantile():
    for size in (5, 50, 500):
        bound = gaussian_wcss_bound(np.stack([np.eye(4)] * 3), [size] * 3, DELTA)
        assert bound > isotropic_wcss_quantile(1.0, dimension=4, points=3 * size, clusters=3, delta=DELTA)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="delta is 1, but must be between 0 and 1"):
        gaussian_wcss_bound(np.eye(2)[None], [3], 1)
    with pytest.raises(ValueError, match="delta is 0, but"):
        isotropic_wcss_quantile(1.0, dimension=2, points=4, clusters=2, delta=0)
    with pytest.raises(ValueError, match=r"covariances have shape \(1, 2, 2\), but 2 square"):
        gaussian_wcss_bound(np.eye(2)[None], [3, 3], 0.1)


def test_the_terms_of_the_bound_for_a_blob_of_its_own():
    """tr S + 2 ||S|| sqrt(s/N) + 2 ||S||_2 s/N by hand: S = diag(3, 4), N = 4, s = 1."""
    bound = gaussian_wcss_bound(np.diag([3.0, 4.0])[None], [4], np.exp(-1))
    assert bound == pytest.approx(7 + 2 * 5 * 0.5 + 2 * 4 / 4, rel=1e-12)
