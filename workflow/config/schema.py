"""The schema of the configuration: it fills in defaults, and tells mistakes in words."""

import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

__all__ = [
    "Mistake",
    "Unmet",
    "allowed",
    "dotted",
    "kind_of",
    "mistakes",
    "schema",
    "unmet",
    "value_at",
    "written",
]

SCHEMA = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"

LARGEST = sys.float_info.max

TYPES = {
    "integer": "a whole number",
    "number": "a finite number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
LIMITS = {
    "minimum": "of at least",
    "exclusiveMinimum": "greater than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}


class Mistake(NamedTuple):
    """Where it is, and what it is: `key text` is a sentence."""

    path: tuple[str | int, ...]
    text: str


class Unmet(NamedTuple):
    """What a choice needs and does not find.

    Attributes
    ----------
    when : str or None
        The key of the choice; None where there is none.
    key : str
        The key that must be otherwise.
    path : tuple
        Its path, with positions in lists.
    value : object
        What it is.
    allowed : str
        What it must be, in words.
    words : str or None
        The row's own words.
    """

    when: str | None
    key: str
    path: tuple[str | int, ...]
    value: Any
    allowed: str
    words: str | None


@cache
def schema() -> dict[str, Any]:
    """The schema itself."""
    return yaml.load(SCHEMA.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def kind_of(part: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the schema says of the kind of an entry of `data`, `method`, `figure` or `claim`."""
    return schema()["$defs"][part]["kinds"][entry[schema()["$defs"][part]["by"]]] or {}


def mistakes(value: Any, part: Mapping[str, Any] | None = None) -> list[Mistake]:
    """Check a value, filling in defaults.

    Parameters
    ----------
    value : object
        Changed in place.
    part : mapping, optional
        The part of the schema to check it by, if not the whole.
    """
    validator = _validator() if part is None else _validator().evolve(schema=part)
    return [_mistake(error) for error in validator.iter_errors(value)]


def unmet(rows: list[dict[str, Any]], chooser: Mapping[str, Any], experiment: Any) -> Iterator[Unmet]:
    """What the rows of a table "when this, needs that" ask for and do not find.

    Parameters
    ----------
    rows : list of dict
        `when` and `needs` map dotted keys to a value or a schema; a key that is not there asks for nothing.
    chooser, experiment : mapping
        What `when` and what `needs` speak of.
    """
    for row in rows:
        when = row.get("when", {})
        if any(not _meets(value_at(chooser, key), condition) for key, condition in when.items()):
            continue
        for key, condition in row["needs"].items():
            value = value_at(experiment, key)
            if value is _NOTHING:
                continue
            for error in _validator().evolve(schema=_as_schema(condition)).iter_errors(value):
                path = (*key.split("."), *error.absolute_path)
                words = row.get("words")
                yield Unmet(next(iter(when), None), key, path, error.instance, allowed(error.schema), words)


def dotted(path: tuple[str | int, ...]) -> str:
    """A path as people write it: grid.sigma[0]."""
    # in one line, whatever a key holds
    words = (f"[{part}]" if isinstance(part, int) else f".{' '.join(part.split())}" for part in path)
    return "".join(words).lstrip(".")


def written(value: Any) -> str:
    """A value as people write it, cut if it is long."""
    text = _written(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return repr(value)


_NOTHING = object()


def value_at(value: Any, key: str) -> Any:
    """The value of a dotted key, or `_NOTHING`."""
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return _NOTHING
        value = value[name]
    return value


def _as_schema(condition: Any) -> dict[str, Any]:
    return condition if isinstance(condition, dict) else {"const": condition}


def _meets(value: Any, condition: Any) -> bool:
    return value is not _NOTHING and _validator().evolve(schema=_as_schema(condition)).is_valid(value)


def _fill_defaults(validator, properties: dict, instance: Any, part: dict) -> Iterator[ValidationError]:
    """The keyword `properties`, filling in defaults before the values are checked."""
    if isinstance(instance, dict):
        for key, subschema in properties.items():
            if "default" in subschema:
                instance.setdefault(key, deepcopy(subschema["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, instance, part)


def _of_kind(validator, kinds: dict, instance: Any, part: dict) -> Iterator[ValidationError]:
    """The keyword `kinds`: the common keys and those of the kind that the entry names, and no others."""
    if not isinstance(instance, dict):
        return
    by, common = part["by"], part.get("common", {})
    wrong = list(validator.descend(instance, {"properties": {by: {"enum": list(kinds)}}, "required": [by]}))
    if wrong:
        yield from wrong
        return
    kind = kinds[instance[by]] or {}
    whole = {
        "kind": instance[by],
        "properties": {by: {}, **common.get("properties", {}), **kind.get("properties", {})},
        "required": [*common.get("required", []), *kind.get("required", [])],
        "additionalProperties": False,
    }
    yield from validator.descend(instance, whole)


def _is_number(_, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def _is_integer(_, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = extend(
    Draft202012Validator,
    {"properties": _fill_defaults, "kinds": _of_kind},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"number": _is_number, "integer": _is_integer}
    ),
)


@cache
def _validator() -> Any:
    return _Validator(schema())


def _mistake(error: ValidationError) -> Mistake:
    path = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        words = error.validator_value["words"] if error.validator == "not" else error.schema["words"]
        return Mistake((*path, error.instance), f"must have another name: {words}")
    if error.validator == "additionalProperties":
        names = error.schema["properties"]
        unknown = next(name for name in error.instance if name not in names)
        if "kind" in error.schema:
            own = [name for name, about in names.items() if about]
            of_kind = f"{error.schema['kind']} has {', '.join(own) or 'no options'}"
        else:
            of_kind = f"allowed are {', '.join(names)}"
        return Mistake((*path, unknown), f"is no key here; {of_kind}")
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        about = error.schema.get("properties", {}).get(missing)
        what = allowed(about) if about else "given"
        return Mistake((*path, missing), f"is missing; it must be {what}")
    return Mistake(path, f"is {written(error.instance)}, but must be {_allowed_here(error)}")


def _allowed_here(error: ValidationError) -> str:
    """What is allowed where a mistake is, in words."""
    limits = {
        "minItems": f"a list of {error.validator_value} or more values",
        "minProperties": f"a mapping with {error.validator_value} or more entries",
        "uniqueItems": "a list of values that are all different",
    }
    return limits.get(error.validator) or allowed(error.schema)


def allowed(part: Mapping[str, Any]) -> str:
    """What a part of the schema allows, in words."""
    if "$ref" in part:
        resolved = schema()["$defs"][part["$ref"].removeprefix("#/$defs/")]
        part = {**resolved, **part}
    if "words" in part:
        return part["words"]
    if "const" in part:
        return written(part["const"]).strip("'")
    if "enum" in part:
        return f"one of {', '.join(map(str, part['enum']))}"
    if "kinds" in part:
        return f"a mapping with {part['by']}, one of {', '.join(part['kinds'])}"
    if "maxItems" in part:
        return "one value"
    if "minItems" in part and "type" not in part:
        return f"{part['minItems']} or more values"
    types = part.get("type", [])
    types = [types] if isinstance(types, str) else types
    words = " or ".join(TYPES[kind] for kind in types if kind != "null")
    limits = " and ".join(f"{text} {part[limit]}" for limit, text in LIMITS.items() if limit in part)
    return " ".join(filter(None, [words, limits])) + (", or null" if "null" in types else "")
