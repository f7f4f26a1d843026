import numpy as np
import pytest
import scipy.stats

from nrc.student_interval import student_interval


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_are_those_of_scipy(level):
    values = np.random.default_rng(0).normal(3, 2, 7)
    low, high = scipy.stats.t.interval(level, 6, values.mean(), scipy.stats.sem(values))
    np.testing.assert_allclose(student_interval([*values, np.nan], level), [values.mean(), low, high])


@pytest.mark.parametrize(("values", "mean"), [([], np.nan), ([np.nan], np.nan), ([2.0, np.nan], 2.0)])
def test_one_observation_has_no_interval(values, mean):
    np.testing.assert_equal(student_interval(values), (mean, np.nan, np.nan))
