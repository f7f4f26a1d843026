"""Parts and facts of cubes that several kinds of figure need."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nrc.grid import notation
from nrc.status import count_flags, flag_masks
from nrc.text import counted, listed
from nrc.theory.ranks import relative_tail

__all__ = [
    "by_value",
    "chosen_layer",
    "has_values",
    "marked",
    "only",
    "over_seeds",
    "relative_bound",
    "relative_tails",
    "require",
    "require_layers",
    "squeezed",
    "status_counts",
]


def only(cubes: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The cube of a figure that draws a single one.

    Examples
    --------
    >>> only({"made up": cube}) is cube
    True
    """
    (cube,) = cubes.values()
    return cube


def has_values(cube: xr.Dataset, name: str) -> bool:
    """Whether a cube has a variable with any number.

    Examples
    --------
    >>> has_values(cube, "relative_distance"), has_values(cube, "loss")
    (True, False)
    """
    return name in cube and bool(cube[name].notnull().any())


def require(cube: xr.Dataset, names: Iterable[str], why: str) -> None:
    """Check that a cube has some variables.

    Parameters
    ----------
    cube : Dataset
    names : iterable of str
    why : str
        Which experiments have these variables, for the message.

    Raises
    ------
    ValueError
        If a variable is missing.

    Examples
    --------
    >>> require(cube, ["loss"], "only trained networks have a loss")
    Traceback (most recent call last):
        ...
    ValueError: the figure draws loss, which one does not have: only trained networks have a loss
    """
    if missing := [name for name in names if name not in cube]:
        raise ValueError(f"the figure draws {listed(missing)}, which {_name(cube)} does not have: {why}")


def squeezed(cube: xr.Dataset, *axes: str) -> xr.Dataset:
    """The cube without some of its axes, which stay as scalar coordinates.

    Raises
    ------
    ValueError
        If one of the axes has several values.

    Examples
    --------
    >>> one = squeezed(cube, "width")
    >>> "width" in one.dims, int(one["width"])
    (False, 4)
    """
    for axis in axes:
        if cube.sizes[axis] != 1:
            values = [notation(value) for value in cube[axis].values]
            raise ValueError(
                f"the figure draws one {axis}, but {_name(cube)} has {listed(values)}; "
                f"choose one of them, such as at: {{{axis}: {values[0]}}}"
            )
    return cube.squeeze(list(axes))


def status_counts(cube: xr.Dataset) -> dict[str, Any]:
    """Numbers of the networks of a cube by status, and their worst residual and accuracies.

    Parameters
    ----------
    cube : Dataset
        Measures of an experiment.

    Returns
    -------
    dict
        Numbers of `cells`, and of cells that `converged`, `stopped`, `diverged` (also `stopped`)
        and `collapsed_to_zero`; number of `seeds`; `worst_stopped`, the largest relative residual of a
        stopped cell, missing without such a cell; `accuracy`, the minimum and the maximum for `train` and
        `test`, if the cube has them.

    Examples
    --------
    >>> facts = status_counts(cube)
    >>> facts["cells"], facts["converged"], facts["seeds"]
    (12, 12, 2)
    """
    counts = count_flags(cube)
    stopped = flag_masks(cube["status"])["stopped"]
    accuracy = {part: cube[f"{part}_accuracy"] for part in ("train", "test") if f"{part}_accuracy" in cube}
    return {
        # joined experiments may have cells that no experiment has
        "cells": counts["converged"] + counts["stopped"] + counts["collapsed_to_zero"],
        **counts,
        "seeds": cube.sizes["seed"],
        "worst_stopped": float(cube["relative_residual"].where(stopped).max()),
        "accuracy": {
            part: (float(share.min()), float(share.max()))
            for part, share in accuracy.items()
            if share.notnull().any()
        },
    }


