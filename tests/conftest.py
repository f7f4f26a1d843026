"""Fixtures of all tests: checkouts of the project, with results and without, and the count of faults."""

from pathlib import Path

import pytest

pytest.register_assert_rewrite("support")

from support import processes, programs  # noqa: E402
from support.checkout import Checkout, copy_project  # noqa: E402
from support.faults import Faults  # noqa: E402
from support.shared import made_once  # noqa: E402

FAULTS = Faults()

# A test with one of these starts Snakemake, or a process that takes as long.
SLOW_FIXTURES = {"browser", "finished", "fresh", "unplanned", "survived"}


def pytest_addoption(parser):
    parser.addoption("--faults", type=Path, help="page in which to write the table of faults")


def pytest_configure(config):
    config.addinivalue_line("markers", "workflow: starts Snakemake, or what takes as long")


def pytest_ignore_collect(collection_path):
    # examples in docstrings are the library's, and what helps tests is no module to look for them
    helps = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if helps else None


def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW_FIXTURES & set(item.fixturenames):
            item.add_marker("workflow")


def pytest_sessionfinish(session, exitstatus):
    if (page := session.config.getoption("--faults")) and exitstatus == 0:
        FAULTS.write(page)


@pytest.fixture
def survived():
    """To be called with a fault that did no harm: it counts for the table."""
    return FAULTS


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    """End what a test started."""
    yield
    processes.end_all()
    programs.end_all()


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A checkout whose tiny pipeline has run. Do not change it: take `checkout`."""
    return Checkout(made_once(tmp_path_factory, "finished", lambda folder: copy_project(folder).snakemake()))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A browser, shared by all tests of pages."""
    pytest.importorskip("selenium")
    from support.browser import browser_in

    with browser_in(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def checkout(finished, tmp_path) -> Checkout:
    """A copy of the finished checkout, to change at will."""
    return finished.copy(tmp_path / "checkout")


@pytest.fixture
def fresh(tmp_path) -> Checkout:
    """A checkout without results."""
    return copy_project(tmp_path / "fresh")


@pytest.fixture(scope="session")
def unplanned(tmp_path_factory) -> Checkout:
    """A checkout without results, shared by tests that leave it so."""
    return copy_project(tmp_path_factory.mktemp("unplanned"))
