"""Draw Figure 1: rank over the plane of sigma and weight decay; write picture, numbers and caption."""

import argparse
import json
from pathlib import Path

import pandas as pd
from jinja2 import StrictUndefined, Template

from nrc import store
from nrc.figures import figure1
from nrc.figures.style import save_figure, styled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON with data, training and figure"
    )
    parser.add_argument("--measures", required=True, help="NetCDF cube of the experiment")
    parser.add_argument("--figures", nargs="+", required=True, help="pictures to write: .pdf, .png, .svg")
    parser.add_argument("--numbers", required=True, help="CSV file to write")
    parser.add_argument("--caption", required=True, help="reStructuredText file to write")
    parser.add_argument("--caption-template", required=True, help="jinja template of the caption")
    args = parser.parse_args()

    settings, measures = args.settings, store.load(args.measures)
    try:
        tables = [figure1.plane(measures), figure1.variation(measures)]
    except ValueError as error:
        raise SystemExit(str(error)) from error
    data = settings["data"]
    with styled():
        figure = figure1.draw(
            measures,
            clusters=data["clusters"],
            dimension=data["dimension"],
            colour_map=settings["figure"]["colour_map"],
        )
        save_figure(figure, args.figures, settings["figure"]["dpi"])
    with store.atomic(args.numbers) as temporary:
        pd.concat(tables, keys=["plane", "variation"], names=["panel"]).droplevel(1).to_csv(temporary)
    with store.atomic(args.caption) as temporary:
        template = Template(
            Path(args.caption_template).read_text(encoding="utf-8"), undefined=StrictUndefined
        )
        temporary.write_text(template.render(**settings, **figure1.summary(measures)), encoding="utf-8")


if __name__ == "__main__":
    main()
