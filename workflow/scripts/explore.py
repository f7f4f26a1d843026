"""Make the explorer: one page to look at every network of every experiment in a browser."""

from pathlib import Path
from typing import Annotated

from workflow.lib.program import Settings, run

from nrc import netcdf
from nrc.explorer.page import page


def main(
    settings: Annotated[
        Settings,
        "commands: for each experiment the commands that train and measure one of its networks, by what they "
        "do, with the word CELLS for the network's place in the grid",
    ],
    measures: Annotated[list[Path], "NetCDF cubes of measures, one per experiment"],
    output: Annotated[Path, "HTML page to write"],
) -> None:
    cubes, commands = {}, settings["commands"]
    for path in measures:
        cube = netcdf.load(path)
        experiment = cube.attrs["experiment"]
        if experiment not in commands:
            raise ValueError(f"commands has no entry for experiment {experiment} of {path}; add an entry")
        cubes[experiment] = cube
    with netcdf.atomic(output) as temporary:
        temporary.write_text(page(cubes, commands), encoding="utf-8")


if __name__ == "__main__":
    run(main)
