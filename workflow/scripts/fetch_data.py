"""Fetch a file of a data set from the project, a folder or the internet, and check its bytes."""

from pathlib import Path
from typing import Annotated

from workflow.lib.program import Option, Settings, run

from nrc import kinds, netcdf
from nrc.metadata import provenance


def main(
    settings: Annotated[Settings, "kind of the data, and its options that say where the bytes are"],
    part: Annotated[str, Option("which file of the data, such as train or test", str, "NAME")],
    output: Annotated[Path, "NetCDF file to write"],
    bundled: Annotated[Path, Option("folder of the bundled files of the kind", Path, "FOLDER")],
) -> None:
    kind, options = kinds.parse("data", settings)
    try:
        dataset = kind.fetch(options, part, bundled)
    except ValueError as error:
        raise ValueError(f"data of kind {settings['kind']}: {error}") from error
    # the source of the bytes does not matter
    about = provenance({"experiment": settings["kind"], "split": part})
    netcdf.save(dataset.assign_attrs(about), output)


if __name__ == "__main__":
    run(main)
