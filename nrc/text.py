"""Numbers, lists and values in words, for messages, captions and pages."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["STOPPED", "between", "capitalised", "counted", "listed", "one_line", "shortened", "written"]

# How the message of a training ends that a signal stopped, such as Ctrl-C, after it wrote a checkpoint.
STOPPED = "stopped by a signal; the next run continues from the checkpoint"


def between(low: float, high: float, form: str = "g") -> str:
    """A range in words, or one number if both ends are written alike.

    Examples
    --------
    >>> between(0.25, 1.0, ".2f"), between(1.0, 1.0)
    ('0.25 to 1.00', '1')
    """
    return " to ".join(dict.fromkeys([f"{low:{form}}", f"{high:{form}}"]))


def capitalised(text: str) -> str:
    """A text with its first letter in upper case and the rest as it is.

    Examples
    --------
    >>> capitalised("tanh of W")
    'Tanh of W'
    """
    return text[:1].upper() + text[1:]


def counted(number: int, noun: str, plural: str | None = None, *, form: str = "") -> str:
    """A number of things.

    Examples
    --------
    >>> counted(1, "network"), counted(3, "network"), counted(2, "axis", "axes")
    ('1 network', '3 networks', '2 axes')
    >>> counted(1200, "network", form=",")
    '1,200 networks'
    """
    return f"{number:{form}} {noun if number == 1 else plural or noun + 's'}"


def first_line(error: BaseException) -> str:
    """The first line of the message of an error, or its type if there is no message.

    Examples
    --------
    >>> first_line(ValueError("no room\\nfor two lines"))
    'no room'
    >>> first_line(AssertionError())
    'AssertionError'
    """
    return str(error).partition("\n")[0] or type(error).__name__


def listed(words: Iterable[object], last: str = "and") -> str:
    """Words as a list with commas, and a word before the last one.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a", "b"], "or"), listed(["a"])
    ('a, b and c', 'a or b', 'a')
    """
    *first, end = map(str, words)
    return f"{', '.join(first)} {last} {end}" if first else end


def one_line(text: object) -> str:
    """A text without line breaks.

    Examples
    --------
    >>> one_line(ValueError("no room\\n  for two lines"))
    'no room for two lines'
    """
    return " ".join(str(text).split())


def shortened(text: object, length: int = 60) -> str:
    """A text in one line, cut if it is longer than `length` characters.

    Examples
    --------
    >>> shortened("a long\\nline", 9)
    'a long...'
    """
    line = one_line(text)
    return line if len(line) <= length else f"{line[: length - 3]}..."


def written(value: Any, *, quoted: bool = False) -> str:
    """A value as in a configuration file, with quotes around texts on request.

    Examples
    --------
    >>> written({"along": "sigma", "ranks": [1, None, True]})
    '{along: sigma, ranks: [1, null, true]}'
    >>> written("0.1", quoted=True)
    "'0.1'"
    """
    if isinstance(value, Mapping):
        items = (
            f"{' '.join(str(key).split())}: {written(item, quoted=quoted)}" for key, item in value.items()
        )
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(item, quoted=quoted) for item in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if quoted else str(value)
