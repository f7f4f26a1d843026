import numpy as np
import pytest
from scipy.spatial.distance import pdist

from nrc.data.mixture import Mixture, blob_sizes, draw_mixture

CHOICES = {
    "clusters": 4,
    "points": 90,
    "dimension": 6,
    "separation": 2.5,
    "covariance": "isotropic",
    "weights": None,
    "seed": 3,
}


def draw(**changes) -> Mixture:
    return draw_mixture(**{**CHOICES, **changes})


def test_the_seed_alone_decides():
    one, same, other = draw(), draw(), draw(seed=4)
    for name in ("means", "covariances", "noise", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.allclose(one.noise, other.noise)
    assert not np.allclose(one.means, other.means)


def test_a_point_is_mean_plus_sigma_noise():
    mixture = draw()
    for i, point in enumerate(mixture.points(0.3)):
        np.testing.assert_array_equal(point, mixture.means[mixture.labels[i]] + 0.3 * mixture.noise[i])


def test_separation_is_the_smallest_distance_between_means():
    assert pdist(draw().means).min() == pytest.approx(2.5)
    assert np.linalg.norm(draw(clusters=1).means) == pytest.approx(2.5)


@pytest.mark.parametrize("covariance", ["isotropic", "diagonal", "full"])
def test_noise_has_the_stated_covariance(covariance):
    mixture = draw(covariance=covariance, points=200_000, dimension=3, clusters=2)
    for blob, stated in enumerate(mixture.covariances):
        assert np.trace(stated) == pytest.approx(3)
        # entries of a sample covariance of n points have standard error of at most 3 sqrt(2 / n)
        error = 5 * np.linalg.norm(stated, 2) * np.sqrt(2 / 100_000)
        np.testing.assert_allclose(np.cov(mixture.noise[mixture.labels == blob].T), stated, atol=error)
    diagonal = [np.allclose(stated, np.diag(np.diag(stated))) for stated in mixture.covariances]
    assert all(diagonal) == (covariance != "full")
    assert (np.allclose(mixture.covariances, np.eye(3))) == (covariance == "isotropic")


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


def test_a_dataset_holds_the_whole_mixture():
    mixture = draw(covariance="full")
    again = Mixture.from_dataset(mixture.to_dataset())
    np.testing.assert_array_equal(again.points(0.7), mixture.points(0.7))
    np.testing.assert_array_equal(again.covariances, mixture.covariances)
