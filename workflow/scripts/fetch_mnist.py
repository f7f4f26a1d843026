"""Fetch a split of MNIST from the bundled files, a folder or the internet, and check it."""

import argparse
import json

from nrc import store
from nrc.data.mnist import download_split, images_dataset, read_split
from workflow.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: source, folder, mirrors")
    parser.add_argument("--split", choices=["train", "test"], required=True)
    parser.add_argument("--bundled", required=True, help="folder of the bundled files")
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    args = parser.parse_args()

    source = args.settings["source"]
    try:
        if source == "torchvision":
            images, labels = download_split(args.split, args.settings["mirrors"])
        else:
            folder = args.bundled if source == "bundled" else args.settings["folder"]
            images, labels = read_split(folder, args.split)
    except ValueError as error:
        raise SystemExit(f"data source {source}: {error}") from error
    # where the bytes come from is no part of what they are
    settings = {"experiment": "mnist", "split": args.split}
    store.save(images_dataset(images, labels).assign_attrs(store.provenance(settings)), args.output)


if __name__ == "__main__":
    run(main)
