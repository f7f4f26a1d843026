"""The relative residual in training; tests/test_own_network.py has the relative residual of a torch module."""

import numpy as np
import pytest
import torch

from nrc.networks.mlp import Architecture
from nrc.objectives.regularised_loss import RegularisedLoss
from support.problems import normal


@pytest.mark.parametrize("bias", [False, True])
def test_the_relative_residual_is_the_gradient_over_the_penaltys(bias):
    architecture = Architecture((4, 6, 5, 3), "tanh", bias)
    weight_decay = torch.tensor([0.0, 0.1, 3.0], dtype=torch.float64)
    objective = RegularisedLoss(architecture, normal(3, 11, 4), normal(3, 11, 3), weight_decay)
    theta = normal(3, architecture.parameters)
    gradient = objective.at(theta).gradient
    residual = objective.relative_residual(theta, gradient)
    assert residual[0].isnan(), "without weight decay there is no such number"
    for c in (1, 2):
        expected = np.linalg.norm(gradient[c]) / np.linalg.norm(weight_decay[c] * theta[c])
        assert float(residual[c]) == pytest.approx(expected, rel=1e-12)
