"""Points of every kind are base + sigma * noise, and samples of the networks of a stack."""

from dataclasses import fields

import numpy as np
import pytest
from scipy import stats

from nrc import netcdf
from nrc.batching import load_points, sample, training_sample
from nrc.batching import test_sample as sample_to_test_on
from nrc.data.points import Points
from nrc.grid import Stack
from support.problems import mixture

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], [5, 3, 4])
BASE, Y, TEST = (RNG.standard_normal(shape) for shape in ((12, 4), (12, 2), (7, 4)))
TEST_LABELS = np.array([2, 2, 0, 1, 1, 0, 2])


def plain(seed=3, **changes) -> Points:
    """Points without given noise, like images and arrays."""
    return Points(seed, BASE, LABELS, **changes)


KINDS = {
    "without noise": plain,
    "a mixture": lambda seed=3: mixture(clusters=3, points=12, dimension=4, seed=seed),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_point_is_base_plus_sigma_noise(kind):
    points = KINDS[kind]()
    np.testing.assert_array_equal(points.x(0), points.base)
    noise = points.x(1.0) - points.base
    for sigma in (1e-3, 0.5, 3.0):
        np.testing.assert_allclose(points.x(sigma), points.base + sigma * noise, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(points.x(0.5), KINDS[kind]().x(0.5))
    assert not np.allclose(points.x(0.5) - points.base, KINDS[kind](4).x(0.5) - KINDS[kind](4).base)


def test_the_noise_is_standard_normal():
    zeros = np.zeros((400, 50))
    points = Points(1, zeros, np.zeros(400, dtype=int), test_base=zeros)
    for noise in (points.x(1.0), points.test_x(1.0)):
        assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
        # features are uncorrelated, with equal variances
        error = 5 / np.sqrt(400)
        np.testing.assert_allclose(np.cov(noise.T), np.eye(50), atol=1.5 * error)
        np.testing.assert_allclose(noise.mean(0), 0, atol=error)
    assert abs(np.corrcoef(points.x(1.0).ravel(), points.test_x(1.0).ravel())[0, 1]) < 5 / np.sqrt(zeros.size)


def test_targets_of_each_task():
    points = plain(y=Y)
    x = points.x(0.5)
    assert points.targets("autoencode", x) is x
    classes = points.targets("classify", x)
    assert classes.tolist() == [[float(label == k) for k in range(3)] for label in LABELS]
    np.testing.assert_array_equal(points.targets("regress", x), Y)
    with pytest.raises(
        ValueError, match=r"^task is 'clasify', but must be one of autoencode, classify, regress$"
    ):
        Points(0, np.eye(3), np.array([0, 0, 1])).targets("clasify", np.eye(3))
    with pytest.raises(ValueError, match="task is 'regress', but the data have no y to regress on"):
        plain().targets("regress", x)
    with pytest.raises(ValueError, match="task is 'classify', but all points have the same class"):
        Points(0, np.eye(3), np.zeros(3, int)).targets("classify", np.eye(3))


@pytest.mark.parametrize(
    "points",
    [plain(), plain(y=Y), plain(test_base=TEST, test_labels=TEST_LABELS), KINDS["a mixture"]()],
    ids=["plain", "with y", "with points to test on", "mixture"],
)
def test_a_file_has_all_arrays(tmp_path, points):
    netcdf.save(points.to_dataset(), tmp_path / "a.nc")
    again = Points.from_dataset(netcdf.load(tmp_path / "a.nc"))
    for field in fields(Points):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(points, field.name))
    assert again.base.dtype == np.float64
    np.testing.assert_array_equal(again.x(0.3), points.x(0.3))


def test_one_file_serves_all_seeds_with_different_noise(tmp_path):
    netcdf.save(plain(seed=0).to_dataset(), tmp_path / "points.nc")
    stack = Stack({"weight_decay": 0.1, "sigma": 0.5, "width": 2, "depth": 2, "seed": [4, 3]})
    points = load_points(stack, [str(tmp_path / "points.nc")])
    assert list(points) == [4, 3]
    for seed in (3, 4):
        np.testing.assert_array_equal(points[seed].x(0.5), plain(seed=seed).x(0.5))


def test_a_file_for_each_seed(tmp_path):
    files = []
    for seed in (4, 3):
        files.append(str(tmp_path / f"{seed}.nc"))
        netcdf.save(mixture(seed=seed).to_dataset(), files[-1])
    stack = Stack({"weight_decay": 0.1, "sigma": 0.5, "width": 2, "depth": 2, "seed": [4, 3]})
    for seed, points in load_points(stack, files).items():
        np.testing.assert_array_equal(points.x(0.5), mixture(seed=seed).x(0.5))


# ---- samples of the networks of a stack

ALL = Stack({"weight_decay": [0.1, 0.2], "sigma": [0.3, 1.0], "width": 4, "depth": 2, "seed": [3, 7]})
POINTS = {seed: plain(seed, y=Y, test_base=TEST, test_labels=TEST_LABELS) for seed in (3, 7)}
TARGETS = {"autoencode": lambda x: x, "classify": lambda x: np.eye(3)[LABELS], "regress": lambda x: Y}


def moved(points):
    """Every point at the mean of its cluster."""
    return np.stack([points[label == LABELS].mean(0) for label in LABELS])


@pytest.mark.parametrize(
    ("task", "centroids"), [("autoencode", True), ("classify", False), ("regress", True)]
)
def test_each_network_has_the_points_of_its_seed_at_its_noise(task, centroids):
    found = sample(ALL, POINTS, task, centroids=centroids)
    assert (found.y is found.x) == (task == "autoencode")
    assert found.shares is None
    assert len(found.x) == len(found.y) == len(found.labels) == 8
    for number, cell in enumerate(ALL.cells()):
        x = plain(cell["seed"]).x(cell["sigma"])
        y = TARGETS[task](x)
        expected = (moved(x), moved(y)) if centroids else (x, y)
        np.testing.assert_allclose(found.x[number], expected[0], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found.y[number], expected[1], rtol=1e-12, atol=1e-15)
        assert found.labels[number].tolist() == LABELS.tolist()


@pytest.mark.parametrize("task", TARGETS)
def test_on_centroids_a_network_trains_on_one_weighted_point_per_cluster(task):
    found = training_sample(ALL, POINTS, task, centroids=True, linear=False)
    assert found.labels.tolist() == [[0, 1, 2]] * 8
    for number, cell in enumerate(ALL.cells()):
        x = plain(cell["seed"]).x(cell["sigma"])
        y = TARGETS[task](x)
        for k in range(3):
            np.testing.assert_allclose(found.x[number, k], x[k == LABELS].mean(0), rtol=1e-12)
            np.testing.assert_allclose(found.y[number, k], y[k == LABELS].mean(0), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found.shares[number], [5 / 12, 3 / 12, 4 / 12], rtol=1e-15)


def test_a_common_sample_is_stored_once():
    stack = Stack({**ALL.axes, "sigma": 0.3, "seed": 3})
    found = sample(stack, POINTS, "classify")
    assert found.x.shape == (1, 12, 4)
    of_two = found.of_cells(2)
    assert of_two.x.shape == (2, 12, 4)
    np.testing.assert_array_equal(of_two.y[1], found.y[0])
    autoencoders = sample(stack, POINTS, "autoencode").of_cells(2)
    assert autoencoders.y is autoencoders.x


def test_a_classifier_is_tested_on_points_of_its_seed_at_its_noise():
    found = sample_to_test_on(ALL, POINTS)
    for number, cell in enumerate(ALL.cells()):
        expected = plain(cell["seed"], test_base=TEST).test_x(cell["sigma"])
        np.testing.assert_array_equal(found.x[number], expected)
        np.testing.assert_array_equal(found.y[number], np.eye(3)[TEST_LABELS])
    assert found.labels.tolist() == [TEST_LABELS.tolist()] * 8
    assert sample_to_test_on(ALL, {3: plain(3), 7: plain(7)}) is None
