"""Paths: the file of every stack, and the stack of every path."""

from itertools import product

import pytest

from nrc.grid import AXES
from workflow.lib import paths

GRID = {"weight_decay": [0.01, 0.1], "sigma": [0.0, 0.5], "width": [4, 8], "depth": [3], "seed": [0, 1, 2]}
SETTINGS = {
    "data": {
        "blobs": {"kind": "mixture", "clusters": 2, "points": 24, "dimension": 4},
        "cut": {"kind": "mnist", "source": "bundled"},
        "whole": {"kind": "mnist", "source": "folder"},
        "mine": {"kind": "arrays", "file": "my.npz"},
    },
    "experiments": {
        "plane": {"data": "blobs", "grid": GRID, "stack": ["weight_decay", "sigma"]},
        "cells": {"data": "mine", "grid": GRID, "stack": []},
        "all": {"data": "cut", "grid": GRID, "stack": ["weight_decay", "sigma", "seed"]},
    },
}
CELL = "weight_decay~0.1/sigma~0.5/width~4/depth~3/seed~0"


def cells_of(path: str, stage: str, name: str) -> str:
    return path.removeprefix(f"results/{name}/{stage}/").removesuffix(".nc")


def test_the_stacks_are_where_the_stack_setting_says():
    assert paths.stack_files("measure", "plane", SETTINGS["experiments"]["plane"]) == [
        f"results/plane/measure/weight_decay~all/sigma~all/width~{width}/depth~3/seed~{seed}.nc"
        for width in (4, 8)
        for seed in (0, 1, 2)
    ]


@pytest.mark.parametrize("name", SETTINGS["experiments"])
def test_the_stacks_of_an_experiment_hold_each_cell_of_its_grid_once(name):
    found = []
    for path in paths.stack_files("train", name, SETTINGS["experiments"][name]):
        stack = paths.stack_of(name, cells_of(path, "train", name), SETTINGS)
        found += [tuple(cell[axis] for axis in AXES) for cell in stack.cells()]
    assert sorted(found) == sorted(product(*GRID.values()))


def test_a_cell_off_the_grid_has_a_path_too():
    stack = paths.stack_of("plane", CELL.replace("~0.1", "~0.25").replace("seed~0", "seed~77"), SETTINGS)
    assert stack.axes == {"weight_decay": 0.25, "sigma": 0.5, "width": 4, "depth": 3, "seed": 77}
    assert stack.dims == ()


@pytest.mark.parametrize(
    ("cells", "says", "asks"),
    [
        (CELL.replace("0.1", "0.10"), "weight_decay is '0.10', but must be written '0.1'", CELL),
        (
            CELL.replace("0.5", "-1"),
            "sigma is '-1', but must be a number of at least 0",
            CELL.replace("0.5", "0"),
        ),
        (CELL.replace("0.5", "nan"), "sigma is 'nan', but must be a number", CELL.replace("0.5", "0")),
        (CELL.replace("h~3", "h~3.5"), "depth is '3.5', but must be a whole number of at least 1", CELL),
        (
            CELL.replace("~4", "~all"),
            "width 'all' is not possible, because a stack has networks of one width",
            CELL,
        ),
        (CELL.replace("d~0", "d~4294967296"), "seed is '4294967296', but must be at most 4294967295", CELL),
        (CELL.replace("seed", "dice"), "dice is not an axis", CELL),
        ("/".join(reversed(CELL.split("/"))), "each once and in this order", CELL),
        ("anything", "anything is not an axis", "weight_decay~0.01/sigma~0/width~4/depth~3/seed~0"),
    ],
)
def test_a_wrong_path_is_reported_with_the_right_one(cells, says, asks):
    with pytest.raises(ValueError, match="ask for") as caught:
        paths.stack_of("plane", cells, SETTINGS)
    message = str(caught.value)
    assert says in message
    assert message.endswith(f"; ask for results/plane/train/{asks}.nc, or the same under measure")
    assert "\n" not in message
    paths.stack_of("plane", asks, SETTINGS)


def test_an_unknown_experiment_is_reported_with_the_known_ones():
    for ask in (
        lambda: paths.experiment_of("plan", SETTINGS),
        lambda: paths.stack_of("plan", CELL, SETTINGS),
    ):
        with pytest.raises(ValueError, match="no experiment 'plan'; the configuration has plane, cells, all"):
            ask()


def test_data_have_a_file_for_each_seed_unless_they_know_none():
    seeds = [3, 5]
    assert paths.data_files("blobs", seeds, SETTINGS) == [
        "results/data/blobs/seed~3.nc",
        "results/data/blobs/seed~5.nc",
    ]
    assert paths.data_files("cut", [0], SETTINGS) == ["results/data/cut/seed~0.nc"]
    assert paths.data_files("mine", seeds, SETTINGS) == ["results/data/mine/points.nc"]


def test_data_are_made_from_splits_from_the_users_file_or_from_nothing():
    assert paths.source_files("blobs", SETTINGS) == []
    assert paths.source_files("mine", SETTINGS) == ["my.npz"]
    assert paths.source_files("cut", SETTINGS) == ["results/data/cut/test.nc"]
    assert paths.source_files("whole", SETTINGS) == [
        "results/data/whole/train.nc",
        "results/data/whole/test.nc",
    ]


def test_the_seed_of_a_data_file_has_one_notation():
    assert paths.seed_of("blobs", "17") == 17
    for text, asks in (("007", 7), ("4294967296", 0)):
        with pytest.raises(ValueError, match=f"; ask for results/data/blobs/seed~{asks}.nc$"):
            paths.seed_of("blobs", text)
