"""Threads of all tests, and what the examples in docstrings find: libraries, made-up cubes, a folder."""

import os

import pytest

# Each worker has a core of its own, and so have its processes; libraries read this when they are imported.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")


@pytest.fixture(scope="session")
def names_in_examples():
    import numpy as np
    import pandas as pd
    import torch
    import xarray as xr

    import nrc
    from support import made_up

    return {
        **{"np": np, "pd": pd, "torch": torch, "xr": xr, "nrc": nrc},
        **{"cube": made_up.cube(), "shifts": made_up.shift(seed=[0, 1, 2]), "branches": made_up.branches()},
    }


@pytest.fixture(autouse=True)
def around_an_example(request):
    """Give an example the names, and a folder where it may write files."""
    if isinstance(request.node, pytest.DoctestItem):
        names = request.getfixturevalue("names_in_examples")
        request.getfixturevalue("doctest_namespace").update(names)
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
