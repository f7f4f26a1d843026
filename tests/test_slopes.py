import numpy as np
import pytest

from nrc.grid import AXES
from nrc.slopes import quadratic, quadratic_slopes
from support.known_cubes import cube, powers_of_sigma


def test_the_regime_is_where_the_noise_is_small_beside_weight_decay():
    """A direction's shift c / (c + lambda) with c = sigma^2 loses at most its saturation of slope 2."""
    sigma, lam, saturation = np.geomspace(0.01, 1, 101), 0.1, 0.05
    shift = cube({"noise_moment": ("sigma", sigma**2)}, sigma=sigma, weight_decay=[lam])
    mask = quadratic(shift, saturation)
    assert mask.dims == tuple(AXES)
    slope = 2 * lam / (sigma**2 + lam)
    np.testing.assert_array_equal(mask.squeeze(), slope >= 2 * (1 - saturation))


def test_cells_elsewhere_beyond_or_without_noise_are_left_out():
    sigma = np.array([0, 0.01, 0.02, 0.04, 0.08, 1])
    shift = cube(
        {
            "shift": ("sigma", [0, 1, 4, 99, 64, 99]),
            "shift_forecast": ("sigma", [0, 1, 8, 99, 512, 99]),
            "noise_moment": ("sigma", [0, 1e-6, 1e-6, 1e-6, 1e-6, 1]),
            "at_minimum": ("sigma", [1, 1, 1, 0, 1, 1]),
        },
        sigma=sigma,
    )
    (row,) = quadratic_slopes(shift, 0.02).to_dict("records")
    assert row == pytest.approx({"weight_decay": 0.1, "seed": 0, "slope": 2, "forecast": 3, "cells": 3})
    squeezed = shift.squeeze(["width", "depth"])
    assert quadratic_slopes(squeezed, 0.02).to_dict("records") == [row]
    assert quadratic_slopes(shift.isel(sigma=slice(4)), 0.02).empty


@pytest.mark.parametrize("axis", ["width", "depth"])
def test_networks_of_two_shapes_have_no_one_slope(axis):
    with pytest.raises(ValueError, match=f"slopes are fitted for one {axis}, but the cube has 2"):
        quadratic_slopes(powers_of_sigma([2]).isel({axis: [0, 0]}), 0.02)
