"""Draw a Gaussian mixture: means, unit noise and labels, one file for every sigma."""

import argparse
import json

from nrc import store
from nrc.data.mixture import draw_mixture
from workflow.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: experiment, data, seed")
    parser.add_argument("--output", required=True, help="NetCDF file to write")
    args = parser.parse_args()

    choices = {key: value for key, value in args.settings["data"].items() if key != "kind"}
    try:
        mixture = draw_mixture(**choices, seed=args.settings["seed"])
    except ValueError as error:
        raise SystemExit(f"experiments.{args.settings['experiment']}.data: {error}") from error
    store.save(mixture.to_dataset().assign_attrs(store.provenance(args.settings)), args.output)


if __name__ == "__main__":
    run(main)
