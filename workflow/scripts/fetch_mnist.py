"""Fetch a split of MNIST from the bundled files, a folder or the internet, and check it."""

import argparse
from pathlib import Path

from nrc import netcdf
from nrc.data.mnist import SPLITS, fetch, images_dataset
from nrc.metadata import provenance
from workflow.lib.program import add_file, program, run


def main(args: argparse.Namespace) -> None:
    try:
        images, labels = fetch(args.settings, args.split, args.bundled)
    except ValueError as error:
        raise ValueError(f"data source {args.settings['source']}: {error}") from error
    # where the bytes come from is no part of what they are
    about = provenance({"experiment": "mnist", "split": args.split})
    netcdf.save(images_dataset(images, labels).assign_attrs(about), args.output)


def arguments() -> argparse.ArgumentParser:
    parser = program(__doc__, "source (bundled, folder or torchvision), folder and mirrors")
    parser.add_argument(
        "--split", choices=list(SPLITS), required=True, help="which of the two sets of images"
    )
    parser.add_argument(
        "--bundled",
        type=Path,
        metavar="FOLDER",
        help="folder of the bundled files, read if that is the source (default: none)",
    )
    add_file(parser, "--output", "NetCDF file to write: images (pixels 0 to 1) and labels")
    return parser


if __name__ == "__main__":
    run(main, arguments())
