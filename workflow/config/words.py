"""Keys and values of the configuration, as they are written in messages."""

from typing import Any

from nrc import text
from nrc.text import one_line, shortened

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
    words = (f"[{part}]" if isinstance(part, int) else f".{one_line(part)}" for part in path)
    return "".join(words).lstrip(".")


def written(value: Any) -> str:
    """A value as it is written in a message: with quotes, and cut if it is long.

    Examples
    --------
    >>> written({"along": "sigma", "ranks": [1, None]})
    "{along: 'sigma', ranks: [1, null]}"
    """
    return shortened(text.written(value, quoted=True))


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
