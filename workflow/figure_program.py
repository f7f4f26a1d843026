"""The command-line program of every figure: it writes pictures, the numbers drawn and the caption."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import StrictUndefined, Template
from matplotlib.figure import Figure

from nrc import store
from nrc.figures.style import save_figure, styled
from workflow.program import run


def figure_program(
    description: str,
    draw: Callable[..., Figure],
    numbers: Callable[..., pd.DataFrame],
    summary: Callable[..., dict[str, Any]],
) -> None:
    """Run it. The functions take the settings, then the cube of each experiment.

    Parameters
    ----------
    description : str
    draw : callable
        The figure.
    numbers : callable
        The numbers drawn, a table.
    summary : callable
        What the caption's template asks for beside the settings.
    """

    def main() -> None:
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument(
            "--settings", type=json.loads, required=True, help="JSON with figure, data and more"
        )
        parser.add_argument("--measures", nargs="+", required=True, help="NetCDF cube of each experiment")
        parser.add_argument("--figures", nargs="+", required=True, help="pictures to write: .pdf, .png, .svg")
        parser.add_argument("--numbers", required=True, help="CSV file to write")
        parser.add_argument("--caption", required=True, help="reStructuredText file to write")
        parser.add_argument("--caption-template", required=True, help="jinja template of the caption")
        args = parser.parse_args()

        settings, cubes = args.settings, [store.load(path) for path in args.measures]
        template = Template(
            Path(args.caption_template).read_text(encoding="utf-8"), undefined=StrictUndefined
        )
        try:
            table = numbers(settings, *cubes)
            caption = template.render(**settings, **summary(settings, *cubes))
            with styled():
                save_figure(draw(settings, *cubes), args.figures, settings["figure"]["dpi"])
        except ValueError as error:
            raise SystemExit(str(error)) from error
        with store.atomic(args.numbers) as temporary:
            table.to_csv(temporary, index=False)
        with store.atomic(args.caption) as temporary:
            temporary.write_text(caption, encoding="utf-8")

    run(main)
