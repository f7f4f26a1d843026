"""Draw Figure 1: rank over the plane of sigma and weight decay; write picture, numbers and caption."""

import argparse
import json

import pandas as pd

from nrc import store
from nrc.figures import figure1
from nrc.figures.style import save_figure, styled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON with data, training and figure")
    parser.add_argument("--measures", required=True, help="NetCDF cube of the experiment")
    parser.add_argument("--figures", nargs="+", required=True, help="pictures to write: .pdf, .png, .svg")
    parser.add_argument("--numbers", required=True, help="CSV file to write")
    parser.add_argument("--caption", required=True, help="reStructuredText file to write")
    args = parser.parse_args()

    data, training, look = (args.settings[key] for key in ("data", "training", "figure"))
    measures = store.load(args.measures)
    try:
        numbers = pd.concat([figure1.plane(measures), figure1.variation(measures)], keys=["plane", "variation"], names=["panel"])
    except ValueError as error:
        raise SystemExit(str(error)) from error
    with styled():
        figure = figure1.draw(
            measures, clusters=data["clusters"], dimension=data["dimension"], colour_map=look["colour_map"]
        )
        save_figure(figure, args.figures, look["dpi"])
    with store.atomic(args.numbers) as temporary:
        numbers.droplevel(1).to_csv(temporary)
    with store.atomic(args.caption) as temporary:
        temporary.write_text(
            figure1.caption(
                measures,
                clusters=data["clusters"],
                points=data["points"],
                dimension=data["dimension"],
                covariance=data["covariance"],
                settings=f"{training['method']} to relative residual {training['tolerance']:g} "
                f"or {training['evaluations']} evaluations",
            ),
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
