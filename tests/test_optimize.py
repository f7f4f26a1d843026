"""The driver with every method, and the methods, compared with scipy and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from nrc import kinds
from nrc.networks.workspace import Workspace
from nrc.objectives.protocols import Point
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize import build
from nrc.optimize.line_search import LineSearch
from nrc.optimize.minimise import minimise
from nrc.optimize.protocols import RunInfo
from nrc.status import Status, TerminationReason
from support.problems import METHODS, MethodCase, autoencoders, let_torch_compute, value_and_gradient

BUDGET = {"tolerance": 1e-8, "epochs": 20_000}
# a loose tolerance where steps do not shorten by themselves
LOOSE = {"adam": 1e-4}
WHOLE = [name for name in METHODS if "batches" not in name]
# one for each way to make a step
WAYS = ["lbfgs", "varpro", "levenberg_marquardt", "sgd in batches"]
IN_BATCHES = [name for name in METHODS if "batches" in name]


def run(name, loss, start, **budget):
    budget = {**BUDGET, **budget}
    method = METHODS[name].method(budget["epochs"], [0] * len(start))
    return minimise(loss, start, method, **budget)


def spectra(loss, theta):
    return torch.cat([torch.linalg.svdvals(w) for w in loss.architecture.network(theta).weights], dim=1)


def assert_fresh(loss, end, cells=slice(None)):
    """The numbers of an end point agree with the loss on all points."""
    value, gradient = value_and_gradient(loss, end.point.theta)
    torch.testing.assert_close(end.point.value[cells], value[cells], rtol=1e-12, atol=0)
    torch.testing.assert_close(end.point.gradient[cells], gradient[cells], rtol=1e-9, atol=1e-15)
    residual = gradient.norm(dim=1) / loss.penalty_gradient(end.point.theta)[1].norm(dim=1)
    torch.testing.assert_close(end.residual[cells], residual[cells], rtol=1e-8, atol=0)


def test_every_method_is_tested():
    tested = {case.name for case in METHODS.values()} | {"newton"}  # in tests/test_newton.py
    assert set(kinds.names("optimize")) == tested, "add it to METHODS in tests/support/problems.py"


# ---- the driver, by every method -------------------------------------------------------------------


@pytest.mark.parametrize("name", WHOLE)
def test_every_cell_ends_stationary(name):
    loss, start = METHODS[name].autoencoders(weight_decay=(0.1, 0.2))
    tolerance = LOOSE.get(name, 1e-8)
    end = run(name, loss, start, tolerance=tolerance)
    assert (end.termination_reason == TerminationReason.TOLERANCE).all()
    assert all(TerminationReason(code).status is Status.CONVERGED for code in end.termination_reason.tolist())
    assert (end.residual <= tolerance).all()
    assert (end.evaluations < 20_000).all()
    assert_fresh(loss, end)


@pytest.mark.parametrize("name", METHODS)
def test_a_budget_of_epochs_is_spent_to_the_last(name):
    loss, start = METHODS[name].autoencoders()
    end = run(name, loss, start, tolerance=1e-14, epochs=7)
    assert (end.termination_reason == TerminationReason.EPOCHS).all()
    assert all(TerminationReason(code).status is Status.STOPPED for code in end.termination_reason.tolist())
    assert_fresh(loss, end)
    if METHODS[name].exact:
        assert (end.evaluations == 7).all()
        # methods on all points evaluate the initial point
        assert (end.iterations == 7 - (name in WHOLE)).all()
    else:  # an iteration that has begun is finished
        assert (end.evaluations >= 7).all()
        assert (end.evaluations <= 7 + 40).all()


@pytest.mark.parametrize("name", WAYS)
def test_a_diverging_cell_keeps_its_last_finite_point_and_spoils_no_other(name):
    """By targets that overflow the loss, but not the parameters."""
    loss, start = METHODS[name].autoencoders(weight_decay=[0.05])
    huge = torch.tensor([[[1.0]], [[1e170]]], dtype=torch.float64)
    broken = replace(loss, x=loss.x * huge, y=loss.y * huge)
    end = run(name, broken, start, tolerance=1e-9, epochs=40)
    alone = run(name, loss.select(torch.tensor([0])), start[:1], tolerance=1e-9, epochs=40)
    assert end.termination_reason.tolist() == [alone.termination_reason[0], TerminationReason.DIVERGED]
    assert TerminationReason(int(end.termination_reason[1])).status is Status.STOPPED
    assert end.point.theta.isfinite().all()
    assert torch.equal(end.point.theta[1], start[1])
    assert torch.equal(end.point.theta[0], alone.point.theta[0])
    assert end.evaluations[0] == alone.evaluations[0]


@pytest.mark.parametrize("name", ["gd", "sgd in batches"])
def test_a_cell_that_diverges_on_its_way_keeps_the_last_finite_point(name):
    """Weight decay 90 multiplies the weights by less than -1 a step: they grow until they overflow."""
    loss, start = METHODS[name].autoencoders(weight_decay=(0.1, 90.0), sigma=[0.1])
    points = {}

    def observer(cells, epochs, theta, diverged):
        points.update(zip(cells[~diverged].tolist(), theta[~diverged], strict=True))

    observer.state = {}
    end = minimise(
        loss, start, METHODS[name].method(300, [0, 0]), observer=observer, tolerance=1e-14, epochs=300
    )
    alone = run(name, loss.select(torch.tensor([0])), start[:1], tolerance=1e-14, epochs=300)
    assert end.termination_reason.tolist() == [alone.termination_reason[0], TerminationReason.DIVERGED]
    assert 20 < int(end.iterations[1]) < 300
    assert end.point.theta[1].isfinite().all()
    assert end.point.theta[1].norm() > 1e100
    assert torch.equal(end.point.theta[1], points[1])
    assert end.point.value.isfinite().all()
    assert torch.equal(end.point.theta[0], alone.point.theta[0])


@pytest.mark.parametrize("name", ["lbfgs", "sgd in batches"])
def test_too_much_weight_decay_collapses_a_cell_to_zero(name):
    loss, start = METHODS[name].autoencoders(weight_decay=(0.1, 5.0), sigma=[0.1])
    end = run(name, loss, start, epochs=400)
    assert TerminationReason(int(end.termination_reason[1])).status is Status.COLLAPSED_TO_ZERO
    assert end.termination_reason[0] == (
        TerminationReason.EPOCHS if name in IN_BATCHES else TerminationReason.TOLERANCE
    )
    assert end.point.theta[1].norm() <= 1e-6 * start[1].norm()
    assert_fresh(loss, end, cells=[0])


@pytest.mark.parametrize("name", METHODS)
def test_a_cell_alone_has_the_bits_of_the_cell_in_its_stack(name):
    loss, start = METHODS[name].autoencoders(weight_decay=(0.02, 0.1), sigma=(0.05, 0.5))
    budget = {"tolerance": 1e-7, "epochs": 60}
    together = run(name, loss, start, **budget)
    for c in (1, 2):
        cell = torch.tensor([c])
        alone = run(name, loss.select(cell), start[cell], **budget)
        for what in ("theta", "value", "gradient"):
            assert torch.equal(getattr(alone.point, what)[0], getattr(together.point, what)[c])
        for what in ("residual", "termination_reason", "evaluations", "iterations"):
            assert torch.equal(getattr(alone, what)[0], getattr(together, what)[c])


@pytest.mark.parametrize("name", WAYS)
def test_cells_that_wait_for_a_place_end_in_the_same_bits(name):
    """Weight decays far apart, so that places become free at different times."""
    loss, start = METHODS[name].autoencoders(weight_decay=(0.003, 0.3, 0.03, 0.1), sigma=(0.1, 0.4))
    running = []
    # on mini-batches a budget is spent to the last pass, one batch after the other
    budget = {"tolerance": LOOSE.get(name, 1e-7), "epochs": 20 if name in IN_BATCHES else 900}
    together = run(name, loss, start, **budget)
    report = lambda minimisation: running.append(len(minimisation.running))  # noqa: E731
    waited = run(name, loss, start, window=5, report=report, **budget)
    assert len(set(together.evaluations.tolist())) > 1 or name in IN_BATCHES
    assert max(running) == 5
    for what in ("theta", "value", "gradient"):
        assert torch.equal(getattr(waited.point, what), getattr(together.point, what))
    for what in ("residual", "iterations", "evaluations", "termination_reason"):
        assert torch.equal(getattr(waited, what), getattr(together, what)), what


def test_a_free_place_is_taken_before_all_are_free():
    loss, start = autoencoders(weight_decay=(0.001, 0.3, 0.2, 0.1), sigma=(0.4,))
    running = []
    run(
        "lbfgs",
        loss,
        start,
        tolerance=1e-4,
        window=2,
        report=lambda part: running.append(part.running.tolist()),
    )
    assert [0, 2] in running or [0, 3] in running


def test_on_mini_batches_a_cell_is_judged_at_its_end():
    """Batches of all points: converged long before, it ends with its budget, and has converged."""
    way = MethodCase("sgd", {"learning_rate": 0.2, "momentum": 0.9, "batch": 21, "schedule": "constant"})
    loss, start = autoencoders(weight_decay=[0.1])
    ends = [
        minimise(loss, start, way.method(600, [0, 0]), tolerance=tolerance, epochs=600)
        for tolerance in (1e-9, 1e-30)
    ]
    for end, reason in zip(ends, (TerminationReason.TOLERANCE, TerminationReason.EPOCHS), strict=True):
        assert (end.termination_reason == reason).all()
        assert (end.evaluations == 600).all()
        assert_fresh(loss, end)
    torch.testing.assert_close(ends[0].residual, ends[1].residual, rtol=0, atol=0)


def test_without_weight_decay_the_relative_residual_is_missing():
    loss, start = autoencoders(weight_decay=[0.0], sigma=[0.1])
    for name in ("lbfgs", "adam in batches"):
        end = run(name, loss, start, epochs=50)
        assert end.residual.isnan().all()
        assert TerminationReason(int(end.termination_reason[0])).status is Status.STOPPED


def test_data_that_is_not_finite_ends_only_its_own_cell():
    for name in WAYS:
        loss, start = METHODS[name].autoencoders(weight_decay=[0.1], sigma=(0.1, 0.2))
        x = loss.x.clone()
        x[1, 0, 0] = torch.nan
        end = run(name, replace(loss, x=x), start, tolerance=1e-3, epochs=30)
        assert end.termination_reason[1] == TerminationReason.DIVERGED, name
        assert end.termination_reason[0] in (TerminationReason.TOLERANCE, TerminationReason.EPOCHS), name


def test_progress_is_reported_until_all_cells_have_converged():
    loss, start = autoencoders()
    reported = []
    run("lbfgs", loss, start, report=lambda minimisation: reported.append(minimisation.progress))
    assert [p.converged for p in reported] == sorted(p.converged for p in reported)
    assert reported[0][:4] == (4, 0, 4, 4)
    assert reported[-1][:4] == (4, 4, 0, 0)
    worst = [p.worst_residual for p in reported if p.running]
    assert np.isfinite(worst).all()
    assert worst[-1] < worst[0]


def test_nothing_that_is_given_is_changed():
    for name in WAYS:
        loss, start = METHODS[name].autoencoders()
        before = start.clone()
        end = run(name, loss, start, epochs=10)
        assert torch.equal(start, before)
        assert not torch.equal(end.point.theta, before)


# ---- the methods -----------------------------------------------------------------------------------


def test_methods_and_scipy_find_the_same_minimum():
    """From a start in one valley; from far away they may well end in different ones."""
    loss, start = autoencoders(weight_decay=[0.1], sigma=[0.05])
    shift = 0.02 * torch.cos(torch.arange(start.shape[1]))
    start = run("lbfgs", loss, start).point.theta + shift
    ends = [run(name, loss, start).point for name in ("lbfgs", "gd", "sgd")]

    def flat(theta):
        value, gradient = value_and_gradient(loss, torch.from_numpy(theta)[None])
        return float(value[0]), gradient[0].numpy()

    scipys = minimize(flat, start[0].numpy(), jac=True, method="BFGS", options={"gtol": 1e-9})
    for end in ends:
        assert float(end.value[0]) == pytest.approx(scipys.fun, rel=1e-10)
        reached = torch.from_numpy(scipys.x)[None]
        torch.testing.assert_close(spectra(loss, end.theta), spectra(loss, reached), rtol=0, atol=1e-6)


def test_single_precision_converges_as_far_as_it_can():
    loss, start = autoencoders(weight_decay=[0.1], sigma=(0.05, 0.1))
    single = RegularisedLoss(loss.architecture, loss.x.float(), loss.y.float(), loss.weight_decay.float())
    end = run("lbfgs", single, start.float(), tolerance=1e-4, epochs=2000)
    exact = run("lbfgs", loss, start)
    assert end.point.theta.dtype is torch.float32
    assert (end.termination_reason == TerminationReason.TOLERANCE).all()
    torch.testing.assert_close(
        spectra(loss, end.point.theta.double()), spectra(loss, exact.point.theta), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("name", METHODS)
def test_torch_steps_as_numpy_does(monkeypatch, name):
    """On a GPU torch computes."""
    loss, start = METHODS[name].autoencoders()
    expected = run(name, loss, start, tolerance=1e-12, epochs=30).point
    let_torch_compute(monkeypatch)
    found = run(name, replace(loss, workspace=Workspace()), start, tolerance=1e-12, epochs=30).point
    close = 1e-2 if "float32" in name else 1e-4
    torch.testing.assert_close(found.value, expected.value, rtol=close, atol=0)


@pytest.mark.parametrize("name", ["lbfgs", "gd"])
def test_a_run_begins_in_float32_if_asked(name):
    loss, start = autoencoders(weight_decay=[0.1], sigma=[0.05])
    coarse = run(name, loss, start, tolerance=0.1).point.theta
    in_single = run(f"{name} from float32", loss, start, tolerance=0.1).point.theta
    assert in_single.dtype == coarse.dtype == torch.float64
    assert torch.equal(in_single, in_single.float().double())
    assert not torch.equal(coarse, coarse.float().double())
    torch.testing.assert_close(in_single, coarse, rtol=1e-3, atol=1e-4)


def test_a_cell_without_any_descent_stops():
    """A linear network that is the identity has gradient 0 exactly, and no residual to converge by."""
    loss, _ = autoencoders(weight_decay=[0.0], sigma=[0.1])
    loss = replace(loss, architecture=replace(loss.architecture, activation="linear"))
    identity = loss.architecture.join([torch.eye(3, dtype=torch.float64)[None]] * 3)
    end = run("lbfgs", loss, identity)
    assert end.termination_reason.tolist() == [TerminationReason.NO_DESCENT]
    assert torch.equal(end.point.theta, identity)


class Along(LineSearch):
    """Steps along a multiple of the gradient."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def directions(self, objective, point, cells):
        return self.factor * point.gradient[cells], 0


