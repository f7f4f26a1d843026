"""Make the points of a data set: draw a mixture, choose images, or read a file."""

from pathlib import Path
from typing import Annotated

from workflow.lib.program import Settings, run

from nrc import kinds, netcdf
from nrc.metadata import provenance


def main(
    settings: Annotated[
        Settings, "experiment (the name of the data), data (their options, with kind) and seed"
    ],
    output: Annotated[Path, "NetCDF file to write: points and labels"],
    files: Annotated[list[str], "files that the kind of data reads"] = [],  # noqa: B006
) -> None:
    name, entry = settings["experiment"], dict(settings["data"])
    try:
        if files and "file" in kinds.options("data", entry["kind"]).model_fields:
            entry["file"] = files[0]  # the settings do not have the path, which changes no result
        kind, options = kinds.parse("data", entry)
        points = kind.draw(options, settings["seed"], files)
    except ValueError as error:
        raise ValueError(f"data.{name}: {error}") from error
    netcdf.save(points.to_dataset().assign_attrs(provenance(settings)), output)


if __name__ == "__main__":
    run(main)
