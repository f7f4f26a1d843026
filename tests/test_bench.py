"""`make bench`: the compared programs solve the same problem, and the page is complete."""

import numpy as np
import pytest
import torch

from bench import baselines, classifiers, stages
from bench.engine import nrc_stack
from bench.problems import Problem, blobs, configured, residual
from bench.runs import Budget, Run
from bench.scaling import exponent
from support.problems import value_and_gradient
from tools.markdown import between, filled, rounded, table

pytestmark = pytest.mark.workflow

BUDGET = Budget(600, 10)
PROGRAMS = {
    "nrc": lambda problem: nrc_stack(problem, BUDGET, 1),
    "nrc with threads": lambda problem: nrc_stack(problem, BUDGET, 2),
    "scipy, numpy": lambda problem: baselines.scipy_lbfgs(problem, BUDGET, "numpy"),
    "scipy, autograd": lambda problem: baselines.scipy_lbfgs(problem, BUDGET, "torch"),
    "torch": lambda problem: baselines.torch_lbfgs(problem, BUDGET),
    "torch.func": lambda problem: baselines.torch_func(problem, BUDGET),
}


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Two cells for which all programs end at the same minimum."""
    method = {"name": "lbfgs", "history": 10}
    return blobs(method, points=40, dimension=4, depth=2, cells=2, decay=(0.02, 0.05))


@pytest.fixture(scope="module")
def reference(problem) -> Run:
    return PROGRAMS["nrc"](problem)


@pytest.mark.parametrize("name", PROGRAMS)
def test_all_programs_end_at_the_same_minimum(problem, reference, name):
    run = PROGRAMS[name](problem)
    # the line searches of torch stop early
    assert run.passed[0].all() or "torch" in name
    assert (run.evaluations[0] <= run.evaluations[1]).all()
    assert run.evaluations.max() <= BUDGET.evaluations
    theta = torch.from_numpy(run.theta)
    losses, gradient = value_and_gradient(problem.objective, theta)
    residuals = problem.objective.relative_residual(theta, gradient)
    assert (residuals < 1e-4).all()
    expected, _ = value_and_gradient(problem.objective, torch.from_numpy(reference.theta))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    found = [residual(problem, *pair) for pair in zip(problem.stack.cells(), run.theta, strict=True)]
    np.testing.assert_allclose(np.transpose(found), [losses, residuals], rtol=1e-4, atol=1e-12)


def test_the_closures_compute_the_objective_of_this_library(problem):
    start = problem.start()
    values, gradients = value_and_gradient(problem.objective, start)
    for cell, theta, value, gradient in zip(problem.stack.cells(), start, values, gradients, strict=True):
        for closure in baselines.CLOSURES.values():
            found = closure(problem, cell)(theta.numpy())
            np.testing.assert_allclose(found[0], value, rtol=1e-12)
            np.testing.assert_allclose(found[1], gradient, atol=1e-12)
    classifier = configured("mnist", weight_decay=[1e-3], width=4, depth=2)
    theta = classifier.start()
    x, y, decay = classifier.cell(next(classifier.stack.cells()))
    value, gradient = classifiers.loss_of(classifier, x, y.argmax(1), decay, theta[0].numpy())
    expected, expected_gradient = value_and_gradient(classifier.objective, theta)
    assert value == pytest.approx(float(expected))
    np.testing.assert_allclose(gradient, expected_gradient[0], atol=1e-12)


def test_operations_and_exponents_are_those_computed_by_hand():
    # forward 9 + 9, weights 9 + 9, hidden features 9: a multiplication and an addition for each point
    assert blobs({}, points=10, dimension=3, depth=2).operations == 2 * 10 * 45
    assert exponent([1, 2, 4, 8, 16], [7, 7, 3 * 16, 3 * 64, 3 * 256]) == pytest.approx(2)


def test_markdown_has_short_numbers_and_wrapped_text_between_marks(tmp_path):
    texts = [rounded(value) for value in (3, 12345, 1.23456, 123.4, 12345.6, 2e-8, 0.0, float("nan"), "text")]
    assert texts == ["3", "12,345", "1.23", "123", "12,346", "2.0e-08", "0.00", "", "text"]
    rows = [{"program": "a", "s": "> 1"}, {"program": "b", "s": 2.5}]
    assert table(rows) == "| program | s |\n| --- | ---: |\n| a | > 1 |\n| b | 2.50 |"
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n", encoding="utf-8")
    between(page, "bench", filled("new\ntext\n\n- an\n  item\n- another"))
    text = page.read_text(encoding="utf-8")
    assert text == "before\n<!-- bench -->\nnew text\n\n- an item\n- another\n<!-- /bench -->\nafter\n"
    with pytest.raises(ValueError, match="must have one line"):
        between(page, "other", "new")


def test_times_of_a_run_are_summed_by_stage(tmp_path):
    assert "run `make` first" in stages.section(tmp_path)
    seconds = {"a/train/depth~2/seed~0": 10, "a/train/depth~2/seed~1": 20, "a/measures": 1, "data/blobs/0": 9}
    for place, s in seconds.items():
        texts = {
            f"benchmarks/{place}.tsv": f"s\th:m:s\tmax_rss\n{s}\t0:00:{s}\t100\n",
            f"logs/{place}.log": f"a line\nprocessor seconds: {s / 2}\n",
        }
        for name, text in texts.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    page = stages.section(tmp_path)
    assert "The 4 jobs of the last run took 40 s in total." in page
    assert "| train | 2 | 30.0 | 15.0 | 75.0 | 100 |" in page
    assert "| all | data | 1 | 9.00 | 4.50 | 22.5 | 100 |" in page
