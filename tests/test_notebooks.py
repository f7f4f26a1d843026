"""The notebooks of docs/, run again: no cell fails, and what they print is what stands there."""

import re

import nbformat
import pytest

from bench.notebooks import FOLDER, run

NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
NUMBER = re.compile(r"-?\b\d+(?:\.\d*)?(?:e[+-]?\d+)?")


@pytest.fixture(scope="module", params=NAMES)
def twice(request):
    """A notebook as it stands there, and run again."""
    path = FOLDER / request.param
    return nbformat.read(path, as_version=4), run(path)


def texts(notebook) -> list[str]:
    """What each cell prints or shows as text, figures aside."""
    return [
        "".join(
            output.get("text", "") or ("" if "image/png" in output.data else output.data["text/plain"])
            for output in cell.get("outputs", [])
        )
        for cell in notebook.cells
    ]


def close(one: str, other: str) -> bool:
    """Whole numbers by one or a tenth, others by half: training rounds otherwise on other machines."""
    a, b = float(one), float(other)
    whole = a.is_integer() and b.is_integer()
    return abs(a - b) <= (max(1, 0.1 * abs(a)) if whole else max(0.5 * abs(a), 2e-3))


def test_there_are_two():
    assert NAMES == ["own_network.ipynb", "pipeline.ipynb"]


def test_nothing_but_results_is_printed(twice):
    """No warning, no progress bar."""
    for notebook in twice:
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert outputs
        for output in outputs:
            assert output.output_type in ("stream", "execute_result", "display_data")
            assert output.get("name", "stdout") == "stdout", output.text


def test_what_they_print_is_what_stands_there(twice):
    there, again = map(texts, twice)
    for one, other in zip(there, again, strict=True):
        assert NUMBER.sub("#", one).split() == NUMBER.sub("#", other).split()
        numbers = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
        assert all(close(*pair) for pair in numbers), f"{one}\n{other}"


def test_figures_are_there(twice):
    for notebook in twice:
        data = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
        assert sum("image/png" in of for of in data) >= 2


def test_committed_notebooks_are_small_and_ran_from_the_top(twice):
    there, _ = twice
    cells = [cell for cell in there.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert len(nbformat.writes(there)) < 300_000


def test_the_file_that_is_read_is_small():
    (file,) = FOLDER.glob("*.nc")
    assert file.stat().st_size < 200_000
