"""Fetch a split of MNIST from the bundled files, a folder or the internet, and check it."""

from pathlib import Path
from typing import Annotated, Literal

from nrc import netcdf
from nrc.data.mnist import fetch, images_dataset
from nrc.metadata import provenance
from workflow.lib.program import Settings, run


def main(
    settings: Annotated[Settings, "source (bundled, folder or torchvision), folder and mirrors"],
    split: Annotated[Literal["train", "test"], "which of the two sets of images"],
    output: Annotated[Path, "NetCDF file to write: images (pixels 0 to 1) and labels"],
    bundled: Annotated[
        Path | None, "folder of the bundled files, which is read if the source is `bundled`"
    ] = None,
) -> None:
    try:
        images, labels = fetch(settings, split, bundled)
    except ValueError as error:
        raise ValueError(f"data source {settings['source']}: {error}") from error
    # where the bytes come from is no part of what they are
    about = provenance({"experiment": "mnist", "split": split})
    netcdf.save(images_dataset(images, labels).assign_attrs(about), output)


if __name__ == "__main__":
    run(main)
