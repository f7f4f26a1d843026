"""Cells, stacks and stages as targets: what is planned for them, and which paths are refused."""

import json
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from support.checkout import PROJECT, TINY
from support.configurations import desk
from support.forked_snakemake import run_snakemake
from workflow.config.compatibility import names_of
from workflow.config.load import read_settings
from workflow.config.warm_starts import warm_start_of
from workflow.lib import paths
from workflow.lib.job_settings import training_slice

CELLS = "weight_decay~0.1/sigma~0.05/width~4/depth~3/seed~0"
PLANE = "results/mixture/{}/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"


@pytest.fixture(scope="module")
def tiny():
    return read_settings([PROJECT / "config.yaml", PROJECT / TINY])


def test_a_cell_on_the_grid_or_off_it_is_a_target(checkout):
    """A cell trains alone as in its stack; one off the grid is trained on data of its own seed."""
    on = f"results/mixture/train/{CELLS}.nc"
    off = "results/mixture/measure/weight_decay~0.07/sigma~0.2/width~3/depth~2/seed~5.nc"
    assert checkout.planned(on, off) == {"make_mixture": 1, "train_stack": 2, "measure": 1}
    checkout.snakemake(on, off)
    alone, plane = checkout.load(on), checkout.load(PLANE.format("train"))
    assert alone["W1"].dims == ("n1", "n0")
    together = plane.sel(weight_decay=0.1, sigma=0.05)
    for name in plane.data_vars:
        np.testing.assert_array_equal(alone[name], together[name], err_msg=name)
    measured = checkout.load(off)
    assert measured["relative_distance"].dims == ("layer",)
    assert float(measured["sigma"]) == 0.2


def test_a_target_that_cannot_be_made_is_refused_in_one_line_before_any_job(unplanned):
    for target, message in (
        (f"results/mixture/train/{CELLS.replace('0.1', '1e-1')}.nc", f"ask for results/mixture/train/{CELLS}.nc"),
        (f"results/spheres/train/{CELLS}.nc", "no experiment 'spheres'; the configuration has mixture, mixture_cells, linear"),
        ("results/figures/figure7.png", "no figure 'figure7'; the configuration has figure1, figure2, figure3"),
        ("figure1", "there is no target 'figure1'; ask for results/figures/figure1.png"),
        ("results/mixtures", "there is no target 'results/mixtures'; ask for results/mixture/measures.nc"),
        ("results/data/blobs/seed~01.nc", "ask for results/data/blobs/seed~1.nc"),
    ):  # fmt: skip
        assert message in unplanned.refused(target)


def test_a_module_of_another_snakefile_is_refused(unplanned, tmp_path):
    other = f'module nrc:\n    snakefile: "{unplanned.folder}/Snakefile"\n\nuse rule * from nrc\n'
    (tmp_path / "Snakefile").write_text(other, encoding="utf-8")
    status, said = run_snakemake(["--dry-run", "--cores", "1"], tmp_path)
    assert status != 0
    assert re.search(
        r"^Error: this Snakefile cannot be a module of another .*--directory", said, re.MULTILINE
    )


def test_every_stage_is_a_target(unplanned, tiny):
    experiments, figures = tiny["experiments"], tiny["figures"]
    stacks = sum(len(paths.stack_files("train", *experiment)) for experiment in experiments.items())
    data = {"make_mixture": 3, "fetch_mnist": 1, "make_mnist": 2}
    trained = {**data, "train_stack": stacks}
    assert unplanned.planned("data") == data
    assert unplanned.planned("train") == trained
    assert unplanned.planned("measures") == {**trained, "measure": stacks, "collect": len(experiments)}
    planned = unplanned.planned("figures")
    plots = {rule: planned.pop(rule) for rule in list(planned) if rule.startswith("plot_")}
    assert plots == {f"plot_{name}": 1 for name in figures}
    drawn = {name for figure in figures.values() for name in names_of(figure["of"])}
    drawn |= {"linear_centroids", "linear_product_centroids"}  # for the shifts
    starts = {warm_start_of(experiments[name]) for name in drawn} - {None}
    assert planned == {
        **{**data, "train_stack": len(drawn | starts), "measure": len(drawn), "collect": len(drawn)},
        "compare_centroids": 2,
    }
    assert not (unplanned.folder / "results").exists()


