"""Mistakes that the models find, in sentences."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from workflow.config.field_types import BRANCH
from workflow.config.schema import allowed, alternatives, chosen, kind_of, part_at
from workflow.config.words import dotted, value_at, written

__all__ = ["Mistake", "mistakes"]

NAMES = "a name is a letter, then letters, digits and _"


class Mistake(NamedTuple):
    """A mistake: the path of the key, and the sentence about it, which begins with the key."""

    path: tuple[str | int, ...]
    text: str


def mistakes(error: ValidationError, content: Any) -> list[Mistake]:
    """The mistakes in a configuration.

    Parameters
    ----------
    error : ValidationError
        The error of the model `Configuration`.
    content : mapping
        The configuration.
    """
    return [_mistake(details, content) for details in error.errors(include_url=False)]


def _mistake(details: Mapping[str, Any], content: Any) -> Mistake:
    path = tuple(part for part in details["loc"] if not str(part).startswith(BRANCH))
    reason = str(details["ctx"]["error"]) if details["type"] == "value_error" else None
    if path[-1:] == ("[key]",) or details["type"] == "string_pattern_mismatch":
        path = tuple(key for key in path if key != "[key]")
        return Mistake(path, f"{dotted(path)} cannot be a name: {reason or NAMES}")
    path, value = _written_path(path, content), details["input"]
    key, part = dotted(path), part_at(path, content)
    kinds = [kind for option in alternatives(part) if (kind := kind_of(option))]
    if details["type"] == "extra_forbidden":
        return Mistake(
            path, f"{key} {_unknown(chosen(part_at(path[:-1], content), value_at(content, path[:-1])))}"
        )
    if details["type"] == "missing":
        return Mistake(path, f"{key} is missing; it must be {allowed(part)}")
    if details["type"].startswith("union_tag") and isinstance(value, Mapping):
        by, names = kinds[0][0], ", ".join(name for _, name in kinds)
        given = f"is {written(value[by])}, but" if by in value else "is missing; it"
        return Mistake((*path, by), f"{key}.{by} {given} must be one of {names}")
    if reason and isinstance(value, Mapping):  # about one of its keys, with which the reason begins
        return Mistake(path, f"{key}.{reason}")
    return Mistake(path, f"{key} is {written(value)}, but {reason or f'must be {allowed(part)}'}".lstrip())


def _written_path(path: tuple[str | int, ...], content: Any) -> tuple[str | int, ...]:
    """The path without positions in lists that are written as their single item."""
    found: tuple[str | int, ...] = ()
    for key in path:
        if not isinstance(key, int) or isinstance(value_at(content, found), list):
            found = (*found, key)
    return found


def _unknown(part: Mapping[str, Any]) -> str:
    """The message for a key that the schema does not allow."""
    kind, names = kind_of(part), list(part.get("properties", {}))
    if kind is None:
        return f"is not a known key; the known keys are {', '.join(names)}"
    options = [name for name in names if name != kind[0]]
    return f"is not an option of {kind[1]}, which has {', '.join(options) or 'no options'}"
