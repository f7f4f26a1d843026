"""Networks trained by SGD: tails against the clock of weight decay, and what the batch size certifies."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pydantic import Field

from nrc.figures.cube import (
    by_value,
    chosen_layer,
    over_seeds,
    relative_bound,
    relative_tails,
    require,
    squeezed,
    status_counts,
)
from nrc.figures.options import FigureOptions, one_architecture
from nrc.figures.style import Colour, LineStyle, band, colours, letters
from nrc.grid import notation
from nrc.option_types import TitledExperiments
from nrc.options import Requirement, equal, given, one_value, positive
from nrc.theory.batches import batch_bound

__all__ = ["Options", "draw", "rows", "summary"]

BATCHES: LineStyle = {"linestyle": "--", "linewidth": 0.9}
POINTS: LineStyle = {"marker": "D", "markersize": 4, "linestyle": ""}


class Options(FigureOptions):
    """Tails of networks trained by SGD against the clock of weight decay, and bounds from the batch size."""

    requires = (
        one_architecture,
        Requirement(
            {
                "network.kind": equal("mlp"),
                "training.method.name": equal("sgd"),
                "training.method.momentum": equal(0),
                "training.method.schedule": equal("constant"),
                "training.method.batch": given,
                "training.snapshot_every": given,
                "grid.sigma": one_value,
                "grid.weight_decay": positive,
            }
        ),
    )

    of: TitledExperiments = Field(  # type: ignore[assignment]
        description="experiments by their titles, for example with other batch sizes or learning rates"
    )
    layer: int | None = Field(None, ge=1, description="layer to draw, or null for the middle one")


def rows(cubes: Mapping[str, xr.Dataset], options: Options) -> pd.DataFrame:
    """The numbers that are drawn, in two panels (`panel`).

    Parameters
    ----------
    cubes : mapping
        Measures with snapshots, of one sigma, width and depth, of experiments with SGD without momentum.

    Returns
    -------
    DataFrame
        The panel `training` has a row for each `experiment`, weight decay and snapshot: the number of
        `epochs`, the `clock` mu lambda t, and median, minimum and maximum over seeds of the relative
        `distance` to rank K. The panel `rank` has a row for each experiment, weight decay and `rank` r:
        median, minimum and maximum of the relative `distance` to rank r after training, its bound by the
        batch size (`bound_batches`), and at r = K the median of the measured bound of Theorem 3.4
        (`bound_points`).

    Raises
    ------
    ValueError
        If there are several sigmas, widths or depths, no snapshots, no such layer, or a layer that has no
        more than K singular values.
    """
    tables = []
    for title, cube in cubes.items():
        cell = _cell(cube, options)
        method, k = _method(cube), cube.attrs["clusters"]
        tail = relative_tails(cell["snapshot_singular_values"])
        steps = tail["snapshot"] * -(-cube.attrs["points"] // method["batch"])
        training = {
            "clock": method["learning_rate"] * tail["weight_decay"] * steps,
            **over_seeds("distance", tail.sel(index=k, drop=True)),
        }
        end = relative_tails(cell["singular_values"])
        rank, decay = xr.broadcast(end["index"], end["weight_decay"])
        by_batches = batch_bound(rank.values, method["batch"], method["learning_rate"], decay.values)
        points = relative_bound(cell, "bound_measured").median("seed")
        after = {
            **over_seeds("distance", end),
            "bound_batches": rank.copy(data=by_batches),
            "bound_points": points.where(end["index"] == k),
        }
        for panel, numbers, along in (("training", training, "snapshot"), ("rank", after, "index")):
            table = xr.Dataset(numbers).to_dataframe(dim_order=["weight_decay", along]).reset_index()
            table = table.rename(columns={"snapshot": "epochs", "index": "rank"})
            tables.append(table.assign(panel=panel, experiment=title))
    table = pd.concat(tables, ignore_index=True)
    names = ["panel", "experiment", "weight_decay", "epochs", "clock", "rank"]
    names += ["distance", "distance_minimum", "distance_maximum", "bound_batches", "bound_points"]
    return table[names].astype({"epochs": "Int64", "rank": "Int64"})


def draw(cubes: Mapping[str, xr.Dataset], options: Options) -> Figure:
    """Draw tails along epochs and along the clock, and below, distances to all ranks with their bounds."""
    table = rows(cubes, options)
    decays = sorted(table["weight_decay"].unique())
    palette = dict(zip(cubes, colours(options.colour_map, len(cubes), 0, 0.85), strict=True))
    dashes = {decay: _dash(place) for place, decay in enumerate(decays)}
    figure = Figure(figsize=(6.6, 5.2))
    (epochs, times), below = figure.subplots(2, 2, sharey="row")
    below[1].set_visible(len(decays) > 1)
    training = table[table["panel"] == "training"]
    for axis, x, label in ((epochs, "epochs", "epochs"), (times, "clock", r"$\mu\lambda t$ after $t$ steps")):
        _training(axis, training[training[x] > 0], x, palette, dashes)
        axis.set(xscale="log", yscale="log", xlabel=label)
    clusters = next(iter(cubes.values())).attrs["clusters"]
    layer = chosen_layer(next(iter(cubes.values())), options.layer)
    epochs.set_ylabel(f"relative distance to\nrank {clusters}, layer {layer}")
    at_end = table[table["panel"] == "rank"]
    for axis, decay in zip(below, (decays[0], decays[-1]), strict=True):
        _ranks(axis, at_end[at_end["weight_decay"] == decay], palette)
        axis.set(title=rf"$\lambda={notation(decay)}$, after training", xlabel="rank $r$", yscale="log")
    top = max(30.0, 2 * table["bound_points"].max())
    below[0].set(ylabel="relative distance to rank $r$", ylim=(1e-8, top))
    letters([epochs, times, *below[: len(decays)]])
    grey: LineStyle = {"color": "0.3"}
    handles = [Line2D([], [], color=colour, label=title) for title, colour in palette.items()]
    handles += [
        Line2D([], [], **dash, label=rf"a, b: $\lambda={notation(decay)}$", **grey)
        for decay, dash in dashes.items()
    ]
    handles += [
        Line2D([], [], label="c, d: bound by the batch size", **grey, **BATCHES),
        Line2D([], [], label="c, d: Theorem 3.4, measured", **grey, **POINTS),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def summary(cubes: Mapping[str, xr.Dataset], options: Options) -> dict[str, Any]:
    """The facts of a caption: the ranks that the batch size certifies, and numbers of cells by status.

    Returns
    -------
    dict
        `clusters`, `layer`, `width`; `status`, for each experiment the numbers of `cube.status_counts`;
        `certified`, for each experiment the smallest rank to which the batch size certifies a relative
        distance of 10% at the largest weight decay, whatever the width; `residual`, for each experiment
        minimum and maximum of the relative residual.
    """
    first = next(iter(cubes.values()))
    return {
        "clusters": first.attrs["clusters"],
        "layer": chosen_layer(first, options.layer),
        "width": int(first["width"].item()),
        "status": {title: status_counts(cube) for title, cube in cubes.items()},
        "certified": {title: _certified(cube) for title, cube in cubes.items()},
        "residual": {
            title: (float(cube["relative_residual"].min()), float(cube["relative_residual"].max()))
            for title, cube in cubes.items()
        },
    }


def _certified(cube: xr.Dataset) -> int:
    """The smallest rank with a bound of 10% at the largest weight decay."""
    method = _method(cube)
    shrinking = 1 - method["learning_rate"] * float(cube["weight_decay"].max())
    return int(method["batch"] * np.ceil(np.log(0.1) / np.log(shrinking)))


def _method(cube: xr.Dataset) -> dict[str, Any]:
    method: dict[str, Any] = json.loads(cube.attrs["settings"])["training"]["method"]
    return method


def _cell(cube: xr.Dataset, options: Options) -> xr.Dataset:
    """One layer of the networks of one architecture."""
    require(cube, ["snapshot_singular_values"], "networks have snapshots if training.snapshot_every is set")
    one = squeezed(cube, "sigma", "width", "depth").drop_vars(["sigma", "width", "depth"])
    layer, clusters = chosen_layer(cube, options.layer), cube.attrs["clusters"]
    cell = one.sel(layer=layer, drop=True)
    largest = int(cell["snapshot_singular_values"].dropna("index", how="all").sizes["index"])
    if largest <= clusters:
        raise ValueError(
            f"the figure draws the distance of layer {layer} to rank {clusters}, but the layer has "
            f"{largest} singular values; choose another one by layer, or a larger width"
        )
    return cell


def _dash(place: int) -> LineStyle:
    """The style of a weight decay: solid, dashed, dotted, and then a dash with one, two, ... dots."""
    dots = (0, (5, 1.5, *(1, 1.5) * (place - 2)))
    return {"linestyle": dots if place > 2 else ("-", "--", ":")[place]}


def _training(
    axis: Axes, table: pd.DataFrame, x: str, palette: Mapping[str, Colour], dashes: Mapping[float, LineStyle]
) -> None:
    for title, colour in palette.items():
        for decay, curve in by_value(table[table["experiment"] == title], "weight_decay"):
            band(axis, curve[x], curve["distance_minimum"], curve["distance_maximum"], colour)
            axis.plot(curve[x], curve["distance"], color=colour, **dashes[decay])


def _ranks(axis: Axes, table: pd.DataFrame, palette: Mapping[str, Colour]) -> None:
    for title, colour in palette.items():
        curve = table[table["experiment"] == title]
        band(axis, curve["rank"], curve["distance_minimum"], curve["distance_maximum"], colour)
        axis.plot(curve["rank"], curve["distance"], color=colour)
        axis.plot(curve["rank"], curve["bound_batches"], color=colour, **BATCHES)
        axis.plot(curve["rank"], curve["bound_points"], color=colour, **POINTS)
