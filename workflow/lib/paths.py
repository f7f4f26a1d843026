"""The path of every stack, and the stack of every path."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import product
from pathlib import PurePath
from typing import Any

from nrc import kinds
from nrc.grid import AXES, Stack, notation, number
from workflow.config.warm_starts import axis_of_warm_start

__all__ = [
    "cube_file",
    "data_files",
    "experiment_of",
    "fetched",
    "figure_of",
    "network_file",
    "no_such_target",
    "seed_of",
    "source_files",
    "stack_files",
    "stack_of",
    "start_files",
    "warm_start_chain",
]

# Targets that are no files.
STAGES = ("all", "data", "train", "measures", "figures", "report")
# In a path each axis has a value, or this word if the stack contains all values.
ALL = "all"


def stack_files(stage: str, name: str, experiment: Mapping[str, Any]) -> list[str]:
    """Paths of all stacks of an experiment, by its `stack` setting."""
    words = [
        [ALL] if axis in experiment["stack"] else [notation(value) for value in experiment["grid"][axis]]
        for axis in AXES
    ]
    return [network_file(stage, name, _cells(values)) for values in product(*words)]


def experiment_of(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the experiment of a name; `ValueError` if there is no such experiment."""
    return _entry_of("experiment", name, settings["experiments"])


def figure_of(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the figure of a name; `ValueError` if there is no such figure."""
    return _entry_of("figure", name, settings["figures"])


def no_such_target(target: str, settings: Mapping[str, Any]) -> str:
    """What to ask for instead of a target that no rule makes, by the last word of its path.

    Examples
    --------
    >>> no_such_target("figure1", {"experiments": {"mixture": {}}, "figures": {"figure1": {}}})
    "there is no target 'figure1'; ask for results/figures/figure1.png"
    """
    known = {stage: stage for stage in STAGES}
    known |= {name: cube_file(name) for name in settings["experiments"]}
    known |= {name: f"results/figures/{name}.png" for name in settings["figures"]}
    near = get_close_matches(PurePath(target).stem, known, 1)
    advice = known[near[0]] if near else f"{', '.join(STAGES)}, or a file in results/"
    return f"there is no target {target!r}; ask for {advice}"


def _entry_of(what: str, name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    if name not in known:
        raise ValueError(f"there is no {what} {name!r}; the configuration has {', '.join(known)}")
    settings: dict[str, Any] = known[name]
    return settings


def stack_of(name: str, cells: str, settings: Mapping[str, Any]) -> Stack:
    """The stack that a path names, on the configured grid or off it.

    Raises
    ------
    ValueError
        With the path to ask for, if a value is not a number in its one notation.
    """
    experiment = experiment_of(name, settings)
    grid, along = experiment["grid"], axis_of_warm_start(experiment)
    parts = dict(part.partition("~")[::2] for part in cells.split("/"))
    mistakes = [f"{axis} is not an axis" for axis in parts if axis not in AXES]
    axes, words = {}, []
    for axis in AXES:
        text = parts.get(axis, "")
        try:
            axes[axis] = _axis_value(axis, text, grid[axis])
            if text == ALL and axis == along:
                raise ValueError(
                    f"{axis} '{ALL}' is not possible, because networks start from their neighbours along it"
                )
            words.append(text)
        except ValueError as error:
            mistakes.append(str(error))
            words.append(_nearest_notation(axis, text, grid[axis]))
    if not mistakes and _cells(words) != cells:
        mistakes.append(f"the axes are not {', '.join(AXES)}, each once and in this order")
    if mistakes:
        path = network_file("train", name, _cells(words))
        raise ValueError(f"{'; '.join(mistakes)}; ask for {path}, or the same under measure")
    return Stack(axes)


def source_files(name: str, settings: Mapping[str, Any]) -> list[str]:
    """The files from which the points of a data set are made: fetched ones, or a file of the user."""
    entry = settings["data"][name]
    if "file" in entry:
        return [entry["file"]]
    return [f"results/data/{name}/{file}.nc" for file in fetched(entry)]


def fetched(entry: Mapping[str, Any]) -> dict[str, list[str]]:
    """The files that a data set must fetch, with the files of resources/{kind} that each is made from."""
    kind, options = kinds.parse("data", entry)
    files: dict[str, list[str]] = kind.fetched(options) if hasattr(kind, "fetch") else {}
    return files


def data_files(name: str, seeds: Sequence[int], settings: Mapping[str, Any]) -> list[str]:
    """The files of the points of a data set: one for each seed, or a single one for a kind without seeds."""
    options: Any = kinds.options("data", settings["data"][name]["kind"])
    if not options.seeded:
        return [f"results/data/{name}/points.nc"]
    return [f"results/data/{name}/seed~{seed}.nc" for seed in seeds]


def start_files(name: str, cells: str, settings: Mapping[str, Any]) -> list[str]:
    """The file of the networks from which the networks of a path start; none for initial weights."""
    return [network_file("train", before, cells) for before, cells in _before(name, cells, settings)]


def warm_start_chain(name: str, cells: str, settings: Mapping[str, Any]) -> list[str]:
    """The files of all earlier networks of a chain of warm starts that leads to the networks of a path."""
    chain: list[str] = []
    while before := _before(name, cells, settings):
        ((name, cells),) = before
        chain.append(network_file("train", name, cells))
    return chain


def _before(name: str, cells: str, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The experiment and the cells from which the networks of a path start; none for initial weights.

    These are the same cells of another experiment, or, along an axis, the cells at the nearest smaller (up)
    or larger (down) value of the grid.
    """
    experiment = experiment_of(name, settings)
    start, along = experiment["training"]["warm_start"], axis_of_warm_start(experiment)
    if along is None:
        return [] if start is None else [(start, cells)]
    axes = stack_of(name, cells, settings).axes
    value, values = axes[along], experiment["grid"][along]
    if start["direction"] == "up":
        nearest = max((other for other in values if other < value), default=None)
    else:
        nearest = min((other for other in values if other > value), default=None)
    if nearest is None:
        return []
    words = dict(part.split("~") for part in cells.split("/")) | {along: notation(nearest)}
    return [(name, _cells(list(words.values())))]


def seed_of(name: str, text: str) -> int:
    """The seed in the path of a data file.

    Raises
    ------
    ValueError
        With the path to ask for, if the text is not a seed in its only notation.
    """
    try:
        return int(number("seed", text))
    except ValueError as error:
        path = f"results/data/{name}/seed~{_nearest_notation('seed', text, [0])}.nc"
        raise ValueError(f"{error}; ask for {path}") from None


def network_file(stage: str, name: str, cells: str) -> str:
    """The file of networks of an experiment, trained or measured."""
    return f"results/{name}/{stage}/{cells}.nc"


def cube_file(experiment: str, cube: str = "measures") -> str:
    """The file of all cells of an experiment: measures, or the shift between data and centroids."""
    return f"results/{experiment}/{cube}.nc"


def _cells(words: Sequence[str]) -> str:
    return "/".join(f"{axis}~{word}" for axis, word in zip(AXES, words, strict=True))


def _axis_value(axis: str, text: str, values: list[Any]) -> Any:
    if text != ALL:
        return number(axis, text)
    if not AXES[axis].stackable:
        raise ValueError(f"{axis} '{ALL}' is not possible, because a stack has networks of one {axis}")
    return values


def _nearest_notation(axis: str, text: str, values: list[Any]) -> str:
    """The notation of the same number, or of the first value of the grid if the text is not a number."""
    try:
        written = notation(float(text))
        number(axis, written)
    except (ValueError, OverflowError):
        return notation(values[0])
    return written
