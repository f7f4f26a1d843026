import numpy as np
import pytest
from scipy.spatial.distance import pdist

from nrc.data import Size, mixture
from nrc.data.mixture import blob_sizes, draw_mixture
from nrc.data.points import Points

CHOICES = {
    "clusters": 4,
    "points": 90,
    "dimension": 6,
    "separation": 2.5,
    "covariance": "isotropic",
    "weights": None,
    "seed": 3,
}


def draw(**changes) -> Points:
    return draw_mixture(**{**CHOICES, **changes})


def test_the_seed_alone_decides():
    one, same, other = draw(), draw(), draw(seed=4)
    for name in ("means", "covariances", "noise", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.allclose(one.noise, other.noise)
    assert not np.allclose(one.means, other.means)


def test_a_point_is_mean_plus_sigma_noise():
    drawn = draw()
    for i, point in enumerate(drawn.x(0.3)):
        np.testing.assert_array_equal(point, drawn.means[drawn.labels[i]] + 0.3 * drawn.noise[i])


def test_separation_is_the_smallest_distance_between_means():
    assert pdist(draw().means).min() == pytest.approx(2.5)
    assert np.linalg.norm(draw(clusters=1).means) == pytest.approx(2.5)


@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full"])
def test_noise_has_the_stated_covariance(covariance):
    drawn = draw(covariance=covariance, points=200_000, dimension=3, clusters=2)
    for blob, stated in enumerate(drawn.covariances):
        assert np.trace(stated) == pytest.approx(3)
        # entries of a sample covariance of n points have standard error of at most 3 sqrt(2 / n)
        error = 5 * np.linalg.norm(stated, 2) * np.sqrt(2 / 100_000)
        np.testing.assert_allclose(np.cov(drawn.noise[drawn.labels == blob].T), stated, atol=error)
    diagonal = [np.allclose(stated, np.diag(np.diag(stated))) for stated in drawn.covariances]
    assert all(diagonal) == (covariance != "full")
    assert (np.allclose(drawn.covariances, np.eye(3))) == (covariance == "isotropic")


def test_blobs_of_one_mixture_have_covariances_of_their_own():
    first, second, *_ = draw(covariance="full").covariances
    assert not np.allclose(first, second)


@pytest.mark.parametrize(
    ("points", "weights", "sizes"),
    [
        (10, None, [4, 3, 3]),
        (9, None, [3, 3, 3]),
        (10, [1, 1, 2], [3, 2, 5]),
        (100, [0.7, 0.2, 0.1], [70, 20, 10]),
    ],
)
def test_blob_sizes(points, weights, sizes):
    assert blob_sizes(points, 3, weights).tolist() == sizes


def test_an_empty_blob_is_an_error():
    with pytest.raises(ValueError, match="blob empty"):
        blob_sizes(5, 3, [1000, 1, 1])
    with pytest.raises(ValueError, match="blob empty"):
        draw(clusters=10, points=9)


def test_an_unknown_covariance_is_an_error():
    with pytest.raises(ValueError, match="round"):
        draw(covariance="round")


OPTIONS = {name: value for name, value in CHOICES.items() if name != "seed"}


def test_the_kind_draws_it_from_its_options():
    assert mixture.SEEDED
    assert mixture.size(OPTIONS) == Size(points=90, features=6, clusters=4, outputs=None)
    drawn = mixture.draw(OPTIONS, 3)
    for name in ("base", "noise", "labels", "covariances"):
        np.testing.assert_array_equal(getattr(drawn, name), getattr(draw(), name))
    assert (drawn.seed, drawn.clusters, drawn.sizes.tolist()) == (3, 4, [23, 23, 22, 22])


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"weights": [1, 1, 1]}, r"weights is \[1, 1, 1\], but must have 4 numbers, one a cluster"),
        (
            {"weights": [1, 1, 1, 1000]},
            r"weights is .*1000\], but 90 points in 4 blobs leave a blob empty; use more",
        ),
        ({"clusters": 91}, "clusters is 91, but 90 points in 91 blobs leave a blob empty"),
    ],
)
def test_options_are_checked_before_anything_is_drawn(changes, line):
    mixture.check(OPTIONS)
    with pytest.raises(ValueError, match=f"^{line}"):
        mixture.check({**OPTIONS, **changes})


def test_a_dataset_holds_the_whole_mixture():
    drawn = draw(covariance="full")
    again = Points.from_dataset(drawn.to_dataset())
    np.testing.assert_array_equal(again.x(0.7), drawn.x(0.7))
    np.testing.assert_array_equal(again.covariances, drawn.covariances)
    assert again.seed == drawn.seed
