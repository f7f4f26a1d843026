"""Make the explorer: one page to look at every network of every experiment in a browser."""

import argparse
from pathlib import Path

from nrc import store
from nrc.explorer.page import page
from pipeline.program import program, run


def main(args: argparse.Namespace) -> None:
    cubes, commands = {}, args.settings["commands"]
    for path in args.measures:
        cube = store.load(path)
        experiment = cube.attrs["experiment"]
        if experiment not in commands:
            raise ValueError(f"commands has none for experiment {experiment}, which {path} is of; give one")
        cubes[experiment] = cube
    with store.atomic(args.output) as temporary:
        temporary.write_text(page(cubes, commands), encoding="utf-8")


def arguments() -> argparse.ArgumentParser:
    parser = program(
        __doc__,
        "commands: for each experiment the commands that make one of its networks again, by what they do, "
        "with the word CELLS for the network's place in the grid",
    )
    parser.add_argument(
        "--measures", type=Path, nargs="+", required=True, help="NetCDF cubes of measures, one an experiment"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="HTML page to write")
    return parser


if __name__ == "__main__":
    run(main, arguments())
