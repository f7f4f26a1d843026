"""The configuration, checked against its schema and made explicit: defaults filled in, axes as lists."""

import math
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from nrc.grid import AXES, spaced

__all__ = ["ConfigurationError", "read_settings"]

BUNDLED_IMAGES = 10_000

SCHEMA = Path(__file__).parent / "schemas" / "config.schema.yaml"

# YAML 1.1 reads 1e-4 as text: a number in this notation needs a dot and a sign there.
EXPONENT_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


class ConfigurationError(ValueError):
    """A mistake in the configuration, told in one line: key, value, what is allowed."""


def read_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Check a configuration and return it complete.

    Raises
    ------
    ConfigurationError
        At the first mistake.
    """
    settings = _read_exponents(deepcopy(config))
    _complete_likes(settings)
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    for error in sorted(
        _Validator(schema).iter_errors(settings), key=lambda error: list(map(str, error.absolute_path))
    ):
        raise ConfigurationError(_message(error))
    for name, experiment in settings["experiments"].items():
        key = f"experiments.{name}"
        if experiment["data"]["kind"] == "mixture":
            _check_mixture(f"{key}.data", experiment["data"])
            _check_training(key, experiment["network"], experiment["training"])
        else:
            _check_images(f"{key}.data", experiment["data"])
        experiment["grid"] = {
            axis: _values(f"{key}.grid.{axis}", axis, experiment["grid"][axis]) for axis in AXES
        }
    return settings


def _read_exponents(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read_exponents(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_read_exponents(item) for item in value]
    if isinstance(value, str) and EXPONENT_NUMBER.fullmatch(value):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value


def _fill_defaults(validator, properties: dict, instance: Any, schema: dict) -> Iterator[ValidationError]:
    """The keyword `properties`, filling in defaults before the values are checked."""
    if isinstance(instance, dict):
        for key, subschema in properties.items():
            if "default" in subschema:
                instance.setdefault(key, deepcopy(subschema["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, instance, schema)


def _is_number(_, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(_, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = extend(
    Draft202012Validator,
    {"properties": _fill_defaults},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"number": _is_number, "integer": _is_integer}
    ),
)


def _message(error: ValidationError) -> str:
    path = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path]
    key = "".join(path).lstrip(".")
    inside = f"configuration: {key}." if key else "configuration: "
    if error.validator == "additionalProperties":
        allowed = error.schema["properties"]
        unknown = next(name for name in error.instance if name not in allowed)
        return f"{inside}{unknown} is no key here; allowed are {', '.join(allowed)}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{inside}{missing} is missing; it must be given"
    return f"configuration: {key} is {error.instance!r}, but must be {_allowed(error.schema)}"


def _allowed(schema: dict) -> str:
    """What a schema of one value allows, in words."""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    names = {
        "integer": "a whole number",
        "null": "null",
        "array": "a list",
        "string": "a text",
        "boolean": "true or false",
        "object": "a mapping",
        "number": "a finite number",
    }
    kinds = schema.get("type", "array")
    words = " or ".join(names[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    limits = {
        "minimum": "of at least",
        "exclusiveMinimum": "greater than",
        "maximum": "of at most",
        "exclusiveMaximum": "less than",
        "minItems": "with a number of values of at least",
    }
    words = " ".join(
        [words, *(f"{text} {schema[limit]}" for limit, text in limits.items() if limit in schema)]
    )
    return words + (", all different" if schema.get("uniqueItems") else "")


def _check_mixture(key: str, data: dict[str, Any]) -> None:
    clusters, points, weights = data["clusters"], data["points"], data["weights"]
    if clusters > points:
        raise ConfigurationError(
            f"configuration: {key}.clusters is {clusters}, but must be at most {points}, the number of points"
        )
    if weights is not None and len(weights) != clusters:
        raise ConfigurationError(
            f"configuration: {key}.weights is {weights!r}, but must have {clusters} numbers, one a cluster"
        )


def _check_images(key: str, data: dict[str, Any]) -> None:
    if data["source"] == "folder" and data["folder"] is None:
        raise ConfigurationError(
            f"configuration: {key}.folder is None, but must be a folder with source: folder"
        )
    points = [data["train_points"], data["test_points"]]
    if data["source"] == "bundled" and (None in points or sum(points) > BUNDLED_IMAGES):
        raise ConfigurationError(
            f"configuration: {key}.train_points and test_points are {points[0]} and {points[1]}, "
            f"but must be at most {BUNDLED_IMAGES} together with source: bundled"
        )


def _check_training(key: str, network: dict[str, Any], training: dict[str, Any]) -> None:
    if training["penalty"] == "product" and network["activation"] != "linear":
        raise ConfigurationError(
            f"configuration: {key}.training.penalty is 'product', but must be factors unless "
            f"{key}.network.activation is linear"
        )
    if training["method"] == "lm" and training["penalty"] != "product":
        raise ConfigurationError(
            f"configuration: {key}.training.method is 'lm', but must be lbfgs or gd unless "
            f"{key}.training.penalty is product"
        )


def _complete_likes(settings: dict[str, Any]) -> None:
    """Give an experiment that is like another what it does not set itself."""
    experiments = settings.get("experiments")
    if not isinstance(experiments, dict):
        return
    models = {name: e for name, e in experiments.items() if isinstance(e, dict) and "like" not in e}
    for name, experiment in experiments.items():
        if not isinstance(experiment, dict) or name in models:
            continue
        key = f"configuration: experiments.{name}"
        if experiment["like"] not in models:
            raise ConfigurationError(
                f"{key}.like is {experiment['like']!r}, but must be one of {', '.join(models)}"
            )
        if "data" in experiment:
            raise ConfigurationError(f"{key}.data is no key here: an experiment like another has its data")
        experiments[name] = _merged(models[experiment["like"]], experiment)


def _merged(base: Any, changes: Any) -> Any:
    if isinstance(base, dict) and isinstance(changes, dict):
        common = {key: _merged(base[key], changes[key]) for key in base.keys() & changes.keys()}
        return {**deepcopy(base), **changes, **common}
    return changes


def _values(key: str, axis: str, values: list | dict) -> list:
    kind = int if AXES[axis].integer else float
    if isinstance(values, list):
        return [kind(value) for value in values]
    start, stop, count, scale = (values[name] for name in ("from", "to", "count", "scale"))
    if start >= stop:
        raise ConfigurationError(
            f"configuration: {key}.from is {start!r}, but must be less than {key}.to, which is {stop!r}"
        )
    if scale == "log" and start == 0:
        raise ConfigurationError(f"configuration: {key}.from is 0, but must be greater than 0 on a log scale")
    # whole numbers may coincide after rounding
    return list(
        dict.fromkeys(kind(round(v) if kind is int else v) for v in spaced(start, stop, count, scale))
    )
