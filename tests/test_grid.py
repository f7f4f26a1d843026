import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrc.grid import AXES, Stack, notation, number, spaced

PLANE = Stack({"weight_decay": [0.1, 0.2, 0.3], "sigma": [1.0, 2.0], "width": 4, "depth": 3, "seed": 7})


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_value_survives_its_notation(value):
    assert number("sigma", notation(value)) == value


@pytest.mark.parametrize(
    ("value", "written"), [(1.0, "1"), (0.1, "0.1"), (1e-4, "0.0001"), (1e-5, "1e-05"), (20, "20"), (0, "0")]
)
def test_notation(value, written):
    assert notation(value) == written


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        ("sigma", "1e-3"),
        ("sigma", "1.0"),
        ("sigma", "-1"),
        ("sigma", "nan"),
        ("sigma", ""),
        ("width", "2.5"),
        ("width", "0"),
        ("seed", "-1"),
    ],
)
def test_other_notations_are_refused(axis, text):
    with pytest.raises(ValueError, match=axis):
        number(axis, text)


def test_spacing_is_numpys_and_keeps_its_ends():
    values = spaced(1 / 3, 70.0, 9, "log")
    assert (values[0], values[-1]) == (1 / 3, 70.0)
    np.testing.assert_allclose(values, np.geomspace(1 / 3, 70, 9), rtol=1e-5)
    np.testing.assert_allclose(spaced(0, 1, 5, "linear"), [0, 0.25, 0.5, 0.75, 1])


def test_inner_values_are_short():
    assert all(len(notation(value)) <= 12 for value in spaced(1e-3, 1, 7, "log"))


def test_cells_run_along_the_last_axis_first():
    assert PLANE.dims == ("weight_decay", "sigma")
    assert PLANE.shape == (3, 2)
    assert len(PLANE) == 6
    cells = [(cell["weight_decay"], cell["sigma"]) for cell in PLANE.cells()]
    assert cells == [(0.1, 1.0), (0.1, 2.0), (0.2, 1.0), (0.2, 2.0), (0.3, 1.0), (0.3, 2.0)]
    assert all(set(cell) == set(AXES) and cell["seed"] == 7 for cell in PLANE.cells())


def test_a_single_cell_is_a_stack_without_dimensions():
    cell = Stack({**PLANE.axes, "weight_decay": 0.1, "sigma": 1.0})
    assert (cell.dims, cell.shape, len(cell)) == ((), (), 1)


@pytest.mark.parametrize("axes", [{"weight_decay": 0.1}, {**dict.fromkeys(AXES, 1), "sigm": 0.1}])
def test_a_stack_has_a_value_for_each_axis(axes):
    with pytest.raises(
        ValueError, match=r"^stack has the axes .*, but must have a value for each of weight_decay"
    ):
        Stack(axes)
