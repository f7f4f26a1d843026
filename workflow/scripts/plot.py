"""Draw a figure: its pictures, the numbers in them, and a caption with the numbers of networks by status."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from workflow.lib.program import Option, Settings, run

import xarray as xr
from jinja2 import Environment, StrictUndefined

from nrc import kinds, netcdf
from nrc.cubes import join_cubes, select
from nrc.figures.options import FigureOptions, by_title
from nrc.figures.style import FORMATS, picture, styled
from nrc.grid import notation
from nrc.objectives.penalties import PENALTIES
from nrc.text import between, capitalised, counted, listed

# Settings of a part of the configuration.
Entry = Mapping[str, Any]

NETWORKS = {"autoencode": "autoencoders", "classify": "classifiers", "regress": "regression networks"}


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=PATH")
    return name, Path(path)


def _picture(text: str) -> Path:
    if Path(text).suffix[1:] not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in one of .{', .'.join(FORMATS)}")
    return Path(text)


def main(
    settings: Annotated[
        Settings,
        "`figure`, complete settings of the figure with its kind, and `experiments`, for each name complete "
        "settings, and the settings of its data as `data_options`",
    ],
    cubes: Annotated[
        list[tuple[str, Path]],
        Option(
            "NetCDF cube to read of each experiment, or of each title of the figure",
            _named,
            "NAME=PATH",
        ),
    ],
    template: Annotated[Path, "jinja template of the caption, to read"],
    caption: Annotated[Path, "reStructuredText file to write: NAME.rst"],
    figures: Annotated[list[Path], Option("pictures to write: .png, .pdf, .svg", _picture, "FILE")],
    numbers: Annotated[Path, "CSV file to write: the numbers in the figure"],
) -> None:
    """Compute all parts before the first is written, so that nothing is written if one of them fails."""
    experiments = settings["experiments"]
    try:
        kind, options = kinds.parse("figures", settings["figure"])
    except ValueError as error:
        raise ValueError(f"figure {caption.stem}: {error}") from None
    loaded = {name: netcdf.load(path) for name, path in cubes}
    arranged = arrange(loaded, options)
    require_settings(loaded, options, experiments)
    table = kind.rows(arranged, options).to_csv(index=False, lineterminator="\n")
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"outcome": outcome, "listed": listed, "between": between}
    text = environment.from_string(template.read_text(encoding="utf-8"))
    rendered = text.render(
        name=caption.stem,
        figure=options,
        networks=networks(loaded, options, experiments),
        experiment=next(iter(experiments.values())),
        facts=kind.summary(arranged, options),
    )
    with styled():
        drawing = kind.draw(arranged, options)
        # laid out once, so that the layout is the same in all files
        drawing.draw_without_rendering()
        drawing.set_layout_engine("none")
        files = {path: picture(drawing, path.suffix[1:], options.dpi) for path in figures}
    files |= {numbers: table.encode(), caption: f"{rendered}\n".encode()}
    for path, data in files.items():
        with netcdf.atomic(path) as temporary:
            temporary.write_bytes(data)


def arrange(loaded: Mapping[str, xr.Dataset], options: FigureOptions) -> dict[str, xr.Dataset]:
    """The cubes of a kind: one for each title, or the join of the cubes of all experiments.

    Raises
    ------
    ValueError
        If the cubes are not the cubes of the figure, cannot be joined, or do not have the values of `at`.
    """
    if set(loaded) != set(options.of):
        raise ValueError(f"the figure needs cubes of {listed(options.of)}, but has cubes of {listed(loaded)}")
    if isinstance(options.of, list):
        loaded = {" and ".join(options.of): join_cubes([loaded[name] for name in options.of])}
    return {name: select(cube, options.at) for name, cube in loaded.items()}


def require_settings(
    loaded: Mapping[str, xr.Dataset], options: FigureOptions, experiments: Mapping[str, Entry]
) -> None:
    """Refuse cubes that were made with other settings than those that the caption describes.

    Snakemake takes such a file for up to date if its records are missing, for example in copied results.
    """
    for name, experiment in by_title(options.of).items():
        stored = json.loads(loaded[name].attrs.get("settings", "{}"))
        described = {**experiments[experiment], "data": experiments[experiment]["data_options"]}
        for key in ("data", "task", "network", "loss", "grid", "training"):
            if key in stored and stored[key] != described[key]:
                raise ValueError(
                    f"the file of experiment {experiment} was made with another {key} than the configuration "
                    "has; run with the configuration of these results, or delete the file and run again"
                )


def networks(
    loaded: Mapping[str, xr.Dataset], options: FigureOptions, experiments: Mapping[str, Entry]
) -> str:
    """Networks, data and training in words; of several cubes, for each after its name."""
    clauses = {
        name: _clauses(experiments[experiment], loaded[name].attrs, options.at)
        for name, experiment in by_title(options.of).items()
    }
    (first, words), *others = clauses.items()
    if not others:
        return f"{capitalised('; '.join(words))}."
    sentences = [f"``{first}``: {'; '.join(words)}"]
    for name, theirs in others:
        different = [clause for clause, same in zip(theirs, words, strict=True) if clause != same]
        sentences.append(f"``{name}``: the same{', but ' if different else ''}{'; '.join(different)}")
    return f"{capitalised('; '.join(sentences))}."


def outcome(facts: Entry) -> str:
    """Numbers of networks by status in a sentence or two, from `nrc.figures.cube.status_counts`."""
    stopped = f"{facts['stopped']} stopped before they were stationary"
    if facts["diverged"]:
        stopped += f" ({facts['diverged']} of them diverged and have no measures)"
    text = f"{facts['converged']} of {counted(facts['cells'], 'network')} converged, {stopped}, "
    text += f"{facts['collapsed_to_zero']} collapsed to zero"
    if not math.isnan(facts["worst_stopped"]):
        text += f"; the largest relative residual of a stopped network is {facts['worst_stopped']:.1e}"
    points = {"train": "training", "test": "test"}
    shares = [
        f"{between(low, high, '.3f')} of the {points[part]} points"
        for part, (low, high) in facts["accuracy"].items()
    ]
    return f"{text}." + (f" They classify {' and '.join(shares)} correctly." if shares else "")


def _clauses(experiment: Entry, sizes: Entry, at: Entry) -> list[str]:
    """Networks, data, grid, loss and training of an experiment, with a clause for each."""
    network, training = experiment["network"], experiment["training"]
    data, method = experiment["data_options"], training["method"]
    grid = {axis: _values(values) for axis, values in {**experiment["grid"], **at}.items()}
    loss = experiment["loss"].replace("_", " ")
    loss += f" with the penalty on {PENALTIES[training['penalty']].of}"
    if training["loss_on"] == "centroids":
        loss += " on the centroids of the clusters only"
    budget = f"a relative residual of {training['tolerance']:g} or for {training['epochs']} epochs"
    if training["precision"] != "float64":
        budget += f", in {training['precision']}"
    options = {key: value for key, value in network.items() if key not in ("kind", "activation", "bias")}
    shape = "" if network["kind"] == "mlp" else f"{network['kind']} "
    kind = f"{network.get('activation', '')} {shape}{NETWORKS[experiment['task']]}".strip()
    kind += f" ({', '.join(_options(options))})" if options else ""
    kind += " with biases" if network.get("bias") else ""
    choices = f" ({', '.join(_options(method, 'name'))})" if len(method) > 1 else ""
    drawn = _options(data, "kind", "clusters", "points", "dimension")
    seeds = len({**experiment["grid"], **at}["seed"])
    return [
        f"{kind}, {grid['depth']} {'layer' if grid['depth'] == '1' else 'layers'} of width {grid['width']}",
        f"{sizes['points']} points of {experiment['data']} ({', '.join([data['kind'], *drawn])}) "
        f"in dimension {sizes['dimension']}, K = {sizes['clusters']}",
        f"weight decay {grid['weight_decay']}, noise level {grid['sigma']}, {counted(seeds, 'seed')}",
        loss,
        f"trained {_warm_start(training['warm_start'])}by {method['name']}{choices} to {budget}",
    ]


def _warm_start(start: str | Entry | None) -> str:
    """The initial weights in words; empty if they are drawn at random."""
    if isinstance(start, Mapping):
        axis, side = start["along"].replace("_", " "), {"up": "smaller", "down": "larger"}
        neighbour = f"the networks of the next {side[start['direction']]} {axis}"
        return f"from {neighbour}, the first from initial weights, "
    return f"from the networks of {start} " if start else ""


def _options(options: Entry, *without: str) -> list[str]:
    """Options that are set, in words."""
    given = {key: value for key, value in options.items() if key not in without and value is not None}
    words = {key: notation(value) if isinstance(value, float) else value for key, value in given.items()}
    return [f"{key.replace('_', ' ')} {value}" for key, value in words.items()]


def _values(values: Sequence[float]) -> str:
    """Values of an axis in words: all of a few, else both ends and their number."""
    words = [notation(value) for value in values]
    return listed(words) if len(words) <= 5 else f"{words[0]} to {words[-1]} ({len(words)} values)"


if __name__ == "__main__":
    run(main)