def test_no_network_of_the_desk_scale_is_trained_twice():
    """Two cells are the same network if everything on which training depends is the same."""
    settings, trained = desk(), Counter()
    for name, experiment in settings["experiments"].items():
        for file in paths.stack_files("train", name, experiment):
            cells = file.removeprefix(f"results/{name}/train/").removesuffix(".nc")
            stack = paths.stack_of(name, cells, settings)
            common = training_slice(name, stack, settings)
            del common["experiment"], common["stack"]
            # snapshots do not change a network
            common["training"] = {**common["training"], "snapshot_every": None}
            for cell in stack.cells():
                trained[json.dumps([common, cell, experiment["data"]], sort_keys=True)] += 1
    assert len(trained) > 1000
    assert set(trained.values()) == {1}


def test_the_rules_say_what_they_make(unplanned):
    listed = unplanned.snakemake(options=["--list-rules"])
    lines = [line.split(maxsplit=1) for line in listed.splitlines() if line[:1].islower()]
    about = {line[0]: line[1] for line in lines if len(line) == 2}
    for figure, words in {
        "plot_figure1": "plane",
        "plot_bounds": "Theorem 3.4",
        "plot_figure2": "centroids",
        "plot_figure4": "width",
        "plot_figure5": "depth",
    }.items():
        assert words.lower() in about[figure].lower(), about[figure]
        assert "igure 1" not in about[figure]
    assert about["make_mixture"] != about["make_mnist"] != about["import_arrays"]


STORED = '''"""Points that come with the project."""

import numpy as np

from nrc.data import Size
from nrc.data.options import DataOptions


class Options(DataOptions):
    """Points that come with the project."""


def check(options):
    pass


def size(options):
    return Size(2, 3, 2, None)


def fetched(options):
    return {"table": ["points.txt"]}


def fetch(options, name, bundled):
    import xarray as xr

    about = {"long_name": "point", "units": "1"}
    return xr.Dataset({name: (("point", "feature"), np.loadtxt(bundled / "points.txt"), about)})


def draw(options, seed, files):
    from nrc.data.points import Points
    from nrc.netcdf import load

    return Points(seed, load(files[0])["table"].values, np.arange(2))
'''


def test_a_kind_of_data_that_is_fetched_needs_no_rule_of_its_own(fresh):
    (fresh.folder / "nrc/data/stored.py").write_text(STORED, encoding="utf-8")
    points = fresh.folder / "resources/stored/points.txt"
    points.parent.mkdir()
    points.write_text("1 2 3\n4 5 6\n", encoding="utf-8")
    target, overlays = "results/data/pair/seed~0.nc", fresh.overlay({"data.pair": {"kind": "stored"}})
    assert fresh.planned(target, overlays=overlays) == {"fetch_stored": 1, "make_stored": 1}
    fresh.snakemake(target, overlays=overlays)
    assert fresh.load(target)["base"].values.tolist() == [[1, 2, 3], [4, 5, 6]]
    points.write_text("1 2 3\n4 5 7\n", encoding="utf-8")
    assert fresh.planned(target, overlays=overlays) == {"fetch_stored": 1, "make_stored": 1}


def test_planning_imports_no_heavy_package(unplanned):
    """The Snakefile is parsed again in every job of a cluster."""
    code = (
        "import sys; from snakemake.cli import main\n"
        f"try: main(['--dry-run', '--quiet', 'all', '--cores', '1', '--configfile', '{TINY}'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'torchvision', 'xarray', 'sklearn', 'scipy', 'matplotlib', 'seaborn', 'h5py'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=unplanned.folder, check=True, capture_output=True)
