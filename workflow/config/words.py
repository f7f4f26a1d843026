"""Keys and values of the configuration, as they are written in messages."""

from collections.abc import Mapping
from typing import Any

__all__ = ["NOTHING", "dotted", "value_at", "written"]

# The value of a key that is not there.
NOTHING = object()


def dotted(path: tuple[str | int, ...]) -> str:
    """A path as it is written in a message.

    Examples
    --------
    >>> dotted(("grid", "sigma", 0))
    'grid.sigma[0]'
    """
    words = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)
    return "".join(words).lstrip(".")


def written(value: Any) -> str:
    """A value as it is written in YAML, cut if it is long.

    Examples
    --------
    >>> written({"along": "sigma", "ranks": [1, None]})
    "{along: 'sigma', ranks: [1, null]}"
    """
    text = _written(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return repr(value)


def _key(key: object) -> str:
    """A key in one line."""
    return " ".join(str(key).split())


def value_at(value: Any, path: str | tuple[str | int, ...]) -> Any:
    """The value at a path or a dotted key, or `NOTHING` where a part of it does not exist.

    Examples
    --------
    >>> value_at({"grid": {"width": [4]}}, "grid.width")
    [4]
    """
    for key in path.split(".") if isinstance(path, str) else path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return NOTHING
    return value
