"""The page of the explorer: one HTML file with the cubes of all experiments and the code that draws them."""

import base64
import json
import math
import zlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import xarray as xr
from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from nrc.explorer import PARTS
from nrc.grid import AXES, notation

__all__ = ["contents", "packed", "page", "shown"]

# Dimensions besides the axes of the grid along which the page can choose; matrices have others.
CHOICES = ("layer", "source", "index", "snapshot")


def page(cubes: Mapping[str, xr.Dataset], commands: Mapping[str, Mapping[str, str]]) -> str:
    """The page as HTML; the same cubes give the same text.

    Parameters
    ----------
    cubes : mapping
        Measures of each experiment.
    commands : mapping
        For each experiment the commands that train and measure one of its networks, by what they do, with the
        word CELLS for the place of the network in the grid.

    Examples
    --------
    >>> text = page({"made up": cube}, {"made up": {"train": "train CELLS"}})
    >>> text.startswith("<!DOCTYPE html>"), "http" in text
    (True, False)
    """
    about = {name: {**contents(cube), "commands": commands[name]} for name, cube in cubes.items()}
    parts = {part: files("nrc.explorer").joinpath(part).read_text(encoding="utf-8") for part in PARTS}
    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True)
    template = environment.from_string(parts["page.html"])
    return template.render(
        style=parts["page.css"],
        code="\n".join(text for part, text in parts.items() if part.endswith(".js")),
        # a name of an experiment must not close the element
        about=json.dumps(about, ensure_ascii=False).replace("<", "\\u003c"),
        packed={"plotly": _compressed(get_plotlyjs().encode())}
        | {f"cube-{number}": packed(cube) for number, cube in enumerate(cubes.values())},
    )


def contents(cube: xr.Dataset) -> dict[str, Any]:
    """Dimensions, variables and attributes of a cube, for JSON.

    Examples
    --------
    >>> about = contents(cube)
    >>> about["dimensions"]["sigma"]["values"], about["variables"]["relative_distance"]["dimensions"]
    (['0.1', '0.3', '1'], ['weight_decay', 'sigma', 'width', 'depth', 'seed', 'layer'])
    >>> about["flags"]["status"]
    {'0': 'converged', '1': 'stopped', '2': 'collapsed_to_zero'}
    """
    kept = shown(cube)
    return {
        "axes": list(AXES),
        "dimensions": {
            dim: {
                "values": [
                    value if isinstance(value, str) else notation(value)
                    for value in kept[dim].values.tolist()
                ],
                "long_name": kept[dim].attrs["long_name"],
            }
            for dim in (*AXES, *CHOICES)
            if dim in kept.dims
        },
        "variables": {
            str(name): {"dimensions": list(variable.dims), **_described(variable.attrs)}
            for name, variable in kept.data_vars.items()
        },
        "flags": {
            str(name): dict(zip(_codes(variable), variable.attrs["flag_meanings"].split(), strict=True))
            for name, variable in kept.data_vars.items()
            if "flag_meanings" in variable.attrs
        },
        "left_out": sorted(set(map(str, cube.data_vars)) - set(map(str, kept.data_vars))),
        "attributes": {str(name): _plain(value) for name, value in cube.attrs.items()},
    }


def packed(cube: xr.Dataset) -> str:
    """The numbers of all shown variables in one sequence: 32-bit floats, zlib, base64.

    Examples
    --------
    >>> data = zlib.decompress(base64.b64decode(packed(cube)))
    >>> numbers = np.frombuffer(data, "<f4")
    >>> len(numbers) == sum(variable.size for variable in shown(cube).data_vars.values())
    True
    """
    # larger numbers become infinite
    with np.errstate(over="ignore"):
        data = b"".join(np.asarray(v.values, "<f4").tobytes() for v in shown(cube).data_vars.values())
    return _compressed(data)


def shown(cube: xr.Dataset) -> xr.Dataset:
    """The variables without other dimensions than the axes, layer, source, index and snapshot, in this order.

    Examples
    --------
    >>> matrix = xr.DataArray(np.eye(2), dims=("output", "input"))
    >>> with_matrix = cube.assign(product=cube["transition"] * matrix)
    >>> "product" in shown(with_matrix)
    False
    """
    names = [name for name, variable in cube.data_vars.items() if set(variable.dims) <= {*AXES, *CHOICES}]
    order = [dim for dim in (*AXES, *CHOICES) if dim in cube[names].dims]
    return cube[names].transpose(*order)


def _described(attributes: Mapping[str, Any]) -> dict[str, str]:
    keys = ("long_name", "units", "reference", "comment")
    return {key: attributes[key] for key in keys if key in attributes}


def _codes(variable: xr.DataArray) -> list[str]:
    return [str(code) for code in np.asarray(variable.attrs["flag_values"]).tolist()]


def _plain(value: Any) -> Any:
    """An attribute as a value of JSON."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _compressed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()
