"""Every key of the configuration, from its schema: what it may be, its default, and what it means."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from workflow.config.schema import allowed, schema, written

__all__ = ["Key", "keys", "text"]

Part = Mapping[str, Any]

HEAD = "| key | may be | default | what it means |\n|---|---|---|---|"
# where the value is a mapping whose keys have a section of their own
ELSEWHERE = {
    "data": "data",
    "experiments": "experiments",
    "figures": "figures",
    "claims": "claims",
    "measures": "measures",
    "method": "methods",
    "at": "values of axes",
    "start": "see its meaning",
}
# what the schema says in the words of a mistake
OWN_WORDS = {"data.with_y": "data with y: of the kind arrays, where the file holds it"}
AXES = {"#/$defs/amounts", "#/$defs/sizes", "#/$defs/seeds"}


class Key(NamedTuple):
    """A key, by its path from the start of its section."""

    name: str
    may_be: str
    default: str
    meaning: str


def text() -> str:
    """All sections."""
    whole, defs = schema(), schema()["$defs"]
    experiment = defs["experiment"]
    return "\n".join(
        [
            "## The whole file\n",
            _table(keys(whole, deep=False)),
            "## measures\n",
            f"{_sentence(whole['properties']['measures'])}\n",
            _table(keys(defs["measures"])),
            *_kinds("data", "data", "Every entry of `data` has a `kind`, and the keys of that kind."),
            "## experiments\n",
            "Every entry is a grid of networks. It has these keys, or `like: NAME`, the name of another "
            "experiment whose keys it takes over, and beside it those that differ.\n",
            _table(keys(experiment)),
            "### An axis\n",
            "A list of values, or a range:\n",
            _table(keys(defs["amounts"]["else"])),
            "The `scale` is `linear` by default for widths, depths and seeds.\n",
            "### What goes together\n",
            _needs(experiment["pairs"]),
            *_kinds(
                "methods", "method", "`training.method` is a mapping: the `name`, and options of its own."
            ),
            *_kinds(
                "figures",
                "figure",
                "Under `style` stands what all figures share; every other entry is a figure.\n\n"
                + _table([*keys(whole["properties"]["figures"]["properties"]["style"], "style.")])
                + "\nEvery figure has a `kind` and these keys:\n\n"
                + _table(keys(defs["figure"]["common"])),
            ),
            *_kinds(
                "claims",
                "claim",
                f"{_sentence(defs['claim'])}\n\n`level`, {defs['level']['description']}, is 0.95 by default "
                "and may stand beside the claims, for all of them. Every claim has a `statistic` and these "
                "keys:\n\n" + _table(keys(defs["claim"]["common"])),
            ),
        ]
    )


def keys(part: Part, before: str = "", *, deep: bool = True) -> Iterator[Key]:
    """The keys of a part of the schema, those of mappings in it too."""
    for name, given in part.get("properties", {}).items():
        about = _resolved(given)
        inner = about if about.get("type") == "object" and "properties" in about else about.get("then", {})
        nested = deep and bool(inner.get("properties")) and name != "measures"
        required = name in part.get("required", [])
        yield Key(
            f"{before}{name}",
            _may_be(given, nested=nested, name=name),
            "must be given" if required else _default(about, of_mapping=nested or name == "measures"),
            _words(about) + _needed(about.get("needs")),
        )
        if nested:
            yield from keys(inner, f"{before}{name}.")


def _kinds(title: str, part: str, about: str) -> Iterator[str]:
    whole = schema()["$defs"][part]
    yield f"## {title}\n"
    yield f"{about}\n"
    for name, kind in whole["kinds"].items():
        kind = kind or {}
        yield f"### {name}\n"
        yield f"{_cell(_sentence(kind))}\n"
        yield _table(keys(kind)) if kind.get("properties") else "It has no keys of its own.\n"
        if rows := kind.get("draws"):
            yield f"The experiment needs:\n\n{_needs(rows)}"


def _table(rows: Any) -> str:
    lines = (f"| `{key.name}` | {' | '.join(map(_cell, key[1:]))} |" for key in rows)
    return "\n".join([HEAD, *lines, ""])


def _needs(rows: list[Part]) -> str:
    lines = []
    for row in rows:
        when = " and ".join(f"`{key}` is {_condition(value)}" for key, value in row.get("when", {}).items())
        asked = (
            OWN_WORDS.get("".join(row["needs"]))
            or row.get("words")
            or ", ".join(f"`{key}` {_condition(value)}" for key, value in row["needs"].items())
        )
        lines.append(f"- where {when}: {asked}" if when else f"- {asked}")
    return "\n".join([*dict.fromkeys(lines), ""])


def _needed(needs: Part | None) -> str:
    if not needs:
        return ""
    return "; needs " + ", ".join(f"`{key}` {_condition(value)}" for key, value in needs.items())


def _condition(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"`{written(value)}`".replace("'", "")
    part = _resolved(value)
    if "not" in part:
        return part.get("words") or f"not {_condition(part['not'])}"
    if part.keys() & {"items", "exclusiveMinimum"} and "type" not in part:
        several = f"of {part['minItems']} or more values, " if "minItems" in part else ""
        return f"{several}all greater than 0"
    if "minimum" in part and "type" not in part:
        return f"at least {part['minimum']}"
    return allowed(part)


def _may_be(given: Part, *, nested: bool, name: str) -> str:
    if given.get("$ref") in AXES:
        return "an axis: a list, or a range"
    about = _resolved(given)
    if nested and about.get("type") == "object" and "words" not in about:
        return "a mapping"
    if about.get("type") == "object" and "words" not in about:
        return f"a mapping: {ELSEWHERE.get(name, 'see below')}"
    if about.get("by"):
        return f"a mapping with `{about['by']}`: {ELSEWHERE.get(name, 'see below')}"
    if about.get("type") == "array" and "enum" in about.get("items", {}):
        return f"a list of some of {', '.join(about['items']['enum'])}"
    words = allowed(about).replace("a finite number", "a number")
    if "else" in about and "$ref" in about["else"]:
        one = _resolved(about["else"])
        words += f"; {', '.join(one['enum'])}" if "enum" in one else ""
    return words


def _default(about: Part, *, of_mapping: bool) -> str:
    if of_mapping or about.get("default") == {}:
        return ""
    if "default" not in about:
        return "see there" if "if not given" in about.get("description", "") else ""
    default = about["default"]
    values = default if isinstance(default, list) else [default]
    words = ", ".join(written(value).replace("'", "") for value in values)
    return f"`[{words}]`" if isinstance(default, list) else f"`{words}`"


def _resolved(part: Part) -> dict[str, Any]:
    """A part with what it refers to."""
    if "$ref" not in part:
        return dict(part)
    referred = _resolved(schema()["$defs"][part["$ref"].removeprefix("#/$defs/")])
    return {**referred, **{key: value for key, value in part.items() if key != "$ref"}}


def _words(part: Part) -> str:
    return " ".join(part.get("description", "").split())


def _sentence(part: Part) -> str:
    words = _words(part)
    # a formula has no capital
    return f"{words if words[1:2] == '_' else words[:1].upper() + words[1:]}."


def _cell(words: str) -> str:
    return words.replace("|", r"\|").replace("<", r"\<").replace("*", r"\*")
