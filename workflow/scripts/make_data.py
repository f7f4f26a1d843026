"""Make the points of a data set: draw a mixture, choose images, or read a file."""

import argparse

from nrc import data, netcdf
from nrc.metadata import provenance
from workflow.lib.program import add_file, program, run


def main(args: argparse.Namespace) -> None:
    name, options = args.settings["experiment"], dict(args.settings["data"])
    kind = data.kind(options.pop("kind"))
    try:
        points = kind.draw(options, args.settings["seed"], args.files)
    except ValueError as error:
        raise ValueError(f"data.{name}: {error}") from error
    netcdf.save(points.to_dataset().assign_attrs(provenance(args.settings)), args.output)


def arguments() -> argparse.ArgumentParser:
    parser = program(__doc__, "experiment (the name of the data), data (their options, with kind) and seed")
    parser.add_argument(
        "--files",
        nargs="*",
        default=[],
        metavar="FILE",
        help="files that the kind of data reads (default: none)",
    )
    add_file(parser, "--output", "NetCDF file to write: points and labels")
    return parser


if __name__ == "__main__":
    run(main, arguments())
