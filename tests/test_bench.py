"""`make bench`: the programs that are compared do what they say, and the page is whole."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from bench import classifiers, naive, rules
from bench.engine import nrc_stack
from bench.growth import exponent
from bench.page import between, filled, rounded, table
from bench.plane import lattice
from bench.problems import Problem, blobs, configured, residual
from bench.runs import Budget, Run
from support.checkout import PROJECT
from support.problems import value_and_gradient

BUDGET = Budget(3_000, 10)
PROGRAMS = {
    "nrc": lambda problem: nrc_stack(problem, BUDGET, 1),
    "nrc with threads": lambda problem: nrc_stack(problem, BUDGET, 2),
    "scipy": lambda problem: naive.scipy_lbfgs(problem, BUDGET),
    "torch": lambda problem: naive.torch_lbfgs(problem, BUDGET),
    "torch.func": lambda problem: naive.torch_func(problem, BUDGET),
}


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Two cells whose minima all programs share."""
    method = {"name": "lbfgs", "history": 10}
    return blobs(method, points=40, dimension=4, depth=2, cells=2, decay=(0.02, 0.05))


@pytest.fixture(scope="module")
def reference(problem) -> Run:
    return PROGRAMS["nrc"](problem)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_ends_at_the_same_minimum(problem, reference, name):
    run = PROGRAMS[name](problem)
    # torch's stop early
    assert run.passed[0].all() or "torch" in name
    assert (run.evaluations[0] <= run.evaluations[1]).all()
    assert run.evaluations.max() <= BUDGET.evaluations
    assert run.seconds[0] > 0
    assert run.microseconds > 1
    losses, gradient = value_and_gradient(problem.objective, torch.from_numpy(run.theta))
    assert (problem.objective.relative_residual(torch.from_numpy(run.theta), gradient) < 1e-4).all()
    expected, _ = value_and_gradient(problem.objective, torch.from_numpy(reference.theta))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_residuals_and_losses_are_this_librarys(problem, reference):
    theta = torch.from_numpy(reference.theta) + 1e-3
    value, gradient = value_and_gradient(problem.objective, theta)
    expected = problem.objective.relative_residual(theta, gradient)
    found = [residual(problem, *end) for end in zip(problem.stack.cells(), theta.numpy(), strict=True)]
    np.testing.assert_allclose(np.transpose(found), [value, expected], rtol=1e-10)


def test_a_closure_of_scipy_is_this_librarys_function(problem):
    start = problem.start()
    values, gradients = value_and_gradient(problem.objective, start)
    for cell, theta, value, gradient in zip(problem.stack.cells(), start, values, gradients, strict=True):
        found = naive.closure_for_scipy(problem, cell)(theta.numpy())
        np.testing.assert_allclose(found[0], value, rtol=1e-12)
        np.testing.assert_allclose(found[1], gradient, atol=1e-12)


def test_a_budget_ends_a_run(problem):
    run = naive.scipy_lbfgs(problem, Budget(20, 10))
    assert (run.evaluations == 20).all()
    assert not run.passed.any()


def test_operations_are_those_of_the_products():
    problem = blobs({}, points=10, dimension=3, depth=2)
    # forward 9 + 9, in the weights 9 + 9, in the hidden features 9: multiply and add for each point
    assert problem.operations == 2 * 10 * 45


def test_cells_are_the_configured_ones():
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert lattice(values, 3) == [1, 3, 5]
    problem = configured("mixture", weight_decay=[0.01], sigma=[0.1, 1.0])
    assert len(problem.stack) == 2
    assert len(problem.points.labels) == 200


def test_an_exponent_is_of_the_upper_half():
    sizes = [1, 2, 4, 8, 16]
    assert exponent(sizes, [7, 7, 3 * 16, 3 * 64, 3 * 256]) == pytest.approx(2)


def test_numbers_are_short_and_columns_of_numbers_to_the_right():
    said = [rounded(value) for value in (3, 12345, 1.23456, 123.4, 12345.6, 2e-8, 0.0, float("nan"), "text")]
    assert said == ["3", "12,345", "1.23", "123", "12,346", "2.0e-08", "0.00", "", "text"]
    rows = [{"program": "a", "s": "> 1"}, {"program": "b", "s": 2.5}]
    assert table(rows) == "| program | s |\n| --- | ---: |\n| a | > 1 |\n| b | 2.50 |"


def test_a_page_takes_text_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n", encoding="utf-8")
    for _ in range(2):
        between(page, "bench", filled("new\ntext"))
        said = page.read_text(encoding="utf-8")
        assert said == "before\n<!-- bench -->\nnew text\n<!-- /bench -->\nafter\n"
    with pytest.raises(ValueError, match="has no place for it"):
        between(page, "other", "new")


def test_the_readme_has_a_place_for_the_sentence():
    said = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert said.index("<!-- bench -->") < said.index("<!-- /bench -->")


def test_times_of_a_run_are_summed_by_stage(tmp_path):
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for place, seconds in {
        "a/train/depth~2/seed~0": 10,
        "a/train/depth~2/seed~1": 20,
        "a/measures": 1,
        "audit": 3,
        "data/blobs/0": 6,
    }.items():
        file = tmp_path / f"benchmarks/{place}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"{head}{seconds}\t0:00:{seconds}\t100\t-\t-\t-\t-\t-\t-\t{seconds / 2}\n", encoding="utf-8"
        )
    page = rules.section(tmp_path)
    assert "40 s in 5 jobs" in page
    assert "| train | 2 | 30.0 | 15.0 | 75.0 | 100 |" in page
    assert "| a | train | 2 | 30.0 | 15.0 | 75.0 | 100 |" in page
    assert "| all | data | 1 | 6.00 | 3.00 | 15.0 | 100 |" in page


def test_without_a_run_the_page_says_how_to_get_one(tmp_path):
    assert "run `make` first" in rules.section(tmp_path)


@pytest.mark.workflow
def test_small_sizes_give_a_whole_page_and_write_nothing(tmp_path):
    page = PROJECT / "docs/bench.md"
    before = page.read_bytes() if page.exists() else None
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--results", str(tmp_path)],
        cwd=PROJECT,
        env={"PYTHONPATH": ".:workflow/scripts"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for part in (
        "# Times",
        "GFLOP/s",
        "times as long as nrc with 1 thread",
        "## An evaluation",
        "## A run of the pipeline",
    ):
        assert part in done.stdout
    assert (page.read_bytes() if page.exists() else None) == before


def test_a_classifier_is_this_librarys_function():
    problem = configured("mnist", weight_decay=[1e-3], width=4, depth=2)
    theta = problem.start()
    x, y, decay = problem.cell(next(problem.stack.cells()))
    value, gradient = classifiers.loss_of(problem, x, y.argmax(1), decay, theta[0].numpy())
    expected, expected_gradient = value_and_gradient(problem.objective, theta)
    assert value == pytest.approx(float(expected))
    np.testing.assert_allclose(gradient, expected_gradient[0], atol=1e-12)