def marked(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows with a seed that stopped before it was stationary, diverged or collapsed to zero.

    Parameters
    ----------
    table : DataFrame
        With the numbers of seeds that `stopped`, `diverged` (also `stopped`) and
        `collapsed_to_zero`.

    Examples
    --------
    >>> table = pd.DataFrame({"stopped": [0, 2, 1], "diverged": [0, 1, 1], "collapsed_to_zero": [1, 0, 0]})
    >>> {name: rows.index.tolist() for name, rows in marked(table).items()}
    {'stopped': [1], 'diverged': [1, 2], 'collapsed_to_zero': [0]}
    """
    return {
        "stopped": table[table["stopped"] > table["diverged"]],
        "diverged": table[table["diverged"] > 0],
        "collapsed_to_zero": table[table["collapsed_to_zero"] > 0],
    }


def by_value(table: pd.DataFrame, column: str) -> Iterator[tuple[float, pd.DataFrame]]:
    """Each value of a column, in ascending order, with its rows.

    Examples
    --------
    >>> table = pd.DataFrame({"sigma": [0.2, 0.1, 0.2], "rank": [3, 1, 2]})
    >>> [(sigma, rows["rank"].tolist()) for sigma, rows in by_value(table, "sigma")]
    [(0.1, [1]), (0.2, [3, 2])]
    """
    for value in np.unique(table[column]):
        yield float(value), table[table[column] == value]


def over_seeds(name: str, values: xr.DataArray) -> dict[str, xr.DataArray]:
    """Median and range of some values over seeds, by the names of their columns.

    Examples
    --------
    >>> list(over_seeds("distance", cube["distance"]))
    ['distance', 'distance_minimum', 'distance_maximum']
    """
    return {
        name: values.median("seed"),
        f"{name}_minimum": values.min("seed"),
        f"{name}_maximum": values.max("seed"),
    }


def relative_bound(cube: xr.Dataset, name: str) -> xr.DataArray:
    """Bound on the relative distance of each layer, the smallest over sources.

    Examples
    --------
    >>> relative_bound(cube, "bound_measured").sel(layer=1).dims
    ('weight_decay', 'sigma', 'width', 'depth', 'seed')
    """
    return cube[name].min("source") / np.sqrt((cube["singular_values"] ** 2).sum("index"))


def relative_tails(s: xr.DataArray) -> xr.DataArray:
    """Relative tail beyond each rank r (`index`) of spectra, missing where a layer has fewer singular values.

    Examples
    --------
    >>> relative_tails(xr.DataArray([4.0, 3.0], dims="index")).values.tolist()
    [0.6, 0.0]
    """
    s = s.transpose(..., "index")
    return s.copy(data=relative_tail(s.fillna(0).values)).where(s.notnull())


def chosen_layer(cube: xr.Dataset, layer: int | None) -> int:
    """The number of the layer that a figure of one depth draws, the lower middle one if it is None.

    Raises
    ------
    ValueError
        As in `require_layers`.

    Examples
    --------
    >>> chosen_layer(cube, None), chosen_layer(cube, 3)
    (2, 3)
    """
    layer = layer or (cube.sizes["layer"] + 1) // 2
    require_layers(cube, "layer", layer)
    return layer


def require_layers(cube: xr.Dataset, option: str, layers: int | list[int]) -> None:
    """Refuse the value of an option that has a layer beyond the last one.

    Raises
    ------
    ValueError
        If there is no such layer.

    Examples
    --------
    >>> require_layers(cube, "layers", [1, 4])
    Traceback (most recent call last):
    ValueError: layers is [1, 4], but the networks have 3 layers; choose from these
    """
    number = cube.sizes["layer"]
    if max(np.atleast_1d(layers), default=0) > number:
        raise ValueError(
            f"{option} is {layers}, but the networks have {counted(number, 'layer')}; choose from these"
        )


def _name(cube: xr.Dataset) -> str:
    return str(cube.attrs.get("experiment", "the cube"))
