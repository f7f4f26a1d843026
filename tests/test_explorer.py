"""The explorer: the bytes and the numbers of its page, and its use in a browser."""

import base64
import json
import re
import shlex
import zlib
from itertools import product

import explore
import numpy as np
import pytest
import xarray as xr

from nrc import netcdf
from nrc.explorer.page import page
from nrc.grid import AXES
from support import made_up
from support.checkout import TINY
from workflow.config.load import read_settings
from workflow.lib import paths
from workflow.lib.job_settings import explorer_slice

READY = "document.body.dataset.ready === 'yes' && node('curves').getAttribute('aria-busy') === 'false'"
DESK, PHONE = (1280, 800), (400, 800)


def commands(*names):
    return {name: {"train it": f"snakemake {name}/CELLS.nc"} for name in names}


def about_of(text):
    return json.loads(re.search('<script id="about"[^>]*>(.*?)</script>', text).group(1))


def cubes_of(text):
    """The cubes that a page holds, from its text alone."""
    cubes = {}
    for number, (name, about) in enumerate(about_of(text).items()):
        packed = re.search(f'<script id="cube-{number}"[^>]*>(.*?)</script>', text).group(1)
        numbers = np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<f4")
        sizes = {dim: len(found["values"]) for dim, found in about["dimensions"].items()}
        variables = {}
        for variable, found in about["variables"].items():
            shape = [sizes[dim] for dim in found["dimensions"]]
            mine, numbers = np.split(numbers, [int(np.prod(shape))])
            variables[variable] = found["dimensions"], mine.reshape(shape)
        assert not len(numbers)
        coords = {dim: np.array(found["values"], float) for dim, found in about["dimensions"].items()}
        cubes[name] = xr.Dataset(variables, coords)
    return cubes


def assert_same_numbers(held, cube):
    """A cube of a page has the numbers of the file, to 32 bits."""
    for name, variable in held.data_vars.items():
        theirs = cube[name].transpose(*variable.dims).values.astype(np.float32)
        np.testing.assert_array_equal(variable.values, theirs, err_msg=name)
    for dim in held.dims:
        np.testing.assert_array_equal(held[dim], cube[dim].values)


# ---- the page


def test_the_page_is_one_file_that_follows_from_the_cubes():
    """And the name of an experiment cannot close an element."""

    def made():
        return {"one": made_up.cube(), name: made_up.cube("two", made_of=1)}

    name = "</script><script>alert(1)</script>&amp;"
    text = page(made(), commands("one", name))
    assert page(made(), commands("one", name)) == text
    other = made()
    other[name]["stable_rank"][0, 0, 0, 0, 0, 0] += 1e-3
    assert page(other, commands("one", name)) != text
    assert not re.search("https?:|//cdn|src=|@import|url[(]", text)
    assert list(about_of(text)) == ["one", name]
    assert text.count("</script>") == text.count("<script")
    assert text.count('id="plotly"') == 1


def test_the_page_holds_every_number():
    made = made_up.unlucky()
    made["beyond"] = made["relative_residual"] * 1e300
    made["beyond"].attrs |= {"long_name": "more than 32 bits hold", "units": "1"}
    made["product"] = made["relative_residual"] * xr.DataArray(np.eye(2), dims=("output", "input"))
    held = cubes_of(page({"one": made}, commands("one")))["one"]
    assert set(made.data_vars) - set(held.data_vars) == {"product"}
    assert np.isinf(held["beyond"]).any()
    with np.errstate(over="ignore"):
        assert_same_numbers(held, made)


def test_the_page_describes_every_variable():
    made = made_up.cube()
    about = {"long_name": "norm ||r_l||", "units": "m", "reference": "eq. 4", "comment": "made up"}
    made["residual"] = made["distance"].assign_attrs(about)
    found = about_of(page({"one": made}, commands("one")))["one"]
    assert found["variables"]["residual"] == {"dimensions": [*AXES, "layer"], **about}
    assert found["attributes"]["clusters"] == made_up.K


