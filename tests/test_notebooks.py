"""The notebooks of docs/ run without an error, and their stored outputs are outputs of the current code."""

import re

import nbformat
import pytest

from tools.notebooks import FOLDER, run

pytestmark = pytest.mark.workflow

NUMBER = re.compile(r"-?\b\d+(?:\.\d*)?(?:e[+-]?\d+)?")


def texts(notebook) -> list[str]:
    """The text that each cell prints or shows, without figures."""
    return [
        "".join(
            output.get("text", "") or ("" if "image/png" in output.data else output.data["text/plain"])
            for output in cell.get("outputs", [])
        )
        for cell in notebook.cells
    ]


def close(one: str, other: str) -> bool:
    """Whether two numbers agree roughly: rounding differs between machines, and training amplifies it."""
    a, b = float(one), float(other)
    integers = a.is_integer() and b.is_integer()
    return abs(a - b) <= (max(1, 0.1 * abs(a)) if integers else max(0.5 * abs(a), 2e-3))


@pytest.mark.parametrize("name", ["own_network.ipynb", "pipeline.ipynb"])
def test_a_notebook_has_the_outputs_of_a_new_run(name):
    stored, again = nbformat.read(FOLDER / name, as_version=4), run(FOLDER / name)
    for one, other in zip(texts(stored), texts(again), strict=True):
        assert NUMBER.sub("#", one).split() == NUMBER.sub("#", other).split()
        numbers = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
        assert all(close(*pair) for pair in numbers), f"{one}\n{other}"
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert len(nbformat.writes(stored)) < 300_000
    for notebook in stored, again:
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
        # no warnings and no progress bars
        assert {output.get("name", "stdout") for output in outputs} == {"stdout"}
