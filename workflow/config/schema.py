"""The JSON schema of the configuration, and what it allows in words."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from nrc.text import one_line
from workflow.config.models import NAME, Configuration
from workflow.config.words import written

__all__ = ["allowed", "alternatives", "chosen", "file_schema", "kind_of", "part_at", "schema"]

Part = Mapping[str, Any]

TYPES = {
    "integer": "a whole number",
    "number": "a finite number",
    "string": "a text",
    "boolean": "true or false",
    "object": "a mapping",
    "null": "null",
}
LIMITS = {
    "minimum": "of at least",
    "exclusiveMinimum": "greater than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}


class _Generator(GenerateJsonSchema):
    """Titles are only those that are given, and a description is the first paragraph of a docstring."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return self._described(super().model_schema(schema))

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return self._described(super().typed_dict_schema(schema))

    def _described(self, part: JsonSchemaValue) -> JsonSchemaValue:
        part.pop("title", None)
        if "description" in part:
            part["description"] = one_line(part["description"].split("\n\n")[0])
        return part


def file_schema() -> dict[str, Any]:
    """The schema of a configuration file, for editors.

    A file need not be complete, because it may be an overlay: entries and sections may be null, which removes
    them, and an experiment may be `like` another.
    """
    part = _incomplete(schema())
    part["$defs"]["Experiment"]["properties"]["like"] = {
        "type": "string",
        "description": "name of another experiment, whose settings are the defaults of this experiment",
    }
    for section in ("data", "experiments", "figures", "claims"):
        about = part["properties"][section]
        about = part["$defs"][about["$ref"].removeprefix("#/$defs/")] if "$ref" in about else about
        entry = about.pop("additionalProperties", None) or about["patternProperties"][NAME]
        reserved = "|".join(about.get("properties", ())) or "\\d"
        pattern = f"^(?!({reserved})$){NAME[1:]}"
        about["patternProperties"] = {pattern: {"anyOf": [entry, {"type": "null"}]}}
        about.update(additionalProperties=False, type=["object", "null"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **part}


def _incomplete(part: Any) -> Any:
    """A part of the schema in which no key is required."""
    if isinstance(part, list):
        return [_incomplete(item) for item in part]
    if not isinstance(part, dict):
        return part
    # an entry that does not name its kind may be of several
    return {
        {"oneOf": "anyOf"}.get(key, key): _incomplete(item) for key, item in part.items() if key != "required"
    }


@cache
def schema() -> dict[str, Any]:
    """The schema of the whole file."""
    return Configuration.model_json_schema(schema_generator=_Generator)


def part_at(path: tuple[str | int, ...], content: Any) -> Part:
    """The part of the schema for the value at a path of a configuration, {} where the schema has none."""
    part: Part = schema()
    for key in path:
        part = chosen(part, content)
        if isinstance(key, int):
            part = part.get("items", {})
        elif key in part.get("properties", {}):
            part = part["properties"][key]
        else:
            patterns = list(part.get("patternProperties", {}).values())
            part = patterns[0] if patterns else part.get("additionalProperties") or {}
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            content = None
    return part


def chosen(part: Part, value: Any) -> Part:
    """A part without references, and of its alternatives the one that a value is meant for."""
    options = alternatives(part)
    if isinstance(value, Mapping):
        mappings = [option for option in options if option.get("type") == "object"]
        named = [option for option in mappings if (kind := kind_of(option)) and value.get(kind[0]) == kind[1]]
        usual = [option for option in mappings if _is_default_kind(option)]
        return next(iter(named or usual or mappings), options[0])
    wanted = "array" if isinstance(value, list) else "string"
    return next((option for option in options if option.get("type") == wanted), options[0])


def alternatives(part: Part) -> list[Part]:
    """The alternatives of a part without references; the part itself where it has none."""
    if "$ref" in part:
        part = {**schema()["$defs"][part["$ref"].removeprefix("#/$defs/")], **part}
    options = [*part.get("anyOf", []), *part.get("oneOf", [])]
    return [inner for option in options for inner in alternatives(option)] or [part]


def kind_of(part: Part) -> tuple[str, str] | None:
    """The key that names the kind of an entry, and the name; None for a part that is no entry of a kind."""
    found = ((key, about["const"]) for key, about in part.get("properties", {}).items() if "const" in about)
    return next(found, None)


def _is_default_kind(part: Part) -> bool:
    """Whether an entry of the kind need not name it."""
    return any("const" in about and "default" in about for about in part.get("properties", {}).values())


def allowed(part: Part) -> str:
    """What a part of the schema allows, in words.

    Examples
    --------
    >>> allowed({"type": "integer", "minimum": 1})
    'a whole number of at least 1'
    >>> allowed({"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]})
    'one of a, b, or null'
    """
    if "title" in part:
        return str(part["title"])
    options = alternatives(part)
    if kinds := [kind for option in options if (kind := kind_of(option))]:
        entry = f"a mapping with {kinds[0][0]}, one of {', '.join(name for _, name in kinds)}"
        return ", or ".join([entry, *(allowed(option) for option in options if not kind_of(option))])
    words = [_allowed_by_type(option, alone=len(options) == 1) for option in options]
    several = [option.get("items") in options for option in options]
    return ", or ".join(
        "a list of these" if more else word for more, word in zip(several, words, strict=True)
    )


def _allowed_by_type(part: Part, *, alone: bool) -> str:
    if "title" in part:
        return str(part["title"])
    if "enum" in part:
        return f"one of {', '.join(map(str, part['enum']))}"
    if "const" in part:
        return str(part["const"])
    if "examples" in part:
        return f"a list of values, such as {written(part['examples'][0])}"
    if part.get("type") == "array":
        some = part["items"].get("enum")
        return f"a list of some of {', '.join(some)}" if some else "a list of values"
    if "properties" in part and not alone:
        return f"{{{', '.join(part['properties'])}}}"
    limits = " and ".join(f"{words} {part[limit]}" for limit, words in LIMITS.items() if limit in part)
    return f"{TYPES.get(part.get('type', ''), 'given')} {limits}".rstrip()
