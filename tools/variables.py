"""Write docs/reference/variables.json, the variables of each kind of file, from finished runs.

python -m tools.variables RESULTS ...

A run of the tiny scale has all variables except targets y, biases and the curvature of end points.
"""

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xarray as xr

from nrc import netcdf
from nrc.grid import AXES

__all__ = ["VARIABLES", "found"]

VARIABLES = Path(__file__).parents[1] / "docs/reference/variables.json"
# kinds of file, each with a pattern for files below a folder of results
KINDS = {
    "data/{data}/*.nc": "data/*/*.nc",
    "{experiment}/train/*.nc": "*/train/**/*.nc",
    "{experiment}/measure/*.nc and {experiment}/measures.nc": "*/measure*/**/*.nc",
    "{experiment}/shift.nc": "*/shift.nc",
    "claims.nc": "claims.nc",
}
ATTRIBUTES = ("long_name", "units", "reference", "comment")
# words that depend on the run, with general words for them
GENERAL = {
    r"\brank \d+, the": "rank K, the",
    r"\brank exceeds \d+": "rank exceeds K",
    r"\brank at most \d+": "rank at most K",
    r"\beigenvalue \d+ of": "eigenvalue K+1 of",
    r"\blayer \d+$": "layer l",
}


def found(results: Iterable[Path]) -> dict[str, dict[str, dict[str, Any]]]:
    """The variables of each kind of file, by name, with their dimensions and attributes."""
    folders = list(results)
    return {
        kind: dict(sorted(_variables(file for folder in folders for file in folder.glob(pattern)).items()))
        for kind, pattern in KINDS.items()
    }


def _variables(files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    variables: dict[str, dict[str, Any]] = {}
    for file in sorted(files):
        for name, variable in netcdf.load(file).variables.items():
            variables.setdefault(re.sub(r"^([Wb])\d+$", r"\1{l}", str(name)), _about(variable))
    return variables


def _about(variable: xr.Variable) -> dict[str, Any]:
    sizes = iter(("n_l", "n_{l-1}"))
    own = [
        next(sizes) if re.match(r"n\d", str(dim)) else str(dim) for dim in variable.dims if dim not in AXES
    ]
    # which axes of the grid a file has depends on its stack
    axes = ["cells"] if set(variable.dims) & set(AXES) else []
    about: dict[str, Any] = {"dims": axes + own}
    about |= {key: str(variable.attrs[key]) for key in ATTRIBUTES if key in variable.attrs}
    for of_run, word in GENERAL.items():
        about["long_name"] = re.sub(of_run, word, about["long_name"])
    if "flag_meanings" in variable.attrs:
        codes = zip(variable.attrs["flag_values"], variable.attrs["flag_meanings"].split(), strict=True)
        about["values"] = ", ".join(f"{code} {meaning}" for code, meaning in codes)
    return about


def main(results: list[Path]) -> None:
    text = json.dumps(found(results), indent=1)
    VARIABLES.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("tools.variables", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="folders of results")
    main(parser.parse_args().results)