def searched(factor):
    """Loss, initial point, and the point of each cell when its first search has ended, with its status."""
    loss, start = autoencoders()
    method, point = Along(factor), loss.at(start)
    method.join(torch.arange(len(start)), point, loss)
    found, moved, stuck = point.clone(), torch.zeros(len(start), dtype=torch.bool), None
    while not moved.all():
        step = method.step(loss, point)
        new = step.moved & ~moved
        found.put(new, step.point[new])
        moved, stuck = moved | new, step.stuck if stuck is None else torch.where(new, step.stuck, stuck)
        point = step.point
    return loss.at(start), found, stuck


@pytest.mark.parametrize("factor", [-1e-4, -1.0, -1e3])
def test_a_line_search_ends_at_weak_wolfe_points(factor):
    point, found, stuck = searched(factor)
    assert not stuck.any()
    direction = factor * point.gradient
    slope = (point.gradient * direction).sum(1)
    step = ((found.theta - point.theta) * direction).sum(1) / (direction**2).sum(1)
    assert (found.value <= point.value + 1e-4 * step * slope + 1e-12).all()
    assert ((found.gradient * direction).sum(1) >= 0.9 * slope).all()


def test_an_ascent_direction_is_not_followed():
    point, found, stuck = searched(1.0)
    assert stuck.all()
    assert torch.equal(found.theta, point.theta)


