"""Fetch a split of MNIST from the bundled files, a folder or the internet, and check its bytes."""

from pathlib import Path
from typing import Annotated, Literal

from workflow.lib.program import Settings, run

from nrc import netcdf
from nrc.data.mnist import Options, fetch, images_dataset
from nrc.metadata import provenance


def main(
    settings: Annotated[Settings, "source (bundled, folder or torchvision) and folder"],
    split: Annotated[Literal["train", "test"], "training or test images"],
    output: Annotated[Path, "NetCDF file to write: images and labels"],
    bundled: Annotated[
        Path | None, "folder of the bundled files, which is read if the source is `bundled`"
    ] = None,
) -> None:
    try:
        images, labels = fetch(Options.checked(settings), split, bundled or Path())
    except ValueError as error:
        raise ValueError(f"data source {settings['source']}: {error}") from error
    # the source of the bytes does not matter
    about = provenance({"experiment": "mnist", "split": split})
    netcdf.save(images_dataset(images, labels).assign_attrs(about), output)


if __name__ == "__main__":
    run(main)
