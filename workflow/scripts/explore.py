"""Make the explorer: one page to look at every network of every experiment in a browser."""

import argparse

from nrc import netcdf
from nrc.explorer.page import page
from workflow.lib.program import add_file, program, run


def main(args: argparse.Namespace) -> None:
    cubes, commands = {}, args.settings["commands"]
    for path in args.measures:
        cube = netcdf.load(path)
        experiment = cube.attrs["experiment"]
        if experiment not in commands:
            raise ValueError(f"commands has none for experiment {experiment}, which {path} is of; give one")
        cubes[experiment] = cube
    with netcdf.atomic(args.output) as temporary:
        temporary.write_text(page(cubes, commands), encoding="utf-8")


def arguments() -> argparse.ArgumentParser:
    parser = program(
        __doc__,
        "commands: for each experiment the commands that make one of its networks again, by what they do, "
        "with the word CELLS for the network's place in the grid",
    )
    add_file(parser, "--measures", "NetCDF cubes of measures, one an experiment", nargs="+")
    add_file(parser, "--output", "HTML page to write")
    return parser


if __name__ == "__main__":
    run(main, arguments())
