"""Draw a figure: its pictures, the numbers drawn, and a caption that says how the networks ended."""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import xarray as xr
from jinja2 import Environment, StrictUndefined

from nrc import netcdf
from nrc.cubes import join_cubes, select
from nrc.figures import kind as kind_of_figure
from nrc.figures.style import FORMATS, picture, styled
from nrc.grid import notation
from workflow.lib import program

Settings = Mapping[str, Any]


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=PATH")
    return name, Path(path)


def _picture(text: str) -> Path:
    if Path(text).suffix[1:] not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in one of .{', .'.join(FORMATS)}")
    return Path(text)


NETWORKS = {"autoencode": "autoencoders", "classify": "classifiers", "regress": "regression networks"}


def main(
    settings: Annotated[
        program.Settings,
        "`figure`, complete settings of the figure with its kind, and `experiments`, for each name complete "
        "settings with those of its data as `data_options`",
    ],
    cubes: Annotated[
        list[tuple[str, Path]],
        program.Option(
            "NetCDF cube to read of each experiment drawn; for a figure of shifts, of each title",
            _named,
            "NAME=PATH",
        ),
    ],
    template: Annotated[Path, "jinja template of the caption, to read"],
    caption: Annotated[Path, "reStructuredText file to write: NAME.rst"],
    figures: Annotated[list[Path], program.Option("pictures to write: .png, .pdf, .svg", _picture, "FILE")],
    numbers: Annotated[Path, "CSV file to write: the numbers drawn"],
) -> None:
    """Compute everything, then write it: if one part fails, nothing is written."""
    options, experiments = (settings[part] for part in ("figure", "experiments"))
    loaded = {name: netcdf.load(path) for name, path in cubes}
    arranged = arrange(loaded, options)
    kind = kind_of_figure(options["kind"])
    table = kind.rows(arranged, options).to_csv(index=False, lineterminator="\n")
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["outcome"] = outcome
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
        # laid out once, and so alike in all files
        drawing.draw_without_rendering()
        drawing.set_layout_engine("none")
        files = {path: picture(drawing, path.suffix[1:], options["dpi"]) for path in figures}
    files |= {numbers: table.encode(), caption: f"{rendered}\n".encode()}
    for path, data in files.items():
        with netcdf.atomic(path) as temporary:
            temporary.write_bytes(data)


def arrange(loaded: Mapping[str, xr.Dataset], options: Settings) -> dict[str, xr.Dataset]:
    """What a kind draws: a cube for each title, or the one cube to which the experiments are joined.

    Raises
    ------
    ValueError
        If the cubes are not those that the figure is of, cannot be joined, or have not the values
        chosen by `at`.
    """
    if set(loaded) != set(options["of"]):
        raise ValueError(
            f"the figure is of {', '.join(options['of'])}, but the cubes are {', '.join(loaded)}"
        )
    if not isinstance(options["of"], Mapping):
        loaded = {" and ".join(options["of"]): join_cubes([loaded[name] for name in options["of"]])}
    return {name: select(cube, options["at"]) for name, cube in loaded.items()}


def networks(loaded: Mapping[str, xr.Dataset], options: Settings, experiments: Mapping[str, Settings]) -> str:
    """What was trained, in words: for each cube, where there are several, after its name."""
    of = options["of"] if isinstance(options["of"], Mapping) else {name: name for name in options["of"]}
    told = {name: _clauses(experiments[of[name]], loaded[name].attrs, options["at"]) for name in of}
    (first, clauses), *others = told.items()
    if not others:
        return _sentence(clauses)
    said = [f"``{first}``: {'; '.join(clauses)}"]
    for name, theirs in others:
        differs = [clause for clause, same in zip(theirs, clauses, strict=True) if clause != same]
        said.append(f"``{name}``: the same{', but ' if differs else ''}{'; '.join(differs)}")
    return _sentence(said)


def outcome(facts: Settings) -> str:
    """The outcome of training in a sentence or two, from the facts of `nrc.figures.cube.endings`."""
    said = f"{facts['converged']} of {_counted(facts['cells'], 'network')} converged, "
    said += f"{facts['stopped']} stopped before they were stationary"
    if facts["diverged"]:
        said += f" ({facts['diverged']} of them diverged and have no measures)"
    said += f", {facts['collapsed_to_zero']} died"
    if not math.isnan(facts["worst_stopped"]):
        said += f"; the largest relative residual of those that stopped is {facts['worst_stopped']:.1e}"
    whose = {"train": "of the points they were trained on", "test": "of others"}
    shares = [f"{_range(*share)} {whose[part]}" for part, share in facts["accuracy"].items()]
    return f"{said}." + (f" They classify {' and '.join(shares)} right." if shares else "")


def _clauses(experiment: Settings, sizes: Settings, at: Settings) -> list[str]:
    """Networks, data, grid, loss and training of an experiment, a clause each."""
    network, training = experiment["network"], experiment["training"]
    data, method = experiment["data_options"], training["method"]
    grid = {**experiment["grid"], **{axis: np.atleast_1d(values) for axis, values in at.items()}}
    loss = experiment["loss"].replace("_", " ")
    loss += f" with the penalty on the {'product of the ' if training['penalty'] == 'product' else ''}layers"
    if training["loss_on"] == "centroids":
        loss += " on the centroids of the clusters alone"
    budget = f"a relative residual of {training['tolerance']:g} or {training['epochs']} epochs"
    if training["wall_clock"]:
        budget += f" or {training['wall_clock']} s"
    if training["precision"] != "float64":
        budget += f", in {training['precision']}"
    on = _start(training["warm_start"])
    kind = (
        f"{network['activation']} {NETWORKS[experiment['task']]}{' with biases' if network['bias'] else ''}"
    )
    layers = "layer" if list(grid["depth"]) == [1] else "layers"
    choices = f" ({', '.join(_options(method, 'name'))})" if len(method) > 1 else ""
    drawn = _options(data, "kind", "clusters", "points", "dimension")
    return [
        f"{kind}, {_listed(grid['depth'])} {layers} of width {_listed(grid['width'])}",
        f"{sizes['points']} points of {experiment['data']} ({', '.join([data['kind'], *drawn])}) "
        f"in dimension {sizes['dimension']}, K = {sizes['clusters']}",
        f"weight decay {_listed(grid['weight_decay'])}, noise level {_listed(grid['sigma'])}, "
        f"{_counted(len(grid['seed']), 'seed')}",
        loss,
        f"trained {on}by {method['name']}{choices} to {budget}",
    ]


def _start(start: str | Settings | None) -> str:
    """Where training starts, in words before how it goes on."""
    if isinstance(start, Mapping):
        axis, side = start["along"].replace("_", " "), {"up": "smaller", "down": "larger"}
        return f"on from the next {side[start['direction']]} {axis}, the first from initial weights, "
    return f"on from those of {start} " if start else ""


def _sentence(clauses: Sequence[str]) -> str:
    words = "; ".join(clauses)
    return f"{words[0].upper()}{words[1:]}."


def _range(least: float, most: float) -> str:
    ends = sorted({f"{least:.3f}", f"{most:.3f}"})
    return " to ".join(ends)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _options(options: Settings, *without: str) -> list[str]:
    """Options that are set, in words."""
    there = {key: value for key, value in options.items() if key not in without and value is not None}
    return [f"{key.replace('_', ' ')} {value}" for key, value in there.items()]


def _listed(values: Sequence[float]) -> str:
    words = [notation(value) for value in values]
    if len(words) > 5:
        return f"{words[0]} to {words[-1]} ({len(words)} values)"
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


if __name__ == "__main__":
    program.run(main)
