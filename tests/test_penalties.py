"""Each penalty of the table agrees with itself: its gradient with its value, and the norm with the gradient."""

import pytest
import torch

from nrc.networks.mlp import Architecture
from nrc.objectives.penalties import PENALTIES
from support.problems import normal


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_of_a_penalty_is_the_slope_of_its_value(name):
    architecture, weight_decay = Architecture((4, 5, 3), "linear"), torch.tensor([0.1, 3.0]).double()
    theta, direction = (normal(2, architecture.parameters, seed=seed) for seed in (0, 1))
    _, gradient = PENALTIES[name].gradient(architecture, weight_decay, theta)
    above, below = (
        PENALTIES[name].gradient(architecture, weight_decay, theta + step * direction)[0]
        for step in (1e-5, -1e-5)
    )
    torch.testing.assert_close((above - below) / 2e-5, (gradient * direction).sum(1), rtol=1e-6, atol=1e-6)
    norm = PENALTIES[name].gradient_norm(architecture, weight_decay, theta)
    torch.testing.assert_close(norm, gradient.norm(dim=1), rtol=1e-12, atol=0)