def test_a_cube_without_a_command_is_refused(tmp_path):
    netcdf.save(made_up.cube("strange"), tmp_path / "measures.nc")
    with pytest.raises(ValueError, match="commands has no entry for experiment strange"):
        explore.main({"commands": {}}, [tmp_path / "measures.nc"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


# ---- the page of a run


def test_the_page_of_a_run_holds_the_numbers_of_its_files(finished):
    held = cubes_of(finished.read("results/explorer.html"))
    assert list(held) == list(settings_of(finished)["experiments"])
    for name, cube in held.items():
        assert_same_numbers(cube, finished.load(f"results/{name}/measures.nc"))
    size = (finished.folder / "results/explorer.html").stat().st_size
    assert size < 4e6, "plotly.js alone is 2 MB, packed"


def settings_of(checkout):
    return read_settings([checkout.folder / "config.yaml", checkout.folder / TINY], {})


def test_the_command_of_a_network_is_a_target(finished):
    settings = settings_of(finished)
    for name, about in about_of(finished.read("results/explorer.html")).items():
        for at, (does, stage) in product(
            (0, -1), (("train it", "train"), ("train and measure it", "measure"))
        ):
            cell = "/".join(f"{axis}~{about['dimensions'][axis]['values'][at]}" for axis in AXES)
            command = about["commands"][does].replace("CELLS", cell)
            assert shlex.split(command) == ["snakemake", paths.network_file(stage, name, cell)]
            assert paths.stack_of(name, cell, settings).dims == ()
    quoted = explorer_slice({"experiments": {"my plane": {}}})["commands"]["my plane"]["train it"]
    assert shlex.split(quoted) == ["snakemake", "results/my plane/train/CELLS.nc"]


# ---- the page in a browser


@pytest.fixture(scope="module")
def made_up_page(tmp_path_factory):
    """A plane with a network of each end, networks of several widths and depths, and a single one."""
    cubes = {
        "unlucky": made_up.unlucky(),
        "shapes": made_up.cube("shapes", width=[4, 8], depth=[2, 3], classes=True),
        "single": made_up.cube("single", weight_decay=[0.1], sigma=[0.0], seed=[0]),
    }
    file = tmp_path_factory.mktemp("page") / "explorer.html"
    file.write_text(page(cubes, commands(*cubes)), encoding="utf-8")
    return file, cubes


@pytest.fixture
def opened(browser, made_up_page):
    """The page of made-up cubes as at its start; after the test its console must be empty."""
    browser.resize(*DESK)
    if browser.current_url.partition("#")[0] == made_up_page[0].resolve().as_uri():
        browser.execute_async_script("enter({}).then(show).then(arguments[0])")
        browser.execute_script("document.querySelectorAll('details').forEach((part) => (part.open = false))")
        browser.wait(READY)
    else:
        browser.open(made_up_page[0], ready=READY)
    browser.complaints()
    yield browser
    assert browser.complaints() == []


def place_of(browser, x, y):
    """The place of a square of the plane in the window."""
    return browser.execute_script(
        """const [x, y] = arguments; const plane = node("plane"); plane.scrollIntoView({block: "center"});
        const box = plane.querySelector(".nsewdrag").getBoundingClientRect();
        const share = (at, [from, to]) => (at - from) / (to - from);
        const {xaxis, yaxis} = plane.layout;
        return [box.left + share(x, xaxis.range) * box.width, box.bottom - share(y, yaxis.range) * box.height];""",
        *(x, y),
    )


def click_square(browser, x, y):
    browser.click_at(*place_of(browser, x, y))
    browser.wait(f"state.cell[state.x] === {x} && state.cell[state.y] === {y}")
    browser.wait(READY)


def facts_of(browser):
    rows = browser.value(
        "[...document.querySelectorAll('#facts tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return {name: values for name, *values in rows}


def drawn(browser, figure):
    """The curves of a figure, by name."""
    traces = browser.value(
        f"node('{figure}').parentElement.hidden ? [] : node('{figure}').data.map(({{name, x, y, line, marker}}) =>"
        " ({name, x: [...x], y: [...y], dash: line.dash, symbol: marker.symbol}))"
    )
    return {trace["name"]: trace for trace in traces}


def colours_of(browser):
    """The numbers behind the colours of the plane."""
    rows = browser.value("node('plane').data[0].z.map((row) => [...row])")
    return np.array([[np.nan if value is None else value for value in row] for row in rows])


def test_a_click_shows_the_network(opened, made_up_page):
    cube = made_up_page[1]["unlucky"]
    click_square(opened, 1, 1)
    facts = facts_of(opened)
    assert (facts["weight decay"], facts["sigma"], facts["seed"]) == (["0.1"], ["0.3"], ["0"])
    cell = cube.sel(weight_decay=0.1, sigma=0.3, seed=0).squeeze()
    assert float(facts["relative distance, layer 1"][0]) == pytest.approx(
        float(cell["relative_distance"].sel(layer=1)), rel=1e-6
    )
    for figure, variable, beside in (
        ("spectrum", "singular_values", ("forecast", "forecast, layer 1")),
        ("tail", "relative_tail", ("tail_bound", "upper bound, layer 1")),
    ):
        curves = drawn(opened, figure)
        for layer in (1, 2, 3):
            np.testing.assert_array_equal(
                np.float32(curves[f"layer {layer}"]["y"]), np.float32(cell[variable].sel(layer=layer))
            )
        np.testing.assert_array_equal(
            np.float32(curves[beside[1]]["y"]), np.float32(cell[beside[0]].sel(layer=1))
        )
        assert len({curve["symbol"] for curve in curves.values()}) == 4, "distinguishable without colours"
    assert len(drawn(opened, "trajectory")) == 3
    # names for screen readers
    assert opened.value("[...document.querySelectorAll('select')].every((s) => s.labels.length === 1)")
    assert opened.value("[...document.querySelectorAll('button')].every((b) => b.textContent.trim() !== '')")
    for figure in ("spectrum", "tail", "trajectory", "wcss"):
        assert opened.value(f"node('{figure}').getAttribute('aria-label')")
    assert (
        opened.text("#commands code")
        == "snakemake unlucky/weight_decay~0.1/sigma~0.3/width~4/depth~3/seed~0.nc"
    )
    assert "cell=weight_decay~0.1/sigma~0.3/width~4/depth~3/seed~0" in opened.value("location.hash")


def test_the_plane_shows_what_is_chosen(opened, made_up_page):
    cube = made_up_page[1]["shapes"]
    opened.choose("#choose-experiment", "shapes")
    opened.wait("state.experiment === 'shapes'")
    for name, value in (
        ("measure", "bound_measured"),
        ("layer", "2"),
        ("width", "8"),
        ("depth", "3"),
        ("seed", "1"),
    ):
        opened.choose(f"#choose-{name}", value)
        opened.wait(READY)
    there = cube["bound_measured"].sel(layer=2, width=8, depth=3, seed=1)
    order = ("weight_decay", "sigma")
    np.testing.assert_allclose(colours_of(opened), there.min("source").transpose(*order), rtol=1e-6)
    opened.choose("#choose-source", "1")
    np.testing.assert_allclose(colours_of(opened), there.sel(source=1).transpose(*order), rtol=1e-6)
    opened.choose("#choose-seed", "median")
    middle = cube["bound_measured"].sel(layer=2, width=8, depth=3, source=1).median("seed")
    np.testing.assert_allclose(colours_of(opened), middle.transpose(*order), rtol=1e-6)
    opened.choose("#choose-scale", "log")
    np.testing.assert_allclose(colours_of(opened), np.log10(middle.transpose(*order)), rtol=1e-5)
    opened.choose("#choose-scale", "linear")
    opened.choose("#choose-x", "width")
    opened.wait("state.x === 'width'")
    sigma = opened.value("cube().dimensions.sigma.values[state.cell.sigma]")
    along = cube["bound_measured"].sel(layer=2, depth=3, source=1, sigma=float(sigma)).median("seed")
    np.testing.assert_allclose(colours_of(opened), along.transpose("weight_decay", "width"), rtol=1e-6)
    opened.choose("#choose-depth", "2")
    opened.choose("#choose-layer", "3")
    opened.wait(READY)
    assert np.isnan(colours_of(opened)).all()
    assert "no number, 4 of 4 squares" in opened.text("#legend")
    assert "This network has no layer 3." in opened.text("#notes")


def test_every_outcome_is_marked_and_explained(opened):
    def marked():
        names = ["stopped", "diverged", "collapsed_to_zero"]
        traces = opened.value(
            "node('plane').data.slice(1).map(({x, y}) => [...x].map((at, i) => [at, y[i]]))"
        )
        return dict(zip(names, traces, strict=True))

    # sigma to the right, weight decay upwards; of the first only seed 0 stopped
    assert marked() == {"stopped": [[0, 0], [1, 0]], "diverged": [[2, 0]], "collapsed_to_zero": [[2, 1]]}
    assert np.isnan(colours_of(opened)).tolist() == [[False, False, True], [False, False, True]]
    legend = opened.text("#legend")
    for words in (
        "stopped before it was stationary: 2 of 6",
        "diverged: 1 of 6",
        "collapsed to zero: 1 of 6",
    ):
        assert words in legend
    assert "no number, 2 of 6 squares" in legend
    assert "2 of 6 networks converged" in legend
    opened.choose("#choose-seed", "1")
    opened.wait(READY)
    assert marked()["stopped"] == [[1, 0]]
    for square, reason, note in (
        ((2, 0), "stopped: diverged", "The network diverged"),
        ((2, 1), "collapsed to zero: the weights collapsed to zero", "The network collapsed to zero"),
        ((1, 0), "stopped: found no direction of descent", ""),
    ):
        click_square(opened, *square)
        assert facts_of(opened)["training"] == [reason]
        assert note in opened.text("#notes")


def test_two_networks_are_compared(opened, made_up_page):
    cube = made_up_page[1]["unlucky"]
    click_square(opened, 0, 1)
    opened.click("#pin")
    click_square(opened, 1, 1)
    assert opened.value(
        "[...document.querySelectorAll('#facts thead th')].map((cell) => cell.textContent)"
    ) == [*("", "● chosen", "◇ pinned")]
    assert facts_of(opened)["sigma"] == ["0.3", "0.1"]
    curves = drawn(opened, "spectrum")
    assert list(curves) == ["sigma 0.3", "sigma 0.1", "forecast, sigma 0.3", "forecast, sigma 0.1"]
    assert opened.value("node('spectrum').layout.showlegend")
    for name, sigma in (("sigma 0.3", 0.3), ("sigma 0.1", 0.1)):
        there = cube["singular_values"].sel(weight_decay=0.1, sigma=sigma, seed=0, layer=1).squeeze()
        np.testing.assert_array_equal(np.float32(curves[name]["y"]), np.float32(there))
    mine, other = curves["sigma 0.3"], curves["sigma 0.1"]
    assert mine["dash"] != other["dash"]
    assert mine["symbol"] != other["symbol"]
    opened.click("#unpin")
    opened.wait(READY)
    assert len(facts_of(opened)["sigma"]) == 1


def test_the_keyboard_does_all_that_the_mouse_does(opened):
    opened.execute_script("node('choices').querySelector('select').focus()")
    count = len(opened.all("#choices select"))
    opened.press(*["TAB"])
    for _ in range(count - 1):
        opened.press("TAB")
    assert opened.value("document.activeElement.id") == "plane"
    assert opened.value("getComputedStyle(node('plane')).outlineStyle") == "solid"
    assert float(opened.value("getComputedStyle(node('plane')).outlineWidth").removesuffix("px")) >= 2
    at = opened.value("[state.cell.sigma, state.cell.weight_decay]")
    assert at == [1, 0]
    opened.press("ARROW_LEFT", "ARROW_UP", "ARROW_UP")
    assert opened.value("[state.cell.sigma, state.cell.weight_decay]") == [0, 1], "it ends at the edge"
    assert opened.text("#announcement").startswith("weight decay 0.1, sigma 0.1: relative distance 0.")
    opened.press("ENTER", "ARROW_RIGHT")
    opened.wait(READY)
    assert facts_of(opened)["sigma"] == ["0.3", "0.1"]
    opened.press("ESCAPE")
    opened.wait(READY)
    assert facts_of(opened)["sigma"] == ["0.3"]
    opened.press("SPACE", "ARROW_DOWN")
    opened.wait(READY)
    assert facts_of(opened)["weight decay"] == ["0.01", "0.1"]
    assert opened.value("document.activeElement.id") == "plane"
    opened.press("TAB")
    assert opened.value("document.activeElement.id") == "pin", "and on to the network"


def test_a_link_reproduces_the_view(opened, made_up_page):
    opened.choose("#choose-measure", "relative_tail")
    opened.choose("#choose-index", "3")
    opened.choose("#choose-layer", "2")
    opened.choose("#choose-seed", "median")
    click_square(opened, 0, 0)
    opened.click("#pin")
    click_square(opened, 2, 1)
    there = opened.value("JSON.stringify([state, node('plane').data[0].z, node('spectrum').data])")
    link = opened.value("location.hash")
    opened.open(made_up_page[0], hash=link, ready=READY)
    assert opened.value("JSON.stringify([state, node('plane').data[0].z, node('spectrum').data])") == there
    assert opened.value("location.hash") == link
    opened.execute_script("location.hash = 'experiment=shapes&layer=2'")
    opened.wait("state.experiment === 'shapes'")
    assert opened.value("state.picks.layer") == 1


def test_an_address_of_absent_networks_is_explained(opened, made_up_page):
    cell = "weight_decay~7/sigma~0.1/width~4/depth~3/seed~0"
    opened.open(made_up_page[0], hash=f"#experiment=nothing&cell={cell}&layer=99", ready=READY)
    assert opened.text("#fault") == (
        f"The address asks for what this page does not contain: experiment nothing; network {cell}."
    )
    assert opened.value("state.experiment") == "unlucky"
    opened.open(made_up_page[0], ready=READY)
    assert opened.value("node('fault').hidden")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_fits_the_window(opened, made_up_page, size):
    opened.resize(*size)
    for name in made_up_page[1]:
        opened.open(made_up_page[0], hash=f"#experiment={name}", ready=READY)
        assert opened.value("document.documentElement.scrollWidth") <= size[0]
        boxes = opened.value(
            "[...document.querySelectorAll('#overview, #network, figure:not([hidden]), select, button')]"
            ".map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.right, b.width])"
        )
        assert all(left >= 0 and right <= size[0] and width > 10 for left, right, width in boxes)
    beside = opened.value(
        "node('network').getBoundingClientRect().left >= node('overview').getBoundingClientRect().right"
    )
    assert beside == (size == DESK)
    opened.open(made_up_page[0], ready=READY)
    click_square(opened, 2, 1)
    assert facts_of(opened)["sigma"] == ["1"]


def test_all_numbers_settings_and_commands_can_be_shown(opened, made_up_page):
    cube = made_up_page[1]["unlucky"]
    click_square(opened, 0, 1)
    opened.click("#all-numbers summary")
    opened.wait("document.querySelectorAll('#all-numbers tbody tr').length > 0")
    rows = opened.value(
        "[...document.querySelectorAll('#all-numbers tbody tr')].map((row) => [...row.cells].map((c) => c.textContent))"
    )
    found = {name: value for name, value, _ in rows}
    assert len(found) == len(cube.data_vars)
    cell = cube.sel(weight_decay=0.1, sigma=0.1, seed=0).squeeze()
    assert found["status"] == "converged"
    assert float(found["stable rank, layer 1"]) == pytest.approx(float(cell["stable_rank"][0]), rel=1e-6)
    opened.click("#made-from summary")
    opened.wait("document.querySelectorAll('#made-from dt').length > 0")
    assert "clusters" in opened.text("#made-from")
    opened.click(".command button")
    opened.wait("document.querySelector('.command button').textContent !== 'Copy'")
    assert opened.text(".command button") in ("Copied", "Selected")
    assert opened.value("getSelection().toString()") == opened.text("#commands code")


def test_the_commands_of_the_page_of_a_run_are_planned(browser, finished):
    """From a click on the page to a dry run of its command."""
    browser.resize(*DESK)
    browser.open(finished.folder / "results/explorer.html", ready=READY)
    targets = []
    for experiment in ("mixture", "mnist"):
        browser.choose("#choose-experiment", experiment)
        browser.wait(f"state.experiment === '{experiment}'")
        browser.wait(READY)
        click_square(browser, 0, 1)
        assert browser.complaints() == []
        targets.append(shlex.split(browser.text("#commands code"))[1])
    targets.append(shlex.split(browser.all("#commands code")[1].text)[1])
    assert finished.planned(*targets) == {"train_stack": 2, "measure": 1}
