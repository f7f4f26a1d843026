"""The map of the potential, against plain differences and its own table."""

import numpy as np
import pytest

from tools.potential_map import DECAYS, layer, moves_table, on_map, points, saturation_table, trained


@pytest.fixture(scope="module")
def shown():
    networks = trained(4, [0])
    network = networks.sel(weight_decay=DECAYS[-1], seed=0)
    return network, layer(network)


def plain_potential(network, w):
    """||F||^2 / (2 lambda^2) - ||w||^2 / 2 at points (n, 2)."""
    data, decay = points(), float(network["weight_decay"])
    w1, w2 = network["W1"].values, network["W2"].values
    delta = (np.tanh(data.base @ w1.T) @ w2.T - data.y) / len(data.base)
    force = -np.tanh(w @ data.base.T) @ delta
    return (force**2).sum(1) / (2 * decay**2) - (w**2).sum(1) / 2


def test_maxima_are_local_maxima_and_neurons_are_critical_points(shown):
    network, one = shown
    numbers = on_map(one)
    for places, values in (("neurons", "potential at neurons"), ("maxima", "potential at maxima")):
        np.testing.assert_allclose(
            numbers[values], plain_potential(network, np.array(numbers[places])), rtol=1e-9
        )
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = 1e-3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for w in one.maxima:
        assert (plain_potential(network, w + ring) < plain_potential(network, w[None])).all()
    for w in one.w:
        around = plain_potential(network, w + ring)
        assert np.abs(around - around[[6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]]).max() < 1e-6


def test_an_occupied_maximum_has_a_neuron(shown):
    _, one = shown
    distances = np.linalg.norm(np.concatenate([one.w, -one.w])[:, None] - one.maxima, axis=2).min(0)
    np.testing.assert_array_equal(distances < 1e-4, one.occupied)


def test_the_tables_have_ranges_over_seeds_and_count_changes():
    numbers = [{"width": 4, "weight_decay": 0.01, "distinct": [4, 5], "maxima": [6, 6], "occupied": [3, 4]}]
    assert saturation_table(numbers).splitlines()[-1] == "| 4 | 4 to 5; 6; 3 to 4 |"
    numbers = [{"target": "a maximum", "weight_decay": 0.01, "changes": [-0.5, 0.0, 0.25, 1e-7]}]
    assert moves_table(numbers).splitlines()[-1] == "| a maximum | 0.01 | 4 | 1 | 2 | 1 | -5.0e-01 |"
