"""The models of the configuration, and the JSON schema for editors that is generated from them."""

import jsonschema
import pytest
import yaml

from nrc import kinds
from nrc.grid import AXES
from support.configurations import CONFIG, SCALES
from tools.editor_schema import FILE, text
from workflow.config.schema import file_schema, schema

OVERLAYS = [CONFIG, *sorted(SCALES.glob("*.yaml"))]
PACKAGES = {"data": 3, "networks": 5, "optimize": 7, "figures": 11, "claims.statistics": 14, "measures": 4}


def test_the_file_for_editors_is_up_to_date():
    assert FILE.read_text(encoding="utf-8") == text(), "run `make schema`"


@pytest.mark.parametrize("file", OVERLAYS, ids=lambda file: file.name)
def test_editors_find_the_schema_and_no_mistake(file):
    words = file.read_text(encoding="utf-8")
    first = words.splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (file.parent / first.partition("=")[2]).resolve() == FILE
    jsonschema.Draft202012Validator(file_schema()).validate(yaml.safe_load(words))


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("{colour: red}", []),
        ("{data: {blobs: {kind: mixture, colour: red}}}", ["data", "blobs"]),
        ("{data: {my-blobs: null}}", ["data"]),
        ("{experiments: {a: {like: b, grid: {sigma: [-1]}}}}", ["experiments", "a"]),
        ("{figures: {style: {dpi: 5}}}", ["figures", "style", "dpi"]),
    ],
)
def test_editors_find_a_mistake(content, path):
    errors = list(jsonschema.Draft202012Validator(file_schema()).iter_errors(yaml.safe_load(content)))
    assert [list(error.absolute_path) for error in errors] == [path]


def properties(part):
    """Every key that a part of the schema describes, with its own part."""
    if isinstance(part, dict):
        yield from part.get("properties", {}).items() if isinstance(part.get("properties"), dict) else ()
        for item in part.values():
            yield from properties(item)
    elif isinstance(part, list):
        for item in part:
            yield from properties(item)


def test_every_key_and_every_kind_has_a_description():
    parts = schema()["$defs"]
    described = list(properties(schema()))
    assert len(described) > 150
    for name, about in described:
        of = parts.get(about.get("$ref", "").removeprefix("#/$defs/"), {})
        items = [about, of, *about.get("anyOf", [])]
        assert "const" in about or any("description" in item for item in items), name
    for package, count in PACKAGES.items():
        assert len(kinds.names(package)) >= count
        assert all(kinds.options(package, name).__doc__ for name in kinds.names(package))


def test_axes_of_the_models_are_those_of_the_grid():
    parts = schema()["$defs"]
    assert list(parts["Grid"]["properties"]) == list(AXES) == list(parts["At"]["properties"])
    for name, axis in AXES.items():
        value = parts[f"range_of_{name}"]["properties"]["from"]
        assert value["type"] == ("integer" if axis.integer else "number")
        assert (value["minimum"], value.get("maximum", float("inf"))) == (axis.smallest, axis.largest)
    stackable = [name for name, axis in AXES.items() if axis.stackable]
    assert parts["Experiment"]["properties"]["stack"]["items"]["enum"] == stackable