def test_a_quadratic_of_many_scales():
    """lbfgs against the closed form, with condition numbers from 1 to 10^6 in one stack."""

    class Quadratic:
        rounding = np.finfo(np.float64).eps

        def __init__(self, scales, target):
            self.scales, self.target, self.variables = scales, target, target.shape[1]

        def at(self, theta):
            gradient = self.scales * (theta - self.target)
            return Point(theta, (gradient * (theta - self.target)).sum(1) / 2, gradient)

        def relative_residual(self, theta, gradient):
            return gradient.norm(dim=1)

        def select(self, cells):
            return Quadratic(self.scales[cells], self.target[cells])

    scales = torch.stack([torch.logspace(0, decades, 12, dtype=torch.float64) for decades in (0, 2, 4, 6)])
    target = torch.arange(48, dtype=torch.float64).reshape(4, 12)
    end = run("lbfgs", Quadratic(scales, target), torch.full_like(target, 30.0), tolerance=1e-9, epochs=5000)
    assert (end.termination_reason == TerminationReason.TOLERANCE).all()
    torch.testing.assert_close(end.point.theta, target, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("method", "message"),
    [("newtn", r"^'newtn' must be one of adam, "), ({"name": "gd", "stp": 1}, r"^there is no option stp$")],
)
def test_a_misspelt_method_or_option_is_told_in_a_line(method, message):
    options = {"name": method} if isinstance(method, str) else dict(method)
    with pytest.raises(ValueError, match=message):
        build(options.pop("name"), options, RunInfo(epochs=1, seeds=[0]))
