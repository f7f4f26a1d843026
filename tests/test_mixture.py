import numpy as np
import pytest
from scipy.spatial.distance import pdist

from nrc.data import Size, mixture
from nrc.data.points import Points


def options(**changes) -> mixture.Options:
    return mixture.Options(**{"clusters": 4, "points": 90, "dimension": 6, "separation": 2.5, **changes})


def draw(seed=3, **changes) -> Points:
    return mixture.draw(options(**changes), seed)


def test_the_seed_determines_the_mixture():
    one, same, other = draw(), draw(), draw(seed=4)
    for name in ("means", "covariances", "noise", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.allclose(one.noise, other.noise)
    assert not np.allclose(one.means, other.means)
    assert mixture.size(options()) == Size(points=90, features=6, clusters=4, outputs=None)
    assert (one.seed, one.clusters, one.sizes.tolist()) == (3, 4, [23, 23, 22, 22])


def test_a_point_is_mean_plus_sigma_noise():
    drawn = draw()
    np.testing.assert_array_equal(drawn.x(0.3), drawn.means[drawn.labels] + 0.3 * drawn.noise)


def test_separation_is_the_smallest_distance_between_means():
    assert pdist(draw().means).min() == pytest.approx(2.5)
    assert np.linalg.norm(draw(clusters=1).means) == pytest.approx(2.5)


@pytest.mark.parametrize("covariance", ["isotropic", "full"])
def test_noise_has_the_stated_covariance(covariance):
    drawn = draw(covariance=covariance, points=200_000, dimension=3, clusters=2)
    for cluster, stated in enumerate(drawn.covariances):
        assert np.trace(stated) == pytest.approx(3)
        # entries of a sample covariance of n points have standard error of at most 3 sqrt(2 / n)
        error = 5 * np.linalg.norm(stated, 2) * np.sqrt(2 / 100_000)
        np.testing.assert_allclose(np.cov(drawn.noise[drawn.labels == cluster].T), stated, atol=error)
        assert np.allclose(stated, np.diag(np.diag(stated))) == (covariance == "isotropic")
    assert np.allclose(*drawn.covariances) == (covariance == "isotropic")


@pytest.mark.parametrize(
    ("points", "weights", "sizes"),
    [
        (10, None, [4, 3, 3]),
        (9, None, [3, 3, 3]),
        (10, [1, 1, 2], [3, 2, 5]),
        (100, [0.7, 0.2, 0.1], [70, 20, 10]),
    ],
)
def test_sizes_are_in_proportion_to_the_weights(points, weights, sizes):
    drawn = draw(points=points, clusters=3, weights=weights)
    assert drawn.sizes.tolist() == sizes


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"weights": [1, 1, 1]}, r"weights is \[1.0, .*\], but must have 4 numbers, one per cluster"),
        (
            {"weights": [1, 1, 1, 1000]},
            r"weights is .*, but 90 points in 4 clusters leave a cluster empty; use more points",
        ),
        ({"clusters": 91}, "clusters is 91, but 90 points in 91 clusters leave a cluster empty"),
    ],
)
def test_options_that_no_mixture_has_are_refused(changes, line):
    mixture.check(options())
    for function in (mixture.check, lambda wrong: mixture.draw(wrong, 0)):
        with pytest.raises(ValueError, match=f"^{line}"):
            function(options(**changes))
