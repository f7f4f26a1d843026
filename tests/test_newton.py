"""Newton's method by conjugate gradients, compared with autograd and dense solves."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from nrc.networks.arrays import tensor
from nrc.networks.workspace import Workspace
from nrc.objectives.hessian import Hessian
from nrc.objectives.mixed_precision import Single
from nrc.optimize import build
from nrc.optimize.kfac import KFAC
from nrc.optimize.minimise import minimise
from nrc.optimize.newton import NewtonCG, conjugate_gradients
from nrc.optimize.protocols import Phase, RunInfo, tree_map
from nrc.status import TerminationReason
from support.problems import autoencoders, classifiers, let_torch_compute, normal, plain_hessians

OPTIONS = {"history": 10, "switch": 1e-5}
SHARES = torch.softmax(normal(2, 50), 1)


def run(loss, start, tolerance=1e-8, **options):
    phases = build("newton", {**OPTIONS, **options}, RunInfo(20_000, [0] * len(start), tolerance))
    return minimise(loss, start, phases, tolerance=tolerance, epochs=20_000)


# ---- products with the Hessian --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "activation", "shares", "bias"),
    [
        ("cross_entropy", "tanh", None, True),
        ("squared_error", "tanh", SHARES, False),
        ("cross_entropy", "linear", SHARES, False),
        ("squared_error", "gelu", None, True),
        ("cross_entropy", "silu", SHARES, True),
    ],
)
def test_a_product_with_the_hessian_agrees_with_autograd(loss, activation, shares, bias):
    objective, theta, _ = classifiers(loss=loss, activation=activation, bias=bias)
    objective, v = replace(objective, shares=shares), normal(*theta.shape)
    expected = (plain_hessians(objective, theta) @ v[:, :, None])[:, :, 0]
    torch.testing.assert_close(Hessian(objective, theta)(v), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_torch_computes_what_numpy_does(monkeypatch, bias):
    """On a GPU torch computes."""
    objective, theta, _ = classifiers(bias=bias)
    v = normal(*theta.shape)
    layers = KFAC.at(objective, theta)
    product, solution = Hessian(objective, theta)(v), KFAC.times(objective, tree_map(tensor, layers), v)
    by_arrays = KFAC.times(objective, tree_map(lambda leaf: leaf.numpy(), layers), v.numpy())
    let_torch_compute(monkeypatch)
    objective = replace(objective, workspace=Workspace())
    torch.testing.assert_close(Hessian(objective, theta)(v), product, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(tensor(by_arrays), solution, rtol=1e-12, atol=1e-14)
    end = run(objective, theta)
    assert (end.termination_reason == TerminationReason.TOLERANCE).all()


def test_a_product_can_be_taken_again_and_again():
    objective, theta, _ = classifiers()
    hessian, v = Hessian(objective, theta), normal(*theta.shape)
    first = hessian(v)
    objective.at(theta + 1)
    hessian(v + 1)
    assert torch.equal(hessian(v), first)


@pytest.mark.parametrize(
    "problem",
    [{"activation": "relu"}, {"activation": "linear", "penalty": "product"}],
    ids=["relu", "product"],
)
def test_a_loss_without_hessian_is_refused_by_name(problem):
    objective, theta = autoencoders(**problem)
    with pytest.raises(ValueError, match=r"activation \w+, penalty on the \w+: products with the"):
        Hessian(objective, theta)


# ---- conjugate gradients --------------------------------------------------------------------------


def test_conjugate_gradients_agree_with_a_dense_solve():
    """Near a minimum, where the Hessian is positive definite, in float64."""
    objective, theta, _ = classifiers(weight_decay=(0.02, 0.1))
    theta = run(objective, theta).point.theta
    hessians, b = plain_hessians(objective, theta), normal(*theta.shape)
    accuracy = torch.tensor([1e-9, 1e-3], dtype=torch.float64)
    inverse = partial(KFAC.times, objective, KFAC.at(objective, theta))
    x, products = conjugate_gradients(Hessian(objective, theta), inverse, b, accuracy)
    exact = torch.linalg.solve(hessians, b)
    torch.testing.assert_close(x[0], exact[0], rtol=1e-6, atol=1e-6)
    rest = (hessians @ x[:, :, None])[:, :, 0] - b
    assert (rest.norm(dim=1) <= accuracy * b.norm(dim=1) * 1.01).all()
    assert products[1] < products[0] < 250


def test_conjugate_gradients_stop_at_negative_curvature():
    """diag(1, 2, -1): what lies in the first two directions is solved, and a direction of descent left."""
    eigenvalues = torch.tensor([[1.0, 2.0, -1.0], [-1.0, -1.0, -1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 1.0, 1e-9], [1.0, 2.0, 3.0]], dtype=torch.float64)
    x, products = conjugate_gradients(
        lambda v: eigenvalues * v, lambda v: v, b, torch.zeros(2, dtype=torch.float64)
    )
    torch.testing.assert_close(x[0, :2], b[0, :2] / eigenvalues[0, :2], rtol=1e-6, atol=0)
    assert x[0, 2].abs() < 1e-6
    assert products[0] == 3
    # negative from the start: the preconditioned residual
    assert torch.equal(x[1], b[1])
    assert products[1] == 1


# ---- both phases ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "activation", "bias"), [("squared_error", "tanh", False), ("cross_entropy", "tanh", True)]
)
def test_classifiers_become_stationary(loss, activation, bias):
    objective, start, _ = classifiers(weight_decay=(1e-2, 3e-2), loss=loss, activation=activation, bias=bias)
    end = run(objective, start)
    assert (end.termination_reason == TerminationReason.TOLERANCE).all()
    point = objective.at(end.point.theta)
    assert (objective.relative_residual(point.theta, point.gradient) <= 1e-8).all()
    torch.testing.assert_close(end.point.gradient, point.gradient, rtol=0, atol=0)
    # strict minima, not saddles
    for hessian in plain_hessians(objective, end.point.theta):
        assert torch.linalg.eigvalsh(hessian)[0] > -1e-8


def test_newtons_steps_converge_superlinearly():
    objective, start, _ = classifiers(weight_decay=(3e-2,))
    near = run(objective, start, tolerance=1e-5)
    residuals = []
    minimise(
        objective,
        near.point.theta,
        [Phase(NewtonCG(1e-10))],
        tolerance=1e-10,
        epochs=20_000,
        report=lambda minimisation: residuals.append(minimisation.progress.worst_residual),
    )
    assert len(residuals) - 1 <= 4


def test_a_cell_alone_has_the_bits_of_the_cell_in_its_stack():
    objective, start, _ = classifiers(weight_decay=(1e-2, 3e-2, 0.1), seeds=(5, 6))
    together = run(objective, start)
    for c in range(len(start)):
        cell = torch.tensor([c])
        alone = run(objective.select(cell), start[cell])
        assert torch.equal(alone.point.theta[0], together.point.theta[c])
        assert alone.evaluations[0] == together.evaluations[c]


def test_a_run_continues_from_any_state_in_the_same_bits():
    objective, start, _ = classifiers(weight_decay=(1e-2, 0.1))
    states = []

    def go(state=None, report=None):
        phases = build("newton", OPTIONS, RunInfo(20_000, [0, 0], 1e-8))
        return minimise(objective, start, phases, tolerance=1e-8, epochs=20_000, state=state, report=report)

    def keep(minimisation):
        states.append(tree_map(lambda a: a.clone() if isinstance(a, Tensor) else a, minimisation.state))

    whole = go(report=keep)
    for state in states[3 :: len(states) // 5]:
        assert torch.equal(go(state).point.theta, whole.point.theta)


def test_single_products_give_the_loss_to_float32():
    objective, theta, _ = classifiers()
    exact, rounded = objective.at(theta), Single(objective).at(theta)
    assert rounded.value.dtype == rounded.gradient.dtype == torch.float64
    torch.testing.assert_close(rounded.value, exact.value, rtol=1e-6, atol=0)
    torch.testing.assert_close(rounded.gradient, exact.gradient, rtol=1e-4, atol=1e-6)
    assert not torch.equal(rounded.gradient, exact.gradient)
    assert torch.equal(rounded.theta, theta)
